import inspect

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import KFold, check_cv, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from margin_sklearn import (
    MarginClassifier,
    ResubstitutionSplit,
    make_margin_auc_scorer,
    margin_auc_score,
    margins,
)


def test_it_is_a_splitter():
    cv = ResubstitutionSplit()
    assert repr(cv) == "ResubstitutionSplit()"
    assert cv.get_n_splits() == 1
    assert check_cv(cv) is cv
    for name in ("split", "get_n_splits"):
        ours = inspect.signature(getattr(cv, name)).parameters
        assert list(ours) == list(inspect.signature(getattr(KFold(), name)).parameters)
    [(train, test)] = cv.split(np.zeros((4, 2)), [0, 1, 0, 1], groups=[1, 1, 2, 2])
    np.testing.assert_array_equal(train, np.arange(4))
    np.testing.assert_array_equal(test, np.arange(4))
    assert train is not test


def test_lengths_are_checked():
    with pytest.raises(ValueError, match="inconsistent"):
        next(ResubstitutionSplit().split([[1], [2]], [0]))


class ArrayLike:
    """What can only be converted to an array."""

    def __array__(self, dtype=None, copy=None):
        return np.zeros((3, 2))


def test_what_has_no_length_but_rows():
    [(train, test)] = ResubstitutionSplit().split(ArrayLike(), [0, 1, 0])
    assert train.tolist() == test.tolist() == [0, 1, 2]


def test_every_sample_is_trained_and_scored_on(iris):
    accuracy = cross_val_score(KNeighborsClassifier(1), *iris, cv=ResubstitutionSplit())
    assert accuracy.tolist() == [1.0]


@pytest.mark.parametrize("scale", [None, "distance", "frobenius", "spectral"])
def test_margin_auc_under_it_is_margin_auc_by_hand(iris, scale):
    X, y = iris
    estimator = MarginClassifier(max_epochs=3, random_state=0)
    (score,) = cross_val_score(
        estimator, X, y, scoring=make_margin_auc_scorer(scale), cv=ResubstitutionSplit()
    )
    by_hand = margins(estimator.fit(X, y), X, y, scale=scale).mean()
    assert score == pytest.approx(by_hand, rel=1e-12)
    (default,) = cross_val_score(
        estimator, X, y, scoring=margin_auc_score, cv=ResubstitutionSplit()
    )
    assert default == margin_auc_score(estimator, X, y)


def test_it_takes_part_in_metadata_routing(iris):
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(KNeighborsClassifier(1), *iris, cv=ResubstitutionSplit())
    assert scores.tolist() == [1.0]
