"""Which labels are suspect by their areas, when that is doubtful, and how they are listed."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from margin_sklearn.subsets.label_noise import (
    THRESHOLD,
    confusions,
    find_suspects,
    label_report,
    quality,
    relative_areas,
)

LABELS = np.array(["a", "b", "c"])
CLASSES = np.repeat([0, 1, 2], 10)
AREAS = arrays(float, st.integers(2, 30), elements=st.floats(-1e6, 1e6, width=32))


@given(AREAS, st.floats(1e-3, 1e3))
def test_relative_areas_do_not_depend_on_the_scale(areas, factor):
    if not (areas > 0).any():
        with pytest.raises(ValueError, match="no sample to its label in the first epochs"):
            relative_areas(areas)
        return
    relative, scaled = relative_areas(areas), relative_areas(factor * areas)
    np.testing.assert_allclose(scaled, relative, rtol=1e-6, atol=1e-9)
    trust = quality(relative)
    assert ((trust >= 0) & (trust <= 1)).all()
    assert (np.diff(trust[np.argsort(relative)]) >= 0).all()


def suspects(relative, *, epochs=10, class_index=CLASSES, labels=LABELS, threshold=THRESHOLD):
    """Mask of the suspects, and the warnings."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = find_suspects(relative, epochs, class_index, labels, threshold)
    assert all(warning.filename == __file__ for warning in told)
    return found, [str(warning.message) for warning in told]


def of(**wrong):
    """Relative areas: the first so many samples of each class are -1, the others 1."""
    relative = np.ones(30)
    for label, n in wrong.items():
        start = 10 * "abc".index(label)
        relative[start : start + n] = -1
    return relative


def test_few_suspects_are_no_reason_to_warn():
    relative = of(a=3, b=5)
    found, told = suspects(relative)
    np.testing.assert_array_equal(found, relative < THRESHOLD)
    assert not told


@pytest.mark.parametrize(("epochs", "named"), [(1, "1 epoch only"), (4, "4 epochs only")])
def test_few_epochs(epochs, named):
    found, (message,) = suspects(of(a=1), epochs=epochs)
    assert found.sum() == 1
    assert named in message
    assert "stop_at_separation=False" in message
    assert not suspects(of(a=1), epochs=5)[1]


def test_small_classes_are_not_judged():
    class_index = np.r_[CLASSES[:-7], np.zeros(7, dtype=int)]
    relative = -np.ones(30)
    relative[:20] = 1
    found, told = suspects(relative, class_index=class_index)
    assert "classes ['c'] are not judged: they have fewer than 5 samples" in told[0]
    assert found.tolist() == [False] * 23 + [True] * 7


def test_a_class_never_loses_all_samples_nor_most_in_silence():
    found, (message,) = suspects(of(a=10))
    assert not found.any()
    assert message == (
        "All labels of the classes ['a'] seemed wrong, so none of them is called suspect: the "
        "network did not learn them."
    )
    found, (message,) = suspects(of(a=9, c=1))
    assert found.sum() == 10
    assert "Most labels of the classes ['a'] are suspect: either the network" in message


def test_many_suspects_are_the_fault_of_the_network():
    found, (message,) = suspects(of(a=5, b=5, c=6))  # one message, not one of c as well
    assert found.sum() == 16
    assert "53% of the labels are suspect" in message
    assert "only 47% of the samples" in message
    # Few are clearly negative, but few are positive either.
    relative = np.where(np.arange(30) % 2, -0.1, 1.0)
    relative[0] = -0.1
    found, (message,) = suspects(relative)
    assert not found.any()
    assert "only 47% of the samples" in message


def test_a_threshold_too_high_is_not_the_fault_of_the_network():
    relative = of(a=1)
    found, told = suspects(relative, threshold=3)
    assert not found.any()  # all classes would be lost
    assert len(told) == 2
    assert "100% of the labels are suspect: threshold=3 is too high" in told[0]
    assert "All labels of the classes ['a', 'b', 'c'] seemed wrong" in told[1]
    assert "threshold=3 is too high" in told[1]
    assert not any("learn the" in message for message in told)
    # One class, or most of one.
    for n, start in ((10, "All"), (7, "Most")):
        relative = of(a=1)
        relative[10 : 10 + n] = 0.2
        found, (message,) = suspects(relative, threshold=0.5)
        assert found.sum() == (1 if n == 10 else 8)
        assert message.startswith(f"{start} labels of the classes ['b']")
        assert "threshold=0.5 is too high" in message
    # A class that the network has not learned is, whatever the threshold.
    _, told = suspects(of(a=10), threshold=0.5)
    assert [message.rpartition(": ")[2] for message in told] == [
        "the network did not learn them."
    ]


@given(
    arrays(float, 30, elements=st.floats(-3, 3)),
    arrays(int, 30, elements=st.integers(0, 2)),
    st.floats(-3, 4),
)
def test_no_list_of_half_the_data_and_no_lost_class_in_silence(relative, classes, threshold):
    labels, classes = np.unique(classes, return_inverse=True)
    found, told = suspects(relative, class_index=classes, labels=labels, threshold=threshold)
    assert not (found & (relative >= threshold)).any()
    share = np.bincount(classes, weights=found) / np.bincount(classes)
    assert (share < 1).all()
    if (share > 0.5).any() or found.mean() > 0.4:
        assert told
    if threshold <= 0:
        assert not any("too high" in message for message in told)


# --- the list -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [
        pd.MultiIndex.from_product([["x", "y"], [1, 2]], names=["site", "visit"]),
        pd.MultiIndex.from_product([["x", "y"], [1, 2]]),
        pd.DatetimeIndex(
            ["2024-01-01", "2024-01-05", "2024-02-01", "2024-02-02"], tz="UTC", name="day"
        ),
        pd.CategoricalIndex(["p", "q", "p", "q"], name="group"),
        pd.Index([3.5, 1.5, 1.5, 0.0]),
    ],
    ids=["levels", "levels without names", "times", "categories", "floats"],
)
def test_the_report_has_the_index_of_the_data(index):
    rows, values = np.array([2, 0]), np.arange(4)
    report = label_report(rows, index, values, values, values / 4, values / 4)
    expected = index[[2, 0]]
    if index.nlevels == 1 and index.name is None:
        expected = expected.rename("index")
    pd.testing.assert_index_equal(report.index, expected)
    assert report["given"].tolist() == [2, 0]


def test_the_report_of_an_array_has_row_indices():
    rows, values = np.array([2, 0]), np.arange(4)
    report = label_report(rows, None, values, values, values / 4, values / 4)
    assert report.index.tolist() == [2, 0]
    assert report.index.name == "index"


@pytest.mark.parametrize("dtype", ["M8[D]", "M8[ns]", "m8[h]", "i1", "f8", bool])
def test_pairs_of_labels_of_any_dtype(dtype):
    zero, one = np.array([0, 1]).astype(dtype)
    given_labels = np.array([zero, zero, one, one, one])
    suggested = np.array([one, zero, zero, zero, one])
    pairs = confusions(given_labels, suggested, given_labels != suggested)
    assert pairs["n_suspects"].tolist() == [2, 1]
    assert pairs["share"].tolist() == [2 / 3, 1 / 2]
    assert (pairs["given"].to_numpy() == np.array([one, zero])).all()
    assert (pairs["suggested"].to_numpy() == np.array([zero, one])).all()
    none = confusions(given_labels, suggested, np.zeros(5, dtype=bool))
    assert none.shape == (0, 4)
    assert none.columns.tolist() == pairs.columns.tolist()
