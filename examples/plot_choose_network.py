"""
Choosing a network without a validation set
===========================================

We train 48 networks of different width, depth, dropout, learning rate and training time on 600
handwritten digits, one label in ten wrong. Which of them is best on new digits? We compare
three scores with the accuracy on 1,197 digits that no network has seen:

* accuracy on the training samples: one fit per network;
* :func:`~margin_sklearn.margin_auc_score` on the training samples: one fit per network;
* accuracy in 5-fold cross-validation: five fits per network.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import kendalltau
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, ResubstitutionSplit, margin_auc_score

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, train_size=600, stratify=y, random_state=0)
rng = np.random.default_rng(0)
wrong = rng.random(len(y)) < 0.1
y[wrong] = (y[wrong] + rng.integers(1, 10, wrong.sum())) % 10

model = make_pipeline(StandardScaler(), MarginClassifier(device="cpu", random_state=0))
grid = {
    "marginclassifier__module__hidden_layer_sizes": [(16,), (128,), (64, 64)],
    "marginclassifier__module__batch_norm": [False, True],
    "marginclassifier__module__dropout": [0.0, 0.3],
    "marginclassifier__lr": [1e-3, 1e-2],
    "marginclassifier__max_epochs": [5, 25],
}

# %%
# Two searches
# ------------
#
# The first scores each network on its own training samples: by margin-AUC and, as a bad
# example, by accuracy. Nothing is held out. The second is ordinary cross-validation.

once = GridSearchCV(
    model,
    grid,
    scoring={"margin_auc": margin_auc_score, "accuracy": "accuracy"},
    refit="margin_auc",
    cv=ResubstitutionSplit(),
    n_jobs=2,
).fit(X, y)
folds = GridSearchCV(model, grid, cv=5, n_jobs=2).fit(X, y)

# %%
# Test accuracy
# -------------
#
# Accuracy on the test samples, which neither search has seen. For the comparison only,
# every candidate is fitted once more.


class Fixed:
    """A splitter with one fixed split: the test samples come first."""

    def split(self, X, y=None, groups=None):
        yield np.arange(len(y_test), len(X)), np.arange(len(y_test))

    def get_n_splits(self, X=None, y=None, groups=None):
        return 1


judge = GridSearchCV(model, grid, cv=Fixed(), refit=False, n_jobs=2)
judge.fit(np.concatenate([X_test, X]), np.concatenate([y_test, y]))
test = judge.cv_results_["mean_test_score"]

# %%
# One picture
# -----------
#
# Each point is a network. Kendall's τ measures how often two networks are ranked in the
# correct order: 1 means always, 0 is no better than a coin toss. *Regret* is the cost of the
# choice: the test accuracy of the best network minus that of the chosen one (the star), in
# points.

scores = {
    "training accuracy": (once.cv_results_["mean_test_accuracy"], 1),
    "margin-AUC on the training set": (once.cv_results_["mean_test_margin_auc"], 1),
    "5-fold cross-validation": (folds.cv_results_["mean_test_score"], 5),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True, layout="constrained")
for ax, (name, (score, fits)) in zip(axes, scores.items(), strict=True):
    chosen = np.argmax(score)
    tau = kendalltau(score, test).statistic
    regret = 100 * (test.max() - test[chosen])
    ax.scatter(score, test, s=18, alpha=0.7)
    ax.scatter(score[chosen], test[chosen], marker="*", s=160, color="C3", label="chosen")
    ax.set(
        xlabel=name,
        title=f"τ = {tau:.2f}, regret {regret:.1f}\n{fits * len(test)} fits",
    )
    print(f"{name:32s} tau {tau:.2f}  regret {regret:.1f}  fits {fits * len(test)}")
axes[0].set_ylabel("accuracy on test samples")
axes[0].legend(loc="lower right")
plt.show()

# %%
# A network that memorises wrong labels is rewarded with a high training accuracy. The
# pseudo-points near its samples, at which margin-AUC evaluates it, reveal this: there it
# misclassifies points next to correctly classified samples.
#
# One data set shows how to use the score, not that it works. :ref:`The guide <choosing>` has
# results on many data sets, and says when cross-validation is the better choice.
