"""
Your own torch module on images
===============================

Any ``torch.nn.Module`` that turns a batch of inputs into logits can be the network of a
:class:`~margin_sklearn.MarginClassifier`. It need not know about this package. Here are two
such modules, on images of handwritten digits, compared with the package's own
:class:`~margin_sklearn.ConvNet`.
"""

# %%
# Images are passed as they are: no flattening, no channel axis. A module may add one.

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
# A residual network, written for images of this size and ten classes. It returns logits,
# without a softmax. Each block adds its input to the output of two convolutions.

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
# A constructor with parameters ``input_shape`` and ``n_classes`` receives both when the
# estimator is fitted. This module reads an image row by row, from top to bottom.


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
# Parameters of a module are set as ``module__NAME``, in the constructor and in grids.

from margin_sklearn import ConvNet, MarginClassifier

classifiers = {
    "ResidualNet": MarginClassifier(ResidualNet, max_epochs=15, random_state=0),
    "RowReader": MarginClassifier(
        RowReader, module__width=96, lr=3e-3, max_epochs=15, random_state=0
    ),
    "ConvNet": MarginClassifier(
        ConvNet, module__channels=(24, 48), max_epochs=15, random_state=0
    ),
}
for name, classifier in classifiers.items():
    classifier.fit(X_train, y_train)
    print(f"{name:12s} test accuracy {classifier.score(X_test, y_test):.3f}")

# %%
# Margins of any network
# ----------------------
#
# To compare networks, their margins must be on a common scale. The product of the layers'
# norms is such a scale for networks that are a chain of layers. It is not defined for a
# residual block, where the signal takes two paths, or for a recurrent network, so neither gets
# a score:

from margin_sklearn import make_margin_auc_scorer, margin_auc_score

frobenius = make_margin_auc_scorer(scale="frobenius")
for name, classifier in classifiers.items():
    try:
        score = frobenius(classifier, X_train, y_train)
        print(f"{name}: {score:.3g}")
    except TypeError as error:
        print(f"{name}: {type(error).__name__}: {error}\n")

# %%
# The distance to the decision boundary needs only a gradient, so it works for every network.
# ``margin_auc_score`` is based on it.

for name, classifier in classifiers.items():
    print(f"{name:12s} margin-AUC {margin_auc_score(classifier, X_train, y_train):.3f}")

# %%
# Training accuracy cannot tell apart the two networks that correctly classify every training
# sample:

for name, classifier in classifiers.items():
    print(f"{name:12s} training accuracy {classifier.score(X_train, y_train):.3f}")

# %%
# The curves show the margins behind the score, which is the number in the legend: distances to
# the decision boundary of points near the training samples (perturbed samples). They are in
# grey levels: black and white are 1 apart. Every network misclassifies some of these points,
# so each curve begins below zero; that of ``RowReader`` stays there longest.

import matplotlib.pyplot as plt

from margin_sklearn import MarginCurveDisplay

_, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, classifier in classifiers.items():
    MarginCurveDisplay.from_estimator(
        classifier,
        X_train,
        y_train,
        name=name,
        ax=ax,
        fill=False,
    )
ax.set_title("Margins near the training samples, three networks")
plt.show()

# %%
# The training samples that a network is least sure of:

from margin_sklearn import margins

distances = margins(classifiers["ConvNet"], X_train, y_train, scale="distance")
_, axes = plt.subplots(1, 8, figsize=(8, 1.4), layout="constrained")
for ax, index in zip(axes, distances.argsort()[:8], strict=True):
    ax.imshow(X_train[index], cmap="gray_r")
    ax.set_title(f"a {y_train[index]}: {distances[index]:.2f}", fontsize="small")
    ax.axis("off")
plt.show()
