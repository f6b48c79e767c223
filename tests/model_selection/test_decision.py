"""The shortlist and the final order."""

import numpy as np
from hypothesis import given, strategies
from hypothesis.extra.numpy import arrays

from margin_sklearn.model_selection.decision import (
    final_order,
    n_voters,
    order_by_margin_auc,
    shortlist_size,
)


def final_ranks(*scores):
    order = final_order(*scores)
    ranks = np.empty(len(order), dtype=int)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


def test_sizes():
    assert [shortlist_size(n) for n in (3, 24, 26, 1000)] == [5, 5, 6, 32]
    assert [n_voters(n) for n in (1, 4, 5, 24, 128)] == [1, 2, 3, 5, 12]


def test_both_scores_decide():
    """.7 of the standardised score of the folds and .3 of margin-AUC."""
    margin_auc = np.array([0.9, 0.8, 0.1, 0.7])
    cv_score = np.array([0.80, 0.81, np.nan, 0.5])
    shortlisted = np.array([True, True, False, True])
    ranked = final_ranks(margin_auc, cv_score, shortlisted)
    assert ranked.tolist() == [1, 2, 4, 3]
    # Far enough ahead on the folds, the second wins.
    cv_score[1] = 0.95
    assert final_ranks(margin_auc, cv_score, shortlisted)[1] == 1


def test_failures_come_last():
    nan = np.nan
    margin_auc = np.array([nan, 0.5, 0.9, -np.inf, 0.7])
    cv_score = np.array([nan, nan, nan, nan, 0.2])
    shortlisted = np.array([False, False, True, False, True])
    # The third failed on a fold: behind all that have a score.
    assert final_ranks(margin_auc, cv_score, shortlisted).tolist() == [5, 2, 3, 4, 1]
    assert order_by_margin_auc(margin_auc).tolist() == [2, 4, 1, 3, 0]


scores = strategies.floats(0, 1) | strategies.just(np.nan)


@given(strategies.data(), strategies.integers(1, 12))
def test_the_order_is_a_permutation_that_follows_the_candidates(data, n):
    margin_auc = data.draw(arrays(float, n, elements=scores, unique=True))
    cv_score = data.draw(arrays(float, n, elements=scores, unique=True))
    shortlisted = data.draw(arrays(bool, n))
    found = final_ranks(margin_auc, cv_score, shortlisted)
    assert sorted(found) == [*range(1, n + 1)]
    # Every candidate of the shortlist with a score is before every one without.
    valid = shortlisted & np.isfinite(cv_score)
    if valid.any() and not valid.all():
        assert found[valid].max() < found[~valid].min()


@given(
    strategies.permutations(range(6)),
    arrays(float, 6, elements=strategies.integers(0, 99), unique=True),
)
def test_permuting_candidates_permutes_their_ranks(order, margin_auc):
    order, shortlisted = np.array(order), np.array([True] * 4 + [False] * 2)
    cv_score = np.where(shortlisted, [3.0, 1.0, 4.0, 1.5, 9.0, 2.0], np.nan)
    found = final_ranks(margin_auc, cv_score, shortlisted)
    again = final_ranks(margin_auc[order], cv_score[order], shortlisted[order])
    total = 0.7 * (cv_score[:4] - cv_score[:4].mean()) / cv_score[:4].std()
    total += 0.3 * (margin_auc[:4] - margin_auc[:4].mean()) / margin_auc[:4].std()
    if np.diff(np.sort(total)).min() > 1e-9:
        np.testing.assert_array_equal(found[order], again)


def test_equal_scores_do_not_decide():
    same = np.full(3, 0.5)
    everyone = np.ones(3, dtype=bool)
    assert final_ranks(same, np.array([0.1, 0.3, 0.2]), everyone).tolist() == [3, 1, 2]
    assert final_ranks(np.array([0.1, 0.3, 0.2]), same, everyone).tolist() == [3, 1, 2]
    assert final_ranks(same, same, everyone).tolist() == [1, 2, 3]
