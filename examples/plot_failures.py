"""
Where does margin-AUC fail?
===========================

Margin-AUC looks at the margins near the samples that it is given. It is wrong
where these samples do not stand for the new ones: where rows were made from
other rows, and where a network was trained on more than is scored. Both are
provoked here on the handwritten digits, and both can be noticed.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

X, y = load_digits(return_X_y=True)
X, X_new, y, y_new = train_test_split(
    X / 16,
    y,
    train_size=400,
    stratify=y,
    random_state=0,
)
X_other, X_test, y_other, y_test = train_test_split(
    X_new,
    y_new,
    train_size=400,
    stratify=y_new,
    random_state=0,
)
rng = np.random.default_rng(0)


def other_labels(y):
    """Labels that are all wrong."""
    return (y + rng.integers(1, 10, len(y))) % 10


# %%
# Rows made from rows
# -------------------
#
# One label in five is wrong. Then each row is multiplied as in SMOTE: new rows
# lie somewhere on the way to a neighbor of the same label. Where a label is
# wrong, the new rows repeat it nearby.

from sklearn.neighbors import NearestNeighbors

wrong = rng.random(len(y)) < 0.2
noisy = np.where(wrong, other_labels(y), y)


def with_smote(X, y, times=4, n_neighbors=5):
    """The samples, and ``times`` as many between them and their neighbors."""
    neighbors = np.empty((len(X), n_neighbors), dtype=int)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        search = NearestNeighbors(n_neighbors=n_neighbors).fit(X[rows])
        neighbors[rows] = rows[search.kneighbors(return_distance=False)]
    parts = [X]
    for _ in range(times):
        choice = rng.integers(0, n_neighbors, len(X))
        partner = neighbors[np.arange(len(X)), choice]
        parts.append(X + rng.random((len(X), 1)) * (X[partner] - X))
    return np.concatenate(parts), np.tile(y, times + 1)


X_more, y_more = with_smote(X, noisy)

# %%
# Twelve networks, from short to long training, are fitted to all rows, then
# scored twice: on all rows and on the original ones.

from itertools import product

import pandas as pd

from margin_sklearn import MarginClassifier, margin_auc_score

settings = product([2, 5, 20], [0.01, 1.0], [0.0, 0.5])
rows = []
for epochs, weight_decay, dropout in settings:
    network = MarginClassifier(
        max_epochs=epochs,
        weight_decay=weight_decay,
        module__dropout=dropout,
        random_state=0,
    ).fit(X_more, y_more)
    rows.append(
        {
            "epochs": epochs,
            "all rows": margin_auc_score(network, X_more, y_more),
            "original rows": margin_auc_score(network, X, noisy),
            "test accuracy": network.score(X_test, y_test),
        }
    )
smote = pd.DataFrame(rows)
ranks = smote.corr(method="kendall")["test accuracy"]
print("rank correlation of margin-AUC with test accuracy")
print(ranks[["all rows", "original rows"]].round(2).to_string())

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(
    1,
    2,
    figsize=(8, 3.6),
    sharey=True,
    layout="constrained",
)
for ax, scored in zip(axes, ("all rows", "original rows"), strict=True):
    for epochs, marker in {2: "o", 5: "s", 20: "^"}.items():
        some = smote[smote["epochs"] == epochs]
        ax.plot(
            some[scored],
            some["test accuracy"],
            marker,
            label=f"{epochs} epochs",
        )
    ax.set_xlabel(f"Margin-AUC on {scored}")
axes[0].set_ylabel("Accuracy on new digits")
axes[0].legend()
axes[0].set_title("all rows: misleading")
axes[1].set_title("original rows: reliable")
plt.show()

# %%
# On all rows the score prefers the networks that have memorised the wrong
# labels: their margins are large near the rows that repeat them. It does not
# warn, because these rows are as far apart as samples are. On the original
# rows the same score ranks the same networks correctly.
#
# **How one notices.** Score the rows as they were before they were multiplied.
# A network whose score drops is one that memorised:

smote["drop"] = smote["all rows"] - smote["original rows"]
print(smote.groupby("epochs").mean().round(2).to_string())

# %%
# A network trained on more than is scored
# ----------------------------------------
#
# `Farhang et al. 2022 <https://arxiv.org/abs/2205.03940>`__ construct networks
# with large margins that generalise badly. A simple way is to train on the
# samples and, besides, on others whose labels are all wrong. The network
# learns both. Only the samples are scored, now with their true labels.


def fit(X, y, n_wrong=0, **settings):
    """A network that was trained on wrongly labelled samples, too."""
    X_all = np.concatenate([X, X_other[:n_wrong]])
    y_all = np.concatenate([y, other_labels(y_other[:n_wrong])])
    network = MarginClassifier(random_state=0, **settings)
    return network.fit(X_all, y_all)


ordinary = [
    {"module__hidden_layer_sizes": width, "max_epochs": epochs}
    for width, epochs in product([4, 8, 16, 64], [10, 20, 40])
]
spoiled = [
    {"n_wrong": n_wrong, "max_epochs": 40, "criterion": "cross_entropy"}
    for n_wrong in (50, 100, 200, 400)
]
_, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
kinds = {"ordinary networks": ordinary, "trained on wrong labels": spoiled}
for (name, many), marker in zip(kinds.items(), "ox", strict=True):
    networks = [fit(X, y, **one) for one in many]
    ax.plot(
        [margin_auc_score(one, X, y) for one in networks],
        [one.score(X_test, y_test) for one in networks],
        marker,
        markersize=8,
        label=name,
    )
    correct = min(one.score(X, y) for one in networks)
    print(f"{name:25s} lowest training accuracy {correct:.2f}")
ax.set(
    xlabel="Margin-AUC, training samples",
    ylabel="Accuracy on new digits",
    title="Large margins, wrong elsewhere",
)
ax.legend(loc="lower left")
plt.show()

# %%
# Near its training samples such a network is right, by a large margin. So it
# scores higher than ordinary networks that are far more accurate.
#
# **How one notices.** By samples that the score has not seen.
# Cross-validation repeats all of the training, wrong labels included, and
# finds the difference. That is why :class:`~margin_sklearn.MarginSearchCV`
# cross-validates the candidates that the score places first.

from sklearn.model_selection import StratifiedKFold

folds = list(StratifiedKFold(3).split(X, y))
names = ("ordinary, 8 hidden units", "trained on wrong labels")
for name, one in zip(names, (ordinary[3], spoiled[2]), strict=True):
    score = margin_auc_score(fit(X, y, **one), X, y)
    held_out = []
    for train, test in folds:
        network = fit(X[train], y[train], **one)
        held_out.append(network.score(X[test], y[test]))
    print(f"{name:25s} margin-AUC {score:.2f}", end=", ")
    print(f"cross-validated accuracy {np.mean(held_out):.2f}")

# %%
# Other cases in which cross-validation is the better choice are listed in the
# user guide (:ref:`choosing`).
