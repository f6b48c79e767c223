import itertools
import time
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from margin_sklearn.subsets.strategies import (
    N_STRATA,
    STRATEGIES,
    check_strategy,
    class_quotas,
    n_to_select,
    raised_to_minima,
    select,
)

RANDOM = ["random", "random_each_epoch"]
ORDERED = ["smallest", "largest", "window"]
# For tests that run for each strategy.
fewer = settings(max_examples=30)
MARGINS = np.array([3.0, -0.5, 1.0, 4.0, 0.1, 2.0, -2.0])


def choose(margins, n, strategy, y=None, *, stratify=False, min_per_class=0, seed=0, **kwargs):
    """Call ``select`` with defaults."""
    return select(
        np.asarray(margins, dtype=float),
        np.zeros(len(margins), dtype=int) if y is None else np.asarray(y),
        n,
        strategy=strategy,
        stratify=stratify,
        min_per_class=min_per_class,
        rng=np.random.default_rng(seed),
        **kwargs,
    )


@st.composite
def samples(draw):
    """Margins with ties, labels of up to four classes (not all need be there), and n."""
    size = draw(st.integers(1, 30))
    margins = draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))
    y = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    return np.array(margins) / 2, np.array(y), draw(st.integers(1, size))


@st.composite
def classes(draw):
    """Samples of each class, n and a minimum that n can satisfy."""
    counts = np.array(draw(st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(any)))
    minimum = draw(st.integers(0, 12))
    least = np.minimum(minimum, counts).sum()
    return counts, draw(st.integers(max(1, least), counts.sum())), minimum


# --- each strategy ----------------------------------------------------------------------


def test_smallest_are_the_smallest_misclassified_first():
    assert choose(MARGINS, 3, "smallest").tolist() == [1, 4, 6]
    assert choose(MARGINS, 1, "smallest").tolist() == [6]


def test_largest_are_the_largest():
    assert choose(MARGINS, 3, "largest").tolist() == [0, 3, 5]
    assert choose(MARGINS, 1, "largest").tolist() == [3]


def test_window_is_around_the_median():
    # The median is 1.0; away from it are 0.1 by 0.9, 2.0 by 1.0, -0.5 by 1.5.
    assert choose(MARGINS, 1, "window").tolist() == [2]
    assert choose(MARGINS, 2, "window").tolist() == [2, 4]
    assert choose(MARGINS, 4, "window").tolist() == [1, 2, 4, 5]


@given(samples())
def test_what_is_left_out_is_no_better_than_what_is_kept(case):
    margins, _, n = case
    scores = {
        "smallest": margins,
        "largest": -margins,
        "window": np.abs(margins - np.median(margins)),
    }
    for strategy, score in scores.items():
        kept = np.isin(np.arange(len(margins)), choose(margins, n, strategy))
        assert score[kept].max() <= score[~kept].min(initial=np.inf)


@given(samples())
def test_ties_go_to_the_lower_index(case):
    margins, _, n = case
    for strategy in ORDERED:
        kept = choose(margins, n, strategy)
        # In the window, samples on both sides of the median may tie; the index decides there
        # too. Hence what counts is the distance.
        score = np.abs(margins - np.median(margins)) if strategy == "window" else margins
        for value in np.unique(score):
            equal = np.flatnonzero(score == value)
            of_these = np.intersect1d(kept, equal)
            np.testing.assert_array_equal(of_these, equal[: len(of_these)])


def test_constant_margins_keep_the_first_and_coverage_any():
    for strategy in ORDERED:
        assert choose([1.5] * 6, 3, strategy).tolist() == [0, 1, 2]
    chosen = {tuple(choose([1.5] * 6, 3, "coverage", seed=seed)) for seed in range(20)}
    assert len(chosen) > 5


@pytest.mark.parametrize("strategy", RANDOM)
def test_random_depends_on_the_generator_only(strategy):
    margins = np.random.default_rng(1).normal(size=(2, 50))
    first, other = (choose(m, 10, strategy, seed=3) for m in margins)
    np.testing.assert_array_equal(first, other)
    assert not np.array_equal(first, choose(margins[0], 10, strategy, seed=4))
    rng = np.random.default_rng(3)
    y = np.zeros(50, dtype=int)
    kwargs = {"strategy": strategy, "stratify": False, "min_per_class": 0, "rng": rng}
    draws = [select(margins[0], y, 10, **kwargs) for _ in range(2)]
    np.testing.assert_array_equal(draws[0], first)
    assert not np.array_equal(*draws)


