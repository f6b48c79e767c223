import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer

from margin_sklearn import (
    MarginCurveDisplay,
    make_margin_auc_scorer,
    margin_auc_score,
    margin_curve,
    margins,
)

AT_SAMPLES = make_margin_auc_scorer()
BAND = make_margin_auc_scorer(floor=-1, ceiling=1)
SCORERS = {
    "default": margin_auc_score,
    "at samples": AT_SAMPLES,
    "logits": make_margin_auc_scorer(None),
    "frobenius in a band": make_margin_auc_scorer("frobenius", floor=-0.1, ceiling=0.3),
    "in neighborhoods without bounds": make_margin_auc_scorer(at="neighborhood"),
    "noise weight": clone(margin_auc_score).set_params(noise_weight=True),
    "some samples": clone(margin_auc_score).set_params(max_samples=100),
    "other samples": clone(margin_auc_score).set_params(max_samples=100, random_state=7),
    "some at samples": make_margin_auc_scorer(
        floor=-0.5, ceiling=0.5, max_samples=100, random_state=3
    ),
}


def test_the_curve_drawn_is_the_margin_curve(fitted, digits):
    display = MarginCurveDisplay.from_estimator(fitted, *digits, scorer=AT_SAMPLES)
    fraction, value = margin_curve(margins(fitted, *digits, scale="distance"))
    np.testing.assert_array_equal(display.line_.get_xdata()[1:], fraction)
    np.testing.assert_array_equal(display.line_.get_ydata()[1:], value)
    assert display.ax_.figure is display.figure_
    assert display.ax_.get_ylabel() == "Distance to the decision boundary"
    # In units of δ, if the scorer's bounds are.
    display = MarginCurveDisplay.from_estimator(fitted, *digits, scorer=BAND)
    np.testing.assert_allclose(display.line_.get_ydata()[1:], value / display.ceiling)
    assert display.ax_.get_ylabel() == "Distance to the decision boundary, in δ"
    label = display.line_.get_label()
    assert label.startswith("MarginClassifier (AUC = ")
    assert label.endswith(f"{100 * (1 - fitted.score(*digits)):.2g} % misclassified)")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS)
def test_the_area_in_the_legend_is_the_score(fitted, digits, scorer, weighted, rng):
    X, y = digits
    weight = rng.random(len(y)) if weighted else None
    display = MarginCurveDisplay.from_estimator(
        fitted, X, y, scorer=scorer, sample_weight=weight
    )
    score = scorer(fitted, X, y, sample_weight=weight)
    assert display.auc == score
    assert f"(AUC = {score:.3g}," in display.line_.get_label()
    values, weights, floor, ceiling = scorer.distribution(fitted, X, y, weight)
    fraction, value = margin_curve(values, weights)
    np.testing.assert_array_equal(display.fraction, fraction)
    np.testing.assert_array_equal(display.value, value)
    assert (display.floor, display.ceiling) == (floor, ceiling)
    of = "samples" if scorer.at == "samples" else "points near samples"
    assert display.ax_.get_xlabel().startswith(f"Share of {of},")


def test_settings_of_the_scorers_above_make_a_difference(fitted, digits):
    scores = [scorer(fitted, *digits) for scorer in SCORERS.values()]
    assert len(set(scores)) == len(scores)


def test_the_default_is_the_curve_of_the_default_score(fitted, digits):
    X, y = digits
    display = MarginCurveDisplay.from_estimator(fitted, X, y)
    assert display.auc == margin_auc_score(fitted, X, y)
    # Drawn in the units of the inputs: multiples of the distance between neighbors.
    floor, ceiling = margin_auc_score.floor, margin_auc_score.ceiling
    assert display.floor < floor < ceiling < display.ceiling


def test_a_network_with_infinite_margins_has_the_area_of_its_score(iris):
    """-inf, with the warning that the score gives, too, and computed once."""
    X, y = iris
    dead = LogisticRegression().fit(X, y)
    dead.coef_[:] = 0
    with pytest.warns(UserWarning, match="no gradient at 150 of 150 points"):
        assert AT_SAMPLES(dead, X, y) == -np.inf
    with pytest.warns(UserWarning, match="no gradient") as record:
        display = MarginCurveDisplay.from_estimator(dead, X, y, scorer=AT_SAMPLES)
    assert len(record) == 1
    assert display.auc == -np.inf
    assert "AUC = -inf" in display.line_.get_label()
    display.figure_.canvas.draw()
    # In a band it is finite.
    display = MarginCurveDisplay.from_estimator(dead, X, y)
    assert display.auc == margin_auc_score(dead, X, y) > 0


def test_margins_are_computed_once(fitted, digits, monkeypatch):
    calls = []
    evaluate = type(AT_SAMPLES).evaluate

    def counted(*args, **kwargs):
        calls.append(1)
        return evaluate(*args, **kwargs)

    monkeypatch.setattr(type(AT_SAMPLES), "evaluate", counted)
    MarginCurveDisplay.from_estimator(fitted, *digits)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "scorer", [None, "accuracy", "margin_auc", len, make_scorer(accuracy_score)], ids=str
)
def test_only_scorers_of_margins_have_a_curve(fitted, digits, scorer):
    with pytest.raises(TypeError, match=r"make_margin_auc_scorer\(...\)"):
        MarginCurveDisplay.from_estimator(fitted, *digits, scorer=scorer)


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": None},
        {"at": "neighborhood"},
        {"floor": -1, "ceiling": 1},
        {"max_samples": 100, "scorer": AT_SAMPLES},
    ],
)
def test_settings_instead_of_a_scorer_say_what_to_pass(fitted, digits, settings):
    name = next(iter(settings))
    match = rf"{name}.*scorer=make_margin_auc_scorer\({name}={settings[name]!r}"
    with pytest.raises(TypeError, match=match):
        MarginCurveDisplay.from_estimator(fitted, *digits, **settings)


