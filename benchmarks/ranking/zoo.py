"""Fit the candidates of a search, and validate them by every method.

32 candidates are drawn at random from a grid. For each of them there are two more that differ
from it in one hyper-parameter, to show how a score ranks single hyper-parameters. Candidates
that are undertrained, or do not separate the training data, are included.
"""

import time

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline

from margin_sklearn import ConvNet, MarginClassifier

__all__ = [
    "N_CANDIDATES",
    "candidates",
    "estimator",
    "fit_candidate",
    "validate_candidate",
]

N_CANDIDATES = 96
SHARED = {
    "batch_norm": (False, True),
    "dropout": (0.0, 0.3),
    "batch_size": (32, 128),
    "optimizer": ("adamw", "sgd"),
    "lr": ("low", "high"),
    "weight_decay": ("low", "high"),
}
# All with AdamW and batch norm.
CYCLE = {
    "width": (16, 64, 256),
    "depth": (1, 2),
    "epochs": (10, 40),
    "embeddings": (None, "periodic"),
    "label_smoothing": (0.0, 0.1),
    "dropout": (0.0, 0.3),
    "batch_size": (32, 128),
    "lr": (3e-3, 2e-2),
    "weight_decay": (1e-3, 0.1),
}
GRIDS = {
    "cycle": CYCLE,
    "mlp": {"width": (16, 64, 128), "depth": (1, 2, 4), "epochs": (6, 40), **SHARED},
    "convnet": {
        "width": (6, 16),
        "depth": (1, 2, 3),
        "kernel_size": (3, 5),
        "epochs": (3, 12),
        **SHARED,
    },
}
LR = {
    ("adamw", "low"): 1e-3,
    ("adamw", "high"): 1e-2,
    ("sgd", "low"): 1e-2,
    ("sgd", "high"): 5e-2,
}
# Decoupled for adamw: each step subtracts this times the learning rate from the weights.
WEIGHT_DECAY = {
    ("adamw", "low"): 1e-3,
    ("adamw", "high"): 1.0,
    ("sgd", "low"): 1e-4,
    ("sgd", "high"): 1e-2,
}


def candidates(kind, seed):
    """Settings of the 96 candidates, dicts of hyper-parameters: each base, its 2 neighbors."""
    grid = GRIDS[kind]
    rng = np.random.default_rng(seed)
    names = list(grid)
    chosen = []
    changes = [names[i % len(names)] for i in range(2 * N_CANDIDATES // 3)]
    rng.shuffle(changes)
    while len(chosen) < N_CANDIDATES:
        base = {name: grid[name][rng.integers(len(grid[name]))] for name in names}
        chosen.append(base)
        for _ in range(2):
            name = changes.pop()
            others = [value for value in grid[name] if value != base[name]]
            chosen.append({**base, name: others[rng.integers(len(others))]})
    return chosen


def estimator(task, settings, seed):
    """The unfitted Pipeline of one candidate."""
    if task.kind == "cycle":
        return make_pipeline(task.preprocessing(), cycle_network(settings, seed))
    optimizer = settings["optimizer"]
    module = {
        "module__batch_norm": settings["batch_norm"],
        "module__dropout": settings["dropout"],
    }
    if task.kind == "convnet":
        module["module"] = ConvNet
        module["module__kernel_size"] = settings["kernel_size"]
        module["module__channels"] = tuple(
            settings["width"] * 2**i for i in range(settings["depth"])
        )
    else:
        module["module__hidden_layer_sizes"] = (settings["width"],) * settings["depth"]
        module["module__embeddings"] = None
    if optimizer == "sgd":
        module["optimizer__momentum"] = 0.9
    network = MarginClassifier(
        lr=LR[optimizer, settings["lr"]],
        lr_schedule="constant",
        criterion="cross_entropy",
        weight_decay=WEIGHT_DECAY[optimizer, settings["weight_decay"]],
        optimizer=optimizer,
        max_epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        device="cpu",
        random_state=seed,
        **module,
    )
    return make_pipeline(task.preprocessing(), network)


def cycle_network(settings, seed):
    """An unfitted MLP that is trained along one cycle of learning rates."""
    return MarginClassifier(
        lr=settings["lr"],
        lr_schedule="one_cycle",
        weight_decay=settings["weight_decay"],
        max_epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        criterion="smooth_cross_entropy",
        criterion__label_smoothing=settings["label_smoothing"],
        module__hidden_layer_sizes=(settings["width"],) * settings["depth"],
        module__dropout=settings["dropout"],
        module__embeddings=settings["embeddings"],
        device="cpu",
        random_state=seed,
    )


def fit_candidate(task, settings, seed, data, file):
    """Fit one candidate on all samples; write the network and its results to a file.

    Written to the file: ``network`` (the fitted Pipeline, or None if training diverged),
    ``test`` (test accuracy), ``separated`` and the CPU seconds.
    """
    if file.exists():
        return
    X, y, X_test, y_test = data
    model = estimator(task, settings, seed)
    row = {"settings": settings, "network": None, "test": np.nan}
    start = time.process_time()
    try:
        row["network"] = model.fit(X, y)
    except ValueError as error:
        if "diverged" not in str(error):
            raise
    row["seconds_fit"] = time.process_time() - start
    if row["network"] is not None:
        row["test"] = model.score(X_test, y_test)
        net = model[-1].net_
        # Keep only what prediction needs: the optimizer state is twice the weights.
        net.optimizer_.state.clear()
        row["separated"] = model[-1].separated_
    _write(row, file)


def validate_candidate(task, settings, seed, data, file):
    """Cross-validate one candidate; write mean accuracies over stratified folds to a file.

    Written to the file: ``cv5``, ``cv3`` (with the labels as given; three folds for seed 0
    only), ``holdout`` (the accuracy on the first of the five folds, and the only one for tasks
    with duplicates) and CPU seconds.
    """
    if file.exists():
        return
    X, y = data[:2]
    model = estimator(task, settings, seed)
    row = {}
    # Three folds add half the cost of five, for a column of little interest.
    plain = task.copies is None and task.kind != "cycle"
    for n_splits in (5, 3) if seed == 0 and plain else (5,):
        start = time.process_time()
        folds = list(StratifiedKFold(n_splits, shuffle=True, random_state=seed).split(X, y))
        scores = [
            _fold(model, X, y, train, validation)
            for train, validation in folds[: 1 if task.copies else None]
        ]
        if n_splits == 5:
            row["holdout"] = scores[0]
        if task.copies is None:
            row[f"cv{n_splits}"] = np.mean(scores)
            row[f"seconds_cv{n_splits}"] = time.process_time() - start
    _write(row, file)


def _write(row, file):
    part = file.with_suffix(".part")
    joblib.dump(row, part, compress=1)
    part.replace(file)


def _fold(model, X, y, train, validation):
    """Accuracy on one fold; 0 if training diverged, so that a search does not select it."""
    try:
        return clone(model).fit(X[train], y[train]).score(X[validation], y[validation])
    except ValueError as error:
        if "diverged" not in str(error):
            raise
        return 0.0
