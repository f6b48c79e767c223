"""What all displays have in common, after scikit-learn's own tests of its displays."""

import gc
import inspect
import sys
import weakref

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import RocCurveDisplay

from margin_sklearn import (
    LabelErrorDetector,
    MarginClassifier,
    MarginCurveDisplay,
    MarginHistoryDisplay,
    MarginSearchCV,
    MarginSubsetSelector,
    SearchDisplay,
    SubsetDisplay,
)

NETWORK = MarginClassifier(
    module__hidden_layer_sizes=(16,), max_epochs=6, lr=0.02, random_state=0, device="cpu"
)


@pytest.fixture(scope="module")
def made(digits):
    """For each display, a function of ``ax`` and so on that makes one."""
    X, y = digits
    network = clone(NETWORK).fit(X, y)
    selector = MarginSubsetSelector(
        clone(NETWORK),
        n_samples_to_select=20,
        separation=0.8,
        continue_epochs=2,
        random_state=0,
    ).fit(X, y)
    detector = LabelErrorDetector(
        clone(NETWORK).set_params(max_epochs=10), random_state=0, refit=False
    ).fit(X, y)
    search = MarginSearchCV(clone(NETWORK), {"lr": [1e-3, 1e-2, 3e-2]}, shortlist=2, cv=2)
    search.fit(X, y)
    scores = network.decision_function(X)
    return {
        "curve": lambda **given: MarginCurveDisplay.from_estimator(network, X, y, **given),
        "curve of predictions": lambda **given: MarginCurveDisplay.from_predictions(
            y, scores, **given
        ),
        "history": lambda **given: MarginHistoryDisplay.from_estimator(network, **given),
        "history of a selector": lambda **given: MarginHistoryDisplay.from_estimator(
            selector, **given
        ),
        "selection": lambda **given: SubsetDisplay.from_estimator(selector, **given),
        "selection of predictions": lambda **given: SubsetDisplay.from_predictions(
            selector.margins_, selector.support_, **given
        ),
        "suspects": lambda **given: SubsetDisplay.from_estimator(detector, **given),
        "search": lambda **given: SearchDisplay.from_search(search, **given),
        "parameter": lambda **given: SearchDisplay.from_search(search, param="lr", **given),
    }


KINDS = (
    "curve",
    "curve of predictions",
    "history",
    "history of a selector",
    "selection",
    "selection of predictions",
    "suspects",
    "search",
    "parameter",
)
HISTORIES = {"history", "history of a selector"}
MARGINS = {"curve of predictions", "selection", "selection of predictions"}
ALIKE = {kind: kinds for kinds in (HISTORIES, MARGINS) for kind in kinds}
CONSTRUCTORS = [
    (MarginCurveDisplay, "from_estimator"),
    (MarginCurveDisplay, "from_predictions"),
    (MarginHistoryDisplay, "from_estimator"),
    (SubsetDisplay, "from_estimator"),
    (SubsetDisplay, "from_predictions"),
    (SearchDisplay, "from_search"),
]
DISPLAYS = list(dict.fromkeys(display for display, _ in CONSTRUCTORS))


def main_line(display):
    return getattr(display, "line_", None) or display.points_ or display.shortlist_


@pytest.mark.parametrize("display", DISPLAYS)
def test_signatures_are_those_of_scikit_learn(display):
    ours = inspect.signature(display.plot).parameters
    theirs = inspect.signature(RocCurveDisplay.plot).parameters
    assert [*ours][:3] == [*theirs][:3] == ["self", "ax", "name"]
    for name in ("ax", "name"):
        assert ours[name].kind is theirs[name].kind
    assert {"legend", "plot_kwargs"} <= {*ours}
    parameters = inspect.signature(display).parameters.values()
    assert {parameter.kind for parameter in parameters} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(("display", "constructor"), CONSTRUCTORS)
def test_constructors_take_what_plot_takes(display, constructor):
    given = inspect.signature(getattr(display, constructor)).parameters
    for name in inspect.signature(display.plot).parameters:
        if name not in ("self", "kwargs"):
            assert name in given
    assert given["ax"].kind is given["name"].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("kind", KINDS)
def test_a_display_is_drawn_and_drawn_again(made, kind):
    axes = plt.figure().subplots()
    display = made[kind](ax=axes, name="a name")
    assert display.ax_ is axes
    assert display.figure_ is axes.figure
    assert display.name == "a name"
    display.figure_.canvas.draw()
    assert any("a name" in text for text in texts(display))
    assert display.plot(name="another") is display
    assert display.ax_ is not axes
    assert any("another" in text for text in texts(display))
    assert not any("a name" in text for text in texts(display))


