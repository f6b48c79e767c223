"""Fits that are lost with the machine that should make them."""

from concurrent.futures import CancelledError

import joblib
import numpy as np
import pytest

from margin_sklearn import MarginClassifier, MarginSearchCV
from margin_sklearn.model_selection import fitting

GRID = {"lr": [1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 0.3]}


class Losing:
    """Does a number of calls in a row, then loses the others, as an engine that is cut off."""

    n_done = 1
    rounds: list[int] = []

    def __init__(self, **options):
        pass

    def __call__(self, work):
        calls = list(work)
        self.rounds.append(len(calls))
        for number, (function, args, kwargs) in enumerate(calls):
            if number == self.n_done:
                raise CancelledError
            yield function(*args, **kwargs)


@pytest.fixture
def search():
    network = MarginClassifier(
        module__hidden_layer_sizes=(4,), max_epochs=1, random_state=0, device="cpu"
    )
    return MarginSearchCV(network, GRID, shortlist=None, stack=False)


@pytest.fixture
def losing(monkeypatch):
    monkeypatch.setattr(fitting, "Parallel", Losing)
    monkeypatch.setattr(fitting, "delayed", joblib.delayed)
    monkeypatch.setattr(Losing, "rounds", [])
    return monkeypatch


def test_only_what_was_lost_is_repeated(search, losing, iris):
    search.fit(*iris)
    assert Losing.rounds == [6, 5, 4, 3, 2, 1]
    scores = search.cv_results_["margin_auc"]
    losing.undo()
    np.testing.assert_array_equal(scores, search.fit(*iris).cv_results_["margin_auc"])


def test_an_engine_that_does_nothing_ends_the_search(search, losing, iris):
    losing.setattr(Losing, "n_done", 0)
    with pytest.raises(CancelledError):
        search.fit(*iris)
    assert Losing.rounds == [6, 6, 6, 6]
