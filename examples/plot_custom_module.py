"""
How do I use my own torch module?
=================================

Any ``torch.nn.Module`` that turns a batch of inputs into logits can be the
network of a :class:`~margin_sklearn.MarginClassifier`. It need not know about
this package. Here are two such modules, on images of handwritten digits,
compared with the package's own :class:`~margin_sklearn.ConvNet`.
"""

# %%
# Images are passed as they are: no flattening, no channel axis. A module may
# add one.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images / 16.0,
    digits.target,
    train_size=600,
    stratify=digits.target,
    random_state=0,
)
print(X_train.shape)

# %%
# A module of fixed size
# ----------------------
#
# A residual network, written for images of this size and ten classes. It
# returns logits, without a softmax. Each block adds its input to the output of
# two convolutions.

import torch
from torch import nn


class ResidualBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x):
        return torch.relu(x + self.change(x))


class ResidualNet(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            ResidualBlock(width),
            nn.MaxPool2d(2),
            ResidualBlock(width),
            nn.Flatten(),
            nn.Linear(width * 4 * 4, 10),
        )

    def forward(self, x):
        return self.layers(x.unsqueeze(1))


# %%
# A module sized from the data
# ----------------------------
#
# A constructor with parameters ``input_shape`` and ``n_classes`` receives both
# when the estimator is fitted. This module reads an image row by row, from top
# to bottom.


class RowReader(nn.Module):
    def __init__(self, input_shape, n_classes, width=64):
        super().__init__()
        _, row_length = input_shape
        self.reader = nn.GRU(row_length, width, batch_first=True)
        self.output = nn.Linear(width, n_classes)

    def forward(self, x):
        states, _ = self.reader(x)
        return self.output(states[:, -1])


# %%
# Parameters of a module are set as ``module__NAME``, in the constructor and in
# grids.

import pandas as pd

from margin_sklearn import ConvNet, MarginClassifier

common = {"max_epochs": 15, "random_state": 0}
classifiers = {
    "ResidualNet": MarginClassifier(ResidualNet, **common),
    "RowReader": MarginClassifier(
        RowReader,
        module__width=96,
        lr=3e-3,
        **common,
    ),
    "ConvNet": MarginClassifier(
        ConvNet,
        module__channels=(24, 48),
        **common,
    ),
}
for classifier in classifiers.values():
    classifier.fit(X_train, y_train)

# %%
# Which of them is best?
# ----------------------
#
# :func:`~margin_sklearn.margin_auc_score` compares them on their training
# samples, by distances to the decision boundary near these samples. It needs
# nothing but a gradient, so it takes every network.

from margin_sklearn import margin_auc_score


def row(classifier):
    return {
        "train accuracy": classifier.score(X_train, y_train),
        "margin-AUC": margin_auc_score(classifier, X_train, y_train),
        "test accuracy": classifier.score(X_test, y_test),
    }


table = {name: row(one) for name, one in classifiers.items()}
print(pd.DataFrame(table).T.round(3).to_string())

# %%
# The curves show the margins behind the score, which is the number in the
# legend. A curve that rises late misclassifies more of the points near the
# training samples.

import matplotlib.pyplot as plt

from margin_sklearn import MarginCurveDisplay

_, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, classifier in classifiers.items():
    MarginCurveDisplay.from_estimator(
        classifier, X_train, y_train, name=name, ax=ax, fill=False
    )
ax.set_title("Margins near the training samples, three networks")
plt.show()

# %%
# The recurrent network is the worst of the three on new images, and margin-AUC
# says so without any. The two convolutional ones are close in both.

# %%
# The images nearest to the boundary
# ----------------------------------
#
# The training samples that a network is least sure of, with their labels and
# their distances to the boundary in grey levels: black and white are 1 apart.

from margin_sklearn import margins

distances = margins(classifiers["ConvNet"], X_train, y_train, scale="distance")
_, axes = plt.subplots(1, 8, figsize=(8, 1.4), layout="constrained")
for ax, index in zip(axes, distances.argsort()[:8], strict=True):
    ax.imshow(X_train[index], cmap="gray_r")
    text = f"a {y_train[index]}: {distances[index]:.2f}"
    ax.set_title(text, fontsize="small")
    ax.axis("off")
plt.show()

# %%
# Other scales
# ------------
#
# Scales made of the layers' norms need a chain of layers. For a residual
# block, where the signal takes two paths, or a recurrent network they are not
# defined, and the error says so:

import textwrap

from margin_sklearn import make_margin_auc_scorer

frobenius = make_margin_auc_scorer(scale="frobenius")
for name, classifier in classifiers.items():
    try:
        text = f"{frobenius(classifier, X_train, y_train):.3g}"
    except TypeError as error:
        text = f"TypeError: {error}"
    print(textwrap.fill(f"{name}: {text}", 75))
