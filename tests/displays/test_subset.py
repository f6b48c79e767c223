import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import (
    MarginClassifier,
    MarginCurveDisplay,
    MarginHistoryDisplay,
    MarginSubsetSelector,
    ResubstitutionSplit,
    SubsetDisplay,
    make_margin_auc_scorer,
    margin_curve,
)


def unfitted(**settings):
    network = MarginClassifier(
        module__hidden_layer_sizes=(32,),
        module__dropout=0.0,
        lr=1e-2,
        max_epochs=60,
        random_state=0,
        device="cpu",
    )
    return MarginSubsetSelector(
        network, **{"n_samples_to_select": 30, "continue_epochs": 0, **settings}
    )


@pytest.fixture(scope="module")
def selector(digits):
    """A fitted selector; not to be changed."""
    return unfitted().fit(*digits)


def legend(display):
    """Texts of the legend, less that of the cut."""
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    return [text for text in texts if "largest margin kept" not in text]


# --- the contract -------------------------------------------------------------------


def test_the_constructor_keeps_its_arguments():
    arrays = {"margins": np.arange(3.0), "support": np.array([True, False, False])}
    display = SubsetDisplay(**arrays, name="a")
    assert display.margins is arrays["margins"]
    assert display.support is arrays["support"]
    assert (display.suspects, display.name) == (None, "a")


# --- what is drawn ------------------------------------------------------------------


def test_the_curve_is_that_of_all_samples_and_the_kept_ones_are_marked(selector):
    display = SubsetDisplay.from_estimator(selector)
    np.testing.assert_array_equal(display.line_.get_ydata()[1:], np.sort(selector.margins_))
    fraction, value = margin_curve(selector.margins_)
    shares = display.line_.get_xdata()[1:]
    last = np.searchsorted(display.line_.get_ydata()[1:], value, side="right") - 1
    np.testing.assert_allclose(shares[last], fraction)
    kept = selector.sample_indices_[np.argsort(selector.ranking_[selector.sample_indices_])]
    np.testing.assert_allclose(display.kept_.get_xdata(), selector.ranking_[kept] / 600)
    np.testing.assert_array_equal(display.kept_.get_ydata(), selector.margins_[kept])
    assert display.suspected_ is None
    assert legend(display) == ["30 of 600 kept (5 %)"]
    display.figure_.canvas.draw()


def test_suspects_are_marked_otherwise(digits):
    X, y = digits
    y = y.copy()
    y[:30] = (y[:30] + 1) % 10
    fitted = unfitted(noise_guard=True).fit(X, y)
    assert fitted.suspects_.any()
    display = SubsetDisplay.from_estimator(fitted)
    suspects = np.flatnonzero(fitted.suspects_)
    suspects = suspects[np.argsort(fitted.ranking_[suspects])]
    np.testing.assert_allclose(
        display.suspected_.get_xdata(), fitted.ranking_[suspects] / len(y)
    )
    np.testing.assert_array_equal(display.suspected_.get_ydata(), fitted.margins_[suspects])
    assert display.suspected_.get_marker() != display.kept_.get_marker()
    assert legend(display)[1] == f"{len(suspects)} suspects"


def test_the_cut_is_the_largest_margin_kept(selector):
    display = SubsetDisplay.from_estimator(selector)
    cut = selector.margins_[selector.support_].max()
    assert display.cut == cut
    label = f"largest margin kept: {cut:.3g}"
    (line,) = [line for line in display.ax_.lines if line.get_label() == label]
    assert [*line.get_ydata()] == [cut, cut]
    # A selection that is spread over all margins has none.
    spread = SubsetDisplay.from_predictions(np.arange(9.0), np.arange(9) % 2 == 0)
    assert spread.cut is None


