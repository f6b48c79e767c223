"""Choose a network without a validation set: margin-AUC against 5-fold CV.

    python examples/quickstart.py

Twelve candidates on scikit-learn's digits, in a Pipeline. One search trains
each candidate once, on all training samples, and scores its margins there; the
other trains each five times. Then both choices are evaluated on the test set.
The margin curves of the best and the worst candidate are saved.
"""

import time

import matplotlib.pyplot as plt
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from margin_sklearn import (
    MarginClassifier,
    MarginCurveDisplay,
    ResubstitutionSplit,
    margin_auc_score,
)

GRID = {
    "marginclassifier__module__hidden_layer_sizes": [(4,), (32,), (128, 64)],
    "marginclassifier__weight_decay": [1e-3, 1.0],
    "marginclassifier__lr": [1e-3, 1e-2],
}
FIGURE = "quickstart_margin_curves.png"


def search(model, X, y, *, scoring, cv, n_fits, title):
    """Fit a GridSearchCV with a progress bar; return it and the seconds."""
    with tqdm(total=n_fits, desc=title, unit="fit") as bar:

        def scorer(*arguments):
            bar.update()
            return scoring(*arguments)

        start = time.perf_counter()
        fitted = GridSearchCV(model, GRID, scoring=scorer, cv=cv, refit=False)
        fitted.fit(X, y)
    return fitted, time.perf_counter() - start


def main():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X,
        y,
        test_size=0.3,
        stratify=y,
        random_state=0,
    )
    network = MarginClassifier(device="cpu", random_state=0)
    model = make_pipeline(StandardScaler(), network)
    # The first fit in a process loads parts of torch, so it is not timed.
    clone(model).fit(X[:100], y[:100])
    by_margin, seconds = search(
        model,
        X,
        y,
        scoring=margin_auc_score,
        cv=ResubstitutionSplit(),
        n_fits=12,
        title="margin-AUC",
    )
    by_folds, seconds_of_folds = search(
        model,
        X,
        y,
        scoring=get_scorer("accuracy"),
        cv=5,
        n_fits=60,
        title="5-fold CV",
    )
    print(f"\n{'':16s}{'fits':>5s}{'score':>7s}{'test accuracy':>15s}  chosen")
    searches = {"margin-AUC": by_margin, "5-fold accuracy": by_folds}
    for name, fitted in searches.items():
        best = fitted.best_params_
        chosen = clone(model).set_params(**best).fit(X, y)
        short = {key.split("__")[-1]: value for key, value in best.items()}
        n_fits = len(fitted.cv_results_["params"]) * fitted.n_splits_
        print(
            f"{name:16s}{n_fits:5d}{fitted.best_score_:7.3f}"
            f"{chosen.score(X_test, y_test):15.3f}  {short}"
        )
    share = seconds / seconds_of_folds
    print(f"\nThe search by margin-AUC took {share:.2f} of the time.")

    ranks = by_margin.cv_results_["rank_test_score"]
    figure, ax = plt.subplots(figsize=(7.5, 5), layout="constrained")
    for title, index in (("best", ranks.argmin()), ("worst", ranks.argmax())):
        params = by_margin.cv_results_["params"][index]
        network = clone(model).set_params(**params).fit(X, y)
        MarginCurveDisplay.from_estimator(
            network,
            X,
            y,
            name=f"{title} network by margin-AUC",
            ax=ax,
            plot_kwargs={"linewidth": 2.5},
        )
    ax.set_title("Margins near the training samples of two networks, digits")
    figure.savefig(FIGURE, dpi=150)
    plt.close(figure)
    print(f"Margin curves saved as {FIGURE}")


if __name__ == "__main__":
    main()
