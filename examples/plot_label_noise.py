"""
What does margin-AUC see that training accuracy does not?
=========================================================

We make more and more labels of 500 handwritten digits wrong, and train two
networks on them: one for long enough to memorise every label, the other for
a few epochs with dropout. Training accuracy always prefers the first. Which
one does :func:`~margin_sklearn.margin_auc_score` prefer, from the same
training samples, and which one is right about new digits?
"""

from copy import deepcopy

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from margin_sklearn import (
    MarginClassifier,
    MarginCurveDisplay,
    margin_auc_score,
)

X, true = load_digits(return_X_y=True)
X, X_test, true, y_test = train_test_split(
    X,
    true,
    train_size=500,
    stratify=true,
    random_state=0,
)
scaler = StandardScaler().fit(X)
X, X_test = scaler.transform(X), scaler.transform(X_test)


def labels(share):
    """The labels, a share of them replaced by another digit.

    The same generator each time: labels that are wrong stay so.
    """
    rng = np.random.default_rng(0)
    wrong = rng.random(len(true)) < share
    return np.where(wrong, (true + rng.integers(1, 10, len(true))) % 10, true)


networks = {
    "60 epochs": MarginClassifier(
        criterion="cross_entropy",
        weight_decay=0.0,
        max_epochs=60,
        module__hidden_layer_sizes=(256, 256),
        device="cpu",
        random_state=0,
    ),
    "8 epochs, dropout": MarginClassifier(
        max_epochs=8,
        module__hidden_layer_sizes=(256, 256),
        module__dropout=0.4,
        device="cpu",
        random_state=0,
    ),
}

# %%
# Four shares of wrong labels
# ---------------------------
#
# Accuracy on new digits is measured with correct labels, for comparison only:
# the scores see training samples with the wrong labels among them.

shares = (0.0, 0.1, 0.2, 0.4)
scores = ("Training accuracy", "Margin-AUC", "Accuracy on new digits")
found = {(score, name): [] for score in scores for name in networks}
memorisers = []
for share in shares:
    y = labels(share)
    for name, network in networks.items():
        network.fit(X, y)
        score = margin_auc_score(network, X, y)
        found["Training accuracy", name].append(network.score(X, y))
        found["Margin-AUC", name].append(score)
        found["Accuracy on new digits", name].append(
            network.score(X_test, y_test),
        )
        if name == "60 epochs":
            memorisers.append(deepcopy(network))

figure, axes = plt.subplots(1, 3, figsize=(8, 3.4), layout="constrained")
looks = zip(networks, ("#D55E00", "#0072B2"), ("o-", "s--"), strict=True)
for name, color, style in looks:
    for ax, score in zip(axes, scores, strict=True):
        values = found[score, name]
        ax.plot(
            np.multiply(100, shares),
            values,
            style,
            color=color,
            label=name,
        )
        ax.set_title(score, fontsize="medium")
        ax.set_xlabel("Wrong labels, %")
figure.legend(
    *axes[0].get_legend_handles_labels(),
    loc="outside lower center",
    ncols=2,
)
plt.show()

# %%
# **It sees memorised labels.** The training accuracy of the network that was
# trained for long does not move, whatever the labels. With correct labels the
# two networks hardly differ in margin-AUC; as soon as labels are wrong, the
# one that memorises falls below the other, as it does on new digits.

names = list(networks)
best = {
    score: [
        names[int(found[score, names[1]][i] > found[score, names[0]][i])]
        for i in range(len(shares))
    ]
    for score in scores
}
table = pd.DataFrame(best, index=[f"{share:.0%}" for share in shares])
print(f"The better network by each score:\n\n{table.to_string()}")

# %%
# Where the area is lost
# ----------------------
#
# The margin curves of the network that memorises. It classifies all samples
# correctly, but the curve shows perturbed samples next to them: beside a
# memorised wrong label lie samples of the true class, which it misclassifies.

figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
for share, network in zip(shares, memorisers, strict=True):
    MarginCurveDisplay.from_estimator(
        network,
        X,
        labels(share),
        name=f"{share:.0%} wrong",
        ax=ax,
        fill=False,
    )
plt.show()

# %%
# Compare scores on the same samples with the same labels only: that a network
# has a lower score on other labels does not mean that it is worse.
