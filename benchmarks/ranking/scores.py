"""All scores of a fitted candidate on its training data: the library's and baselines."""

import time
import warnings

import joblib
import numpy as np
import torch
from sklearn.base import clone

from margin_sklearn import (
    LocalityWarning,
    make_margin_auc_scorer,
    margin_auc,
    margin_auc_score,
    margins,
)
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.neighborhoods.perturbed import pseudo_points
from margin_sklearn.scales.chain import linear_layers
from margin_sklearn.scoring.evaluation import check_samples

__all__ = ["COPY_SCORES", "SCORES", "score_candidate"]


def training_accuracy(model, X, y):
    return model.score(X, y)


def training_loss(model, X, y):
    """Minus the mean cross-entropy."""
    log_proba = model.predict_log_proba(X)
    return log_proba[np.arange(len(y)), np.searchsorted(model.classes_, y)].mean()


def _layers(model, X):
    network = as_network(model)
    with network.evaluating():
        return linear_layers(network.module, network.inputs(network.transform(X[:1])))


def frobenius_norms(model, X, y):
    """Minus the logarithm of the product of the Frobenius norms: no margin in it."""
    return -sum(np.log(layer.frobenius_norm()) for layer in _layers(model, X))


def spectral_norms(model, X, y):
    """Minus the logarithm of the product of the spectral norms."""
    return -sum(np.log(layer.spectral_norm()) for layer in _layers(model, X))


def heavy_tail(model, X, y):
    """Minus the mean power-law exponent of the layers' spectra, weighted by log of the norm.

    In the style of WeightWatcher (Martin and Mahoney 2021, arXiv 2002.06716, weighted alpha):
    the exponent is Hill's estimate on the upper half of the squared singular values of the
    flattened weights.
    """
    total, n = 0.0, 0
    for layer in _layers(model, X):
        spectrum = torch.linalg.svdvals(layer.weight.flatten(1)).numpy() ** 2
        spectrum = spectrum[spectrum > 1e-12 * spectrum.max()]
        tail = np.sort(spectrum)[len(spectrum) // 2 :]
        if len(tail) < 2:
            continue
        excess = np.log(tail / tail[0]).sum()
        if excess > 0:
            total += (1 + (len(tail) - 1) / excess) * np.log10(tail[-1])
            n += 1
    return -total / max(n, 1)


def noise_weighted(model, X, y):
    """``margin_auc_score`` with ``noise_weight=True``; its margins are looked up."""
    values, weight, floor, ceiling = _default_distribution(model, X, y)
    network = as_network(model)
    points = pseudo_points(
        network, *check_samples(network, X, y), margin_auc_score.max_samples
    )
    trust = np.repeat(points.trust, len(values) // len(points.trust))
    return margin_auc(values, weight * trust, floor=floor, ceiling=ceiling)


def default(model, X, y):
    """``margin_auc_score``; remembers the margins for the variant that weighs them."""
    values, weight, floor, ceiling = _default_distribution(model, X, y)
    return margin_auc(values, weight, floor=floor, ceiling=ceiling)


_last: dict = {}


def _default_distribution(model, X, y):
    if _last.get("model") is not model:
        _last.update(model=model, found=margin_auc_score.distribution(model, X, y))
    return _last["found"]


SCORES = {
    "margin_auc_score": default,
    "neighborhood, noise_weight": noise_weighted,
    # The effect of fewer anchors.
    "max_samples=200": clone(margin_auc_score).set_params(max_samples=200),
    "distance at samples": make_margin_auc_scorer("distance", floor=-0.5, ceiling=0.5),
    "frobenius": make_margin_auc_scorer("frobenius"),
    "spectral": make_margin_auc_scorer("spectral"),
    "path": make_margin_auc_scorer("path"),
    "total_variation": make_margin_auc_scorer("total_variation"),
    "training accuracy": training_accuracy,
    "training loss": training_loss,
    "norms: frobenius": frobenius_norms,
    "norms: spectral": spectral_norms,
    "heavy tail": heavy_tail,
}
# For tasks with duplicates: on all rows, to be compared with one row per group.
COPY_SCORES = {
    "margin_auc_score": margin_auc_score,
    "training accuracy": training_accuracy,
}
# Names of these scores in the table.
VALIDATION = ("cv5", "cv3", "holdout")


def _on_distinct(task, seed):
    """The default score on one row of each group of copies, for each choice of them."""
    choices, counts = task.distinct(seed)

    def on(rows):
        return lambda model, X, y: margin_auc_score(
            model, X[rows], y[rows], sample_weight=counts
        )

    return {f"distinct rows {number}": on(rows) for number, rows in enumerate(choices)}


def score_candidate(file, task, seed, data, names=tuple(SCORES)):
    """A row of the results: settings, accuracies, the named scores, CPU seconds of each."""
    row = joblib.load(file)
    model = row.pop("network")
    settings = row.pop("settings")
    result = {"task": task.name, "seed": seed, "candidate": int(file.stem)}
    result |= {f"setting {name}": value for name, value in settings.items()} | row
    if model is None:
        return result
    X, y = data[:2]
    scores = SCORES
    if task.copies is not None:
        distinct = _on_distinct(task, seed)
        scores, names = COPY_SCORES | distinct, [*names, *distinct]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in names:
            score = scores[name]
            start = time.process_time()
            result[name] = score(model, X, y)
            result[f"seconds {name}"] = time.process_time() - start
    told = [str(w.message) for w in caught if issubclass(w.category, LocalityWarning)]
    result["locality"] = not any("no near and far" in message for message in told)
    m = margins(model, X, y)
    result["separated"] = bool((m > 0).all())
    return result
