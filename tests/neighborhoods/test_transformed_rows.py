"""Samples whose perturbed samples are known are not transformed again, and nothing else."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from margin_sklearn import (
    MarginClassifier,
    make_margin_auc_scorer,
    margin_auc_score,
)
from margin_sklearn.adapters.network import Network
from margin_sklearn.adapters.registry import as_network
from margin_sklearn.neighborhoods.cache import PERTURBED_SAMPLES
from margin_sklearn.neighborhoods.perturbed import perturbed_samples
from margin_sklearn.neighborhoods.transformed_rows import TransformedRows
from margin_sklearn.scoring.distribution import margin_distribution

NAMES = ["a", "b", "c", "d"]


@pytest.fixture(autouse=True)
def _empty_cache():
    PERTURBED_SAMPLES.clear()


@pytest.fixture
def transformed(monkeypatch):
    """Numbers of rows that StandardScaler transformed, so far."""
    sizes = []
    transform = StandardScaler.transform

    def counted(self, X, copy=None):
        sizes.append(len(X) if isinstance(X, list) else X.shape[0])
        return transform(self, X, copy)

    monkeypatch.setattr(StandardScaler, "transform", counted)
    return sizes


@pytest.fixture
def prepared(monkeypatch):
    """Numbers of rows that networks prepared, so far."""
    sizes = []
    inputs = Network.inputs

    def counted(self, rows):
        sizes.append(rows.shape[0])
        return inputs(self, rows)

    monkeypatch.setattr(Network, "inputs", counted)
    return sizes


at_samples = make_margin_auc_scorer()


def scaled(C=1.0, *more):
    return make_pipeline(StandardScaler(), *more, LogisticRegression(C=C, max_iter=1000))


def fresh(score, *args):
    """The score where nothing is known."""
    PERTURBED_SAMPLES.clear()
    return score(*args)


# --- what is saved ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        np.asarray,
        np.asfortranarray,
        lambda X: X.astype(np.float32),
        lambda X: pd.DataFrame(X, columns=NAMES),
        lambda X: X.tolist(),
    ],
    ids=["array", "by columns", "float32", "frame", "list"],
)
def test_a_second_candidate_transforms_one_row(form, iris, transformed, prepared):
    X, y = form(iris[0]), iris[1]
    one, two = (scaled(C).fit(X, y) for C in (0.1, 10.0))
    transformed.clear()
    margin_auc_score(one, X, y)
    assert max(transformed) == len(y)
    transformed.clear()
    prepared.clear()
    found = margin_auc_score(two, X, y)
    assert transformed == [1]
    assert sum(prepared) == 0
    assert found == fresh(margin_auc_score, two, X, y)
    assert found != margin_auc_score(one, X, y)


def test_sparse_samples(digits, transformed):
    X, y = scipy.sparse.csr_matrix(digits[0] * (digits[0] > 0)), digits[1]
    models = [
        make_pipeline(
            StandardScaler(with_mean=False), LogisticRegression(C=C, max_iter=30, tol=0.1)
        ).fit(X, y)
        for C in (0.1, 1.0)
    ]
    scores = [margin_auc_score(model, X, y) for model in models]
    transformed.clear()
    assert [margin_auc_score(model, X, y) for model in models] == scores
    assert set(transformed) == {1}
    assert scores[1] == fresh(margin_auc_score, models[1], X, y)


def test_a_scale_that_needs_samples_transforms_them(iris, transformed):
    X, y = iris
    score = make_margin_auc_scorer("total_variation", at="neighborhood", floor=-1, ceiling=1)
    model = scaled().fit(X, y)
    first = score(model, X, y)
    transformed.clear()
    assert score(model, X, y) == first
    assert max(transformed) == len(y)


def test_networks_of_each_kind_are_scored_the_same_in_any_order(iris):
    """Those that keep the dtype, and those that are given float64."""
    for X in (iris[0], iris[0].astype(np.float32)):
        y = iris[1]
        models = [
            scaled().fit(X, y),
            make_pipeline(
                StandardScaler(), MarginClassifier(max_epochs=2, random_state=0, device="cpu")
            ).fit(X, y),
        ]
        alone = [fresh(margin_auc_score, model, X, y) for model in models]
        for order in ((0, 1), (1, 0)):
            PERTURBED_SAMPLES.clear()
            for number in (*order, *order):
                assert margin_auc_score(models[number], X, y) == alone[number]


# --- what is noticed ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda X, y: (2 * X, y),
        lambda X, y: (X[::-1], y[::-1]),
        lambda X, y: (X[:, [1, 0, 2, 3]], y),
        lambda X, y: (X, (y + 1) % 3),
        lambda X, y: (X.astype(np.float32), y),
    ],
    ids=["values", "order", "columns", "labels", "dtype"],
)
def test_other_samples_are_other_points(change, iris):
    X, y = iris
    model = scaled().fit(X, y)
    margin_auc_score(model, X, y)
    X, y = change(X, y)
    found = margin_auc_score(model, X, y)
    assert found == fresh(margin_auc_score, model, X, y)


def test_other_transformers_are_other_points(iris):
    X, y = iris
    models = [
        scaled().fit(X, y),
        scaled(1.0, PCA(2)).fit(X, y),
        scaled(1.0, PCA(2, whiten=True)).fit(X, y),
        scaled().fit(X[:100], y[:100] * 2),
        make_pipeline(LogisticRegression()).fit(X, y),
    ]
    models[3] = models[3].set_params(logisticregression=models[0][-1])
    for model in models:
        margin_auc_score(model, X, y)
    for model in models:
        assert margin_auc_score(model, X, y) == fresh(margin_auc_score, model, X, y)


def test_a_value_changed_in_place_is_noticed(iris):
    X, y = iris[0].copy(), iris[1]
    model = scaled().fit(X, y)
    margin_auc_score(model, X, y)
    X[7, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        margin_auc_score(model, X, y)


def test_columns_that_the_second_candidate_was_not_fitted_on_raise(iris):
    X, y = iris
    frame = pd.DataFrame(X, columns=NAMES)
    margin_auc_score(scaled().fit(frame, y), frame, y)
    renamed = scaled().fit(frame.rename(columns={"a": "z"}), y)
    with pytest.raises(ValueError, match="feature names"):
        margin_auc_score(renamed, frame, y)
    # Transformers that are the same before a network that is not.
    narrow = scaled().fit(X[:, :3], y)
    mixed = scaled().fit(X, y)
    margin_auc_score(mixed, X, y)
    mixed = mixed.set_params(logisticregression=narrow[-1])
    with pytest.raises(ValueError, match="4 features"):
        margin_auc_score(mixed, X, y)


def test_labels_that_the_second_candidate_does_not_know_raise(iris):
    X, y = iris
    known = scaled().fit(X, y)
    margin_auc_score(known, X, y)
    two = clone(known).fit(X[y < 2], y[y < 2])
    unknown = clone(known).set_params(standardscaler=known[0], logisticregression=two[-1])
    with pytest.raises(ValueError, match="label 2"):
        margin_auc_score(unknown, X, y)
    # Where labels are positions of outputs, by the network.
    network = replace(as_network(unknown), encode=np.asarray)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"label 2.*2 outputs"):
            margin_distribution(network, X, y)
        PERTURBED_SAMPLES.clear()


def test_warnings_of_transformers_are_given_each_time(iris):
    X, y = iris
    model = scaled().fit(pd.DataFrame(X, columns=NAMES), y)
    for _ in range(2):
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            margin_auc_score(model, X, y)
        told = [w for w in record if "StandardScaler was fitted" in str(w.message)]
        assert told


# --- what is not trusted ------------------------------------------------------------------


def notebook_cell(text):
    """A function as a notebook defines it: in the module of the last cell, by its name."""
    namespace = {"__name__": "__main__"}
    exec(text, namespace)
    return namespace["change"]


def test_a_function_that_was_redefined_is_not_taken_for_the_one_before(iris):
    X, y = iris
    network = LogisticRegression(max_iter=1000).fit(X, y)
    scores = []
    for text in ("def change(X): return X", "def change(X): return X ** 3"):
        model = make_pipeline(FunctionTransformer(notebook_cell(text)), network)
        model[0].fit(X)
        found = margin_auc_score(model, X, y)
        scores.append(found)
        assert found == fresh(margin_auc_score, model, X, y)
    assert scores[0] != scores[1]


class Remembers(TransformerMixin, BaseEstimator):
    """Cannot be pickled, and refuses to transform one row."""

    def fit(self, X, y=None):
        self.function_ = lambda X: X - X.mean(axis=0)
        return self

    def transform(self, X):
        if len(X) < 2:
            raise ValueError("too few rows")
        return self.function_(X)


def test_transformers_that_cannot_be_pickled_or_do_one_row_work(iris, transformed):
    X, y = iris
    model = make_pipeline(StandardScaler(), Remembers(), LogisticRegression()).fit(X, y)
    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    expected = margin_auc_score(plain, X, y)
    transformed.clear()
    for _ in range(2):
        assert margin_auc_score(model, X, y) == pytest.approx(expected, abs=1e-3)
    assert transformed.count(len(y)) == 2


def test_a_transformer_of_a_library_that_cannot_do_one_row_works(
    iris, monkeypatch, transformed
):
    X, y = iris
    model = scaled().fit(X, y)
    counted = StandardScaler.transform

    def several(self, X, copy=None):
        if len(X) < 2:
            raise ValueError("too few rows")
        return counted(self, X, copy)

    expected = margin_auc_score(model, X, y)
    monkeypatch.setattr(StandardScaler, "transform", several)
    transformed.clear()
    # Known by its content, but the one row that would show it cannot be transformed.
    for _ in range(2):
        assert margin_auc_score(model, X, y) == expected
    assert transformed.count(len(y)) == 2


def test_networks_with_a_preparation_of_the_user_are_prepared_each_time(iris):
    X, y = iris
    network = as_network(LogisticRegression().fit(X, y))
    sizes = []

    distances = []
    for factor in (1.0, 3.0):

        def prepare(rows, factor=factor):
            sizes.append(len(rows))
            return factor * np.asarray(rows)

        samples = TransformedRows(replace(network, prepare=prepare), X)
        assert samples.digest() is None
        distances.append(perturbed_samples(samples, y, 2000).neighborhood.distance)
        assert max(sizes) == len(y)
        sizes.clear()
    assert distances[1] == pytest.approx(3 * distances[0])


@pytest.mark.parametrize("kind", [StandardScaler, RobustScaler, MinMaxScaler])
def test_transformers_that_work_in_place_get_rows_of_their_own(iris, kind):
    """Scores of equal samples are equal, however often they are scored."""
    X, y = iris
    model = make_pipeline(kind(copy=False), LogisticRegression()).fit(X.copy(), y)
    expected = fresh(margin_auc_score, model, X.copy(), y)
    for _ in range(3):
        given = X.copy()
        assert margin_auc_score(model, given, y) == expected
        # As the transformer leaves them, once, or as they were.
        once = model[0].transform(X.copy())
        assert np.array_equal(given, X) or np.array_equal(given, once)


def test_vectorizers_that_read_files_are_not_taken_for_known(tmp_path):
    words = [["red", "green", "blue", "grey"][i % 4] for i in range(40)]
    names, y = [], np.arange(40) % 2
    for i, word in enumerate(words):
        names.append(str(tmp_path / f"{i}.txt"))
        (tmp_path / f"{i}.txt").write_text(f"{word} {'x' * (i + 2)} {word} w{i}")
    model = make_pipeline(TfidfVectorizer(input="filename"), LogisticRegression())
    model.fit(names, y)
    before = at_samples(model, names, y)
    samples = TransformedRows(as_network(model), np.array(names))
    assert samples.digest() is None
    for i in range(1, 40):
        (tmp_path / f"{i}.txt").write_text("green")
    assert at_samples(model, names, y) != before
