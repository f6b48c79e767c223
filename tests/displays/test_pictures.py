"""Samples drawn below the curve of SubsetDisplay."""

import copy
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import clone

from margin_sklearn import (
    LabelErrorDetector,
    MarginClassifier,
    MarginSubsetSelector,
    SubsetDisplay,
)

NETWORK = MarginClassifier(
    module__hidden_layer_sizes=(32,), max_epochs=10, lr=0.01, random_state=0, device="cpu"
)


@pytest.fixture(scope="module")
def noisy(digits):
    X, y = digits
    y = y.copy()
    y[:20] = (y[:20] + 1) % 10
    return X, y


@pytest.fixture(scope="module")
def detector(noisy):
    detector = LabelErrorDetector(clone(NETWORK), refit=False, random_state=0).fit(*noisy)
    assert detector.suspects_.sum() > 8
    return detector


@pytest.fixture(scope="module")
def selector(digits):
    return MarginSubsetSelector(
        clone(NETWORK), n_samples_to_select=20, separation=0.9, random_state=0
    ).fit(*digits)


def images(axes):
    return [ax.images[0].get_array() for ax in axes if ax.images]


def scaled(X):
    return (X - X.min()) / (X.max() - X.min())


def test_the_quality_is_sorted_with_its_threshold(detector):
    display = SubsetDisplay.from_estimator(detector)
    np.testing.assert_array_equal(display.line_.get_ydata()[1:], np.sort(detector.quality_))
    assert display.ax_.get_ylabel() == "Quality"
    assert display.kept_ is None
    suspects = np.sort(detector.quality_[detector.suspects_])
    np.testing.assert_array_equal(display.suspected_.get_ydata(), suspects)
    relative = np.log(detector.quality_ / (1 - detector.quality_))
    assert display.cut == pytest.approx(1 / (1 + np.exp(0.5)))
    assert relative[detector.suspects_].max() < -0.5


def test_suspects_are_shown_with_given_and_suggested_label(detector, noisy):
    X, y = noisy
    display = SubsetDisplay.from_estimator(detector, X, image_shape=(8, 8))
    (row,) = display.sample_axes_
    worst = np.argsort(detector.ranking_)[:8]
    drawn = images(row)
    expected = scaled(X[worst]).reshape(-1, 8, 8)
    np.testing.assert_allclose(np.array(drawn), expected)
    for ax, sample in zip(row, worst, strict=True):
        assert ax.get_title() == f"{y[sample]}\n→ {detector.suggested_labels_[sample]}"
    display.figure_.canvas.draw()


def test_kept_and_pruned_samples_are_shown(selector, digits):
    X, y = digits
    display = SubsetDisplay.from_estimator(selector, X.reshape(-1, 8, 8), y)
    kept, pruned = display.sample_axes_
    smallest = selector.sample_indices_[
        np.argsort(selector.margins_[selector.support_], kind="stable")
    ][:8]
    np.testing.assert_allclose(np.array(images(kept)), scaled(X[smallest]).reshape(-1, 8, 8))
    assert kept[0].get_title() == f"{y[smallest[0]]}\n{selector.margins_[smallest[0]]:.2g}"
    left = np.flatnonzero(~selector.support_)
    ends = left[selector.margins_[left].argsort()][[0, -1]]
    titles = [f"{y[row]}\n{selector.margins_[row]:.2g}" for row in ends]
    assert [pruned[0].get_title(), pruned[-1].get_title()] == titles


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [((1, 8, 8), (8, 8)), ((8, 8, 1), (8, 8)), ((3, 8, 8), (8, 8, 3)), ((8, 8, 4), (8, 8, 4))]
    # If channels can be first or last, they are first, as networks take them.
    + [((1, 16, 4), (16, 4)), ((3, 8, 4), (8, 4, 3)), ((4, 8, 3), (8, 3, 4))],
    ids=str,
)
def test_images_of_any_order_of_axes(selector, shape, drawn, rng):
    X = torch.from_numpy(rng.random((600, *shape)))
    display = SubsetDisplay.from_estimator(selector, X)
    assert images(display.sample_axes_[0])[0].shape == drawn


