"""Scores that are computed together are those of each network."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier, make_margin_auc_scorer, margin_auc_score
from margin_sklearn.scoring import together
from margin_sklearn.scoring.together import scores_together


@pytest.fixture(scope="module")
def networks(iris):
    return [
        MarginClassifier(
            module__hidden_layer_sizes=(8,), max_epochs=3, random_state=seed, device="cpu"
        ).fit(*iris)
        for seed in range(3)
    ]


SCORERS = {
    "default": margin_auc_score,
    "at the samples": make_margin_auc_scorer(floor=-0.5, ceiling=0.5),
    "mean distance": make_margin_auc_scorer(),
    "noise weight": make_margin_auc_scorer(
        at="neighborhood", floor=-0.1, ceiling=0.1, noise_weight=True
    ),
    "few samples": make_margin_auc_scorer(max_samples=20, floor=-1, ceiling=1),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", list(SCORERS))
def test_scores_are_those_of_each(iris, networks, name, weighted, monkeypatch):
    X, y = iris
    weight = np.random.default_rng(0).integers(0, 3, 150) if weighted else None
    weighting = {"sample_weight": weight} if weighted else {}
    expected = [SCORERS[name](network, X, y, **weighting) for network in networks]
    # It must not fall back to them.
    monkeypatch.setattr(together, "as_network", lambda each: each_network[id(each)])
    each_network = {id(each): together_network(each) for each in networks}
    found = scores_together(SCORERS[name], networks, X, y, weight)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def together_network(estimator):
    from margin_sklearn.adapters import as_network

    return as_network(estimator)


def test_networks_are_computed_as_one(iris, networks, monkeypatch):
    def refused(*_):
        raise AssertionError("scored alone")

    monkeypatch.setattr(type(margin_auc_score), "__call__", refused)
    assert all(
        isinstance(s, float) for s in scores_together(margin_auc_score, networks, *iris)
    )


def test_pipelines_are_scored_behind_their_transformers(iris):
    X, y = iris
    pipelines = [
        make_pipeline(
            StandardScaler(),
            MarginClassifier(max_epochs=2, random_state=seed, device="cpu"),
        ).fit(X, y)
        for seed in range(2)
    ]
    expected = [margin_auc_score(pipeline, X, y) for pipeline in pipelines]
    found = scores_together(margin_auc_score, pipelines, X, y)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def other_architectures(iris):
    return [
        MarginClassifier(
            module__hidden_layer_sizes=(width,), max_epochs=1, random_state=0, device="cpu"
        ).fit(*iris)
        for width in (4, 5)
    ]


def linear(iris):
    return [LogisticRegression(C=C, max_iter=500).fit(*iris) for C in (1, 2)]


@pytest.mark.parametrize("make", [other_architectures, linear])
def test_others_are_scored_one_by_one(iris, make):
    assert scores_together(margin_auc_score, make(iris), *iris) is None


def test_any_scorer_and_scale(iris, networks):
    for scorer in (
        make_margin_auc_scorer(scale="frobenius"),
        lambda estimator, X, y: estimator.score(X, y),
    ):
        assert scores_together(scorer, networks, *iris) is None


def test_errors_are_those_of_each(iris, networks):
    X, y = iris
    import copy

    broken = copy.deepcopy(networks[1])
    next(broken.net_.module_.parameters()).data.fill_(np.nan)
    # They are found again one by one.
    assert scores_together(margin_auc_score, [networks[0], broken, networks[2]], X, y) is None
    assert scores_together(margin_auc_score, [MarginClassifier()] * 2, X, y) is None
