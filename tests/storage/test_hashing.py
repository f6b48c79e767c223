"""Hashes of contents are equal in every process."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from margin_sklearn import MarginClassifier
from margin_sklearn.storage.hashing import Unhashable, content_hash

HASH = """content_hash(
    MarginClassifier(lr=0.1, criterion=torch.nn.CrossEntropyLoss), StandardScaler(),
    {"b": np.arange(3), "a": ["x", "y"]}, torch.arange(3.0), (1, None),
    set(map(str, range(20))),
)"""
CODE = f"""
import numpy as np, torch
from sklearn.preprocessing import StandardScaler
from margin_sklearn import MarginClassifier
from margin_sklearn.storage.hashing import content_hash
print({HASH})
"""


def test_the_same_in_every_process():
    found = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    ).stdout.strip()
    assert found == eval(HASH)
    assert len(found) == 32


def frozen(scale):
    """A clone of it stays fitted."""
    return FrozenEstimator(make_pipeline(StandardScaler()).fit([[0.0], [scale]]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (MarginClassifier(lr=0.1), MarginClassifier(lr=0.2)),
        (MarginClassifier(), MarginClassifier(torch.nn.Linear)),
        (MarginClassifier(random_state=0), MarginClassifier(random_state=None)),
        (StandardScaler(), StandardScaler(with_mean=False)),
        (np.arange(3), np.arange(3.0)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16)),
        (torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)),
        ([1, 2], (1, 2)),
        (frozen(1.0), frozen(2.0)),
        (StandardScaler(), StandardScaler().set_output(transform="pandas")),
    ],
)
def test_other_contents_have_other_hashes(one, other):
    assert content_hash(one) == content_hash(one)
    assert content_hash(one) != content_hash(other)


def test_what_a_clone_loses_does_not_count():
    fitted = StandardScaler().fit([[0.0], [1.0]])
    assert content_hash(fitted) == content_hash(StandardScaler())
    assert content_hash(frozen(1.0)) == content_hash(frozen(1.0))


def test_parameters_that_change_nothing_do_not_count():
    one = MarginClassifier(checkpoint="a", checkpoint_every=2)
    assert content_hash(one) == content_hash(MarginClassifier())


def test_shared_parts_hash_as_equal_ones():
    """joblib's hash of a whole says which of its parts are the same object."""
    shared = slice(1, 2)
    assert content_hash([shared, shared]) == content_hash([shared, slice(1, 2)])
    pair = (0.9, 0.99)
    assert content_hash([pair, pair]) == content_hash([pair, (0.9, *pair[1:])])
    day = np.datetime64("2020-01-01")
    assert content_hash([day, day]) == content_hash([day, np.datetime64("2020-01-01")])


def test_a_memory_map_hashes_as_its_array(tmp_path):
    array = np.arange(6.0).reshape(3, 2)
    mapped = np.memmap(tmp_path / "x", dtype=float, mode="w+", shape=(3, 2))
    mapped[:] = array
    assert content_hash(mapped) == content_hash(array)


def test_the_order_in_which_parameters_were_set_does_not_count():
    one = MarginClassifier(module__dropout=0.1, module__hidden_layer_sizes=(3,))
    other = MarginClassifier(module__hidden_layer_sizes=(3,), module__dropout=0.1)
    assert content_hash(one) == content_hash(other)


def test_what_cannot_be_pickled_is_told():
    with pytest.raises(Unhashable, match="cannot be pickled"):
        content_hash(lambda: None)
