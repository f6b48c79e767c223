"""
Can margin-AUC score an estimator of my own?
============================================

Yes: one registered function turns it into a torch module that gives logits.
Here the estimator is a network with random features. Its first layer is drawn
at random and never trained; only the last layer is fitted, by logistic
regression, without any gradient descent in torch.
"""

# %%
# The estimator
# -------------
#
# It knows nothing of this package. Large ``frequency`` means features that
# change quickly, and a network that can memorise.

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression


class RandomFeatureClassifier(ClassifierMixin, BaseEstimator):
    """Logistic regression on cosines of random combinations of columns."""

    def __init__(self, n_features=200, frequency=0.1, C=1.0):
        self.n_features = n_features
        self.frequency = frequency
        self.C = C

    def _features(self, X):
        return np.cos(X @ self.weight_ + self.phase_)

    def fit(self, X, y):
        rng = np.random.default_rng(0)
        shape = (np.shape(X)[1], self.n_features)
        self.weight_ = self.frequency * rng.normal(size=shape)
        self.phase_ = rng.uniform(0, 2 * np.pi, self.n_features)
        self.last_ = LogisticRegression(C=self.C, max_iter=2000)
        self.last_.fit(self._features(np.asarray(X)), y)
        self.classes_ = self.last_.classes_
        return self

    def predict(self, X):
        return self.last_.predict(self._features(np.asarray(X)))


# %%
# The registration
# ----------------
#
# A :class:`~margin_sklearn.adapters.Network` consists of a module that
# computes the logits, a function that prepares rows of ``X`` for it and one
# that turns labels into class indices. The module is built from the fitted
# arrays.

import torch
from torch import nn

from margin_sklearn.adapters import Network, as_network


class Cosine(nn.Module):
    def forward(self, x):
        return torch.cos(x)


def linear(weight, bias):
    """A linear layer with given weights, of shape (inputs, outputs)."""
    layer = nn.Linear(*weight.shape, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.T))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


@as_network.register(RandomFeatureClassifier)
def _(estimator):
    return Network(
        nn.Sequential(
            linear(estimator.weight_, estimator.phase_),
            Cosine(),
            linear(estimator.last_.coef_.T, estimator.last_.intercept_),
        ),
        prepare=np.asarray,
        encode=lambda y: np.searchsorted(estimator.classes_, y),
        dtype=torch.float64,
    )


# %%
# Check the registration: a sample has a positive margin exactly where the
# estimator predicts its label.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import margins

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=500, stratify=y, random_state=0
)
model = make_pipeline(StandardScaler(), RandomFeatureClassifier())
model.fit(X_train, y_train)
positive = margins(model, X_test, y_test) > 0
print((positive == (model.predict(X_test) == y_test)).all())

# %%
# The search
# ----------
#
# The estimator can now be scored in a Pipeline and in any search. Each of the
# 24 candidates is fitted once, on all training samples.

from sklearn.model_selection import GridSearchCV

from margin_sklearn import ResubstitutionSplit, margin_auc_score

step = "randomfeatureclassifier__"
search = GridSearchCV(
    model,
    {
        step + "n_features": [50, 200, 800],
        step + "frequency": [0.03, 0.1, 0.3, 1.0],
        step + "C": [0.1, 10.0],
    },
    scoring=margin_auc_score,
    cv=ResubstitutionSplit(),
).fit(X_train, y_train)
for name, value in search.best_params_.items():
    print(f"{name.removeprefix(step):12s} {value}")
accuracy = search.best_estimator_.score(X_test, y_test)
print(f"accuracy on new digits: {accuracy:.3f}")

# %%
# Does the score rank these networks? Only for the figure, all of them classify
# the training samples and new digits.

import matplotlib.pyplot as plt
from sklearn.base import clone

networks = [
    clone(model).set_params(**params).fit(X_train, y_train)
    for params in search.cv_results_["params"]
]
panels = {
    "Training accuracy": [one.score(X_train, y_train) for one in networks],
    "Margin-AUC, training samples": search.cv_results_["mean_test_score"],
}
accuracy = [one.score(X_test, y_test) for one in networks]
frequency = [one[-1].frequency for one in networks]
figure, axes = plt.subplots(
    1,
    2,
    figsize=(8, 3.6),
    sharey=True,
    layout="constrained",
)
for ax, (name, score) in zip(axes, panels.items(), strict=True):
    points = ax.scatter(score, accuracy, c=np.log10(frequency), cmap="viridis")
    ax.set_xlabel(name)
axes[0].set_ylabel("Accuracy on new digits")
ticks = [0.03, 0.1, 0.3, 1.0]
bar = figure.colorbar(points, ax=axes, label="frequency")
bar.set_ticks(np.log10(ticks), labels=[str(tick) for tick in ticks])
plt.show()

# %%
# Training accuracy cannot tell a network that generalises from one that
# memorises; margin-AUC, computed on the same samples, can.
