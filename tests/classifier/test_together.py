"""Classifiers that are fitted together are those of their own fits."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from margin_sklearn import MLP, ConvNet, MarginClassifier, margins
from margin_sklearn.classifier.together import Fit, fit_together, groups_to_fit
from margin_sklearn.training.early_margins import EarlyMargins, EpochMargins

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
SMALL = {
    "module__hidden_layer_sizes": (8,),
    "max_epochs": 3,
    "batch_size": 50,
    "device": "cpu",
}
OWN = [
    {"lr": 5e-4, "weight_decay": 0.0, "random_state": 0},
    {"lr": 2e-3, "weight_decay": 0.1, "random_state": 1},
    {"lr": 1e-3, "weight_decay": 0.0, "random_state": 2, "lr_schedule": "constant"},
]


class Residual(nn.Module):
    def __init__(self, input_shape, n_classes, width=8):
        super().__init__()
        self.first, self.last = nn.Linear(*input_shape, width), nn.Linear(width, n_classes)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x):
        h = self.first(x)
        return self.last(h + torch.relu(self.norm(h)))


def together(X, y, candidates, sample_weight=None):
    fits = [Fit(candidate, X, y, sample_weight) for candidate in candidates]
    results = fit_together(fits)
    return candidates, results


def made(base, n=3, **settings):
    return [MarginClassifier(**{**base, **settings, **own}) for own in OWN[:n]]


def tensors(model):
    return [*model.net_.module_.state_dict().values()]


# The gradient of a bias before batch norm is 0 but for rounding, which Adam takes for steps of
# the size of the learning rate: they move the running means.
TOLERANCE = 0.03
VARIANTS = {
    "plain": {"module__batch_norm": False, "module__embeddings": None},
    "batch norm": {},
    "sgd and embeddings": {"module__embeddings": "periodic", "optimizer": "sgd"},
    "sgd": {"optimizer": "sgd", "optimizer__momentum": 0.9},
    "adam": {"optimizer": "adam", "optimizer__betas": (0.8, 0.9)},
    "exponential": {"criterion": "exponential"},
    "logistic": {"criterion": "logistic"},
    "smoothed": {"criterion__label_smoothing": 0.3},
    "full batch": {"batch_size": -1},
    "last of one": {"batch_size": 149},
    "balanced": {"class_weight": "balanced"},
}


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_together_is_alone(iris, variant):
    """From the same weights, with the samples in the same order: equal but for rounding."""
    X, y = iris
    candidates, results = together(X, y, made(SMALL, **VARIANTS[variant]))
    assert [result.n_together for result in results] == [3, 3, 3]
    assert all(result.error is None and result.seconds > 0 for result in results)
    for candidate in candidates:
        alone = clone(candidate).fit(X, y)
        exact = variant in ("plain", "sgd", "sgd and embeddings")
        np.testing.assert_allclose(
            candidate.predict_proba(X),
            alone.predict_proba(X),
            atol=1e-4 if exact else TOLERANCE,
        )
        assert [*candidate.history_[0]] == [*alone.history_[0]]
        for name in ("train_loss", "train_accuracy", "train_margin", "train_batch_count"):
            np.testing.assert_allclose(
                candidate.history_[:, name], alone.history_[:, name], rtol=1e-3, atol=7e-3
            )
        assert candidate.n_iter_ == alone.n_iter_
        assert candidate.separated_ == alone.separated_
        assert not candidate.net_.module_.training


def test_the_first_step_is_equal_to_rounding(iris):
    """By plain gradient descent: Adam would magnify the rounding."""
    X, y = iris
    settings = {"optimizer": "sgd", "max_epochs": 1, "batch_size": -1}
    candidates, _ = together(X, y, made(SMALL, **settings))
    for candidate in candidates:
        alone = clone(candidate).fit(X, y)
        for one, other in zip(tensors(candidate), tensors(alone), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]
)
# One never separates; most do, in the same epochs.
@pytest.mark.parametrize("rates", [(1e-4, 1e-2, 2e-2), (1e-4, 1e-2, 1e-2, 1e-2, 1e-2)])
def test_separation_is_found_as_alone(digits, rates, device):
    X, y = digits
    settings = {"module__hidden_layer_sizes": (32,), "module__batch_norm": False}
    settings |= {"max_epochs": 12, "batch_size": 32, "device": device, "random_state": 0}
    candidates = [MarginClassifier(**settings, lr=lr) for lr in rates]
    together(X, y, candidates)
    epochs = []
    for candidate in candidates:
        alone = clone(candidate).fit(X, y)
        epochs.append(alone.separation_epoch_)
        if device == "cpu":  # elsewhere, sums may be taken in another order
            assert candidate.separation_epoch_ == epochs[-1]
        # Not only equal: NumPy's bool cannot be stored.
        assert candidate.separated_ is alone.separated_
        assert candidate.separated_ == bool((margins(candidate, X, y) > 0).all())
    # The answer is not a constant.
    assert {epoch is None for epoch in epochs} == {True, False}


def test_fits_of_folds_are_stacked_too(iris):
    """Different samples, as many of them."""
    X, y = iris
    folds = [np.arange(150) % 5 != fold for fold in range(3)]
    fits = [
        Fit(model, X[fold], y[fold]) for model, fold in zip(made(SMALL), folds, strict=True)
    ]
    assert groups_to_fit(fits) == [[0, 1, 2]]
    assert [result.n_together for result in fit_together(fits)] == [3, 3, 3]
    for fit in fits:
        alone = clone(fit.classifier).fit(fit.X, fit.y)
        np.testing.assert_allclose(
            fit.classifier.predict_proba(X), alone.predict_proba(X), atol=TOLERANCE
        )


def test_sample_weights(iris, rng):
    X, y = iris
    weight = rng.random(150) * (rng.random(150) < 0.9)
    candidates, results = together(X, y, made(SMALL), weight)
    assert [result.n_together for result in results] == [3, 3, 3]
    for candidate in candidates:
        alone = clone(candidate).fit(X, y, sample_weight=weight)
        np.testing.assert_allclose(
            candidate.predict_proba(X), alone.predict_proba(X), atol=TOLERANCE
        )


@pytest.mark.parametrize(
    ("module", "settings"),
    [(Residual, {"width": 6}), (ConvNet, {"channels": (4,)})],
)
def test_any_module_is_stacked(iris, images, module, settings):
    X, y = images if module is ConvNet else iris
    base = {"max_epochs": 2, "device": "cpu", "module": module}
    base |= {f"module__{name}": value for name, value in settings.items()}
    candidates, results = together(X, y, made(base, optimizer="sgd"))
    assert [result.n_together for result in results] == [3, 3, 3]
    for candidate in candidates:
        alone = clone(candidate).fit(X, y)
        np.testing.assert_allclose(
            candidate.predict_proba(X), alone.predict_proba(X), atol=1e-3
        )
        for one, other in zip(tensors(candidate), tensors(alone), strict=True):
            assert one.stride() == other.stride()


def test_the_default_classifier_is_stacked(iris):
    X, y = iris
    candidates = [MarginClassifier(random_state=seed, device="cpu") for seed in range(4)]
    assert groups_to_fit([Fit(model, X, y) for model in candidates]) == [[0, 1, 2, 3]]
    _, results = together(X, y, candidates)
    assert [result.n_together for result in results] == [4] * 4
    assert all(model.score(X, y) > 0.9 for model in candidates)


def test_with_dropout_the_distribution_is_that_of_own_fits(digits):
    """Mean accuracy of 16 seeds within two standard errors of the difference."""
    X, y = digits
    train, test = slice(None, 300), slice(300, None)
    candidates = [
        MarginClassifier(
            module__hidden_layer_sizes=(16,),
            module__dropout=0.4,
            max_epochs=4,
            random_state=seed,
            device="cpu",
        )
        for seed in range(16)
    ]
    _, results = together(X[train], y[train], candidates)
    assert {result.n_together for result in results} == {16}
    stacked = np.array([model.score(X[test], y[test]) for model in candidates])
    alone = np.array(
        [clone(model).fit(X[train], y[train]).score(X[test], y[test]) for model in candidates]
    )
    error = np.sqrt((stacked.var(ddof=1) + alone.var(ddof=1)) / 16)
    assert abs(stacked.mean() - alone.mean()) < 2 * error
    assert not np.array_equal(stacked, alone)


def test_shares_of_dropout_may_differ(iris):
    X, y = iris
    fits = [
        Fit(MarginClassifier(**SMALL, module__dropout=p, random_state=0), X, y)
        for p in (0.1, 0.3, 0.0, 0.5)
    ]
    # Without dropout there are no layers for it.
    assert sorted(groups_to_fit(fits)) == [[0, 1, 3], [2]]
    stacked = [fits[place] for place in (0, 1, 3)]
    assert {result.n_together for result in fit_together(stacked)} == {3}
    assert [fit.classifier.net_.module_[4].p for fit in stacked] == [0.1, 0.3, 0.5]


# --- a stacked classifier is a fitted one --------------------------------------------------


@pytest.fixture
def stacked(iris):
    X, y = iris
    candidates, _ = together(X, y, made(SMALL, warm_start=False))
    return candidates[1]


def test_training_continues_as_after_an_own_fit(iris, stacked):
    X, y = iris
    alone = clone(stacked).fit(X, y)
    # The same weights, so that only what continues is compared.
    alone.net_.module_.load_state_dict(stacked.net_.module_.state_dict())
    for parameter, own in zip(
        stacked.net_.module_.parameters(), alone.net_.module_.parameters(), strict=True
    ):
        state, expected = (
            stacked.net_.optimizer_.state[parameter],
            alone.net_.optimizer_.state[own],
        )
        assert {*state} == {*expected}
        for name, value in expected.items():
            assert state[name].dtype == value.dtype
            assert state[name].shape == value.shape
            value.copy_(state[name])
    for model in (stacked, alone):
        model.partial_fit(X, y)
        model.set_params(warm_start=True).fit(X, y)
    for one, other in zip(tensors(stacked), tensors(alone), strict=True):
        assert torch.equal(one, other)
    assert stacked.n_iter_ == alone.n_iter_ == 7
    assert stacked.history_[3:] == alone.history_[3:]


def test_it_can_be_pickled(iris, stacked):
    X, y = iris
    again = pickle.loads(pickle.dumps(stacked))
    np.testing.assert_array_equal(again.predict_proba(X), stacked.predict_proba(X))
    np.testing.assert_array_equal(margins(again, X, y), margins(stacked, X, y))
    again.partial_fit(X, y)


def test_it_shares_no_memory(iris):
    X, y = iris
    candidates, _ = together(X, y, made(SMALL))
    before = [candidate.predict_proba(X) for candidate in candidates]
    candidates[0].partial_fit(X, y)
    for place in (1, 2):
        np.testing.assert_array_equal(candidates[place].predict_proba(X), before[place])


def test_torchs_generators_and_the_data_stay(iris):
    X, y = iris
    before, X_before = torch.get_rng_state(), X.copy()
    together(X, y, made(SMALL, module__dropout=0.2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(X, X_before)


def test_the_same_seeds_give_the_same_networks(iris):
    X, y = iris
    (one, _), (other, _) = (together(X, y, made(SMALL, module__dropout=0.2)) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        for x, z in zip(tensors(a), tensors(b), strict=True):
            assert torch.equal(x, z)


def test_margins_of_every_sample_and_epoch(iris):
    X, y = iris
    settings = {**SMALL, "module__batch_norm": False, "module__embeddings": None}
    candidates = made(settings)
    results = fit_together([Fit(each, X, y) for each in candidates], watch=EpochMargins)
    for candidate, result in zip(candidates, results, strict=True):
        fits = [Fit(clone(candidate), X, y)]
        (alone,) = fit_together(fits, watch=EpochMargins)
        assert alone.n_together == 1
        rows, of_alone = (torch.stack(each.watch.rows).numpy() for each in (result, alone))
        assert rows.shape == of_alone.shape == (3, 150)
        np.testing.assert_allclose(rows, of_alone, atol=1e-3)
        np.testing.assert_allclose(
            of_alone.mean(axis=1),
            fits[0].classifier.history_[:, "train_margin"],
            rtol=1e-5,
        )
    # In the order of the samples: with one batch an epoch, the first row is before any step.
    one = MarginClassifier(**{**settings, "batch_size": -1, "max_epochs": 2}, random_state=0)
    (result,) = fit_together([Fit(one, X, y)], watch=EpochMargins)
    first = clone(one).set_params(max_epochs=1).fit(X, y)
    np.testing.assert_allclose(result.watch.rows[1], margins(first, X, y), atol=0.05)


def test_means_over_the_early_epochs(iris):
    """Of margins and probabilities, stacked as alone, from the same logits."""
    X, y = iris
    settings = {**SMALL, "module__batch_norm": False, "module__embeddings": None}
    candidates = made({**settings, "max_epochs": 14})

    def watch(margin_history):
        return EarlyMargins(margin_history, probabilities=True)

    fits = [Fit(each, X, y) for each in candidates]
    epochs = fit_together([Fit(clone(each), X, y) for each in candidates], watch=EpochMargins)
    for fit, result, rows in zip(fits, fit_together(fits, watch=watch), epochs, strict=True):
        assert result.n_together == 3
        early = torch.stack(rows.watch.rows)[:7].mean(dim=0)
        np.testing.assert_allclose(result.watch.mean_margins(), early, rtol=1e-4, atol=1e-5)
        (alone,) = fit_together([Fit(clone(fit.classifier), X, y)], watch=watch)
        assert alone.n_together == 1
        np.testing.assert_allclose(
            result.watch.mean_margins(), alone.watch.mean_margins(), atol=1e-3
        )
        p = result.watch.mean_probabilities()
        np.testing.assert_allclose(p, alone.watch.mean_probabilities(), atol=1e-3)
        # Added up in single precision.
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
        assert ((p.argmax(axis=1) == y) == (early.numpy() > 0)).mean() > 0.9


# --- failures and fallbacks ---------------------------------------------------------------


def test_a_network_that_diverges_does_not_touch_the_others(iris):
    X, y = iris
    settings = {**SMALL, "optimizer": "sgd", "criterion": "exponential"}
    candidates = made(settings)
    candidates[1].set_params(lr=1e30)
    _, results = together(X, y, candidates)
    assert isinstance(results[1].error, ValueError)
    with pytest.raises(ValueError, match="training diverged") as alone:
        clone(candidates[1]).fit(X, y)
    assert str(results[1].error) == str(alone.value)
    for place in (0, 2):
        assert results[place].error is None
        own = clone(candidates[place]).fit(X, y)
        np.testing.assert_allclose(
            candidates[place].predict_proba(X), own.predict_proba(X), atol=1e-4
        )


def test_an_invalid_setting_fails_alone(iris):
    X, y = iris
    candidates = made(SMALL)
    candidates[1].set_params(lr=-1.0)
    _, results = together(X, y, candidates)
    assert "lr must be" in str(results[1].error)
    assert [results[place].n_together for place in (0, 2)] == [2, 2]
    assert candidates[0].n_iter_ == candidates[2].n_iter_ == 3


class Silent(Callback):
    pass


FALLBACKS = {
    "callbacks": {"callbacks": [Silent()]},
    "restore_best": {"restore_best": "margin_auc"},
    "stop": {"stop_at_separation": 0.3},
    "schedule": {
        "lr_schedule": torch.optim.lr_scheduler.StepLR,
        "lr_schedule__step_size": 5,
    },
    "optimizer": {"optimizer": torch.optim.RMSprop},
    "criterion": {"criterion": nn.MultiMarginLoss},
    "class weights": {
        "criterion": "cross_entropy",
        "criterion__weight": torch.tensor([1.0, 2.0, 3.0]),
    },
    "a class that is ignored": {
        "criterion": "cross_entropy",
        "criterion__ignore_index": 1,
        "module__batch_norm": False,
    },
    "double": {"module": lambda input_shape, n_classes: MLP(input_shape, n_classes).double()},
}


@pytest.mark.parametrize("fallback", list(FALLBACKS))
def test_what_cannot_be_stacked_is_fitted_alone(iris, fallback):
    """To the last bit, whether it is put into groups or not."""
    X, y = iris
    settings = dict(SMALL)
    if fallback == "double":
        del settings["module__hidden_layer_sizes"]
    candidates = [
        MarginClassifier(**settings, **FALLBACKS[fallback], random_state=seed)
        for seed in range(2)
    ]
    fits = [Fit(candidate, X, y) for candidate in candidates]
    assert groups_to_fit(fits) == [[0], [1]]
    results = fit_together(fits)
    assert [result.n_together for result in results] == [1, 1]
    for candidate, result in zip(candidates, results, strict=True):
        assert result.error is None
        alone = clone(candidate).fit(X, y)
        np.testing.assert_array_equal(candidate.predict_proba(X), alone.predict_proba(X))


class DependsOnValues(nn.Module):
    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.layer = nn.Linear(*input_shape, n_classes)

    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else -self.layer(x)


def test_modules_that_vmap_cannot_compute_are_fitted_alone(iris):
    X, y = iris
    candidates = [
        MarginClassifier(DependsOnValues, max_epochs=2, random_state=seed, device="cpu")
        for seed in range(2)
    ]
    _, results = together(X, y, candidates)
    assert [result.n_together for result in results] == [1, 1]
    for candidate in candidates:
        alone = clone(candidate).fit(X, y)
        np.testing.assert_array_equal(candidate.predict_proba(X), alone.predict_proba(X))


class InTens(Residual):
    """Takes the samples in groups of ten, except a few."""

    fails_alone = True

    def forward(self, x):
        fails = self.fails_alone or torch._C._functorch.is_batchedtensor(x)
        if fails and self.training and len(x) > 2:
            x = x.unflatten(0, (-1, 10)).flatten(0, 1)
        return super().forward(x)


class InTensTogether(InTens):
    fails_alone = False


@pytest.mark.parametrize("module", [InTens, InTensTogether])
def test_modules_that_fail_later_are_fitted_alone(iris, module):
    """After a step has been made."""
    X, y = iris
    candidates = [
        MarginClassifier(module, max_epochs=2, batch_size=40, random_state=seed, device="cpu")
        for seed in range(2)
    ]
    rows = np.arange(119)
    _, results = together(X[rows], y[rows], candidates)
    assert [result.n_together for result in results] == [1, 1]
    for candidate, result in zip(candidates, results, strict=True):
        if module is InTens:
            assert "unflatten" in str(result.error)
            continue
        assert result.error is None
        alone = clone(candidate).fit(X[rows], y[rows])
        for one, other in zip(tensors(candidate), tensors(alone), strict=True):
            assert torch.equal(one, other)
        np.testing.assert_array_equal(
            candidate.history_[:, "train_loss"], alone.history_[:, "train_loss"]
        )


class Picks(nn.Module):
    def __init__(self, input_shape, n_classes, factors):
        super().__init__()
        self.layer = nn.Linear(*input_shape, n_classes)
        self.factor = float(factors[1000])

    def forward(self, x):
        return self.layer(x * self.factor)


def test_long_arguments_are_compared_as_a_whole(iris):
    """numpy does not show the middle of a long array."""
    X, y = iris
    factors = [np.ones(2000) for _ in range(3)]
    factors[1][1000] = 0.1
    fits = [
        Fit(MarginClassifier(Picks, module__factors=each, max_epochs=1, device="cpu"), X, y)
        for each in factors
    ]
    assert groups_to_fit(fits, always=True) == [[0, 2], [1]]
    assert [result.n_together for result in fit_together(fits)] == [2, 1, 2]


def test_weights_of_classes_make_groups(iris):
    X, y = (part[20:] for part in iris)  # not balanced
    weights = [None, "balanced", None, {0: 1.0, 1: 2.0, 2: 1.0}]
    fits = [
        Fit(MarginClassifier(**SMALL, class_weight=weight, random_state=0), X, y)
        for weight in weights
    ]
    assert groups_to_fit(fits) == [[0, 2], [1, 3]]
    assert [result.n_together for result in fit_together(fits)] == [2, 2, 2, 2]


def test_a_random_state_is_drawn_from_as_alone(iris):
    X, y = iris
    candidates = [
        MarginClassifier(**SMALL, lr=lr, random_state=np.random.RandomState(0))
        for lr in (1e-3, 2e-3)
    ]
    alone = [clone(candidate).fit(X, y) for candidate in candidates]
    fits = [Fit(candidate, X, y) for candidate in candidates]
    assert groups_to_fit(fits) == [[0, 1]]
    fit_together(fits)
    for candidate, own in zip(candidates, alone, strict=True):
        np.testing.assert_allclose(
            candidate.predict_proba(X), own.predict_proba(X), atol=TOLERANCE
        )


def test_groups_are_divided_among_workers(iris):
    X, y = iris
    fits = [Fit(MarginClassifier(**SMALL, random_state=seed), X, y) for seed in range(40)]
    sizes = [[len(group) for group in groups_to_fit(fits, n_jobs)] for n_jobs in (1, 2, 4)]
    assert sizes == [[13, 13, 14], [13, 13, 14], [10] * 4]
    wide = [
        Fit(MarginClassifier(module__hidden_layer_sizes=(900, 900), random_state=seed), X, y)
        for seed in range(3)
    ]
    assert groups_to_fit(wide) == [[0], [1], [2]]
    assert groups_to_fit(wide, always=True) == [[0, 1, 2]]
