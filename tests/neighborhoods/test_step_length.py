import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import pairwise_distances
from sklearn.preprocessing import StandardScaler

from margin_sklearn.neighborhoods.residual_steps import local_neighborhood
from margin_sklearn.neighborhoods.step_length import (
    CONCENTRATIONS,
    LONGEST,
    RESOLUTION,
    RIDGES,
    SHORTEST,
    calibrated_length,
    leave_one_out,
)


def steps_of(X, n_steps=2):
    hood = local_neighborhood(X.__getitem__, len(X), np.arange(len(X)), n_steps)
    return hood.distance * hood.steps


def one_hot(y):
    return np.eye(y.max() + 1)[y]


def flipped(y, share, seed=0):
    """Labels of which a share is another one."""
    random = np.random.default_rng(seed)
    n_classes = y.max() + 1
    wrong = random.random(len(y)) < share
    return np.where(wrong, (y + random.integers(1, n_classes, len(y))) % n_classes, y)


@pytest.fixture(scope="module")
def pieces():
    """Samples, shares of the labels and steps, with a length within the bounds."""
    X, y = load_digits(return_X_y=True)
    some = np.random.default_rng(0).permutation(len(X))[:400]
    X = StandardScaler().fit_transform(X)[some]
    return X, one_hot(y[some]), 1.5 * steps_of(X)


# --- leave-one-out ------------------------------------------------------------------------


