"""
Why does margin-AUC look near the samples?
==========================================

A network that has memorised its training samples, wrong labels included,
classifies them correctly: at the samples there is nothing to see.
:func:`~margin_sklearn.margin_auc_score` evaluates it at perturbed samples
(pseudo-points) near them. This page shows these points, what the score finds
there, and how their distance from the samples is chosen.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits, make_moons
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from margin_sklearn import (
    MarginClassifier,
    MarginCurveDisplay,
    make_margin_auc_scorer,
    margin_auc_score,
)
from margin_sklearn.adapters import as_network
from margin_sklearn.neighborhoods import TransformedRows, pseudo_points
from margin_sklearn.scales import distance
from margin_sklearn.scoring import PerturbedPoints, margins_of

# %%
# The points
# ----------
#
# Two moons, two labels in ten wrong. The first network is trained for long and
# has islands around the wrong labels, the second for a few epochs. Lines lead
# from the samples to pseudo-points. A step keeps the part of the sample that
# its neighbors explain, and replaces the unexplained residual by that of one
# of the neighbors. The label stays the same.

rng = np.random.default_rng(0)
X, y = make_moons(150, noise=0.2, random_state=0)
y = np.where(rng.random(150) < 0.2, 1 - y, y)
memoriser = MarginClassifier(
    module__hidden_layer_sizes=(256, 256),
    module__batch_norm=False,
    max_epochs=1500,
    batch_size=32,
    lr=3e-3,
    weight_decay=0.0,
    device="cpu",
    random_state=0,
)
short = MarginClassifier(max_epochs=30, device="cpu", random_state=0)
moons = {"1,500 epochs": memoriser.fit(X, y), "30 epochs": short.fit(X, y)}

figure, axes = plt.subplots(
    1,
    2,
    figsize=(8, 3.6),
    sharey=True,
    layout="constrained",
)
a, b = np.meshgrid(np.linspace(-1.6, 2.6, 250), np.linspace(-1.2, 1.7, 250))
grid = np.c_[a.ravel(), b.ravel()]
colors = ["#0072B2", "#D55E00"]
for ax, (name, model) in zip(axes, moons.items(), strict=True):
    region = model.predict(grid).reshape(a.shape)
    levels = [-0.5, 0.5, 1.5]
    ax.contourf(a, b, region, levels=levels, colors=colors, alpha=0.2)
    points = pseudo_points(as_network(model), X, y, max_samples=None)
    hood = points.thinned(2).neighborhood
    # Steps are in multiples of δ, the median distance of nearest neighbors.
    steps = points.length * hood.distance * hood.steps
    for start, both in zip(X[hood.anchors], steps, strict=True):
        for step in both:
            ax.plot(*np.transpose([start, start + step]), "0.4", lw=0.7)
    ax.scatter(*X.T, c=np.take(colors, y), s=20, ec="white", lw=0.5, zorder=3)
    ax.set_title(f"{name}: {model.score(X, y):.0%} correct")
plt.show()

# %%
# What the score finds there
# --------------------------
#
# Left: margin curves at the samples. Right: at the pseudo-points, as
# ``margin_auc_score`` does. The AUC in the legend is the score, because a
# display evaluates the scorer that it is given.

at_samples = make_margin_auc_scorer(at="samples", floor=-0.07, ceiling=0.07)
scorers = {"at the samples": at_samples, "near them": margin_auc_score}
figure, axes = plt.subplots(
    1,
    2,
    figsize=(8, 4.4),
    sharey=True,
    layout="constrained",
)
rows = {name: {} for name in moons}
for ax, (where, scorer) in zip(axes, scorers.items(), strict=True):
    for name, model in moons.items():
        display = MarginCurveDisplay.from_estimator(
            model,
            X,
            y,
            scorer=scorer,
            name=name,
            ax=ax,
        )
        score = scorer(model, X, y)
        rows[name][f"AUC {where}"] = round(score, 3)
        assert display.auc == score
    ax.set_title(where)
axes[1].set_ylabel("")
plt.show()
print(pd.DataFrame(rows).T.to_string())

# %%
# **At the samples, memorising looks best; near them it does not.** The islands
# around wrong labels are smaller than the distance to the next sample, so that
# the pseudo-points leave them.

# %%
# How far is near?
# ----------------
#
# If steps are too short, the network that has memorised wrong labels looks
# best; if they are too long, all networks look bad. The figure shows three
# networks on 600 handwritten digits with two labels in ten wrong. The
# triangles at the right edge are their accuracies on new digits with equally
# noisy labels.
#
# The step length (dashed line) is chosen without test samples: for kernel
# classifiers, the accuracy on new samples is known, because leave-one-out has
# a closed form. It is the length at which it equals their accuracy at the
# pseudo-points.


def mislabelled(y):
    """Replace two labels in ten by another digit."""
    chosen = rng.random(len(y)) < 0.2
    return np.where(chosen, (y + rng.integers(1, 10, len(y))) % 10, y)


def accuracy_at(network, X, points):
    """Share of the pseudo-points that are correctly classified."""
    perturbed = PerturbedPoints(TransformedRows(network, X), points)
    return (margins_of(perturbed, distance) > 0).mean()


X, y = load_digits(return_X_y=True)
X = StandardScaler().fit_transform(X)
X, X_test, y, y_test = train_test_split(
    X,
    y,
    train_size=600,
    stratify=y,
    random_state=0,
)
y, y_test = mislabelled(y), mislabelled(y_test)
networks = {
    "40 epochs": {"max_epochs": 40},
    "40 epochs, dropout": {"max_epochs": 40, "module__dropout": 0.5},
    "5 epochs": {"max_epochs": 5},
}
lengths = np.linspace(0, 1.6, 9)
looks = ("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-.")

figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for (name, settings), look in zip(networks.items(), looks, strict=True):
    color, style = look
    model = MarginClassifier(
        lr=3e-3,
        device="cpu",
        random_state=0,
        **settings,
    ).fit(X, y)
    network = as_network(model)
    points = pseudo_points(network, X, y, max_samples=None)
    others = [replace(points, length=length) for length in lengths]
    curve = [accuracy_at(network, X, other) for other in others]
    ax.plot(lengths, curve, style, color=color, label=name)
    ax.plot(1.63, model.score(X_test, y_test), "<", color=color, ms=9)
ax.axvline(points.length, color="0.4", ls="--", lw=1)
ax.annotate(" step length chosen", (points.length, 0.97), color="0.3")
ax.set(
    xlabel="Step length, as a share of the whole exchange",
    ylabel="Accuracy at the pseudo-points",
    xlim=(0, 1.68),
)
ax.legend(loc="lower left")
plt.show()

# %%
# **At the step length chosen, the networks have the order that they have on
# new samples.** The accuracies themselves are too high: the score compares
# networks and does not estimate their accuracy.