@pytest.mark.parametrize("strategy", RANDOM)
def test_random_takes_each_sample_equally_often(strategy):
    times = np.zeros(20)
    for seed in range(2000):
        times[choose(np.arange(20), 5, strategy, seed=seed)] += 1
    # Binomial: 500 times each, standard deviation 19.4.
    assert times.sum() == 10_000
    assert (np.abs(times - 500) < 4 * 19.4).all()


@pytest.mark.parametrize("strategy", ORDERED)
@pytest.mark.parametrize("stratify", [False, True])
def test_ordered_strategies_do_not_depend_on_the_generator(strategy, stratify, rng):
    margins, y = rng.normal(size=40), rng.integers(0, 3, 40)
    first, other = (
        choose(margins, 9, strategy, y, stratify=stratify, seed=seed) for seed in (0, 1)
    )
    np.testing.assert_array_equal(first, other)


# --- coverage ---------------------------------------------------------------------------


def in_strata(sizes, rng):
    """Margins with so many samples in each of 50 strata of width 1, shuffled; both ends."""
    stratum = np.repeat(np.arange(N_STRATA), sizes)
    margins = stratum + rng.uniform(0.1, 0.9, len(stratum))
    margins[0], margins[-1] = 0.0, N_STRATA
    order = rng.permutation(len(stratum))
    return margins[order], stratum[order]


def test_coverage_takes_as_many_from_each_stratum(rng):
    margins, stratum = in_strata(np.full(N_STRATA, 20), rng)
    taken = np.bincount(stratum[choose(margins, 150, "coverage")])
    assert taken.tolist() == [3] * N_STRATA


def test_coverage_is_even_where_the_margins_are_not(rng):
    margins, stratum = in_strata(np.r_[10_000, np.full(N_STRATA - 1, 4)], rng)
    taken = np.bincount(stratum[choose(margins, 100, "coverage")])
    assert taken.tolist() == [2] * N_STRATA
    random = np.bincount(stratum[choose(margins, 100, "random")], minlength=N_STRATA)
    assert random[0] > 90


def test_coverage_shares_what_small_strata_lack(rng):
    sizes = np.full(N_STRATA, 30)
    sizes[:10], sizes[10:20] = 1, 0
    sizes[0] = 1
    margins, stratum = in_strata(sizes, rng)
    taken = np.bincount(stratum[choose(margins, 310, "coverage")], minlength=N_STRATA)
    assert taken[:20].tolist() == [1] * 10 + [0] * 10
    assert taken[20:].tolist() == [10] * 30


@given(st.lists(st.integers(0, 12), min_size=50, max_size=50), st.data())
def test_coverage_levels_the_strata(sizes, data):
    sizes = np.array(sizes)
    sizes[[0, -1]] += 1
    n = data.draw(st.integers(1, int(sizes.sum())))
    margins, stratum = in_strata(sizes, np.random.default_rng(n))
    kept = choose(margins, n, "coverage")
    assert len(kept) == n
    taken = np.bincount(stratum[kept], minlength=N_STRATA)
    # Which stratum gives one more is open; but only an exhausted one gives still less.
    assert (taken[taken < sizes] >= taken.max() - 1).all()
    if n >= np.count_nonzero(sizes):
        assert (taken[sizes > 0] > 0).all()


