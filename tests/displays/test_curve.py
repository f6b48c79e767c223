import inspect
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics import RocCurveDisplay

from margin_sklearn import (
    MarginCurveDisplay,
    SubsetDisplay,
    make_margin_auc_scorer,
    margin_auc_score,
    margin_curve,
    margins,
)
from margin_sklearn.scoring.evaluation import DEFAULT


@pytest.mark.parametrize("display", [MarginCurveDisplay])
def test_displays_keep_scikit_learns_contract(display):
    parameters = inspect.signature(display.plot).parameters
    assert list(parameters)[:3] == ["self", "ax", "name"]
    assert parameters["name"].kind is parameters["name"].KEYWORD_ONLY
    for name in ("from_estimator", "from_predictions"):
        ours = list(inspect.signature(getattr(display, name)).parameters)
        theirs = list(inspect.signature(getattr(RocCurveDisplay, name)).parameters)
        assert ours[:2] == theirs[:2]
        assert {"ax", "name", "sample_weight"} <= set(ours)


def test_the_curve_drawn_is_the_margin_curve(fitted, digits):
    display = MarginCurveDisplay.from_estimator(fitted, *digits)
    fraction, value = margin_curve(margins(fitted, *digits, scale="distance"))
    np.testing.assert_array_equal(display.line_.get_xdata()[1:], fraction)
    np.testing.assert_array_equal(display.line_.get_ydata()[1:], value)
    assert display.ax_.figure is display.figure_
    assert "distance" in display.ax_.get_ylabel()
    label = display.line_.get_label()
    assert label.startswith("MarginClassifier (AUC = ")
    assert label.endswith(f"{100 * (1 - fitted.score(*digits)):.2g} % wrong)")


@pytest.mark.parametrize("at", ["samples", "neighborhood"])
@pytest.mark.parametrize("scale", [None, "distance", "frobenius"])
def test_the_area_in_the_legend_is_the_score(fitted, digits, scale, at):
    bounds = {"at": at, "floor": -0.1, "ceiling": 0.3, "max_samples": 500}
    display = MarginCurveDisplay.from_estimator(fitted, *digits, scale=scale, **bounds)
    assert display.auc == make_margin_auc_scorer(scale, **bounds)(fitted, *digits)


def test_the_curve_in_neighborhoods_is_that_of_the_default_score(fitted, digits, rng):
    X, y = digits
    display = MarginCurveDisplay.from_estimator(fitted, X, y, **DEFAULT)
    assert display.auc == margin_auc_score(fitted, X, y)
    assert f"AUC = {display.auc:.3g}" in display.line_.get_label()
    values, _, floor, ceiling = margin_auc_score.distribution(fitted, X, y)
    fraction, value = margin_curve(values)
    np.testing.assert_array_equal(display.fraction, fraction)
    np.testing.assert_array_equal(display.value, value)
    # Drawn in the units of the inputs: multiples of the distance between neighbors.
    assert (display.floor, display.ceiling) == (floor, ceiling)
    assert floor < DEFAULT["floor"] < DEFAULT["ceiling"] < ceiling
    assert display.ax_.get_xlabel().startswith("Share of points near samples")
    weight = rng.random(len(y))
    weighted = MarginCurveDisplay.from_estimator(fitted, X, y, sample_weight=weight, **DEFAULT)
    assert weighted.auc == margin_auc_score(fitted, X, y, sample_weight=weight)
    assert weighted.auc != display.auc
    at_samples = MarginCurveDisplay.from_estimator(fitted, X, y)
    assert at_samples.ax_.get_xlabel().startswith("Share of samples")


def test_floor_ceiling_and_the_misclassified_are_marked():
    values = np.array([-1.0, -0.5, 0.5, 2.0])
    fraction, value = margin_curve(values)
    display = MarginCurveDisplay(
        fraction=fraction, value=value, floor=-0.7, ceiling=1.0, name="a"
    ).plot()
    heights = {tuple(np.unique(line.get_ydata())) for line in display.ax_.lines}
    assert {(-0.7,), (1.0,), (0.0,)} <= heights
    assert {text.get_text() for text in display.ax_.texts} == {"floor", "ceiling"}
    assert display.line_.get_label() == "a (50 % wrong)"
    spans = [patch for patch in display.ax_.patches if patch.get_width() == 0.5]
    assert len(spans) == 1


