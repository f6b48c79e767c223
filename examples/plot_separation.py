"""
What happens to the margins after separation?
=============================================

A network *separates* its training samples once it classifies all of them
correctly. Its training accuracy is then 100 %, but training goes on.
:class:`~margin_sklearn.MarginHistoryDisplay` shows what still changes, and
distances to the decision boundary show what it means.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from margin_sklearn import (
    MarginClassifier,
    MarginCurveDisplay,
    MarginHistoryDisplay,
    make_margin_auc_scorer,
    margins,
)

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(
    X,
    y,
    train_size=1000,
    stratify=y,
    random_state=0,
)
scaler = StandardScaler().fit(X)
X, X_test = scaler.transform(X), scaler.transform(X_test)

# %%
# Every epoch
# -----------
#
# Constant learning rate, cross-entropy without label smoothing, no weight
# decay: nothing stops the margins. The top panel has the margins in logits,
# their median and the bands of 50 and 90 %; a vertical line marks separation.

network = MarginClassifier(
    criterion="cross_entropy",
    lr=1e-3,
    lr_schedule="constant",
    weight_decay=0.0,
    max_epochs=100,
    device="cpu",
    random_state=0,
).fit(X, y)
display = MarginHistoryDisplay.from_estimator(network)
display.axes_[2].set_yscale("log")
plt.show()

# %%
# **They keep growing:** accuracy has reached its end, the margins have not,
# and the loss falls as they grow.

# %%
# Larger margins or larger weights?
# ---------------------------------
#
# Multiplying the last layer by ten multiplies all margins by ten and changes
# no prediction. The distance to the decision boundary, in the space of the
# samples, does not depend on that factor. We train the same network again and
# look at it on the way: ``warm_start`` continues where the last fit stopped.
# The area in the legend is the mean margin here: without a floor and a
# ceiling it can be larger than 1.

first = network.separation_epoch_
again = clone(network).set_params(warm_start=True)
scorers = {
    "Margin (logits)": make_margin_auc_scorer(scale=None),
    "Distance": make_margin_auc_scorer(scale="distance"),
}
figure, axes = plt.subplots(
    1,
    2,
    figsize=(8, 4),
    layout="constrained",
)
rows, done = {}, 0
for stop in (first, 20, 50, 100):
    again.set_params(max_epochs=stop - done).fit(X, y)
    done = stop
    for ax, scorer in zip(axes, scorers.values(), strict=True):
        MarginCurveDisplay.from_estimator(
            again,
            X,
            y,
            scorer=scorer,
            name=f"epoch {stop}",
            ax=ax,
            fill=False,
        )
    rows[stop] = {
        "logits": np.median(margins(again, X, y)),
        "distance": np.median(margins(again, X, y, scale="distance")),
        "accuracy on new digits": again.score(X_test, y_test),
    }
table = pd.DataFrame(rows).T.rename_axis("epoch")
for ax, name in zip(axes, scorers, strict=True):
    ax.set(title=name, ylabel="")
axes[0].set_ylim(-1, 20)
axes[1].set_ylim(-0.3, 6)
plt.show()

print(f"separated after epoch {first}; medians of the margins:\n")
print(table.round(3).to_string())
growth = table.loc[100] / table.loc[first]
print(f"\nfactor of the logits {growth['logits']:.1f},", end=" ")
print(f"of the distances {growth['distance']:.1f}")

# %%
# **Larger weights.** The margins in logits grow; the distances do not, and
# neither does the accuracy on new digits. So networks are compared by
# distances or other scaled margins (:doc:`/margins`), and the epochs after
# separation can be spent on few samples
# (:ref:`sphx_glr_auto_examples_plot_pruning.py`).
