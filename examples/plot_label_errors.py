"""
Finding wrong labels
====================

A network learns what most samples of a class have in common before it learns single wrong
labels by heart. So the margins of its first epochs show which labels are wrong:
:class:`~margin_sklearn.LabelErrorDetector` finds them with one training. Here one label in ten
of the handwritten digits is made wrong, so that one can count.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import LabelErrorDetector, MarginClassifier

X, right = load_digits(return_X_y=True)
X, X_test, right, y_test = train_test_split(X, right, stratify=right, random_state=0)
rng = np.random.default_rng(0)
wrong = rng.random(len(right)) < 0.1
y = np.where(wrong, (right + rng.integers(1, 10, len(right))) % 10, right)

network = make_pipeline(StandardScaler(), MarginClassifier(random_state=0))
detector = LabelErrorDetector(network).fit(X, y)
print(f"{wrong.sum()} labels are wrong, {detector.suspects_.sum()} are suspect: ", end="")
print(f"{(wrong & detector.suspects_).sum()} of them are wrong")
print(detector.report_.head(8).round(3).to_string())

# %%
# The areas under the margins
# ---------------------------
#
# Each sample has an area: its margin, averaged over the first epochs. It is negative where the
# network preferred another class. The line is the threshold, minus half the median of the
# positive areas.

figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
bins = np.histogram_bin_edges(detector.aum_, 60)
ax.hist(detector.aum_[~wrong], bins, label="right labels")
ax.hist(detector.aum_[wrong], bins, label="wrong labels")
ax.axvline(-0.5 * np.median(detector.aum_[detector.aum_ > 0]), color="black", linestyle="--")
ax.set(xlabel="area under the margin (logits)", ylabel="samples")
ax.legend()
plt.show()

# %%
# The most suspect samples
# ------------------------
#
# With their given labels, and what the network would say. The suggestion comes from
# probabilities that are averaged over the same epochs; at the end the network may have learned
# the wrong label.

figure, axes = plt.subplots(2, 8, figsize=(9, 3), layout="constrained")
for ax, (row, suspect) in zip(axes.flat, detector.report_.iterrows(), strict=False):
    ax.imshow(X[row].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{suspect['given']:.0f} → {suspect['suggested']:.0f}?", fontsize="small")
    ax.set_axis_off()
plt.show()
corrected = (detector.suggested_labels_ == right)[wrong & detector.suspects_]
print(f"{corrected.mean():.0%} of the suggestions for wrong labels are right")

# %%
# Without them
# ------------
#
# The detector is a classifier, too: it has been trained again without the suspects.

print(f"trained on all samples: {network.fit(X, y).score(X_test, y_test):.3f}")
print(f"without the suspects:   {detector.score(X_test, y_test):.3f}")
print(f"without wrong labels:   {network.fit(X[~wrong], y[~wrong]).score(X_test, y_test):.3f}")

# %%
# Suspects are suggestions. Rare kinds of samples are flagged as well; the user guide says how
# many on ten data sets (:ref:`wrong-labels`).