def test_other_samples_are_rows_of_a_table(detector, noisy):
    X, y = noisy
    frame = pd.DataFrame(X, columns=[f"a very long name {k}" for k in range(64)])
    frame.insert(0, "text", "some text that is too long for a cell")
    worst = np.argmin(detector.ranking_)
    for samples in (frame, X, scipy.sparse.csr_array(X)):
        display = SubsetDisplay.from_estimator(detector, samples)
        (table,) = display.sample_axes_[0, 0].tables
        cells = {
            place: cell.get_text().get_text() for place, cell in table.get_celld().items()
        }
        assert [cells[0, 0], cells[0, 1]] == ["given", "suggested"]
        assert cells[1, 0] == str(y[worst])
        assert cells[1, 1] == f"→ {detector.suggested_labels_[worst]}"
        assert all(len(text) <= 14 for text in cells.values())
        assert (len(cells) // 8) - 1 == 8
    assert cells[1, 2] == f"{X[worst, 0]:.4g}"
    assert cells[1, 7] == "59 more"


def test_sparse_samples_are_drawn_as_images(detector, noisy):
    X, _ = noisy
    worst = np.argsort(detector.ranking_)[:8]
    for samples in (scipy.sparse.csr_array(X), scipy.sparse.coo_matrix(X), X.tolist()):
        display = SubsetDisplay.from_estimator(detector, samples, image_shape=(8, 8))
        expected = scaled(X[worst]).reshape(-1, 8, 8)
        np.testing.assert_allclose(np.array(images(display.sample_axes_[0])), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 8), (4, 8, 8)], ids=str)
def test_a_missing_pixel_is_transparent(selector, rng, shape, bad):
    X = rng.random((600, *shape))
    first = np.argsort(selector.margins_)[0]
    assert selector.support_[first]
    X[first, ..., 2, 5] = bad
    display = SubsetDisplay.from_estimator(selector, X)
    hurt, whole = images(display.sample_axes_[0])[:2]
    assert whole.max() > 0.9
    assert np.isfinite(np.ma.filled(whole, np.nan)).all()
    missing = np.ma.getmaskarray(hurt) if len(shape) == 2 else hurt[..., 3] == 0
    assert np.argwhere(missing).tolist()[:1] == [[2, 5]]
    display.figure_.canvas.draw()
    X[:] = np.nan
    SubsetDisplay.from_estimator(selector, X).figure_.canvas.draw()


@pytest.mark.parametrize(
    "shape", ["8x8", 64, (64,), (-1, 8), (8.0, 8.0), (1, 1, 8, 8)], ids=str
)
def test_unusable_image_shapes_are_named(detector, digits, shape):
    match = f"image_shape must be None or a tuple.*got {re.escape(repr(shape))}"
    for X in (None, digits[0]):
        with pytest.raises((ValueError, TypeError), match=match):
            SubsetDisplay.from_estimator(detector, X, image_shape=shape)
    assert not plt.get_fignums()


# --- what is readable ---------------------------------------------------------------


NAMES = np.array(["W" * 30, "handwritten zero", "$two$ of $\\frac", *"3456789"])


def boxes(display):
    """Where the texts are that belong to samples, in pixels."""
    display.figure_.canvas.draw()
    found = []
    for ax in display.sample_axes_.flat:
        found += [ax.title, *ax.texts]
        for table in ax.tables:
            found += [cell.get_text() for cell in table.get_celld().values()]
    return [text.get_window_extent() for text in found if text.get_text()]


