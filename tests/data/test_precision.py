"""What reaches a module: exact codes for embeddings, numbers that do not overflow."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from torch import nn

from margin_sklearn import (
    MarginClassifier,
    MarginSubsetSelector,
    margin_auc_score,
    margins,
)

SMALL = {"max_epochs": 4, "random_state": 0, "device": "cpu"}
BIG = 2**24


class Parity(nn.Module):
    """A table looked up at the last bit of an id, given as integers."""

    def __init__(self, codes=True, training_only=False):
        super().__init__()
        self.table = nn.Embedding(2, 2)
        self.codes = codes

    def forward(self, x):
        if self.codes:
            x = x.long()
        return self.table(x.remainder(2))[:, 0]


def ids(kind="int64"):
    X = (BIG + 1 + np.arange(200) * 3)[:, None].astype(kind)
    return X, (BIG + 1 + np.arange(200) * 3) % 2


@pytest.mark.parametrize("codes", [True, False])
@pytest.mark.parametrize("kind", ["int64", "uint32", "float64", "uint64"])
def test_codes_arrive_exactly(kind, codes):
    X, y = ids(kind)
    estimator = MarginClassifier(
        Parity, module__codes=codes, lr=0.5, **{**SMALL, "max_epochs": 20}
    ).fit(X, y)
    assert estimator.score(X, y) == 1.0
    assert estimator.separated_
    assert margins(estimator, X, y, scale=None).min() > 0
    assert estimator.partial_fit(X, y).score(X, y) == 1.0
    with pytest.raises(ValueError, match=r"16777217\.5|1\.67772e\+07"):
        estimator.predict(X.astype(float) + 0.5)


def test_codes_for_an_embedding_need_not_be_large():
    X = np.arange(60)[:, None] % 3
    estimator = MarginClassifier(Parity, module__codes=False, **SMALL)
    assert estimator.fit(X, X[:, 0] % 2).net_.module_.table.num_embeddings == 2
    selector = MarginSubsetSelector(
        estimator.set_params(max_epochs=40, lr=0.5), n_samples_to_select=20, continue_epochs=1
    )
    assert selector.fit(X, X[:, 0] % 2).score(X, X[:, 0] % 2) == 1


def test_between_codes_there_is_nothing_to_score():
    X, y = ids()
    estimator = MarginClassifier(Parity, **SMALL).fit(X, y)
    with pytest.raises(TypeError, match="Parity takes whole numbers"):
        margin_auc_score(estimator, X, y)
    best = MarginClassifier(Parity, **SMALL, restore_best="margin_auc")
    with pytest.raises(TypeError, match="Parity takes whole numbers"):
        best.fit(X, y)


@pytest.mark.parametrize("kind", ["frame", "float frame", "array", "sparse", "images"])
def test_rounded_whole_numbers_are_named(kind):
    X = np.ones((200, 3))
    X[:, 2], y = (values.ravel() for values in ids("float64"))
    name = "2"
    given: object = X.astype(np.int64)
    if kind == "float frame":
        given, name = pd.DataFrame(X, columns=["a", "b", "id"]), "'id'"
    elif kind == "frame":
        given = pd.DataFrame(X, columns=["a", "b", "id"]).astype({"id": "int64"})
        name = "'id'"
    elif kind == "sparse":
        given = scipy.sparse.csr_array(given)
    elif kind == "images":
        given, name = np.reshape(given, (200, 3, 1)), r"\(2, 0\)"
    estimator = MarginClassifier(nn.Flatten, **SMALL)
    estimator.set_params(module=lambda: nn.Sequential(nn.Flatten(), nn.Linear(3, 2)))
    match = f"{name} of X holds the whole number 16777217, which the network gets as 16777216"
    with pytest.warns(UserWarning, match=match):
        estimator.fit(given, y)
    if kind == "array":
        with pytest.warns(UserWarning, match=match):
            estimator.predict(given)


def test_other_large_numbers_say_nothing():
    rng = np.random.default_rng(0)
    X = np.column_stack(
        [
            rng.normal(size=100) * 1e9,  # fractions
            BIG * 2.0 * rng.integers(1, 9, 100),  # exact
            rng.integers(-BIG, BIG, 100),
        ]
    )
    y = np.arange(100) % 2
    for given in (X, X.astype(np.float32), X[:, 1:].astype(np.int64)):
        MarginClassifier(**SMALL).fit(given, y).predict(given)


@pytest.mark.parametrize("kind", ["frame", "sparse", "array"])
def test_a_column_whose_squares_overflow_is_refused(iris, kind):
    X, y = iris
    X = X.copy()
    X[:, 2] *= 1e20
    given, name = X, "2"
    if kind == "frame":
        given, name = pd.DataFrame(X, columns=list("abcd")), "'c'"
    elif kind == "sparse":
        given = scipy.sparse.csr_array(X)
    match = rf"Column {name} of X holds -?\d\.\d+e\+\d+, too large.*StandardScaler"
    with pytest.raises(ValueError, match=match):
        MarginClassifier(**SMALL).fit(given, y)
    partial = MarginClassifier(**SMALL).partial_fit(iris[0], y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="too large"):
        partial.partial_fit(X, y)


def test_below_that_networks_with_batch_norm_learn(iris):
    X, y = iris
    settings = {**SMALL, "max_epochs": 60, "lr": 1e-2, "batch_size": -1}
    plain = MarginClassifier(**settings).fit(X, y).score(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        large = MarginClassifier(**settings).fit(X * 3e15, y).score(X * 3e15, y)
    assert plain > 0.93
    assert large > 0.93


# --- torch's states around a fit -----------------------------------------------------------


def test_a_fit_inside_no_grad_is_a_fit(iris):
    X, y = iris
    settings = {**SMALL, "restore_best": "margin_auc"}
    plain = MarginClassifier(**settings).fit(X, y)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            estimator = MarginClassifier(**settings).fit(X, y).partial_fit(X, y)
            score = margin_auc_score(estimator, X, y)
        again = MarginClassifier(**settings).fit(X, y).partial_fit(X, y)
        np.testing.assert_array_equal(estimator.predict_proba(X), again.predict_proba(X))
        assert score == margin_auc_score(again, X, y)
    assert plain.loss_curve_ == again.loss_curve_[: SMALL["max_epochs"]]


@pytest.fixture
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_double")
def test_a_default_of_double_precision(iris):
    X, y = iris
    settings = {**SMALL, "max_epochs": 30, "lr": 1e-2, "restore_best": "margin_auc"}
    weight = np.where(y == 0, 1.0, 2.0)
    estimator = MarginClassifier(**settings).fit(X, y, sample_weight=weight)
    assert next(estimator.net_.module_.parameters()).dtype == torch.float64
    assert estimator.decision_function(X).dtype == np.float64
    assert estimator.score(X, y) > 0.9
    assert 0 < margin_auc_score(estimator, X, y) < 1
    assert margins(estimator, X, y).min() < margins(estimator, X, y).max()


def test_a_module_of_double_precision_gets_double_precision():
    # Two values that float32 does not tell apart.
    X = np.array([[1.0], [1.0 + 1e-9]] * 20)
    layer = nn.Linear(1, 2, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0], [1e9]]))
        layer.bias.copy_(torch.tensor([0.0, -1e9 - 0.5]))
    estimator = MarginClassifier(layer, lr=1e-12, max_epochs=1, weight_decay=0.0, device="cpu")
    y = np.arange(40) % 2
    assert estimator.fit(X, y).score(X, y) == 1.0


class Half(nn.Module):
    """Logits in half precision, as autocast gives them."""

    def __init__(self, dtype):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.dtype = dtype

    def forward(self, x):
        return self.layer(x).to(self.dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_half_precision(iris, dtype):
    X, y = iris
    estimator = MarginClassifier(
        Half, module__dtype=dtype, lr=0.1, **{**SMALL, "max_epochs": 40}
    )
    estimator.fit(X, y, sample_weight=np.where(y == 1, 2.0, 1.0))
    assert estimator.score(X, y) > 0.9
    assert estimator.decision_function(X).dtype == np.float32
    assert 0 < margin_auc_score(estimator, X, y) < 1
    # So coarse that logits may be equal, which is not right, although it is predicted.
    found, right = margins(estimator, X, y, scale=None), estimator.predict(X) == y
    np.testing.assert_array_equal(right[found != 0], (found > 0)[found != 0])
    assert estimator.separated_ == (found > 0).all()


def test_weights_of_half_precision_are_refused(iris):
    with pytest.raises(ValueError, match=r"weights of torch.bfloat16: keep them in"):
        MarginClassifier(nn.Linear(4, 3, dtype=torch.bfloat16)).fit(*iris)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`")
@pytest.mark.parametrize("nested", [False, True])
def test_torchscript_is_refused(iris, nested):
    script = torch.jit.script(nn.Linear(4, 3))
    module = nn.Sequential(script) if nested else script
    for given in (module, lambda: module):
        with pytest.raises(ValueError, match=r"TorchScript.*given to torch.jit.script"):
            MarginClassifier(given).fit(*iris)


# --- optimizers that cannot be fused ---------------------------------------------------------


class Words(nn.Module):
    """A sum of embeddings with sparse gradients."""

    def __init__(self, sparse=True):
        super().__init__()
        self.table = nn.EmbeddingBag(8, 2, mode="sum", sparse=sparse)

    def forward(self, x):
        return self.table(x)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
@pytest.mark.parametrize("optimizer", ["sgd", torch.optim.Adagrad])
def test_sparse_gradients(optimizer):
    X = np.random.default_rng(0).integers(0, 8, (60, 3))
    y = (X.sum(axis=1) > 10).astype(int)
    a, b = (
        MarginClassifier(
            Words,
            module__sparse=sparse,
            optimizer=optimizer,
            optimizer__foreach=False,
            weight_decay=0,
            lr=0.1,
            **SMALL,
        )
        for sparse in (True, False)
    )
    expected = b.fit(X, y).predict_proba(X)
    np.testing.assert_allclose(a.fit(X, y).predict_proba(X), expected, rtol=1e-4)
    a.set_params(optimizer__foreach=None).fit(X, y)
    np.testing.assert_allclose(a.predict_proba(X), expected, rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("option", ["foreach", "maximize", "fused"])
def test_options_of_optimizers(iris, optimizer, option):
    X, y = iris
    estimator = MarginClassifier(optimizer=optimizer, **SMALL)
    estimator.set_params(**{f"optimizer__{option}": True}).fit(X, y)
    defaults = estimator.net_.optimizer_.defaults
    assert defaults[option] is True
    assert bool(defaults["fused"]) == (option in ("maximize", "fused"))


def test_steps_cannot_be_differentiated(iris):
    with pytest.raises(ValueError, match="optimizer__differentiable=True is for steps"):
        MarginClassifier(optimizer__differentiable=True).fit(*iris)


def test_half_precision_inputs_are_numbers(iris):
    X, y = iris
    X = torch.tensor(X, dtype=torch.bfloat16)
    network = MarginClassifier(max_epochs=3, random_state=0, device="cpu").fit(X, y)
    expected = MarginClassifier(max_epochs=3, random_state=0, device="cpu").fit(X.float(), y)
    np.testing.assert_array_equal(network.predict_proba(X), expected.predict_proba(X.float()))
