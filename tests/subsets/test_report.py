"""The report by class, against numbers worked out by hand."""

import numpy as np
import pytest

from margin_sklearn.subsets import class_report


@pytest.fixture
def report():
    return class_report(
        np.array([1.0, 3.0, -2.0, np.nan, 4.0, 0.0]),
        support=np.array([True, False, True, False, True, False]),
        suspects=np.array([False, False, False, False, False, True]),
        index=np.array([0, 0, 1, 1, 1, 2]),
        labels=np.array(["cat", "dog", "eel"]),
    )


def test_counts_are_of_all_samples(report):
    assert report["n_samples"].tolist() == [2, 3, 1]
    assert report["n_selected"].tolist() == [1, 2, 0]
    assert report["n_suspects"].tolist() == [0, 0, 1]
    assert report.index.tolist() == ["cat", "dog", "eel"]


def test_samples_without_a_margin_count_neither_as_correct_nor_as_wrong(report):
    # A margin of 0 is a tie: not correctly classified.
    assert report["accuracy"].tolist() == [1.0, 0.5, 0.0]


def test_medians_are_of_the_margins_and_of_those_selected(report):
    assert report["median_margin"].tolist() == [2.0, 1.0, 0.0]
    selected = report["median_selected_margin"]
    assert selected.tolist()[:2] == [1.0, 1.0]
    assert np.isnan(selected["eel"])
