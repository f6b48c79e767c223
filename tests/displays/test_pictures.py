"""Samples drawn below the curve of SubsetDisplay."""

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
    [((1, 8, 8), (8, 8)), ((8, 8, 1), (8, 8)), ((3, 8, 8), (8, 8, 3)), ((8, 8, 4), (8, 8, 4))],
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
    axes = SubsetDisplay.from_estimator(detector).ax_
    with pytest.raises(ValueError, match="show quality.*margin: pass other axes"):
        SubsetDisplay.from_estimator(selector, ax=axes)
