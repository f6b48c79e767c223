"""CPU time of a whole search: margin-AUC on the training set against 5-fold cross-validation.

    MARGIN_SKLEARN_DATA=... python benchmarks/search_cost.py [--datasets ...] [--repeats 3]

The 96 candidates of ``rank.py`` in GridSearchCV, one process, one thread. The time includes
everything: fits, neighborhoods, scoring, and the refit of the best candidate.
"""

import argparse
import time

import numpy as np
from ranking.tasks import Task
from ranking.zoo import candidates, estimator
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from margin_sklearn import ResubstitutionSplit, margin_auc_score

TASKS = {
    "digits": Task("digits", n=600),
    "satimage": Task("satimage", n=2000),
    "magic": Task("magic", n=5000),
    "fashion_mnist": Task("fashion_mnist", n=600, kind="convnet"),
}


def search(task, n_candidates, scoring, cv):
    """CPU seconds of one search, and the test accuracy of the selected candidate."""
    X, y, X_test, y_test = task.load(0)
    # A list of one-candidate grids: the candidates do not form a product.
    grid = [
        {"network": [estimator(task, settings, 0)[-1]]}
        for settings in candidates(task.kind, 0)[:n_candidates]
    ]
    pipeline = make_pipeline(task.preprocessing(), "passthrough")
    pipeline.steps[-1] = ("network", grid[0]["network"][0])
    start = time.process_time()
    found = GridSearchCV(pipeline, grid, scoring=scoring, cv=cv).fit(X, y)
    seconds = time.process_time() - start
    return seconds, found.best_estimator_.score(X_test, y_test)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--datasets", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=96)
    options = parser.parse_args()
    print(f"{'data set':16s} {'n':>6s}  margin-AUC / CV5, CPU time    test accuracy")
    with threadpool_limits(1):
        for name in options.datasets:
            ratios = []
            for repeat in range(options.repeats):
                # A new seed, so that nothing cached in the last repeat is reused.
                scorer = clone(margin_auc_score).set_params(random_state=repeat)
                auc, chosen = search(
                    TASKS[name], options.candidates, scorer, ResubstitutionSplit()
                )
                cv5, by_cv5 = search(TASKS[name], options.candidates, None, 5)
                ratios.append(auc / cv5)
            print(
                f"{name:16s} {TASKS[name].n:6d}  {np.median(ratios):.3f} "
                f"[{min(ratios):.3f}, {max(ratios):.3f}]         "
                f"{100 * chosen:.2f} against {100 * by_cv5:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