def test_floor_ceiling_and_the_misclassified_are_marked():
    values = np.array([-1.0, -0.5, 0.5, 2.0])
    fraction, value = margin_curve(values)
    display = MarginCurveDisplay(
        fraction=fraction, value=value, floor=-0.7, ceiling=1.0, name="a"
    ).plot()
    heights = {tuple(np.unique(line.get_ydata())) for line in display.ax_.lines}
    assert {(-0.7,), (1.0,), (0.0,)} <= heights
    assert {text.get_text() for text in display.ax_.texts} == {"floor", "ceiling"}
    assert display.line_.get_label() == "a (50 % misclassified)"
    (tick,) = [line for line in display.ax_.lines if line.get_marker() == "|"]
    assert (tick.get_xdata(), tick.get_ydata()) == ([0.5], [0.0])
    # One shading, that of the area.
    assert [*display.ax_.collections] == [display.area_]
    assert not display.ax_.patches


def test_networks_are_laid_over_one_another(fitted, digits):
    X, y = digits
    first = MarginCurveDisplay.from_estimator(fitted, X, y, scorer=BAND, name="first")
    second = MarginCurveDisplay.from_estimator(
        fitted, X, y, scorer=BAND, ax=first.ax_, name="second", plot_kwargs={"c": "red"}
    )
    assert second.ax_ is first.ax_
    assert second.line_.get_color() == "red"
    labels = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert [label.split()[0] for label in labels] == ["first", "second"]
    # Floor and ceiling once, not once a network.
    assert len(first.ax_.texts) == 2


@pytest.mark.parametrize(
    ("floor", "ceiling"), [(-0.7, 1.0), (None, None), (None, 1.0), (-0.7, None)]
)
def test_the_shaded_area_is_the_score(floor, ceiling):
    """Of the band's, its share; otherwise that above zero less that below."""
    values = np.array([-2.0, -1.0, -0.5, 0.5, 0.8, 0.8, 3.0])
    display = MarginCurveDisplay.from_predictions(
        ["b"] * len(values) + ["a"], [*values, -1.5], floor=floor, ceiling=ceiling,
        sample_weight=[1] * len(values) + [2],
    )  # fmt: skip
    area = 0.0
    for path in display.area_.get_paths():
        x, y = path.vertices.T
        # The outline goes along the base and back along the curve.
        area += 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))
    if floor is not None and ceiling is not None:
        area /= ceiling - floor
    assert abs(area) == pytest.approx(abs(display.auc))


def test_margins_of_different_scales_are_not_drawn_together(fitted, digits):
    first = MarginCurveDisplay.from_estimator(fitted, *digits)
    n_lines = len(first.ax_.lines)
    for scale in (None, "frobenius"):
        with pytest.raises(ValueError, match=r"These axes show 'Distance.*pass other axes"):
            MarginCurveDisplay.from_estimator(
                fitted, *digits, scorer=make_margin_auc_scorer(scale), ax=first.ax_
            )
    assert len(first.ax_.lines) == n_lines
    # What was on the axes before they were cleared does not count.
    first.ax_.clear()
    MarginCurveDisplay.from_estimator(
        fitted, *digits, scorer=make_margin_auc_scorer(None), ax=first.ax_
    )


def test_two_bands_have_one_pair_of_labels():
    axes = plt.figure().subplots()
    for floor in (-1.0, -0.9):
        MarginCurveDisplay.from_predictions(
            [0, 1, 1], [-2.0, -0.5, 2.0], floor=floor, ceiling=1.0, ax=axes
        )
    assert [text.get_text() for text in axes.texts] == ["floor", "ceiling"]
    axes.figure.canvas.draw()
    floor, ceiling = (text.get_window_extent() for text in axes.texts)
    assert not floor.overlaps(ceiling)
    assert not any(box.overlaps(axes.get_window_extent()) for box in (floor, ceiling))


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
        MarginCurveDisplay.from_predictions([0, 1], [-1.0, 1.0], floor=1, ceiling=0)
    with pytest.raises(ValueError, match="scale"):
        MarginCurveDisplay.from_estimator(
            fitted, *digits, scorer=clone(margin_auc_score).set_params(scale="norm")
        )


def test_infinite_margins_can_be_drawn():
    fraction, value = margin_curve([-np.inf, 0.5, np.inf])
    display = MarginCurveDisplay(fraction=fraction, value=value).plot()
    assert np.isfinite(display.line_.get_ydata()).all()
    plt.gcf().canvas.draw()


def test_a_column_of_scores_is_for_two_classes():
    one, two = (
        MarginCurveDisplay.from_predictions([0, 1, 1], scores)
        for scores in (np.array([-1.0, 0.5, 2.0]), np.array([[-1.0], [0.5], [2.0]]))
    )
    np.testing.assert_array_equal(one.line_.get_ydata(), two.line_.get_ydata())


@pytest.mark.parametrize("setting", ["scale", "at", "noise_weight", "random_state"])
def test_settings_of_scorers_are_refused_with_the_way_out(fitted, digits, setting):
    with pytest.raises(TypeError, match=rf"no {setting}: pass scorer=make_margin_auc_scorer"):
        MarginCurveDisplay.from_estimator(fitted, *digits, **{setting: 0})
