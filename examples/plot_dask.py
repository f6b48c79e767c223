"""
How do I search on a cluster?
=============================

Inside ``joblib.parallel_config(backend="dask")`` a search sends its fits to
the workers of a dask cluster. Here the cluster is two worker processes on one
machine; with ``Client("tcp://ADDRESS:8786")`` it would be machines
(:ref:`several-machines`). Needs ``pip install ".[distributed]"``.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, MarginSearchCV

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(
    X,
    y,
    train_size=400,
    stratify=y,
    random_state=0,
)
network = MarginClassifier(max_epochs=10, device="cpu", random_state=0)
model = make_pipeline(StandardScaler(), network)
step = "marginclassifier__"
grid = {
    step + "module__hidden_layer_sizes": [(8,), (32,), (64, 32)],
    step + "lr": [1e-3, 1e-2],
    step + "weight_decay": [0.01, 0.3],
}

search = MarginSearchCV(model, grid, cv=3)

# %%
# The search in one process
# -------------------------
#
# Worker processes import the script that starts them. So in a script, all that
# they must not repeat belongs under ``if __name__ == "__main__":``; a notebook
# does not need it.

from sklearn.base import clone

if __name__ == "__main__":
    serial = clone(search).fit(X, y)
    n_candidates = len(serial.cv_results_["params"])
    print(f"{n_candidates} candidates, {serial.n_fits_} fits")

# %%
# The same search on the cluster
# ------------------------------
#
# Only the ``with`` statement is new.

import logging

import joblib
from dask.distributed import Client, LocalCluster

if __name__ == "__main__":
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            # On a busy machine dask warns that workers take long to stop.
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask", wait_for_workers_timeout=60),
    ):
        distributed = clone(search).fit(X, y)

# %%
# The results
# -----------
#
# They are those of one process, to the last bit: the same scores, the same
# winner, the same predictions.

import numpy as np

if __name__ == "__main__":
    for column in ("margin_auc", "mean_test_score"):
        same = np.array_equal(
            serial.cv_results_[column],
            distributed.cv_results_[column],
            equal_nan=True,
        )
        print(f"{column:16s} equal: {same}")
    same = serial.predict_proba(X_test) == distributed.predict_proba(X_test)
    print(f"probabilities    equal: {same.all()}")
    print(f"accuracy on new digits: {distributed.score(X_test, y_test):.3f}")

# %%
# The figure shows what the cluster returned, candidate by candidate, exactly
# on the diagonal.

import matplotlib.pyplot as plt

if __name__ == "__main__":
    _, ax = plt.subplots(figsize=(5, 4), layout="constrained")
    both = [one.cv_results_["margin_auc"] for one in (serial, distributed)]
    ax.axline((0.5, 0.5), slope=1, color="0.7")
    ax.plot(*both, "o", alpha=0.5)
    ax.set(
        xlabel="Margin-AUC, one process",
        ylabel="Margin-AUC, two worker processes",
        title="Twelve candidates",
    )
    plt.show()

# %%
# A search this small is faster in one process, because workers take seconds to
# start. A cluster pays when the fits take hours on one machine.
