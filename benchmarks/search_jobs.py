"""Does a search give the same scores in one process and in two processes?

    MARGIN_SKLEARN_DATA=... python benchmarks/search_jobs.py [--dataset satimage] [--jobs 2]

24 candidates (width, depth, learning rate, weight decay, dropout) in a Pipeline, chosen by
margin-AUC under ResubstitutionSplit: every score with ``n_jobs=2`` must be bit-identical to
that with ``n_jobs=1``. Exits with an error otherwise.
"""

import argparse
import time

import numpy as np
from datasets import load_dataset
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, ResubstitutionSplit, margin_auc_score

GRID = {
    "marginclassifier__module__hidden_layer_sizes": [(32,), (128,), (64, 64)],
    "marginclassifier__module__dropout": [0.0, 0.3],
    "marginclassifier__lr": [1e-3, 1e-2],
    "marginclassifier__weight_decay": [1e-3, 0.1],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", default="satimage")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    X, y = load_dataset(options.dataset)
    model = make_pipeline(
        StandardScaler(),
        MarginClassifier(max_epochs=options.epochs, random_state=0, device="cpu"),
    )
    searches, seconds = [], []
    for n_jobs in (1, options.jobs):
        start = time.perf_counter()
        searches.append(
            GridSearchCV(
                model,
                GRID,
                scoring={"margin_auc": margin_auc_score, "loss": "neg_log_loss"},
                refit="margin_auc",
                cv=ResubstitutionSplit(),
                n_jobs=n_jobs,
            ).fit(X, y)
        )
        seconds.append(time.perf_counter() - start)
    print(f"{options.dataset}, {X.shape[0]} x {X.shape[1]}, seed 0, {options.epochs} epochs")
    different = 0
    for key in ("split0_test_margin_auc", "split0_test_loss"):
        one, many = (search.cv_results_[key] for search in searches)
        different += int((one != many).sum())
        print(f"{key:24s} {len(one)} candidates, {(one == many).sum()} equal to the last bit, "
              f"range {one.min():.4f} to {one.max():.4f}")  # fmt: skip
    same = np.array_equal(searches[0].predict(X), searches[1].predict(X))
    print(f"same network chosen: {searches[0].best_params_ == searches[1].best_params_}, "
          f"same predictions: {same}")  # fmt: skip
    print(f"time with n_jobs={options.jobs} over n_jobs=1: {seconds[1] / seconds[0]:.2f}")
    if different or not same:
        raise SystemExit("the scores differ")


if __name__ == "__main__":
    main()