def test_coverage_draws_within_strata(rng):
    margins, stratum = in_strata(np.full(N_STRATA, 20), rng)
    first, other = (choose(margins, 100, "coverage", seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(np.bincount(stratum[first]), np.bincount(stratum[other]))
    assert len(np.intersect1d(first, other)) < 30
    np.testing.assert_array_equal(first, choose(margins, 100, "coverage", seed=0))


def test_coverage_does_not_depend_on_the_units(rng):
    margins = rng.normal(size=300)
    # Powers of two, so that no margin crosses the edge of a stratum by rounding.
    np.testing.assert_array_equal(
        choose(margins, 60, "coverage"), choose(margins * 1024, 60, "coverage")
    )


def test_coverage_reaches_both_ends(rng):
    margins = rng.normal(size=5000)
    kept = choose(margins, 100, "coverage")
    assert margins.argmin() in kept
    assert margins.argmax() in kept


# --- select -----------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("stratify", [False, True])
@fewer
@given(case=samples(), seed=st.integers(0, 99))
def test_n_different_indices_in_ascending_order(case, strategy, stratify, seed):
    margins, y, n = case
    kept = choose(margins, n, strategy, y, stratify=stratify, seed=seed)
    assert kept.dtype == np.intp
    assert len(kept) == n
    assert (np.diff(kept) > 0).all()
    assert 0 <= kept[0] <= kept[-1] < len(margins)


@pytest.mark.parametrize("strategy", STRATEGIES)
@fewer
@given(case=samples())
def test_n_of_all_samples_keeps_all(case, strategy):
    margins, y, _ = case
    every = np.arange(len(margins))
    for stratify in (False, True):
        kept = choose(margins, len(margins), strategy, y, stratify=stratify, min_per_class=2)
        np.testing.assert_array_equal(kept, every)


@pytest.mark.parametrize("strategy", STRATEGIES)
@fewer
@given(case=samples(), minimum=st.integers(0, 3))
def test_stratified_choices_keep_the_quotas(case, strategy, minimum):
    margins, y, n = case
    counts = np.bincount(y)
    assume(n >= np.minimum(counts, minimum).sum())
    kept = choose(margins, n, strategy, y, stratify=True, min_per_class=minimum)
    np.testing.assert_array_equal(
        np.bincount(y[kept], minlength=len(counts)), class_quotas(counts, n, minimum)
    )


@pytest.mark.parametrize("strategy", ORDERED)
@fewer
@given(case=samples())
def test_stratified_choices_are_those_of_each_class(case, strategy):
    margins, y, n = case
    kept = choose(margins, n, strategy, y, stratify=True)
    quotas = class_quotas(np.bincount(y), n, 0)
    for label in np.unique(y[kept]):
        rows = np.flatnonzero(y == label)
        own = rows[choose(margins[rows], quotas[label], strategy)]
        np.testing.assert_array_equal(kept[y[kept] == label], own)


@pytest.mark.parametrize("strategy", STRATEGIES)
@fewer
@given(case=samples(), data=st.data())
def test_only_candidates_are_kept_and_others_do_not_matter(case, strategy, data):
    margins, y, _ = case
    rows = data.draw(st.sets(st.integers(0, len(y) - 1), min_size=1).map(sorted))
    candidates = np.isin(np.arange(len(y)), rows)
    n = data.draw(st.integers(1, len(rows)))
    for stratify in (False, True):
        kept = choose(margins, n, strategy, y, stratify=stratify, candidates=candidates)
        alone = choose(margins[rows], n, strategy, y[rows], stratify=stratify)
        np.testing.assert_array_equal(kept, np.array(rows)[alone])
        if n == len(rows):
            np.testing.assert_array_equal(kept, rows)


def test_minimum_may_be_met_from_candidates_only():
    y, candidates = [0, 0, 0, 1, 1], np.array([True, True, True, True, False])
    kept = choose(
        range(5), 2, "largest", y, stratify=True, min_per_class=1, candidates=candidates
    )
    assert kept.tolist() == [2, 3]


@pytest.mark.parametrize("strategy", ORDERED)
@pytest.mark.parametrize("stratify", [False, True])
@fewer
@given(seed=st.integers(0, 10_000))
def test_order_of_distinct_samples_does_not_matter(strategy, stratify, seed):
    rng = np.random.default_rng(seed)
    # Odd numbers: the two samples next to the median of an even one are as far from it.
    y = np.repeat([0, 1, 2], [15, 21, 5])
    margins, order = rng.normal(size=41), rng.permutation(41)
    kept = choose(margins, 10, strategy, y, stratify=stratify)
    shuffled = choose(margins[order], 10, strategy, y[order], stratify=stratify)
    np.testing.assert_array_equal(np.sort(order[shuffled]), kept)


@pytest.mark.parametrize("strategy", ORDERED)
@fewer
@given(names=st.permutations(range(5)), seed=st.integers(0, 99))
def test_names_of_classes_do_not_matter(strategy, names, seed):
    # 10 of 41: 3.7, 5.1 and 1.2; no equal remainders, which would go to the first class.
    y = np.repeat([0, 1, 2], [15, 21, 5])
    margins = np.round(np.random.default_rng(seed).normal(size=41), 1)
    for minimum in (0, 2):
        kept = choose(margins, 10, strategy, y, stratify=True, min_per_class=minimum)
        renamed = choose(
            margins, 10, strategy, np.array(names)[y], stratify=True, min_per_class=minimum
        )
        np.testing.assert_array_equal(renamed, kept)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_class_is_as_if_not_stratified(strategy, rng):
    margins = rng.normal(size=30)
    np.testing.assert_array_equal(
        choose(margins, 7, strategy, stratify=True, min_per_class=3),
        choose(margins, 7, strategy),
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_sample(strategy):
    assert choose([0.3], 1, strategy).tolist() == [0]
    assert choose([0.3], 1, strategy, [2], stratify=True, min_per_class=1).tolist() == [0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_arguments_are_left_as_they_are(strategy, rng):
    margins, y = rng.normal(size=30), rng.integers(0, 3, 30)
    before = margins.copy(), y.copy()
    margins.flags.writeable = y.flags.writeable = False
    choose(margins, 9, strategy, y, stratify=True, min_per_class=1)
    np.testing.assert_array_equal(margins, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("stratify", [False, True])
def test_sixty_thousand_samples_take_no_time(strategy, stratify, rng):
    margins, y = rng.normal(size=60_000), rng.integers(0, 10, 60_000)
    start = time.process_time()
    kept = choose(margins, 600, strategy, y, stratify=stratify, min_per_class=1)
    assert time.process_time() - start < 0.5
    assert len(kept) == 600


# --- quotas -----------------------------------------------------------------------------


@given(classes())
def test_quotas_keep_to_n_the_minimum_and_the_classes(case):
    counts, n, minimum = case
    quotas = class_quotas(counts, n, minimum)
    assert np.issubdtype(quotas.dtype, np.integer)
    assert quotas.sum() == n
    assert (quotas >= np.minimum(minimum, counts)).all()
    assert (quotas <= counts).all()


@given(classes())
def test_quotas_differ_from_the_proportion_by_less_than_one_without_minimum(case):
    counts, n, minimum = case
    shares = [Fraction(n * int(count), int(counts.sum())) for count in counts]
    # Any minimum that the proportion satisfies changes nothing.
    minima = [0, min([minimum, *(int(s) for s, c in zip(shares, counts, strict=True) if c)])]
    for low in minima:
        for quota, share in zip(class_quotas(counts, n, low), shares, strict=True):
            assert abs(int(quota) - share) < 1
            if share.denominator == 1:
                assert quota == share


@given(classes())
def test_classes_above_the_minimum_share_the_rest_in_proportion(case):
    counts, n, minimum = case
    least = [min(minimum, int(count)) for count in counts]
    # The share of the classes above the minimum with which all classes together give n: of
    # those classes are the ones that give the smallest part of themselves as a minimum.
    order = sorted(np.flatnonzero(counts), key=lambda c: least[c] / counts[c])
    for size in range(len(order), 0, -1):
        above = order[:size]
        rest = n - sum(least) + sum(least[c] for c in above)
        share = Fraction(rest, int(counts[above].sum()))
        if all(share * int(counts[c]) >= least[c] for c in above):
            break
    for c, quota in enumerate(class_quotas(counts, n, minimum)):
        assert abs(int(quota) - max(share * int(counts[c]), least[c])) < 1


@given(classes())
def test_larger_classes_have_larger_quotas(case):
    counts, n, minimum = case
    quotas = class_quotas(counts, n, minimum)
    order = np.argsort(counts, kind="stable")
    # Of equal classes, one may get the odd sample.
    for less, more in itertools.pairwise(order):
        assert quotas[less] <= quotas[more] + (counts[less] == counts[more])


def test_quotas_by_hand():
    assert class_quotas([50, 30, 20], 10, 0).tolist() == [5, 3, 2]
    # 4.5, 3.5 and 2: the first of equal remainders.
    assert class_quotas([45, 35, 20], 10, 0).tolist() == [5, 3, 2]
    # 5.2, 2.6 and 2.2: the largest remainder.
    assert class_quotas([52, 26, 22], 10, 0).tolist() == [5, 3, 2]
    assert class_quotas([98, 1, 1], 10, 0).tolist() == [10, 0, 0]
    assert class_quotas([98, 1, 1], 10, 1).tolist() == [8, 1, 1]
    assert class_quotas([98, 1, 1], 10, 3).tolist() == [8, 1, 1]
    # 10 each for the small ones; the other 40 as 600 to 300, not 36 and 18 less 7 each.
    assert class_quotas([600, 300, 50, 50], 60, 10).tolist() == [27, 13, 10, 10]
    # What the second class gives up for the third brings it below its own minimum.
    assert class_quotas([900, 110, 10], 100, 10).tolist() == [80, 10, 10]
    assert class_quotas([0, 5, 0, 5], 4, 2).tolist() == [0, 2, 0, 2]
    assert class_quotas([3, 4], 7, 1).tolist() == [3, 4]
    assert class_quotas([1], 1, 1).tolist() == [1]


def test_many_classes_with_a_minimum_take_no_time():
    counts = np.r_[1_000_000, np.full(999, 100)]
    start = time.process_time()
    quotas = class_quotas(counts, 110_000, 100)
    assert time.process_time() - start < 0.1
    assert quotas.tolist() == [10_100] + [100] * 999


@pytest.mark.parametrize(
    ("counts", "n", "minimum"), [([5, 5], 1, 1), ([5, 5, 0], 5, 3), ([9, 2], 4, 3)]
)
def test_too_few_samples_for_the_minimum_raise(counts, n, minimum):
    match = f"{n} samples to select are too few for {minimum} of each of 2 classes"
    with pytest.raises(ValueError, match=match):
        class_quotas(counts, n, minimum)
    y = np.repeat(np.arange(len(counts)), counts)
    with pytest.raises(ValueError, match=match):
        choose(np.arange(len(y)), n, "smallest", y, stratify=True, min_per_class=minimum)
    assert len(choose(np.arange(len(y)), n, "smallest", y, min_per_class=minimum)) == n


# --- callables --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        lambda rows: rows,
        lambda rows: rows[::-1].tolist(),
        lambda rows: pd.Index(rows),
        lambda rows: rows.astype(np.uint8),
        lambda rows: np.isin(np.arange(7), rows),
        lambda rows: np.isin(np.arange(7), rows).tolist(),
    ],
    ids=["array", "list", "index", "uint8", "mask", "list of bools"],
)
def test_a_function_may_give_indices_or_a_mask(convert):
    def strategy(margins, y, n, rng):
        return convert(np.argsort(margins)[:n])

    assert choose(MARGINS, 3, strategy).tolist() == [1, 4, 6]


def test_a_function_is_given_the_candidates_once():
    calls = []

    def strategy(margins, y, n, rng):
        calls.append((margins.tolist(), y.tolist(), n))
        return rng.permutation(len(margins))[:n]

    candidates = np.array([True] * 5 + [False] * 2)
    kept = choose(MARGINS, 2, strategy, [0, 1, 0, 1, 0, 1, 0], candidates=candidates)
    assert calls == [(MARGINS[:5].tolist(), [0, 1, 0, 1, 0], 2)]
    expected = np.random.default_rng(0).permutation(5)[:2]
    assert kept.tolist() == sorted(expected.tolist())


def test_a_function_is_called_for_each_class_when_stratified():
    calls = []

    def strategy(margins, y, n, rng):
        calls.append((margins.tolist(), y.tolist(), int(n)))
        return np.argsort(-margins)[:n]

    # Class 1 is not there, class 3 gets no sample.
    y = [0, 2, 0, 2, 0, 2, 3]
    kept = choose(MARGINS, 2, strategy, y, stratify=True)
    assert calls == [([3.0, 1.0, 0.1], [0, 0, 0], 1), ([-0.5, 4.0, 2.0], [2, 2, 2], 1)]
    assert kept.tolist() == [0, 3]


def test_a_function_cannot_change_the_margins():
    margins = MARGINS.copy()

    def strategy(margins, y, n, rng):
        margins[:] = 0
        y[:] = 9
        return range(n)

    y = np.zeros(7, dtype=int)
    select(margins, y, 2, strategy=strategy, stratify=False, min_per_class=0, rng=None)
    np.testing.assert_array_equal(margins, MARGINS)
    assert not y.any()


@pytest.mark.parametrize(
    ("result", "got"),
    [
        ([0], r"array\(\[0\]\)"),
        ([0, 1, 2], r"array\(\[0, 1, 2\]\)"),
        ([3, 3], r"array\(\[3, 3\]\)"),
        ([0, 0, 1], r"array\(\[0, 0, 1\]\)"),
        ([0, 7], r"array\(\[0, 7\]\)"),
        ([-1, 0], r"array\(\[-1,  0\]\)"),
        ([0.0, 1.0], r"array\(\[0., 1.\]\)"),
        ([[0, 1]], r"array\(\[\[0, 1\]\]\)"),
        ([[0], [1]], r"array\(\[\[0\]"),
        ([], r"array\(\[\]"),
        (2, r"array\(2\)"),
        (None, "None"),
        (["0", "1"], "'0', '1'"),
        ([True, True], "True,  True"),
        ([True] * 3 + [False] * 4, r"array\(\[0, 1, 2\]\)"),
        ([False] * 7, r"array\(\[\]"),
    ],
)
def test_what_a_function_must_not_give(result, got):
    match = f"must give 2 different indices between 0 and 6, got .*{got}"
    with pytest.raises(ValueError, match=match):
        choose(MARGINS, 2, lambda margins, y, n, rng: result)


def test_errors_of_a_function_come_through():
    def strategy(margins, y, n, rng):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        choose(MARGINS, 2, strategy)


@pytest.mark.parametrize("strategy", [*STRATEGIES, lambda margins, y, n, rng: range(n), max])
def test_known_names_and_functions_pass(strategy):
    assert check_strategy(strategy) is None


@pytest.mark.parametrize("strategy", ["Smallest", "", None, 3, ["smallest"], {"random"}, 0.5])
def test_other_strategies_raise_and_name_those_there_are(strategy):
    with pytest.raises(ValueError, match="smallest.*random_each_epoch") as error:
        check_strategy(strategy)
    assert str(error.value).endswith(f"got {strategy!r}.")


# --- how many ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "n_samples", "n"),
    [
        (0.01, 60_000, 600),
        (0.01, 150, 2),
        (0.01, 149, 1),
        (0.001, 10, 1),
        (1e-12, 10, 1),
        (0.5, 7, 4),
        (1.0, 7, 7),
        (0.999, 7, 7),
        (1, 7, 1),
        (7, 7, 7),
        (1, 1, 1),
        (1.0, 1, 1),
        (np.int64(3), 7, 3),
        (np.uint8(3), 7, 3),
        (np.float64(0.5), 8, 4),
        (np.float32(1), 8, 8),
        (np.float16(0.25), 8, 2),
        (Fraction(1, 4), 8, 2),
    ],
)
def test_shares_and_numbers(wanted, n_samples, n):
    got = n_to_select(wanted, n_samples)
    assert got == n
    assert type(got) is int


@given(st.floats(0, 1, exclude_min=True), st.integers(1, 10**6))
def test_shares_are_rounded_to_between_one_and_all(share, n_samples):
    n = n_to_select(share, n_samples)
    assert 1 <= n <= n_samples
    assert n == 1 or abs(n - share * n_samples) <= 0.5


@pytest.mark.parametrize(
    "wanted", [0, -1, 8, 10**30, np.int64(-3)], ids=lambda wanted: str(wanted)
)
def test_numbers_out_of_range_raise(wanted):
    with pytest.raises(ValueError, match=rf"{wanted} must be between 1 and .*, 7\."):
        n_to_select(wanted, 7)


@pytest.mark.parametrize(
    "wanted", [0.0, -0.1, 1.0001, 3.0, np.nan, np.inf, -np.inf, np.float32(2), Fraction(3, 2)]
)
def test_shares_out_of_range_raise(wanted):
    with pytest.raises(ValueError, match=r"is a float, so a share: it must be in \(0, 1\]"):
        n_to_select(wanted, 7)


@pytest.mark.parametrize(
    "wanted", [True, False, np.True_, "0.1", None, [1], 1j, np.array([1])]
)
def test_other_types_raise(wanted):
    with pytest.raises(TypeError, match="n_samples_to_select must be") as error:
        n_to_select(wanted, 7)
    assert str(error.value).endswith(f"got {wanted!r}.")


# --- minima -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "counts", "minimum", "raised"),
    [(6, [60] * 10, 1, 10), (3, [60, 2], 5, 7), (1, [5, 0, 5], 1, 2), (3, [2, 2], 10**30, 4)],
)
def test_a_share_is_raised_to_the_minima(n, counts, minimum, raised):
    match = f"=0.01 of {sum(counts)} samples would keep {n}: {raised} are kept.*={minimum} of"
    with pytest.warns(UserWarning, match=match):
        assert raised_to_minima(n, 0.01, np.array(counts), minimum) == raised
    with pytest.raises(ValueError, match=f"{n} samples to select are too few for {minimum}"):
        raised_to_minima(n, n, np.array(counts), minimum)


@pytest.mark.parametrize("share", [0.5, 5])
def test_enough_samples_are_left_as_they_are(share):
    assert raised_to_minima(5, share, np.array([5, 5]), 1) == 5
    assert raised_to_minima(5, share, np.array([5, 5]), 0) == 5
