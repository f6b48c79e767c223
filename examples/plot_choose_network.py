"""
Can a network be chosen without a validation set?
=================================================

We train 48 networks of different width, dropout, learning rate and weight
decay on 600 handwritten digits, one label in ten wrong. Which of them is best
on new digits? :class:`~margin_sklearn.MarginSearchCV` fits each network once,
on all samples, and scores its margins there. Nothing is held out; only the
networks that the score places first are cross-validated.
"""

from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, MarginSearchCV, SearchDisplay

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(
    X,
    y,
    train_size=600,
    stratify=y,
    random_state=0,
)
rng = np.random.default_rng(0)
wrong = rng.random(len(y)) < 0.1
y[wrong] = (y[wrong] + rng.integers(1, 10, wrong.sum())) % 10

network = MarginClassifier(device="cpu", random_state=0)
model = make_pipeline(StandardScaler(), network)
grid = {
    "marginclassifier__module__hidden_layer_sizes": [
        (8,),
        (32,),
        (128,),
        (64, 64),
    ],
    "marginclassifier__module__dropout": [0.0, 0.3],
    "marginclassifier__lr": [1e-3, 3e-3, 1e-2],
    "marginclassifier__weight_decay": [0.01, 0.3],
}

# %%
# The search
# ----------
#
# The winner is one network; the search itself predicts by a vote of the best.
# The order is by both scores (:ref:`choosing`). Cross-validated accuracy is
# low because it is counted on labels of which one in ten is wrong.
# ``memory`` keeps finished fits in a folder, which saves time below.

folder = TemporaryDirectory()
search = MarginSearchCV(model, grid, memory=folder.name).fit(X, y)


def short(params):
    """Parameters by the last part of their names."""
    return {name.split("__")[-1]: value for name, value in params.items()}


results = pd.DataFrame(map(short, search.cv_results_["params"]))
results = results.rename(columns={"hidden_layer_sizes": "widths"})
results["margin-AUC"] = search.cv_results_["margin_auc"]
results["cv accuracy"] = search.cv_results_["mean_test_score"]
results.index = search.cv_results_["rank_test_score"]
print(results.sort_index().head(8).round(3).to_string())

alone = search.best_estimator_.score(X_test, y_test)
full = 5 * len(results) + 1
print(f"\n{search.n_fits_} fits; GridSearchCV with five folds takes {full}")
voters, vote = len(search.vote_.estimators), search.score(X_test, y_test)
print(f"accuracy on new digits: {alone:.3f} for the winner,")
print(f"{vote:.3f} for the vote of {voters} networks")

# %%
# Was that the right choice?
# --------------------------
#
# For this page only, we keep all networks, ``vote=48``, and score each on
# 1,197 digits that none has seen. Each point is a network; the star is the one
# with the highest score on the horizontal axis. Left: accuracy on the training
# samples. Right: margin-AUC on the same samples.

n = len(results)
every = clone(search).set_params(shortlist=None, vote=n).fit(X, y)
networks = every.shortlist_estimators_
# The networks are sorted by rank, the results are not.
position = every.cv_results_["rank_test_score"] - 1
training = np.array([one.score(X, y) for one in networks])[position]
test = np.array([one.score(X_test, y_test) for one in networks])[position]

figure, axes = plt.subplots(
    1,
    2,
    figsize=(7.5, 4),
    sharey=True,
    layout="constrained",
)
left = SearchDisplay(
    margin_auc=training,
    score=test,
    score_name="Accuracy on new digits",
    best_index=training.argmax(),
).plot(axes[0])
right = SearchDisplay.from_search(
    every,
    X_test=X_test,
    y_test=y_test,
    ax=axes[1],
)
axes[0].set_xlabel("Accuracy on the training samples")
axes[1].set(xlabel="Margin-AUC on the training samples", ylabel="")
plt.show()

# %%
# Kendall's τ measures how often two networks are ranked in the correct order:
# 1 means always, 0 no better than a coin toss. *Regret* is the accuracy lost
# by choosing the star instead of the best network, in points.

scores = {
    "training accuracy": (training, left),
    "margin-AUC": (every.cv_results_["margin_auc"], right),
}
table = {
    name: {
        "tau": round(display.tau_, 2),
        "regret": round(100 * (test.max() - test[score.argmax()]), 1),
    }
    for name, (score, display) in scores.items()
}
print(pd.DataFrame(table).T.to_string())
folder.cleanup()

# %%
# **Yes, by margin-AUC.** The network with the highest training accuracy has
# memorised wrong labels; margin-AUC is evaluated at perturbed samples next to
# the training samples, where that network errs.
#
# One data set shows how to use the score, not that it works. :ref:`The guide
# <choosing>` has many data sets, and says when cross-validation is the better
# choice. Margin-AUC and the accuracy on new digits are different quantities:
# only the order of the networks can be compared.