def test_networks_are_laid_over_one_another(fitted, digits):
    X, y = digits
    first = MarginCurveDisplay.from_estimator(fitted, X, y, floor=-1, ceiling=1, name="first")
    second = MarginCurveDisplay.from_estimator(
        fitted, X, y, floor=-1, ceiling=1, ax=first.ax_, name="second", color="red"
    )
    assert second.ax_ is first.ax_
    assert second.line_.get_color() == "red"
    labels = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert [label.split()[0] for label in labels] == ["first", "second"]
    # Floor and ceiling once, not once a network.
    assert len(first.ax_.texts) == 2


def test_predictions_of_two_classes_and_of_many(fitted, digits, binary):
    X, y = digits
    display = MarginCurveDisplay.from_predictions(y, fitted.decision_function(X), name="x")
    np.testing.assert_array_equal(display.value, np.unique(margins(fitted, X, y)))
    score = np.array([0.5, -2.0, 1.0])
    display = MarginCurveDisplay.from_predictions(["b", "b", "a"], score)
    np.testing.assert_array_equal(display.value, [-2.0, -1.0, 0.5])
    weighted = MarginCurveDisplay.from_predictions(
        ["b", "b", "a"], score, sample_weight=[1, 0, 1], fill=False
    )
    np.testing.assert_array_equal(weighted.value, [-1.0, 0.5])


def test_unusable_input_raises(fitted, digits):
    with pytest.raises(ValueError, match="2 different labels.*3 classes"):
        MarginCurveDisplay.from_predictions([0, 1], np.zeros((2, 3)))
    with pytest.raises(ValueError, match="floor"):
        MarginCurveDisplay.from_estimator(fitted, *digits, floor=1, ceiling=0)
    with pytest.raises(ValueError, match="scale"):
        MarginCurveDisplay.from_estimator(fitted, *digits, scale="norm")
    with pytest.raises(ValueError, match="'pixels'"):
        MarginCurveDisplay.from_estimator(fitted, *digits, at="pixels")


def test_infinite_margins_can_be_drawn():
    fraction, value = margin_curve([-np.inf, 0.5, np.inf])
    display = MarginCurveDisplay(fraction=fraction, value=value).plot()
    assert np.isfinite(display.line_.get_ydata()).all()
    plt.gcf().canvas.draw()


@pytest.fixture
def without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize(
    ("display", "name", "n_given"),
    [
        (MarginCurveDisplay, "from_estimator", 3),
        (MarginCurveDisplay, "from_predictions", 2),
        (SubsetDisplay, "from_estimator", 1),
        (SubsetDisplay, "from_predictions", 2),
    ],
)
@pytest.mark.usefixtures("without_matplotlib")
def test_without_matplotlib(display, name, n_given):
    """Said before anything is computed: of None, that would fail."""
    with pytest.raises(ImportError, match=r'pip install "margin-sklearn\[plot\]"'):
        getattr(display, name)(*[None] * n_given)


@pytest.mark.usefixtures("without_matplotlib")
def test_plot_without_matplotlib():
    display = MarginCurveDisplay(fraction=np.ones(1), value=np.ones(1))
    with pytest.raises(ImportError, match=r'pip install "margin-sklearn\[plot\]"'):
        display.plot()


def test_a_column_of_scores_is_for_two_classes():
    one, two = (
        MarginCurveDisplay.from_predictions([0, 1, 1], scores)
        for scores in (np.array([-1.0, 0.5, 2.0]), np.array([[-1.0], [0.5], [2.0]]))
    )
    np.testing.assert_array_equal(one.line_.get_ydata(), two.line_.get_ydata())
