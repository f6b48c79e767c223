import time
from fractions import Fraction
from math import comb
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom
from sklearn.exceptions import NotFittedError
from sklearn.svm import SVC

from margin_sklearn import subset_overlap
from margin_sklearn.subsets.overlap import SubsetOverlap


@st.composite
def cases(draw):
    """A number of samples, two to four selections of them as masks, and labels."""
    n = draw(st.integers(1, 12))
    indices = st.integers(0, n - 1)
    chosen = draw(st.lists(st.sets(indices, min_size=1), min_size=2, max_size=4))
    y = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    return n, [np.isin(np.arange(n), list(rows)) for rows in chosen], np.array(y)


def exact_expectation(a, b, n):
    """Expected Jaccard index in rational numbers."""
    weights = [(k, comb(a, k) * comb(n - a, b - k)) for k in range(min(a, b) + 1)]
    return float(sum(Fraction(k * w, a + b - k) for k, w in weights) / comb(n, b))


def monte_carlo(sizes, other, counts, n_draws=20_000, seed=0):
    """Mean Jaccard index of random selections of given sizes by class, and its error."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    masks = []
    for numbers in (sizes, other):
        mask = np.zeros((n_draws, len(y)), dtype=bool)
        for c, number in enumerate(numbers):
            first = np.arange(counts[c]) < number
            mask[:, y == c] = rng.permuted(np.tile(first, (n_draws, 1)), axis=1)
        masks.append(mask)
    jaccard = (masks[0] & masks[1]).sum(axis=1) / (masks[0] | masks[1]).sum(axis=1)
    return jaccard.mean(), jaccard.std() / np.sqrt(n_draws)


# --- agreement --------------------------------------------------------------------------


def test_identical_selections_agree_fully_and_disjoint_ones_not_at_all():
    assert subset_overlap([0, 3], [3, 0], n_samples=9).jaccard == 1.0
    assert subset_overlap([0, 3], [1, 2], n_samples=9).jaccard == 0.0
    everything = subset_overlap([True] * 4, [True] * 4)
    assert everything.jaccard == everything.expected == 1.0


def test_selections_of_different_sizes():
    overlap = subset_overlap([0, 1, 2, 3], [3, 4], n_samples=6)
    assert overlap.jaccard == 1 / 5
    assert overlap.expected == pytest.approx(exact_expectation(4, 2, 6), rel=1e-14)


def test_three_selections_give_the_mean_of_three_pairs():
    a, b, c = [0, 1], [1, 2], [1, 2, 3, 4]
    overlap = subset_overlap(a, b, c, n_samples=8)
    assert isinstance(overlap, SubsetOverlap)
    np.testing.assert_array_equal(
        overlap.pairwise, [[1, 1 / 3, 1 / 5], [1 / 3, 1, 1 / 2], [1 / 5, 1 / 2, 1]]
    )
    assert overlap.jaccard == pytest.approx((1 / 3 + 1 / 5 + 1 / 2) / 3)
    pairs = [subset_overlap(*pair, n_samples=8).expected for pair in ((a, b), (a, c), (b, c))]
    assert overlap.expected == pytest.approx(np.mean(pairs))
    assert pairs[0] < pairs[1] == pairs[2]


@given(cases())
def test_jaccard_index_is_that_of_the_sets(case):
    _, masks, _ = case
    sets = [set(np.flatnonzero(mask).tolist()) for mask in masks]
    expected = [[len(a & b) / len(a | b) for b in sets] for a in sets]
    np.testing.assert_array_equal(subset_overlap(*masks).pairwise, expected)


# --- chance -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "n"),
    [(1, 1, 1), (1, 1, 7), (2, 5, 6), (5, 5, 6), (3, 4, 30), (20, 20, 40), (600, 600, 6000)],
)
def test_chance_equals_the_sum_in_rational_numbers(a, b, n):
    overlap = subset_overlap(np.arange(a), np.arange(b), n_samples=n)
    assert overlap.expected == pytest.approx(exact_expectation(a, b, n), rel=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "n"),
    [(600, 600, 60_000), (600, 6000, 60_000), (10_000, 10_000, 1_000_000), (900, 950, 1000)],
)
def test_chance_equals_the_sum_over_scipys_distribution(a, b, n):
    overlap = subset_overlap(np.arange(a), np.arange(b), n_samples=n)
    # Far further than any value that matters.
    mean, std = hypergeom.stats(n, a, b)[0], hypergeom.std(n, a, b)
    k = np.arange(max(0, a + b - n, int(mean - 15 * std)), min(a, b, int(mean + 20 * std)) + 1)
    pmf = hypergeom.pmf(k, n, a, b)
    assert overlap.expected == pytest.approx(
        float(pmf @ (k / (a + b - k)) / pmf.sum()), rel=1e-10
    )


def test_chance_of_one_sample_is_that_of_drawing_the_same():
    assert subset_overlap([3], [5], n_samples=40).expected == pytest.approx(1 / 40)


def test_chance_of_two_halves_is_a_third_and_of_few_samples_their_share():
    n = 100_000
    halves = subset_overlap(np.arange(n // 2), np.arange(n // 2), n_samples=n)
    assert halves.expected == pytest.approx(1 / 3, rel=1e-5)
    for k in (10, 100, 1000):
        few = subset_overlap(np.arange(k), np.arange(k), n_samples=n)
        # The mean intersection k²/N in k/(2k - I); convexity adds a little.
        assert few.expected == pytest.approx(k / (2 * n - k), rel=0.06)
        assert few.expected > k / (2 * n - k)


@pytest.mark.parametrize(("a", "b", "n"), [(6, 6, 30), (4, 15, 30), (20, 25, 30)])
def test_chance_is_the_mean_of_random_selections(a, b, n):
    mean, error = monte_carlo([a], [b], [n])
    overlap = subset_overlap(np.arange(a), np.arange(b), n_samples=n)
    assert error < 0.001
    assert abs(overlap.expected - mean) < 4 * error


def test_random_selections_agree_as_much_as_chance_says(rng):
    selections = [rng.choice(2000, 200, replace=False) for _ in range(30)]
    overlap = subset_overlap(*selections, n_samples=2000)
    pairs = overlap.pairwise[np.triu_indices(30, k=1)]
    # Pairs of random selections are pairwise independent.
    assert abs(overlap.jaccard - overlap.expected) < 4 * pairs.std() / np.sqrt(len(pairs))


# --- chance within classes --------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "other", "counts"),
    [
        ([3, 3], [3, 3], [12, 12]),
        ([5, 1, 0], [4, 0, 2], [6, 10, 8]),
        ([1, 2, 3], [1, 2, 3], [2, 4, 18]),
        ([4, 0], [4, 4], [4, 20]),
    ],
)
def test_chance_with_labels_is_the_mean_of_stratified_random_selections(sizes, other, counts):
    y = np.repeat(np.arange(len(counts)), counts)
    a, b = (
        np.concatenate([np.flatnonzero(y == c)[:k] for c, k in enumerate(numbers)])
        for numbers in (sizes, other)
    )
    overlap = subset_overlap(a, b, y=y)
    mean, error = monte_carlo(sizes, other, counts)
    assert error < 0.002
    assert abs(overlap.expected - mean) < 4 * error + 1e-12


def test_chance_with_labels_equals_the_sum_over_the_whole_convolution():
    counts, a, b = [2000] * 8 + [700, 3], [1000] * 8 + [10, 2], [900] * 8 + [400, 3]
    y = np.repeat(np.arange(10), counts)
    selections = (
        np.concatenate([np.flatnonzero(y == c)[:k] for c, k in enumerate(numbers)])
        for numbers in (a, b)
    )
    pmf = np.ones(1)
    for numbers in zip(counts, a, b, strict=True):
        pmf = np.convolve(pmf, hypergeom.pmf(np.arange(min(numbers[1:]) + 1), *numbers))
    k = np.arange(len(pmf))
    assert subset_overlap(*selections, y=y).expected == pytest.approx(
        float(pmf @ (k / (sum(a) + sum(b) - k)) / pmf.sum()), rel=1e-12
    )


def test_chance_is_higher_for_selections_of_the_same_rare_class():
    y = np.repeat(["common", "rare"], [95, 5])
    rare, common = [95, 96, 97], [0, 1, 2]
    without = subset_overlap(rare, rare, n_samples=100).expected
    within = subset_overlap(rare, rare, y=y).expected
    assert within == pytest.approx(exact_expectation(3, 3, 5))
    assert within > 10 * without
    # Different classes have nothing in common; that has nothing to do with chance.
    assert subset_overlap(rare, common, y=y).expected == 0.0


def test_selections_in_proportion_to_equal_classes_agree_about_as_any():
    y = np.arange(6000) % 10
    stratified = subset_overlap(np.arange(600), np.arange(600), y=y)
    plain = subset_overlap(np.arange(600), np.arange(600), n_samples=6000)
    assert stratified.expected == pytest.approx(plain.expected, rel=1e-3)
    assert stratified.expected != plain.expected


def test_one_class_equals_no_labels():
    without = subset_overlap([0, 1], [1, 4, 5], n_samples=9)
    assert subset_overlap([0, 1], [1, 4, 5], y=["a"] * 9).expected == without.expected


@given(cases())
@settings(max_examples=50)
def test_names_of_classes_do_not_matter(case):
    _, masks, y = case
    names = np.array(["b", "c", "a"])
    renamed = subset_overlap(*masks, y=names[y]).expected
    assert renamed == pytest.approx(subset_overlap(*masks, y=y).expected, abs=1e-13)


# --- both -------------------------------------------------------------------------------


@given(cases(), st.booleans())
def test_bounds_and_symmetry(case, labelled):
    _, masks, y = case
    overlap = subset_overlap(*masks, y=y if labelled else None)
    assert 0 <= overlap.jaccard <= 1
    assert 0 <= overlap.expected <= 1
    assert (overlap.pairwise >= 0).all()
    assert (overlap.pairwise <= 1).all()
    np.testing.assert_array_equal(overlap.pairwise, overlap.pairwise.T)
    np.testing.assert_array_equal(np.diag(overlap.pairwise), 1)
    backwards = subset_overlap(*masks[::-1], y=y if labelled else None)
    np.testing.assert_array_equal(backwards.pairwise, overlap.pairwise[::-1, ::-1])
    assert backwards.jaccard == pytest.approx(overlap.jaccard, abs=1e-15)
    assert backwards.expected == pytest.approx(overlap.expected, abs=1e-15)


@given(cases(), st.booleans(), st.randoms())
def test_order_of_the_samples_does_not_matter(case, labelled, random):
    n, masks, y = case
    order = list(range(n))
    random.shuffle(order)
    overlap = subset_overlap(*masks, y=y if labelled else None)
    shuffled = subset_overlap(
        *(mask[order] for mask in masks), y=y[order] if labelled else None
    )
    np.testing.assert_array_equal(shuffled.pairwise, overlap.pairwise)
    assert shuffled.expected == overlap.expected


@given(cases(), st.randoms())
def test_masks_and_indices_in_any_order_are_the_same(case, random):
    n, masks, _ = case
    indices = [np.flatnonzero(mask).tolist() for mask in masks]
    for rows in indices:
        random.shuffle(rows)
    by_mask, by_index = subset_overlap(*masks), subset_overlap(*indices, n_samples=n)
    np.testing.assert_array_equal(by_index.pairwise, by_mask.pairwise)
    assert by_index[:2] == by_mask[:2]


def test_many_kinds_of_arrays_are_taken():
    mask = [True, False, True, False]
    selections = [
        mask,
        np.array(mask),
        pd.Series(mask, index=list("abcd")),
        torch.tensor(mask),
        SimpleNamespace(support_=np.array(mask)),
        [0, 2],
        (2, 0),
        np.array([0, 2], dtype=np.uint8),
        pd.Index([2, 0]),
    ]
    overlap = subset_overlap(*selections)
    assert overlap.pairwise.shape == (9, 9)
    assert (overlap.pairwise == 1).all()
    assert type(overlap.jaccard) is type(overlap.expected) is float


def test_support_vectors_can_be_compared_with_other_samples(binary):
    X, y = binary
    svc = SVC(C=0.1).fit(X, y)
    nearest = np.argsort(np.abs(svc.decision_function(X)))[: len(svc.support_)]
    overlap = subset_overlap(svc, nearest, n_samples=len(y))
    assert overlap.jaccard == subset_overlap(svc.support_, nearest, y=y).jaccard
    assert overlap.jaccard > 1.2 * overlap.expected


@pytest.mark.parametrize("n_classes", [1, 10, 1000])
def test_a_million_samples_take_no_time(n_classes):
    n, k = 1_000_000, 10_000
    y = np.arange(n) % n_classes
    start = time.process_time()
    overlap = subset_overlap(np.arange(k), np.arange(k) + k // 2, y=y)
    assert time.process_time() - start < 1
    assert overlap.jaccard == pytest.approx(1 / 3)
    assert overlap.expected == pytest.approx(k / (2 * n - k), rel=0.01)


# --- errors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selections", "kwargs", "match"),
    [
        ([], {}, "got 0"),
        ([[0, 1]], {"n_samples": 3}, "got 1"),
        ([[0], [1]], {}, "pass n_samples"),
        ([[True, False], [True] * 3], {}, r"selections\[0\] says 2 and selections\[1\] 3"),
        ([[True, False], [0]], {"n_samples": 3}, r"n_samples says 3 and selections\[0\] 2"),
        ([[0], [True, False]], {"y": [0, 1, 1]}, r"y says 3 and selections\[1\] 2"),
        ([[0], [1]], {"n_samples": 3, "y": [0, 1]}, "n_samples says 3 and y 2"),
        ([[0], [1, 3]], {"n_samples": 3}, r"selections\[1\] holds index 3.*\(0 to 2\)"),
        ([[0, -2], [1]], {"n_samples": 3}, r"selections\[0\] holds index -2"),
        ([[0, 2, 2], [1]], {"n_samples": 3}, r"selections\[0\] holds index 2 2 times"),
        ([[0, 1, 1], [0, 1]], {"n_samples": 3}, "mask must have dtype bool"),
        ([[0], []], {"n_samples": 3}, r"selections\[1\] is empty"),
        ([[False, False], [True, True]], {}, r"selections\[0\] is empty"),
        ([[0.0], [1]], {"n_samples": 3}, r"selections\[0\] must hold .* dtype float64"),
        ([["a"], [1]], {"n_samples": 3}, "dtype <U1"),
        ([[[0]], [1]], {"n_samples": 3}, r"selections\[0\] must be .* got \[\[0\]\]"),
        ([[0], None], {"n_samples": 3}, r"selections\[1\] must be .* got None"),
        ([[0], [1]], {"y": [[0], [1]]}, r"y must have shape .* got \(2, 1\)"),
        ([[0], [1]], {"y": "ab"}, r"y must have shape .* got \(\)"),
        ([[0], [1]], {"n_samples": 0}, "n_samples must be an integer between 1 and"),
    ],
)
def test_unusable_arguments_raise(selections, kwargs, match):
    with pytest.raises(ValueError, match=match):
        subset_overlap(*selections, **kwargs)


def test_number_of_samples_must_be_an_int():
    with pytest.raises(TypeError, match="n_samples"):
        subset_overlap([0], [1], n_samples=2.0)


def test_a_selector_must_be_fitted():
    with pytest.raises(NotFittedError, match="SVC"):
        subset_overlap(SVC(), [0], n_samples=3)