def texts(display):
    axes = getattr(display, "axes_", [display.ax_])
    return [text.get_text() for text in axes[-1].get_legend().get_texts()]


@pytest.mark.parametrize("kind", KINDS)
def test_legend_lies_below_the_axes_or_nowhere(made, kind):
    display = made[kind]()
    display.figure_.canvas.draw()
    axes = getattr(display, "axes_", [display.ax_])
    legend = axes[-1].get_legend().get_window_extent()
    assert not any(legend.overlaps(ax.get_window_extent()) for ax in axes)
    # Nor is it cut off.
    assert display.figure_.bbox.contains(legend.x0, legend.y0)
    assert display.figure_.bbox.contains(legend.x1, legend.y1)
    bare = made[kind](legend=False)
    assert not any(ax.get_legend() for ax in getattr(bare, "axes_", [bare.ax_]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_style_of_the_line_is_the_users(made, kind):
    line = main_line(made[kind](plot_kwargs={"c": "red", "ls": ":", "label": "mine"}))
    assert to_rgb(line.get_color()) == to_rgb("red")
    assert line.get_linestyle() == ":"
    with pytest.raises(TypeError, match=r"(?i)alias|both"):
        made[kind](plot_kwargs={"c": "red", "color": "blue"})
    with pytest.raises(TypeError, match="plot_kwargs must be None or a dict"):
        made[kind](plot_kwargs="red")


@pytest.mark.parametrize("kind", ["curve", "curve of predictions", "selection", "suspects"])
def test_settings_of_the_line_as_arguments_are_deprecated(made, kind):
    with pytest.warns(FutureWarning, match=r"plot_kwargs=\{'c': 'red'\}"):
        assert main_line(made[kind](c="red")).get_color() == "red"
    with pytest.raises(ValueError, match="put all of them into plot_kwargs"):
        made[kind](c="red", plot_kwargs={"lw": 1})


@pytest.mark.parametrize("kind", KINDS)
def test_named_constructors_return_the_subclass(made, kind, monkeypatch):
    display = type(made[kind]())

    class Own(display):
        pass

    for name in (
        "MarginCurveDisplay",
        "MarginHistoryDisplay",
        "SubsetDisplay",
        "SearchDisplay",
    ):
        if name == display.__name__:
            monkeypatch.setitem(globals(), name, Own)
    assert type(made[kind]()) is Own


@pytest.mark.parametrize("bad", [{"ax": "axes"}, {"name": 3}, {"legend": "no"}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_unusable_arguments_are_named(made, kind, bad):
    with pytest.raises((TypeError, ValueError), match=f"(?s){next(iter(bad))}.*"):
        made[kind](**bad)


@pytest.mark.parametrize(
    ("display", "constructor", "unfitted", "n_others"),
    [
        (MarginCurveDisplay, "from_estimator", NETWORK, 2),
        (MarginHistoryDisplay, "from_estimator", NETWORK, 0),
        (MarginHistoryDisplay, "from_estimator", MarginSubsetSelector(NETWORK), 0),
        (MarginHistoryDisplay, "from_estimator", LabelErrorDetector(NETWORK), 0),
        (SubsetDisplay, "from_estimator", MarginSubsetSelector(NETWORK), 0),
        (SubsetDisplay, "from_estimator", LabelErrorDetector(NETWORK), 0),
        (SearchDisplay, "from_search", MarginSearchCV(NETWORK, {"lr": [0.1]}), 0),
    ],
)
def test_what_is_not_fitted_raises(digits, display, constructor, unfitted, n_others):
    with pytest.raises(NotFittedError, match=type(unfitted).__name__):
        getattr(display, constructor)(unfitted, *digits[:n_others])
    assert not plt.get_fignums()


@pytest.fixture
def without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize(("display", "constructor"), CONSTRUCTORS)
@pytest.mark.usefixtures("without_matplotlib")
def test_without_matplotlib(display, constructor):
    """Said before anything is computed: of None, that would fail."""
    parameters = inspect.signature(getattr(display, constructor)).parameters.values()
    needed = [one for one in parameters if one.default is one.empty and one.kind < 2]
    with pytest.raises(ImportError, match=r'pip install "margin-sklearn\[plot\]"'):
        getattr(display, constructor)(*[None] * len(needed))


@pytest.mark.usefixtures("without_matplotlib")
def test_plot_without_matplotlib():
    displays = [
        MarginCurveDisplay(fraction=np.ones(1), value=np.ones(1)),
        MarginHistoryDisplay(history=None),
        SubsetDisplay(margins=np.ones(1), support=None),
        SearchDisplay(margin_auc=np.ones(1), score=np.ones(1)),
    ]
    for display in displays:
        with pytest.raises(ImportError, match=r'pip install "margin-sklearn\[plot\]"'):
            display.plot()


@pytest.mark.parametrize("kind", KINDS)
def test_closed_figures_are_freed(made, kind):
    gc.freeze()  # what there is already need not be searched again
    try:
        display = made[kind]()
        display.figure_.canvas.draw()
        figure = weakref.ref(display.figure_)
        plt.close(display.figure_)
        del display
        gc.collect()
        assert figure() is None
    finally:
        gc.unfreeze()


# --- legends and labels on axes of the user -----------------------------------------


def assert_visible(figure):
    """Legends are inside the figure and cover no axes; labels are inside the figure."""
    engine = figure.get_layout_engine()
    figure.canvas.draw()
    assert figure.get_layout_engine() is engine
    for ax in figure.axes:
        legend = ax.get_legend().get_window_extent()
        assert not any(legend.overlaps(one.get_window_extent()) for one in figure.axes)
        for box in (
            legend,
            *(axis.label.get_window_extent() for axis in (ax.xaxis, ax.yaxis)),
        ):
            assert figure.bbox.contains(box.x0, box.y0)
            assert figure.bbox.contains(box.x1, box.y1)
            assert box is legend or not legend.overlaps(box)


@pytest.mark.parametrize("n", [1, 2, 6, 12])
@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
def test_legends_are_visible_on_axes_of_the_user(made, layout, n):
    figure, ax = plt.subplots(layout=layout)
    for k in range(n):
        made["curve of predictions"](ax=ax, name=f"network {k}")
    assert_visible(figure)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)])
@pytest.mark.parametrize("layout", [None, "constrained", "tight", "tight_layout()"])
def test_legends_are_visible_below_each_of_two_panels(made, layout, shape):
    called = layout == "tight_layout()"
    figure, axes = plt.subplots(*shape, layout=None if called else layout)
    if called:
        figure.tight_layout()
    made["history"](ax=axes[0])
    made["curve"](ax=axes[1])
    assert_visible(figure)
    if called:
        figure.tight_layout()
        assert_visible(figure)


def test_room_that_the_user_has_made_is_kept(made):
    figure, ax = plt.subplots()
    figure.subplots_adjust(left=0.2, bottom=0.4, top=0.8)
    place = ax.get_position().bounds
    made["curve"](ax=ax)
    assert ax.get_position().bounds == place
    assert_visible(figure)


def test_without_room_the_legend_is_in_the_axes(made):
    figure = plt.figure()
    ax = figure.add_axes([0, 0, 1, 1])
    made["curve"](ax=ax)
    figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    assert ax.get_window_extent().contains(box.x0, box.y0)
    assert ax.get_window_extent().contains(box.x1, box.y1)


@pytest.mark.parametrize("name", ["_baseline", "a_$", "$a_$", "$100-$200", "$x$"])
@pytest.mark.parametrize("kind", KINDS)
def test_names_are_shown_as_they_are(made, kind, name):
    display = made[kind](name=name)
    display.figure_.canvas.draw()
    axes = getattr(display, "axes_", [display.ax_])
    shown = [text._preprocess_math(text.get_text()) for text in axes[-1].get_legend().texts]
    assert any(text.startswith(name) and not is_math for text, is_math in shown)
    assert display.name == name


# --- looks --------------------------------------------------------------------------


@pytest.mark.parametrize("first", KINDS)
def test_axes_show_one_quantity(made, first):
    alike = ALIKE.get(first, {first})
    for second in ("curve", "history", "selection", "search", "parameter"):
        ax = plt.subplots()[1]
        made[first](ax=ax)
        if second in alike:
            made[second](ax=ax)
        else:
            with pytest.raises(
                ValueError, match="These axes show .*, which cannot be compared"
            ):
                made[second](ax=ax)
        plt.close(ax.figure)


def test_curves_on_the_same_axes_differ_by_colour_and_line_style(made):
    axes = plt.figure().subplots()
    lines = [made["curve"](ax=axes, name=str(k)).line_ for k in range(12)]
    looks = [
        (line.get_color(), str(line._linestyle), line._unscaled_dash_pattern) for line in lines
    ]
    assert len({look[0] for look in looks[:6]}) == 6
    assert len({str(look[1:]) for look in looks[:6]}) == 6
    assert len({str(look) for look in looks}) == 12
    # A curve that was removed gives its look back.
    lines[-1].remove()
    assert made["curve"](ax=axes).line_.get_color() == looks[-1][0]
