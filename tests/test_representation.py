"""Estimators as text and as HTML: names of classes, links to the documentation."""

import re
from pathlib import Path

import pytest
import sklearn
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from margin_sklearn import (
    MLP,
    ConvNet,
    LabelErrorDetector,
    MarginClassifier,
    MarginSearchCV,
    MarginSubsetSampler,
    MarginSubsetSelector,
)
from margin_sklearn.representation import DOCUMENTATION

API = Path(__file__).parents[1] / "docs" / "api.rst"


class Own(torch.nn.Module):
    pass


def make_own(n_classes):
    return Own()


ESTIMATORS = [
    MarginClassifier(),
    MarginSearchCV(MarginClassifier(), {"lr": [0.1]}),
    MarginSubsetSelector(),
    MarginSubsetSampler(),
    LabelErrorDetector(),
]


def page(html):
    """The address behind the "?" of the outermost estimator in its HTML."""
    (link, *_) = re.findall(r'class="sk-estimator-doc-link[^>]*href="([^"#]+)"', html)
    return link


def values(html):
    return re.findall(r'<td class="value">(.*?)</td>', html)


# --- the link to the documentation ------------------------------------------------------


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda found: type(found).__name__)
def test_html_has_a_link_to_the_page_of_the_class(estimator):
    name = type(estimator).__name__
    expected = f"{DOCUMENTATION}/api/generated/margin_sklearn.{name}.html"
    assert page(estimator_html_repr(estimator)) == expected
    assert f"\n   {name}\n" in API.read_text("utf-8")


def test_within_a_pipeline_each_step_has_a_link_to_its_own_documentation():
    html = estimator_html_repr(make_pipeline(StandardScaler(), MarginClassifier()))
    assert "scikit-learn.org" in page(html)
    assert "margin_sklearn.MarginClassifier.html" in html


def test_a_users_subclass_has_no_link():
    class Special(MarginClassifier):
        pass

    assert DOCUMENTATION not in estimator_html_repr(Special())


def test_fitted_estimators_have_html(iris):
    X, y = iris
    network = MarginClassifier(max_epochs=1, random_state=0).fit(X, y)
    assert page(estimator_html_repr(network)).endswith("margin_sklearn.MarginClassifier.html")


# --- names of classes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({}, ""),
        ({"module": MLP}, ""),
        ({"module": ConvNet}, "module=ConvNet"),
        ({"module": Own}, "module=Own"),
        ({"module": make_own}, "module=make_own"),
        ({"module__activation": torch.nn.ReLU}, "module__activation=ReLU"),
        ({"optimizer": torch.optim.SGD, "lr": 0.1}, "lr=0.1, optimizer=SGD"),
    ],
)
def test_text_has_the_names_of_classes_and_functions(parameters, text):
    assert repr(MarginClassifier(**parameters)) == f"MarginClassifier({text})"


def test_text_with_all_parameters_has_the_name_of_the_default_module():
    with sklearn.config_context(print_changed_only=False):
        assert "module=MLP," in repr(MarginClassifier())


def test_html_has_the_names_of_classes_and_functions():
    assert "MLP" in values(estimator_html_repr(MarginClassifier()))
    assert "Own" in values(estimator_html_repr(MarginClassifier(Own)))
    search = MarginSearchCV(make_pipeline(MarginClassifier(Own)), {"a": [MLP, Own]})
    shown = values(estimator_html_repr(search))
    assert {"Own", "{&#x27;a&#x27;: [MLP, Own]}"} <= set(shown)
    assert not any("class" in value for value in shown)


def test_text_of_estimators_around_it_has_the_names_too():
    network = MarginClassifier(Own)
    assert repr(LabelErrorDetector(network)) == (
        "LabelErrorDetector(estimator=MarginClassifier(module=Own))"
    )
    pipeline = make_pipeline(StandardScaler(), network)
    text = repr(MarginSubsetSelector(pipeline, strategy=sorted, min_per_class=2))
    assert "MarginClassifier(module=Own)" in text
    assert "strategy=sorted" in text
    assert "[MLP, Own]" in repr(MarginSearchCV(pipeline, {"a": [MLP, Own]}))


def test_other_parameters_and_line_breaks_are_as_in_scikit_learn():
    estimator = MarginClassifier(
        lr=0.01, weight_decay=0.1, random_state=0, verbose=1, batch_size=64, max_epochs=100
    )
    assert repr(estimator) == BaseEstimator.__repr__(estimator)
    assert "\n" in repr(estimator)
    pipeline = make_pipeline(StandardScaler(), estimator)
    assert repr(pipeline).count("\n") > 2


def test_parameters_are_what_was_passed():
    grid = {"module": [Own]}
    search = MarginSearchCV(MarginClassifier(Own, module__activation=make_own), grid)
    repr(search)
    estimator_html_repr(search)
    assert search.param_grid is grid
    assert grid["module"][0] is Own
    parameters = clone(search).estimator.get_params()
    assert parameters["module"] is Own
    assert parameters["module__activation"] is make_own
