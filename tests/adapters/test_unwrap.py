"""Estimators inside Pipelines, searches and FrozenEstimators."""

from unittest import mock

import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import margins
from margin_sklearn.adapters.unwrap import find_inside, innermost, inside, unfitted_search

C = "logisticregression__C"


@pytest.fixture
def nested(iris):
    """A Pipeline around a search over a Pipeline."""
    inner = make_pipeline(StandardScaler(), LogisticRegression())
    return make_pipeline(StandardScaler(), GridSearchCV(inner, {C: [1.0]}, cv=2)).fit(*iris)


def test_each_level_of_a_nested_estimator(nested):
    search = inside(nested)
    assert search is nested[-1]
    pipeline = inside(search)
    assert pipeline is search.best_estimator_
    model = inside(pipeline)
    assert isinstance(model, LogisticRegression)
    assert inside(model) is None


def test_the_innermost_estimator(nested, iris):
    model = nested[-1].best_estimator_[-1]
    assert innermost(nested) is model
    assert innermost(FrozenEstimator(nested)) is model
    assert innermost(model) is model
    assert find_inside(FrozenEstimator(nested), LogisticRegression, "") is model
    assert find_inside(nested, GridSearchCV, "") is nested[-1]
    assert find_inside(nested, Pipeline, "") is nested
    X, y = iris
    scaled = nested[-1].best_estimator_[0].transform(nested[0].transform(X))
    found, expected = margins(FrozenEstimator(nested), X, y), margins(model, scaled, y)
    assert found.tolist() == pytest.approx(expected.tolist())


def test_nothing_is_inside_of_other_objects():
    for thing in (LogisticRegression(), LogisticRegression, None, "passthrough", 3):
        assert inside(thing) is None
        assert innermost(thing) is thing
        assert unfitted_search(thing) == ""


@pytest.mark.parametrize("refit", [True, False])
def test_a_search_without_a_best_estimator(iris, refit):
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2, refit=refit)
    if not refit:
        search.fit(*iris)
    assert inside(search) is None
    assert unfitted_search(search) == " that is not fitted with refit=True"
    for estimator in (search, make_pipeline(StandardScaler(), search)):
        assert innermost(estimator) is search
        message = "^Wanted, but found GridSearchCV that is not fitted with refit=True"
        with pytest.raises(TypeError, match=message):
            find_inside(estimator, LogisticRegression, "Wanted")


def test_a_pipeline_whose_last_step_is_passthrough(iris):
    for last in ("passthrough", None):
        pipeline = Pipeline([("scale", StandardScaler()), ("last", last)]).fit(*iris)
        assert inside(pipeline) == last
        with pytest.raises(TypeError, match="Wanted, but found"):
            find_inside(pipeline, LogisticRegression, "Wanted")
        with pytest.raises(TypeError, match="whose last step is 'passthrough'.*Supported"):
            margins(pipeline, *iris)


def test_another_kind_of_estimator_is_named():
    with pytest.raises(TypeError, match=r"^Wanted, but found LogisticRegression\.$"):
        find_inside(LogisticRegression(), GridSearchCV, "Wanted")


def test_an_object_that_answers_to_every_name_wraps_nothing():
    assert inside(mock.Mock()) is None
    with pytest.raises(TypeError, match="Margins cannot be taken from Mock"):
        margins(mock.Mock(), [[0.0]], [0])
