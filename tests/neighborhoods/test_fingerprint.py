import decimal
import functools
import hashlib
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from margin_sklearn.neighborhoods import clear_cache
from margin_sklearn.neighborhoods.cache import PERTURBED_SAMPLES
from margin_sklearn.neighborhoods.fingerprint import (
    LARGEST_KEPT,
    SMALLEST_KEPT,
    UnknownContentError,
    content_digest,
    is_own_function,
)

FRAME = pd.DataFrame(
    {"a": [1.0, 2.0], "b": ["x", "y"], "c": pd.Categorical(["u", "v"]), "d": [1, 2]}
)


class Mine(TransformerMixin, BaseEstimator):
    def transform(self, X):
        return X


def halved(X):
    return X / 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.arange(12.0).reshape(3, 4),
        lambda: np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        lambda: np.arange(24.0).reshape(6, 4)[::2],
        lambda: np.array([["a", "b"], ["c", "dd"]]),
        lambda: np.array([["a", 1], [None, 2.0]], dtype=object),
        lambda: np.array(["2020-01-01"], dtype="datetime64[D]"),
        FRAME.copy,
        lambda: FRAME.set_index(np.array([5, 6])),
        lambda: scipy.sparse.csr_matrix(np.eye(3)),
        lambda: scipy.sparse.csc_array(np.eye(3)),
        lambda: torch.arange(6.0).reshape(2, 3),
        lambda: torch.arange(6.0, dtype=torch.bfloat16, requires_grad=True),
        lambda: StandardScaler().fit(np.arange(12.0).reshape(3, 4)),
        lambda: make_pipeline(StandardScaler(), FunctionTransformer(np.log1p)),
        lambda: make_column_transformer(
            (OneHotEncoder(), make_column_selector(dtype_exclude="number")),
            (StandardScaler(), ["a", "d"]),
        ).fit(FRAME),
        lambda: TfidfVectorizer().fit(["one text", "another text"]),
    ],
)
def test_equal_contents_have_equal_hashes(make):
    assert content_digest(make()) == content_digest(make())


def test_clones_fitted_on_the_same_samples_have_equal_hashes(rng):
    X = rng.normal(size=(20, 3))
    one, two = (clone(StandardScaler()).fit(X) for _ in range(2))
    assert content_digest((one,)) == content_digest((two,))
    assert content_digest((one,)) != content_digest((clone(one).fit(X + 1),))
    assert content_digest((one,)) != content_digest((StandardScaler(with_mean=False).fit(X),))


def test_other_contents_have_other_hashes():
    X = np.arange(12.0).reshape(3, 4)
    changed = X.copy()
    changed[2, 3] += 1e-9
    others = [
        X,
        changed,
        X.T.copy(),
        X.reshape(4, 3),
        X.ravel(),
        X.astype(np.float32),
        X.astype(">f8"),
        X.astype(object),
        X.astype(str),
        X[:2],
        pd.DataFrame(X),
        pd.DataFrame(X, columns=list("abcd")),
        pd.DataFrame(X, columns=list("abdc")),
        pd.DataFrame(X.astype(np.float32), columns=list("abcd")),
        scipy.sparse.csr_matrix(X),
        scipy.sparse.csc_matrix(X),
        scipy.sparse.csr_array(X),
        torch.from_numpy(X),
        torch.from_numpy(X).float(),
        np.array([["1", 1]], dtype=object),
        np.array([[1, 1]], dtype=object),
        np.array([["1", "1"]], dtype=object),
    ]
    assert len({content_digest(other) for other in others}) == len(others)


def test_arrays_changed_in_place_are_noticed():
    X = np.zeros((100, 3))
    before = content_digest(X)
    X[7, 1] = 1
    assert content_digest(X) != before


def test_an_array_in_steps_is_hashed_by_its_values(rng):
    X = rng.normal(size=(5000, 6))
    assert content_digest(X[::2, 1:5]) == content_digest(X[::2, 1:5].copy())


@pytest.mark.parametrize(
    "made",
    [
        Mine(),
        make_pipeline(StandardScaler(), Mine()),
        FunctionTransformer(halved),
        FunctionTransformer(lambda X: X),
        FunctionTransformer(functools.partial(np.multiply, halved)),
        FunctionTransformer(functools.partial(halved)),
        make_column_transformer((StandardScaler(), lambda frame: ["a"])),
        TfidfVectorizer(tokenizer=str.split, preprocessor=halved),
        StandardScaler,
        np.array([Mine()], dtype=object),
        np.array([decimal.Decimal(1)], dtype=object),
        torch.eye(2).to_sparse(),
        (number for number in range(3)),
        Mine,
    ],
    ids=lambda part: re.sub(r" at 0x\w+", "", repr(part)),
)
def test_what_may_do_anything_has_none(made):
    if made is StandardScaler:
        assert content_digest(made)
        return
    with pytest.raises(UnknownContentError):
        content_digest(made)


def test_an_object_of_a_library_with_a_function_of_the_user_has_none():
    scaler = StandardScaler().fit(np.eye(2))
    content_digest(scaler)
    scaler.transform = halved
    with pytest.raises(UnknownContentError, match="halved"):
        content_digest(scaler)


def test_what_fails_to_be_pickled_has_none():
    class Broken(StandardScaler):
        pass

    Broken.__module__ = "sklearn.preprocessing"
    with pytest.raises(UnknownContentError):
        content_digest(Broken())


def test_own_functions_are_those_of_the_package():
    assert is_own_function(content_digest)
    assert not is_own_function(halved)
    assert not is_own_function(np.asarray)
    assert not is_own_function(functools.partial(content_digest))
    assert not is_own_function(Mine().transform)


# More than enough for a copy to be kept.
N_KEPT = SMALLEST_KEPT // 8 * 2


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("where", [0, 1001, N_KEPT // 2, -1])
def test_an_array_that_was_hashed_before_and_changed_has_another_hash(dtype, where):
    values = np.zeros(8 * N_KEPT + 3, dtype=dtype)
    clear_cache()
    before = content_digest(values)
    assert content_digest(values) == before
    values[where] = 1
    changed = content_digest(values)
    assert changed != before
    clear_cache()
    assert content_digest(values) == changed
    values[where] = 0
    assert content_digest(values) == before


def test_a_known_array_is_compared_and_not_hashed(monkeypatch):
    values = np.random.default_rng(0).standard_normal(N_KEPT)
    clear_cache()
    first = content_digest(values)
    hashed = []
    sha256 = hashlib.sha256

    def noted(data=b""):
        hashed.append(len(data))
        return sha256(data)

    monkeypatch.setattr(hashlib, "sha256", noted)
    assert content_digest(values.copy()) == first
    assert max(hashed) == 0
    values[3] = -values[3]
    assert content_digest(values) != first
    assert max(hashed) == values.nbytes


def test_zeros_of_another_sign_and_nans_of_other_bits_count():
    zeros = np.zeros(N_KEPT)
    nans = np.full(N_KEPT, np.nan)
    others = nans.copy()
    others.view(np.uint64)[7] ^= np.uint64(1)
    clear_cache()
    assert content_digest(zeros) == content_digest(zeros.copy())
    assert content_digest(zeros) != content_digest(-zeros)
    assert content_digest(nans) == content_digest(nans.copy())
    assert content_digest(nans) != content_digest(others)


def test_no_copy_is_kept_of_a_large_array():
    clear_cache()
    content_digest(np.zeros(LARGEST_KEPT + 1, dtype=np.uint8))
    assert PERTURBED_SAMPLES.nbytes == 0