def test_samples_without_a_margin_are_neither_drawn_nor_counted(digits):
    X, y = digits
    weight = np.ones(len(y))
    weight[::3] = 0
    fitted = unfitted().fit(X, y, sample_weight=weight)
    assert np.isnan(fitted.margins_).sum() == 200
    display = SubsetDisplay.from_estimator(fitted)
    assert legend(display) == ["30 of 400 kept (7.5 %)"]
    np.testing.assert_array_equal(
        display.line_.get_ydata()[1:], np.sort(fitted.margins_[weight > 0])
    )
    assert display.line_.get_xdata()[-1] == 1.0


def test_equal_margins_stand_in_the_order_of_the_samples():
    display = SubsetDisplay.from_predictions([2.0, 1.0, 1.0, 1.0], [True, False, True, False])
    np.testing.assert_array_equal(display.kept_.get_xdata(), [0.5, 1.0])
    np.testing.assert_array_equal(display.kept_.get_ydata(), [1.0, 2.0])


@pytest.mark.parametrize(
    ("n_kept", "n", "text"),
    [
        (18, 1797, "18 of 1,797 kept (1 %)"),
        (1797, 1797, "1,797 of 1,797 kept (100 %)"),
        (1, 8, "1 of 8 kept (12 %)"),
        (3, 2000, "3 of 2,000 kept (0.15 %)"),
        (0, 5, "0 of 5 kept (0 %)"),
    ],
)
def test_the_legend_counts(n_kept, n, text):
    display = SubsetDisplay.from_predictions(np.arange(n), np.arange(n) < n_kept)
    assert legend(display) == [text]


def test_selections_are_laid_over_one_another(selector):
    axes = plt.figure().subplots()
    first = SubsetDisplay.from_estimator(selector, ax=axes, name="first")
    suspects = np.arange(600) == 5
    second = SubsetDisplay.from_predictions(
        selector.margins_,
        suspects,
        suspects=suspects,
        ax=axes,
        name="second",
        plot_kwargs={"color": "red"},
    )
    assert first.ax_ is second.ax_ is axes
    assert second.line_.get_color() == second.kept_.get_color() == "red"
    assert legend(second) == [
        "first: 30 of 600 kept (5 %)",
        "second: 1 of 600 kept (0.17 %)",
        "second: 1 suspect",
    ]
    # The line at zero once, not once a selection.
    assert sum([*line.get_ydata()] == [0, 0] for line in axes.lines) == 1
    assert first.plot(name="third").ax_ is not axes
    assert legend(first) == ["third: 30 of 600 kept (5 %)"]


def test_it_goes_with_a_margin_curve(selector, digits):
    curve = MarginCurveDisplay.from_estimator(
        selector, *digits, scorer=make_margin_auc_scorer(None)
    )
    display = SubsetDisplay.from_estimator(
        selector, ax=curve.ax_, plot_kwargs={"lw": 1, "ls": ":"}
    )
    assert len(legend(display)) == 2
    # margins_ are those at separation, in the precision of training.
    np.testing.assert_allclose(display.line_.get_ydata()[1:], curve.value, rtol=1e-4)


def test_axes_of_other_scales_are_refused(selector, digits):
    match = "which cannot be compared with 'Margin .logits.': pass other axes"
    mask = np.arange(600) < 5
    for scale in ("distance", "spectral"):
        curve = MarginCurveDisplay.from_estimator(
            selector, *digits, scorer=make_margin_auc_scorer(scale)
        )
        n_lines = len(curve.ax_.lines)
        with pytest.raises(ValueError, match=match):
            SubsetDisplay.from_estimator(selector, ax=curve.ax_)
        with pytest.raises(ValueError, match=match):
            SubsetDisplay.from_predictions(selector.margins_, mask, ax=curve.ax_)
        assert len(curve.ax_.lines) == n_lines
    history = MarginHistoryDisplay.from_estimator(selector)
    with pytest.raises(ValueError, match="pass other axes"):
        SubsetDisplay.from_estimator(selector, ax=history.ax_)
    # What is no curve of a display is the user's own matter.
    axes = plt.figure().subplots()
    axes.plot([0, 1], [0, 1])
    assert SubsetDisplay.from_estimator(selector, ax=axes).ax_ is axes


