"""
When do numerical embeddings pay?
=================================

An MLP first mixes all columns. With ``embeddings="periodic"`` it sees each
column together with four learned periodic functions of it, so that it can
react to a narrow range of a single column. That pays in tables whose classes
depend on ranges of single columns, and not where they depend on all columns
together.
"""

# %%
# Two columns, seen
# -----------------
#
# The classes are stripes along one column; the other column is noise.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier

KINDS = {"no embeddings": None, "periodic embeddings": "periodic"}


def network(embeddings, random_state=0):
    return make_pipeline(
        StandardScaler(),
        MarginClassifier(
            module__embeddings=embeddings,
            device="cpu",
            random_state=random_state,
        ),
    )


rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, size=(300, 2))
y = (np.sin(8 * X[:, 0]) > 0).astype(int)

figure, axes = plt.subplots(
    1,
    2,
    figsize=(8, 3.6),
    sharey=True,
    layout="constrained",
)
for ax, (name, embeddings) in zip(axes, KINDS.items(), strict=True):
    model = network(embeddings).fit(X, y)
    DecisionBoundaryDisplay.from_estimator(
        model,
        X,
        response_method="predict",
        eps=0.2,
        cmap="coolwarm",
        alpha=0.4,
        ax=ax,
    )
    ax.scatter(*X.T, c=y, cmap="coolwarm", s=12, edgecolor="0.3", lw=0.4)
    ax.set(title=name, xlabel="the column that matters")
axes[0].set_ylabel("a column of noise")
plt.show()

# %%
# Tables of ten columns
# ---------------------
#
# Four simulated tables, and the three small ones of scikit-learn:
#
# * *ranges*: the class is decided by ranges of two columns;
# * *rotated*: the same after a rotation, so that no column means anything
#   alone;
# * *linear*: the class depends on a weighted sum of the columns;
# * *clusters*: three clusters per class.

from scipy.stats import ortho_group
from sklearn.datasets import (
    load_breast_cancer,
    load_iris,
    load_wine,
    make_classification,
)

columns = rng.normal(size=(1000, 10))
ranges = (np.sin(3 * columns[:, :2]).sum(axis=1) > 0).astype(int)
rotation = ortho_group.rvs(10, random_state=0)
tables = {
    "ranges": (columns, ranges),
    "rotated": (columns @ rotation, ranges),
    "linear": (columns, (columns @ rng.normal(size=10) > 0).astype(int)),
    "clusters": make_classification(
        n_samples=1000,
        n_features=10,
        n_informative=6,
        n_clusters_per_class=3,
        random_state=0,
    ),
    "breast cancer": load_breast_cancer(return_X_y=True),
    "wine": load_wine(return_X_y=True),
    "iris": load_iris(return_X_y=True),
}

# %%
# Each table is split three times, half for training; both networks of a split
# have the same samples and the same seed.

import pandas as pd
from sklearn.model_selection import train_test_split

rows = []
for table, (X, y) in tables.items():
    for seed in range(3):
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, train_size=0.5, stratify=y, random_state=seed
        )
        for name, embeddings in KINDS.items():
            model = network(embeddings, seed).fit(X_train, y_train)
            rows.append((table, seed, name, model.score(X_test, y_test)))
results = pd.DataFrame(rows, columns=["table", "seed", "kind", "accuracy"])
accuracy = results.pivot_table("accuracy", ["table", "seed"], "kind")
means = accuracy.groupby("table").mean().loc[list(tables), list(KINDS)]
print(means.round(3).to_string())

# %%
# Each dot is a split, the bar is their mean.

gain = 100 * (accuracy["periodic embeddings"] - accuracy["no embeddings"])
_, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for place, table in enumerate(tables):
    one = gain.loc[table]
    ax.barh(place, one.mean(), color="#56B4E9")
    ax.plot(one, np.full(len(one), place), "o", color="#0072B2", alpha=0.7)
ax.axvline(0, color="0.3", linewidth=0.8)
ax.set_yticks(range(len(tables)), list(tables))
ax.invert_yaxis()
ax.set(
    xlabel="Test accuracy gained by embeddings, in points",
    title="Where embeddings pay",
)
plt.show()

# %%
# Embeddings pay where ranges of single columns decide; on the other tables
# they change little, and not for the better. ``embeddings="auto"``, the
# default, uses them for tables of up to 60 columns. If your columns are sums
# or rotations of what was measured, such as principal components, try
# ``module__embeddings=None``, too: it is a parameter for the grid of a search
# like any other.