@given(
    n=st.integers(2, 15),
    n_outputs=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_the_closed_form_gives_what_fits_without_each_sample_give(n, n_outputs, seed):
    random = np.random.default_rng(seed)
    X, targets = random.normal(size=(n, 3)), random.normal(size=(n, n_outputs))
    kernel = np.exp(-pairwise_distances(X, metric="sqeuclidean"))
    ridges = (1e-3, 0.1, 3.0)
    outputs, coefficients = leave_one_out(kernel, targets, ridges)
    for at, ridge in enumerate(ridges):
        whole = KernelRidge(alpha=ridge, kernel="precomputed").fit(kernel, targets)
        np.testing.assert_allclose(coefficients[at], whole.dual_coef_, rtol=1e-8, atol=1e-8)
        for i in range(n):
            others = np.arange(n) != i
            without = KernelRidge(alpha=ridge, kernel="precomputed")
            without.fit(kernel[np.ix_(others, others)], targets[others])
            expected = without.predict(kernel[[i]][:, others])
            np.testing.assert_allclose(outputs[at, [i]], expected, rtol=1e-8, atol=1e-8)


# --- the length of the steps --------------------------------------------------------------


@pytest.mark.parametrize("several", [False, True], ids=["one label", "several labels"])
def test_at_this_length_kernel_classifiers_are_as_accurate_as_under_leave_one_out(
    pieces, several, rng
):
    """The definition, with scikit-learn's kernel ridge fitted again without each sample."""
    X, shares, steps = (part[:50] for part in pieces)
    steps = 2 * steps
    if several:
        # Some have been given another label one time of four.
        shares = shares.copy()
        shares[::3] = 0.75 * shares[::3] + 0.25 * one_hot(rng.permutation(50) % 10)[::3]
    length = calibrated_length(X, shares, steps)
    assert SHORTEST < length < LONGEST
    squares = pairwise_distances(X, metric="sqeuclidean")
    median = np.median(squares[np.triu_indices(len(X), 1)])
    targets = shares - shares.mean(axis=0)
    everything = np.arange(len(X))
    shorter, longer, known = [], [], []
    for concentration in CONCENTRATIONS:
        for ridge in RIDGES:
            model = KernelRidge(kernel="rbf", gamma=concentration / median, alpha=ridge)
            for i in everything:
                others = everything != i
                outputs = model.fit(X[others], targets[others]).predict(X[[i]])
                known.append(shares[i, outputs.argmax()])
            model.fit(X, targets)
            for length_of, right in ((-RESOLUTION, shorter), (RESOLUTION, longer)):
                for draw in range(steps.shape[1]):
                    ends = X + (length + length_of) * steps[:, draw]
                    found = model.predict(ends).argmax(axis=1)
                    right.append(shares[everything, found].mean())
    assert np.mean(shorter) >= np.mean(known) >= np.mean(longer)


@given(
    n=st.integers(2, 20),
    n_classes=st.integers(1, 4),
    n_draws=st.integers(1, 3),
    factor=st.sampled_from([0.1, 1.0, 10.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=50)
def test_the_length_is_within_its_bounds(n, n_classes, n_draws, factor, seed):
    random = np.random.default_rng(seed)
    X, y = random.normal(size=(n, 3)), random.integers(0, n_classes, n)
    steps = (factor * random.normal(size=(n, n_draws, 3))).astype(np.float32)
    assert SHORTEST <= calibrated_length(X, np.eye(n_classes)[y], steps) <= LONGEST


def test_longer_steps_are_shortened_more_and_short_ones_not_at_all(pieces):
    X, shares, steps = pieces
    factors = (0.01, 0.5, 1, 1.5, 10)
    lengths = [calibrated_length(X, shares, factor * steps) for factor in factors]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == LONGEST
    assert lengths[-1] == SHORTEST
    assert SHORTEST < lengths[2] < LONGEST
    # Longer steps, a smaller factor: the same pseudo-points.
    assert 1.5 * lengths[3] == pytest.approx(lengths[2], abs=2.5 * RESOLUTION)


def test_wrong_labels_lengthen_the_steps(pieces):
    """What memorises them is right at its samples, and has to be seen farther off."""
    X, shares, steps = pieces
    y = shares.argmax(axis=1)
    lengths = [calibrated_length(X, one_hot(flipped(y, share)), steps) for share in (0.0, 0.6)]
    assert lengths[0] + 5 * RESOLUTION < lengths[1]


def test_the_unit_of_the_inputs_makes_no_difference(pieces):
    X, shares, steps = pieces
    length = calibrated_length(X, shares, steps)
    # A power of two: to the last bit.
    assert calibrated_length(64 * X, shares, 64 * steps) == length
    scaled = calibrated_length(0.001 * X, shares, np.float32(0.001) * steps)
    assert scaled == pytest.approx(length, abs=RESOLUTION)
    moved = calibrated_length(X + 10, shares, steps)
    assert moved == pytest.approx(length, abs=RESOLUTION)


def test_names_of_classes_and_the_order_of_samples_make_no_difference(pieces, rng):
    X, shares, steps = pieces
    length = calibrated_length(X, shares, steps)
    names = shares[:, rng.permutation(10)]
    assert calibrated_length(X, names, steps) == pytest.approx(length, abs=RESOLUTION)
    # A class that no sample has.
    more = np.insert(shares, 3, 0.0, axis=1)
    assert calibrated_length(X, more, steps) == length
    order = rng.permutation(len(X))
    permuted = calibrated_length(X[order], shares[order], steps[order])
    assert permuted == pytest.approx(length, abs=RESOLUTION)
    draws = calibrated_length(X, shares, steps[:, ::-1])
    assert draws == pytest.approx(length, abs=RESOLUTION)


def test_float32_is_enough(pieces):
    X, shares, steps = pieces
    length = calibrated_length(X.astype(np.float32), shares, steps)
    assert length == pytest.approx(calibrated_length(X, shares, steps), abs=RESOLUTION)


def test_arguments_are_left_as_they_were(pieces):
    X, shares, steps = pieces
    before = X.copy(), shares.copy(), steps.copy()
    calibrated_length(X, shares, steps)
    for now, then in zip(pieces, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_where_there_is_nothing_to_calibrate_steps_are_whole(rng):
    X = rng.normal(size=(10, 2))
    steps = rng.normal(size=(10, 2, 2))
    one_class = np.tile([0.0, 1.0, 0.0], (10, 1))
    assert calibrated_length(X, one_class, steps) == LONGEST
    assert calibrated_length(X[:2], np.eye(2), steps[:2]) == LONGEST


def test_most_samples_may_be_almost_alike(rng):
    X = np.concatenate([1e-9 * rng.normal(size=(20, 2)), rng.normal(size=(5, 2))])
    shares = one_hot(np.arange(25) % 2)
    assert SHORTEST <= calibrated_length(X, shares, steps_of(X)) <= LONGEST


def test_samples_that_are_alike_in_twos_would_shorten_the_steps(pieces):
    """Why copies are merged first: what is left out would still be there."""
    X, shares, steps = pieces
    y = flipped(shares.argmax(axis=1), 0.2)
    once = calibrated_length(X, one_hot(y), steps)
    twice = calibrated_length(
        np.repeat(X, 2, axis=0), one_hot(np.repeat(y, 2)), np.repeat(steps, 2, axis=0)
    )
    assert twice < once - 5 * RESOLUTION
