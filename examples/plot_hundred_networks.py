"""
Are a hundred networks better than the best of them?
====================================================

:class:`~margin_sklearn.MarginSearchCV` trains small networks of one
architecture together, so a hundred of them fit into one short run. Margin-AUC
ranks them, and the first in that order can vote. How many should?
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform, uniform
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, MarginSearchCV, SearchDisplay

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(
    X,
    y,
    train_size=500,
    stratify=y,
    random_state=0,
)

# %%
# One run
# -------
#
# A hundred candidates are drawn at random, as by ``RandomizedSearchCV``.
# ``shortlist=None`` cross-validates none: each network is fitted once, on all
# samples. ``vote=100`` keeps all of them, for this page; ``vote="auto"`` keeps
# the square root of their number.

network = MarginClassifier(device="cpu", random_state=0)
model = make_pipeline(StandardScaler(), network)
distributions = {
    "marginclassifier__module__hidden_layer_sizes": [(32,), (128,)],
    "marginclassifier__module__dropout": uniform(0, 0.5),
    "marginclassifier__lr": loguniform(5e-4, 3e-2),
    "marginclassifier__weight_decay": loguniform(1e-3, 1),
    "marginclassifier__random_state": [0, 1, 2, 3],
}
search = MarginSearchCV(
    model,
    distributions,
    n_iter=100,
    shortlist=None,
    vote=100,
    random_state=0,
)
start = time.perf_counter()
search.fit(X, y)
seconds = time.perf_counter() - start
together = search.cv_results_["n_together"].max()
print(f"{search.n_fits_} fits, up to {together} as one, in {seconds:.0f} s")

# %%
# Accuracy against the number of votes
# ------------------------------------
#
# ``search.voting(k)`` is a classifier: the mean of the probabilities of the
# first ``k`` networks. To try all ``k``, we average the probabilities here;
# for comparison, also in 50 random orders of the networks.

networks = search.shortlist_estimators_
probabilities = np.array([one.predict_proba(X_test) for one in networks])


def accuracy_by_votes(order):
    """Accuracy of the vote of the first 1, 2, ..., 100 networks."""
    votes = np.cumsum(probabilities[order], axis=0).argmax(axis=2)
    return (search.classes_[votes] == y_test).mean(axis=1)


rng = np.random.default_rng(0)
by_score = accuracy_by_votes(np.arange(100))
by_chance = [accuracy_by_votes(rng.permutation(100)) for _ in range(50)]
print("voting(10):", round(search.voting(10).score(X_test, y_test), 4))
print("averaged:  ", round(by_score[9], 4))

figure, axes = plt.subplots(
    1,
    2,
    figsize=(8, 4.2),
    layout="constrained",
)
SearchDisplay.from_search(search, X_test=X_test, y_test=y_test, ax=axes[0])
votes = np.arange(1, 101)
axes[1].plot(votes, by_score, color="#D55E00", label="by margin-AUC")
low, middle, high = np.quantile(by_chance, [0.1, 0.5, 0.9], axis=0)
axes[1].plot(votes, middle, "--", color="0.4", label="random order, median")
axes[1].fill_between(
    votes,
    low,
    high,
    color="0.4",
    alpha=0.2,
    linewidth=0,
    label="80 % of random orders",
)
axes[1].axvline(10, color="0.5", ls=":", lw=1, label="square root")
axes[1].set(xscale="log", xlabel="Networks that vote", ylabel="Test accuracy")
axes[1].set_ylim(0.95, by_score.max() + 0.003)
axes[1].legend(loc="lower right", fontsize="small")
axes[1].set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
plt.show()

single = probabilities.argmax(axis=2)
alone = (search.classes_[single] == y_test).mean(axis=1)
print(f"first by margin-AUC       {by_score[0]:.3f}")
print(f"vote of the first ten     {by_score[9]:.3f}")
print(f"vote of all hundred       {by_score[-1]:.3f}")
print(f"best single network       {alone.max():.3f} (not known beforehand)")

# %%
# **The first few are; all of them are not.** The vote of the first few by
# margin-AUC is about as accurate as the best single network, which nobody
# knows beforehand. Networks in random order level off below that, and the last
# ones in the order of margin-AUC spoil the vote of the first. The search stops
# at the square root by default (``vote="auto"``); :ref:`the guide <choosing>`
# has the measurements on other data.