@pytest.mark.parametrize("image_shape", [None, (8, 8)], ids=str)
@pytest.mark.parametrize("kind", ["selector", "detector"])
def test_texts_neither_overlap_nor_are_cut(request, digits, kind, image_shape):
    X, y = digits
    fitted = request.getfixturevalue(kind)
    if kind == "detector":
        # A copy with other names of the classes.
        fitted = copy.copy(fitted)
        fitted.report_ = fitted.report_.assign(
            given=NAMES[fitted.report_["given"]], suggested=NAMES[fitted.report_["suggested"]]
        )
    display = SubsetDisplay.from_estimator(fitted, X, NAMES[y], image_shape=image_shape)
    assert display.figure_.bbox.width == 640
    drawn = boxes(display)
    for place, box in enumerate(drawn):
        assert display.figure_.bbox.contains(box.x0, box.y0)
        assert display.figure_.bbox.contains(box.x1, box.y1)
        # Lines of a table may touch.
        assert not any(overlap(box, other) > 1 for other in drawn[:place])


def overlap(one, other):
    """Pixels that two boxes share, in the direction in which they share fewer."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return min(width, height)


def test_rows_have_whole_names_and_pictures_short_ones(selector, digits):
    X, y = digits
    names = np.array([f"class number {k} of ten" for k in range(10)])
    pictures = SubsetDisplay.from_estimator(selector, X, names[y], image_shape=(8, 8))
    title = pictures.sample_axes_[0, 0].get_title().splitlines()[0]
    assert title.startswith("class nu")
    assert title.endswith("…")
    rows = SubsetDisplay.from_estimator(selector, X, names[y])
    cells = rows.sample_axes_[0, 0].tables[0].get_celld()
    assert cells[1, 0].get_text().get_text() in names


def test_dollars_in_columns_are_no_mathematics(selector, digits):
    X = pd.DataFrame(digits[0]).rename(columns={0: "$\\x$", 1: "in $ or $"})
    X["text"] = "$5 to $6"
    display = SubsetDisplay.from_estimator(selector, X[["text", "$\\x$", "in $ or $"]])
    cells = display.sample_axes_[0, 0].tables[0].get_celld()
    assert cells[1, 1].get_text().get_text() == r"\$5 to \$6"
    display.figure_.canvas.draw()


def test_samples_of_other_numbers_of_axes_are_rows(selector):
    for X in (["some text"] * 600, np.zeros((600, 1, 2, 2, 2))):
        display = SubsetDisplay.from_estimator(selector, X)
        assert display.sample_axes_[0, 0].tables
    with pytest.raises((ValueError, TypeError), match="X must be one array"):
        SubsetDisplay.from_estimator(selector, 5)


def test_without_suspects_nothing_is_shown(digits):
    detector = LabelErrorDetector(clone(NETWORK), threshold=-50.0, random_state=0)
    detector.fit(*digits)
    for X in (digits[0], digits[0].reshape(-1, 8, 8)):
        display = SubsetDisplay.from_estimator(detector, X)
        assert display.suspected_ is None
        display.figure_.canvas.draw()


def test_unusable_samples_raise(selector, detector, digits):
    X, y = digits
    with pytest.raises(ValueError, match="X has 599 samples.*fitted on 600"):
        SubsetDisplay.from_estimator(selector, X[1:])
    with pytest.raises(ValueError, match="y has 10 samples.*fitted on 600"):
        SubsetDisplay.from_estimator(selector, X, y[:10])
    with pytest.raises(ValueError, match=r"image_shape=\(8, 9\) has 72 numbers.*has 64"):
        SubsetDisplay.from_estimator(detector, X, image_shape=(8, 9))
    with pytest.raises(ValueError, match="either X or ax"):
        SubsetDisplay.from_estimator(detector, X, ax=plt.figure().subplots())
    with pytest.raises(ValueError, match="have 2 channels"):
        SubsetDisplay.from_estimator(detector, np.zeros((600, 2, 8, 8)))
    assert len(plt.get_fignums()) == 1  # that of the test
    axes = SubsetDisplay.from_estimator(detector).ax_
    with pytest.raises(ValueError, match="show 'Quality'.*'Margin .logits.': pass other axes"):
        SubsetDisplay.from_estimator(selector, ax=axes)