def test_dollars_in_the_name_are_no_mathematics():
    for name in ("from $5 to $6", "$\\frac"):
        display = SubsetDisplay.from_predictions([1.0, 2.0], [True, False], name=name)
        display.figure_.canvas.draw()
        assert legend(display) == [f"{name.replace('$', chr(92) + '$')}: 1 of 2 kept (50 %)"]


@pytest.mark.parametrize("style", [{"no_setting": 1}, {"linewidth": "wide"}, 3], ids=str)
def test_failed_calls_leave_no_figure(style, selector, digits):
    for X in (None, digits[0]):
        with pytest.raises((AttributeError, TypeError, ValueError)):
            SubsetDisplay.from_estimator(selector, X, plot_kwargs=style)
        assert not plt.get_fignums()


def test_infinite_margins_can_be_drawn():
    for margins in ([-np.inf, 0.5, np.inf], [np.inf, np.inf, np.inf]):
        display = SubsetDisplay.from_predictions(margins, [True, False, True])
        assert np.isfinite(display.line_.get_ydata()).all()
        assert np.isfinite(display.kept_.get_ydata()).all()
        display.figure_.canvas.draw()


# --- where the selector is ----------------------------------------------------------


def test_the_selector_is_found_in_a_pipeline_and_in_a_search(digits):
    pipeline = make_pipeline(StandardScaler(), unfitted())
    grid = {"marginsubsetselector__n_samples_to_select": [0.1]}
    search = GridSearchCV(pipeline, grid, cv=ResubstitutionSplit()).fit(*digits)
    display = SubsetDisplay.from_estimator(search)
    assert legend(display) == ["60 of 600 kept (10 %)"]
    last = search.best_estimator_[-1]
    np.testing.assert_array_equal(display.support, last.support_)
    np.testing.assert_array_equal(display.margins, last.margins_)
    within = SubsetDisplay.from_estimator(search.best_estimator_)
    np.testing.assert_array_equal(within.support, last.support_)


def test_what_holds_no_fitted_selector_raises(fitted, digits):
    for estimator in (fitted, make_pipeline(StandardScaler(), fitted)):
        with pytest.raises(TypeError, match="found MarginClassifier"):
            SubsetDisplay.from_estimator(estimator)
    search = GridSearchCV(unfitted(), {})
    with pytest.raises(TypeError, match="GridSearchCV that is not fitted with refit=True"):
        SubsetDisplay.from_estimator(search)
    for estimator in (unfitted(), make_pipeline(StandardScaler(), unfitted())):
        with pytest.raises(NotFittedError, match="MarginSubsetSelector"):
            SubsetDisplay.from_estimator(estimator)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("margins", "support", "suspects", "match"),
    [
        (np.zeros((2, 2)), [True, False], None, r"margins must have shape.*\(2, 2\)"),
        ([], np.array([], dtype=bool), None, "no sample"),
        ([np.nan, np.nan], [False, False], None, "no sample"),
        ([1.0, 2.0, 3.0], [True, False], None, r"support.*\(3,\), got \(2,\)"),
        ([1.0, 2.0, 3.0], [0, 2], None, r"support.*booleans.*int.*np\.arange\(3\)"),
        ([1.0, 2.0], [True, False], [True], r"suspects.*\(2,\), got \(1,\)"),
        ([1.0, 2.0], [True, False], [0.0, 1.0], "suspects.*booleans"),
        ([1.0, np.nan], [False, True], None, "support marks sample 1"),
        ([1.0, np.nan], [True, False], [False, True], "suspects marks sample 1"),
    ],
)
def test_unusable_arrays_raise(margins, support, suspects, match):
    with pytest.raises(ValueError, match=match):
        SubsetDisplay.from_predictions(margins, support, suspects=suspects)
    assert not plt.get_fignums()
