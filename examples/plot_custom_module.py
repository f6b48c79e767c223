"""
Your own torch module on images
===============================

Any ``torch.nn.Module`` that turns a batch of inputs into logits can be the network of a
:class:`~margin_sklearn.MarginClassifier`. It need not know of this package. Here are two of
them, on images of handwritten digits, beside the package's own
:class:`~margin_sklearn.ConvNet`.
"""

# %%
# Images go in as they are: no flattening, no axis for channels. A network is free to add one.

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
# A module of fixed sizes
# -----------------------
#
# A residual network, written as one would for images of this size and ten classes. It ends in
# logits, without a softmax. In the block, the input is added to what two convolutions make of
# it.

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
# A constructor whose signature names ``input_shape`` and ``n_classes`` is given both when the
# network is fitted. This one reads an image row by row, from top to bottom.


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
# To compare networks, their margins must be brought to one scale. A product of the norms of
# the layers is one for networks that are a chain of layers. It says nothing of a residual
# block, where the signal takes two ways, and nothing of a recurrent network, so neither is
# given a number:

from margin_sklearn import make_margin_auc_scorer, margin_auc_score

frobenius = make_margin_auc_scorer(scale="frobenius")
for name, classifier in classifiers.items():
    try:
        score = frobenius(classifier, X_train, y_train)
        print(f"{name}: {score:.3g}")
    except TypeError as error:
        print(f"{name}: {type(error).__name__}: {error}\n")

# %%
# The distance to the decision boundary asks for no more than a gradient, so every network has
# it. ``margin_auc_score`` rests on it.

for name, classifier in classifiers.items():
    print(f"{name:12s} margin-AUC {margin_auc_score(classifier, X_train, y_train):.3f}")

# %%
# The curves show what lies behind these areas. Distances are in units of grey: black and white
# are 1 apart. Two of the networks are right on every training sample, so training accuracy
# cannot tell them apart; how far the samples lie from where a network would change its mind
# can. The curve of ``RowReader`` begins below zero, with the samples that it gets wrong.

import matplotlib.pyplot as plt

from margin_sklearn import MarginCurveDisplay

_, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, classifier in classifiers.items():
    MarginCurveDisplay.from_estimator(
        classifier,
        X_train,
        y_train,
        floor=margin_auc_score.floor,
        ceiling=margin_auc_score.ceiling,
        name=name,
        ax=ax,
        fill=False,
    )
ax.set_title("Margins of the training samples, three networks")
plt.show()

# %%
# The samples a network is least sure of, of those it was trained on:

from margin_sklearn import margins

distances = margins(classifiers["ConvNet"], X_train, y_train, scale="distance")
_, axes = plt.subplots(1, 8, figsize=(8, 1.4), layout="constrained")
for ax, index in zip(axes, distances.argsort()[:8], strict=True):
    ax.imshow(X_train[index], cmap="gray_r")
    ax.set_title(f"a {y_train[index]}: {distances[index]:.2f}", fontsize="small")
    ax.axis("off")
plt.show()
