import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import pairwise_distances
from sklearn.preprocessing import StandardScaler

from margin_sklearn.calibration import (
    CONCENTRATIONS,
    LONGEST,
    N_HALVINGS,
    RIDGES,
    SHORTEST,
    calibrated_length,
    leave_one_out,
)
from margin_sklearn.neighborhood import local_neighborhood

# Beyond this the bisection cannot tell lengths apart.
RESOLUTION = (LONGEST - SHORTEST) / 2**N_HALVINGS


def steps_of(X, n_draws=2):
    return local_neighborhood(X.__getitem__, len(X), np.arange(len(X)), n_draws).steps


def flipped(y, share, seed=0):
    """Labels of which a share is another one."""
    random = np.random.default_rng(seed)
    n_classes = y.max() + 1
    wrong = random.random(len(y)) < share
    return np.where(wrong, (y + random.integers(1, n_classes, len(y))) % n_classes, y)


@pytest.fixture(scope="module")
def pieces():
    """Samples, labels and steps, with a length within the bounds."""
    X, y = load_digits(return_X_y=True)
    some = np.random.default_rng(0).permutation(len(X))[:400]
    X = StandardScaler().fit_transform(X)[some]
    return X, y[some], steps_of(X)


# --- leave-one-out ------------------------------------------------------------------------


@given(
    n=st.integers(2, 15),
    n_outputs=st.integers(1, 3),
    ridge=st.sampled_from([1e-3, 0.1, 3.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_the_closed_form_gives_what_fits_without_each_sample_give(n, n_outputs, ridge, seed):
    random = np.random.default_rng(seed)
    X, targets = random.normal(size=(n, 3)), random.normal(size=(n, n_outputs))
    kernel = np.exp(-pairwise_distances(X, metric="sqeuclidean"))
    outputs, coefficients = leave_one_out(kernel, targets, ridge)
    whole = KernelRidge(alpha=ridge, kernel="precomputed").fit(kernel, targets)
    np.testing.assert_allclose(coefficients, whole.dual_coef_, rtol=1e-8, atol=1e-8)
    for i in range(n):
        others = np.arange(n) != i
        without = KernelRidge(alpha=ridge, kernel="precomputed")
        without.fit(kernel[np.ix_(others, others)], targets[others])
        np.testing.assert_allclose(
            outputs[[i]], without.predict(kernel[[i]][:, others]), rtol=1e-8, atol=1e-8
        )


# --- the length of the steps --------------------------------------------------------------


def test_at_this_length_kernel_classifiers_are_as_accurate_as_under_leave_one_out(pieces):
    """The definition, with scikit-learn's kernel ridge fitted again without each sample."""
    X, y, steps = (part[:80] for part in pieces)
    steps = 3 * steps
    length = calibrated_length(X, y, steps)
    assert SHORTEST < length < LONGEST
    squares = pairwise_distances(X, metric="sqeuclidean")
    median = np.median(squares[np.triu_indices(len(X), 1)])
    targets = np.eye(10)[y] - np.eye(10)[y].mean(axis=0)
    shorter, longer, known = [], [], []
    for concentration in CONCENTRATIONS:
        for ridge in RIDGES:
            model = KernelRidge(kernel="rbf", gamma=concentration / median, alpha=ridge)
            for i in range(len(X)):
                others = np.arange(len(X)) != i
                outputs = model.fit(X[others], targets[others]).predict(X[[i]])
                known.append(outputs.argmax() == y[i])
            model.fit(X, targets)
            for length_of, right in ((-RESOLUTION, shorter), (RESOLUTION, longer)):
                for draw in range(steps.shape[1]):
                    ends = X + (length + length_of) * steps[:, draw]
                    right.append((model.predict(ends).argmax(axis=1) == y).mean())
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
    assert SHORTEST <= calibrated_length(X, y, steps) <= LONGEST


def test_longer_steps_are_shortened_more_and_short_ones_not_at_all(pieces):
    X, y, steps = pieces
    lengths = [calibrated_length(X, y, factor * steps) for factor in (0.01, 0.5, 1, 1.5, 10)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == LONGEST
    assert lengths[-1] == SHORTEST
    assert SHORTEST < lengths[2] < LONGEST
    # Longer steps, a smaller factor: the same pseudo-points.
    assert 1.5 * lengths[3] == pytest.approx(lengths[2], abs=2.5 * RESOLUTION)


def test_wrong_labels_lengthen_the_steps(pieces):
    """What memorises them is right at its samples, and has to be seen farther off."""
    X, y, steps = pieces
    lengths = [calibrated_length(X, flipped(y, share), steps) for share in (0.0, 0.6)]
    assert lengths[0] + 5 * RESOLUTION < lengths[1]


def test_the_unit_of_the_inputs_makes_no_difference(pieces):
    X, y, steps = pieces
    length = calibrated_length(X, y, steps)
    # A power of two: to the last bit.
    assert calibrated_length(64 * X, y, 64 * steps) == length
    scaled = calibrated_length(0.001 * X, y, np.float32(0.001) * steps)
    assert scaled == pytest.approx(length, abs=RESOLUTION)
    moved = calibrated_length(X + 10, y, steps)
    assert moved == pytest.approx(length, abs=RESOLUTION)


def test_names_of_classes_and_the_order_of_samples_make_no_difference(pieces, rng):
    X, y, steps = pieces
    length = calibrated_length(X, y, steps)
    names = 3 * rng.permutation(10) - 5
    assert calibrated_length(X, names[y], steps) == pytest.approx(length, abs=RESOLUTION)
    order = rng.permutation(len(X))
    permuted = calibrated_length(X[order], y[order], steps[order])
    assert permuted == pytest.approx(length, abs=RESOLUTION)
    draws = calibrated_length(X, y, steps[:, ::-1])
    assert draws == pytest.approx(length, abs=RESOLUTION)


def test_float32_is_enough(pieces):
    X, y, steps = pieces
    length = calibrated_length(X.astype(np.float32), y, steps)
    assert length == pytest.approx(calibrated_length(X, y, steps), abs=RESOLUTION)


def test_arguments_are_left_as_they_were(pieces):
    X, y, steps = pieces
    before = X.copy(), y.copy(), steps.copy()
    calibrated_length(X, y, steps)
    for now, then in zip(pieces, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_where_there_is_nothing_to_calibrate_steps_are_whole(rng):
    X = rng.normal(size=(10, 2))
    steps = rng.normal(size=(10, 2, 2))
    assert calibrated_length(X, np.full(10, 7), steps) == LONGEST
    assert calibrated_length(X[:2], np.array([0, 1]), steps[:2]) == LONGEST


def test_most_samples_may_be_copies_of_one(rng):
    X = np.concatenate([np.zeros((20, 2)), rng.normal(size=(5, 2))])
    y = np.arange(25) % 2
    assert SHORTEST <= calibrated_length(X, y, steps_of(X)) <= LONGEST
