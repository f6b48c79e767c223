import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import (
    LabelErrorDetector,
    MarginClassifier,
    MarginHistoryDisplay,
    MarginSubsetSelector,
    ResubstitutionSplit,
)

NETWORK = MarginClassifier(
    module__hidden_layer_sizes=(32,), max_epochs=8, lr=0.01, random_state=0, device="cpu"
)


@pytest.fixture(scope="module")
def selector(digits):
    selector = MarginSubsetSelector(
        clone(NETWORK).set_params(max_epochs=60),
        n_samples_to_select=20,
        continue_lr=1.0,
        random_state=0,
    ).fit(*digits)
    assert selector.history_["rolled_back"].any()
    return selector


def labels(display):
    return [text.get_text() for text in display.axes_[-1].get_legend().get_texts()]


def test_what_is_drawn_is_the_history(digits):
    model = clone(NETWORK).set_params(restore_best="margin_auc", max_epochs=12).fit(*digits)
    display = MarginHistoryDisplay.from_estimator(model)
    rows, epochs = model.history_, np.arange(1, 13)
    quantiles = np.array([row["train_margin_quantiles"] for row in rows])
    np.testing.assert_array_equal(display.line_.get_xdata(), epochs)
    np.testing.assert_array_equal(display.line_.get_ydata(), quantiles[:, 2])
    margins, accuracy, loss = display.axes_
    wide, narrow = (band.get_paths()[0].vertices for band in margins.collections)
    for band, (low, high) in ((wide, (0, 4)), (narrow, (1, 3))):
        assert band[:, 1].min() == pytest.approx(quantiles[:, low].min())
        assert band[:, 1].max() == pytest.approx(quantiles[:, high].max())
    drawn, dots = accuracy.lines[:2]
    np.testing.assert_array_equal(drawn.get_ydata(), rows[:, "train_accuracy"])
    np.testing.assert_array_equal(dots.get_ydata(), rows[:, "margin_auc"])
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), rows[:, "train_loss"])
    # The epochs of separation and of the best weights, on each of the axes.
    assert model.separation_epoch_ is not None
    for ax in display.axes_:
        marked = {line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 2}
        assert {model.separation_epoch_, model.best_epoch_} <= marked
    assert labels(display)[1:3] == [
        f"separated after epoch {model.separation_epoch_}",
        f"weights kept after epoch {model.best_epoch_}",
    ]


def test_the_selectors_epochs_follow_with_those_undone(selector):
    display = MarginHistoryDisplay.from_estimator(selector, name="pruned")
    history = selector.history_
    assert len(display.history) == len(history)
    np.testing.assert_allclose(display.history["loss"], history["loss"])
    np.testing.assert_array_equal(display.history["accuracy"], history["accuracy"])
    assert display.separation_epoch == selector.separation_epoch_
    (undone,) = [line for line in display.axes_[1].lines if line.get_marker() == "x"]
    np.testing.assert_array_equal(undone.get_xdata(), history.index[history["rolled_back"]])
    assert "pruned: undone" in labels(display)


def test_estimators_around_the_network_are_opened(digits, selector):
    X, y = digits
    pipeline = make_pipeline(StandardScaler(), clone(NETWORK)).fit(X, y)
    expected = MarginHistoryDisplay.from_estimator(pipeline[-1]).history
    for estimator in (
        pipeline,
        GridSearchCV(
            make_pipeline(StandardScaler(), clone(NETWORK)),
            {"marginclassifier__lr": [0.01]},
            cv=ResubstitutionSplit(),
        ).fit(X, y),
    ):
        found = MarginHistoryDisplay.from_estimator(estimator).history
        assert found.equals(expected)
    detector = LabelErrorDetector(clone(NETWORK).set_params(max_epochs=10), refit=False)
    found = MarginHistoryDisplay.from_estimator(detector.fit(X, y)).history
    assert len(found) == 10
    # A selector of a fitted network has no history of its own.
    prefit = MarginSubsetSelector(
        pipeline[-1], prefit=True, n_samples_to_select=20, separation=0.9
    )
    found = MarginHistoryDisplay.from_estimator(prefit.fit(pipeline[0].transform(X), y))
    assert found.history.equals(expected)


def test_two_histories_and_the_margins_alone(digits, selector):
    first = MarginHistoryDisplay.from_estimator(selector, name="first")
    model = clone(NETWORK).fit(*digits)
    second = MarginHistoryDisplay.from_estimator(model, name="second", ax=first.axes_)
    assert second.axes_ == first.axes_
    assert first.line_.get_color() != second.line_.get_color()
    assert [label for label in labels(second) if label in ("first", "second")] == [
        "first",
        "second",
    ]
    axes = plt.figure().subplots()
    alone = MarginHistoryDisplay.from_estimator(model, ax=axes)
    assert alone.axes_ == [axes]
    assert axes.get_xlabel() == "Epoch"
    with pytest.raises(ValueError, match="ax must be None, matplotlib Axes or a sequence of"):
        alone.plot(first.axes_[:2])
    with pytest.raises(ValueError, match="a sequence of three"):
        alone.plot([*first.axes_[:2], None])


def test_histories_that_cannot_be_drawn_raise(digits):
    with pytest.raises(TypeError, match="found LogisticRegression"):
        MarginHistoryDisplay.from_estimator(LogisticRegression().fit(*digits))
    model = clone(NETWORK).set_params(max_epochs=2).fit(*digits)
    del model.history_[1]["train_margin_quantiles"]
    with pytest.raises(ValueError, match=r"no quantiles.*earlier version.*Fit it again"):
        MarginHistoryDisplay.from_estimator(model)


@pytest.mark.parametrize("n_epochs", [1, 2])
def test_few_epochs_are_visible(digits, n_epochs):
    model = clone(NETWORK)
    for _ in range(n_epochs):
        model.partial_fit(*digits, classes=range(10))
    display = MarginHistoryDisplay.from_estimator(model)
    assert len(display.history) == n_epochs
    for panel in display.axes_:
        assert panel.lines[0].get_marker() == "o"
        # Whole epochs.
        low, high = panel.get_xlim()
        inside = [tick for tick in panel.get_xticks() if low <= tick <= high]
        assert inside == [*range(1, n_epochs + 1)]
    for band in display.ax_.collections:
        assert np.ptp(band.get_paths()[0].vertices, axis=0).min() > 0


def visible_numbers(axis):
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1.get_text()
        for tick in axis.get_major_ticks()
        if tick.label1.get_visible() and low <= tick.get_loc() <= high
    ]


def test_axes_of_others_keep_their_numbers(digits):
    """Only the panels of a new figure share the numbers of the epochs."""
    model = clone(NETWORK).fit(*digits)
    display = MarginHistoryDisplay.from_estimator(model)
    display.figure_.canvas.draw()
    assert [bool(visible_numbers(panel.xaxis)) for panel in display.axes_] == [
        False,
        False,
        True,
    ]
    for shape in ((1, 2), (2, 1)):
        figure, axes = plt.subplots(*shape)
        for ax in axes:
            MarginHistoryDisplay.from_estimator(model, ax=ax)
        figure.canvas.draw()
        for ax in axes:
            assert visible_numbers(ax.xaxis)
            assert visible_numbers(ax.yaxis)
            assert ax.get_xlabel() == "Epoch"
    for shape, labels in (((1, 3), ["Epoch"] * 3), ((3, 1), ["", "", "Epoch"])):
        _, axes = plt.subplots(*shape)
        MarginHistoryDisplay.from_estimator(model, ax=axes)
        assert [ax.get_xlabel() for ax in axes] == labels
