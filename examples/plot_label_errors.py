"""
Which labels are wrong?
=======================

A network learns what most samples of a class have in common before it learns
single wrong labels by heart. The margins of its first epochs therefore show
which labels are wrong: :class:`~margin_sklearn.LabelErrorDetector` finds them
in one training. Here one label in ten of the handwritten digits is made wrong,
so that one can count how many are found.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import LabelErrorDetector, MarginClassifier

X, true = load_digits(return_X_y=True)
X, X_test, true, y_test = train_test_split(
    X,
    true,
    stratify=true,
    random_state=0,
)
rng = np.random.default_rng(0)
wrong = rng.random(len(true)) < 0.1
y = np.where(wrong, (true + rng.integers(1, 10, len(true))) % 10, true)

network = make_pipeline(StandardScaler(), MarginClassifier(random_state=0))
detector = LabelErrorDetector(network).fit(X, y)
print(detector.report_.head(8).round(3).to_string())

# %%
# The suspects
# ------------
#
# The *quality* of a label, from 0 to 1, is the trust in it: it rises with the
# margin of the sample, averaged over the first epochs. Labels of a quality
# below the threshold are suspect. The eight most suspect digits are drawn with
# the label they were given and the one the network suggests.

import matplotlib.pyplot as plt

from margin_sklearn import SubsetDisplay

display = SubsetDisplay.from_estimator(detector, X, image_shape=(8, 8))
display.ax_.set_title("Quality of the labels of the digits")
plt.show()

# %%
# Confident learning on the same labels
# -------------------------------------
#
# The usual method, confident learning (`Northcutt et al. 2021
# <https://arxiv.org/abs/1911.00068>`__, the package cleanlab), needs the class
# probabilities of a network that has not seen the sample: five fits in
# cross-validation. Each class has a threshold, the mean probability of the
# class over the samples that were given it. A label is suspect if the most
# likely class above its threshold is another one. These lines are that rule
# (``filter_by="confident_learning"`` in cleanlab, which is not imported here).

from sklearn.model_selection import cross_val_predict


def confident_learning(y, probability):
    """Which labels are suspect, given probabilities out of fold."""
    classes = range(probability.shape[1])
    threshold = np.array([probability[y == k, k].mean() for k in classes])
    above = np.where(probability >= threshold, probability, -1.0)
    return (above.max(axis=1) >= 0) & (above.argmax(axis=1) != y)


probability = cross_val_predict(network, X, y, cv=5, method="predict_proba")
suspects = {
    "detector, 1 fit": detector.suspects_,
    "confident learning, 5 fits": confident_learning(y, probability),
}
for name, suspect in suspects.items():
    found = (suspect & wrong).sum()
    print(
        f"{name:26s} {found} of {wrong.sum()} wrong labels found, "
        f"{suspect.sum() - found} right ones flagged"
    )

# %%
# Both rank the labels, too: the detector by quality, confident learning by the
# probability of the given label. Each curve follows a ranking from its
# first label to its last; the dots are the two rules.

from sklearn.metrics import precision_recall_curve

trust = {
    "detector, 1 fit": detector.quality_,
    "confident learning, 5 fits": probability[np.arange(len(y)), y],
}
_, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for (name, suspect), style in zip(suspects.items(), "-:", strict=True):
    precision, recall, _ = precision_recall_curve(wrong, 1 - trust[name])
    (line,) = ax.plot(recall, precision, style, label=name, drawstyle="steps")
    found = (suspect & wrong).sum()
    ax.plot(
        found / wrong.sum(),
        found / suspect.sum(),
        marker="o",
        markersize=9,
        color=line.get_color(),
    )
ax.set(
    xlabel="Share of the wrong labels that are found",
    ylabel="Share of the flagged labels that are wrong",
    xlim=(0, 1.03),
    ylim=(0, 1.03),
    title="Two ways to find wrong labels",
)
ax.legend(loc="lower left")
plt.show()

# %%
# On these digits the detector finds about as many of the wrong labels as
# confident learning does and flags fewer right ones, in one fit instead of
# five. The user guide has the comparison with cleanlab on ten data sets, also
# those on which the detector is wrong (:ref:`wrong-labels`): suspects are
# suggestions, and where classes overlap, many of them are right.

# %%
# Training without the suspects
# -----------------------------
#
# The detector is a classifier, too: a network that was trained again, without
# the suspects.

print("accuracy on new digits")
network.fit(X, y)
print(f"trained on all labels     {network.score(X_test, y_test):.3f}")
print(f"without the suspects      {detector.score(X_test, y_test):.3f}")
network.fit(X[~wrong], y[~wrong])
print(f"without the wrong labels  {network.score(X_test, y_test):.3f}")
corrected = (detector.suggested_labels_ == true)[wrong & detector.suspects_]
print(f"right suggestions for wrong labels: {corrected.mean():.0%}")

# %%
# Without the suspects the network comes close to one trained without any of
# the wrong labels, and nearly all suggestions for them are right.
