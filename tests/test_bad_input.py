"""What cannot be used is refused before any work, with a message that says what was wrong.

Tables: every input has the type of its exception and a word (a regular expression) that the
message must contain. To add one, add a line to the table of its object. Inputs of data
(``BAD_X``, ``BAD_Y``, ``BAD_WEIGHT``) are given to every object that takes such, but for those
that a case names after its word: they may take it.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import LRScheduler
from torch import nn

from margin_sklearn import (
    MLP,
    ConvNet,
    MarginClassifier,
    MarginCurveDisplay,
    MarginSearchCV,
    MarginSubsetSampler,
    MarginSubsetSelector,
    ResubstitutionSplit,
    SubsetDisplay,
    make_margin_auc_scorer,
    margin_auc,
    margin_auc_score,
    margin_curve,
    margins,
    subset_overlap,
)
from margin_sklearn.nn.losses import ExponentialLoss, LogisticLoss
from margin_sklearn.subsets import selector as subset_module

# Two classes, apart from one another; nothing changes them.
X = np.random.default_rng(0).normal(size=(12, 3))
y = np.arange(12) % 2
X[:, 0] += 6 * y
SMALL = {
    "module__hidden_layer_sizes": (4,),
    "max_epochs": 1,
    "device": "cpu",
    "random_state": 0,
}
V, T = ValueError, TypeError
EITHER = (V, T)


class Case(NamedTuple):
    id: str
    given: Any
    error: type[Exception] | tuple[type[Exception], ...]
    word: str
    but: tuple[str, ...] = ()


def each(table):
    return [pytest.param(case, id=case.id) for case in table]


def for_each(calls, table):
    """Every case with every call, but for those that the case leaves out."""
    return [
        pytest.param(call, case, id=f"{name}-{case.id}")
        for case in table
        for name, call in calls.items()
        if name not in case.but
    ]


def check_refused(call, case):
    with pytest.raises(case.error, match=case.word) as caught:
        call()
    assert type(caught.value) not in (KeyError, AttributeError, IndexError)


def network(**settings):
    return MarginClassifier(**{**SMALL, **settings})


@functools.cache
def fitted():
    """A fitted network, not to be changed."""
    return network().fit(X, y)


@functools.cache
def linear():
    return LogisticRegression().fit(X, y)


@functools.cache
def kept():
    """A fitted selector, not to be changed."""
    selector = MarginSubsetSelector(linear(), n_samples_to_select=4, prefit=True)
    return selector.fit(X, y)


def selector(**settings):
    return MarginSubsetSelector(
        **{"estimator": network(), "n_samples_to_select": 4, "separation": 0.1, **settings}
    )


def sampler(**settings):
    return MarginSubsetSampler(
        **{"estimator": network(), "n_samples_to_select": 4, "separation": 0.1, **settings}
    )


def search(**settings):
    return MarginSearchCV(
        **{
            "estimator": network(),
            "param_grid": {"lr": [1e-3, 1e-2]},
            "margin_scoring": make_margin_auc_scorer(scale=None),
            "shortlist": None,
            **settings,
        }
    )


# --- data: X ----------------------------------------------------------------------------

TRAIN = {
    "fit": lambda X, y: network().fit(X, y),
    "partial_fit": lambda X, y: network().partial_fit(X, y, classes=[0, 1]),
    "MarginSubsetSelector": lambda X, y: selector().fit(X, y),
    "MarginSubsetSampler": lambda X, y: sampler().fit_resample(X, y),
    "MarginSearchCV": lambda X, y: search().fit(X, y),
}
PREDICT = {
    "predict": lambda X, y: fitted().predict(X),
    "predict_proba": lambda X, y: fitted().predict_proba(X),
    "decision_function": lambda X, y: fitted().decision_function(X),
}
OF_LINEAR = {
    "prefit": lambda X, y: selector(estimator=linear(), prefit=True).fit(X, y),
    "margins(linear)": lambda X, y: margins(linear(), X, y),
    "margin_auc_score(linear)": lambda X, y: margin_auc_score(linear(), X, y),
}
SCORE = {
    "margins": lambda X, y: margins(fitted(), X, y),
    "margin_auc_score": lambda X, y: margin_auc_score(fitted(), X, y),
    "scorer": lambda X, y: make_margin_auc_scorer()(fitted(), X, y),
    "MarginCurveDisplay": lambda X, y: MarginCurveDisplay.from_estimator(fitted(), X, y),
}
TAKE_X = TRAIN | PREDICT | SCORE | OF_LINEAR


def one_cell(value, dtype=object):
    table = X.astype(dtype)
    table[3, 1] = value
    return table


def frame(**columns):
    return pd.DataFrame(X, columns=["p", "q", "r"]).assign(**columns)


DAY = np.datetime64("2020-01-01")
# What LogisticRegression takes, margins of it take as well.
LINEAR = tuple(OF_LINEAR)
NEEDS_2D = "2D|[Rr]eshape|features|dimension"

BAD_X = [
    Case("1-D", X[:, 0], V, NEEDS_2D),
    Case("0-D", np.array(3.0), EITHER, "2D|dimension|array"),
    Case("no samples", X[:0], V, "0 sample|inconsistent"),
    Case("no features", X[:, :0], V, "0 feature"),
    Case("an axis of 0", np.zeros((12, 2, 0)), V, "shape|dim|features", ("scorer",)),
    Case("a feature less", X[:, :2], V, "2 features.*3", tuple(TRAIN)),
    Case("a feature more", np.c_[X, X], V, "6 features.*3", tuple(TRAIN)),
    Case("3-D", X[:, :, None], V, "shape|dim", tuple(TRAIN)),
    Case("ragged", [[1.0, 2.0, 3.0]] * 11 + [[1.0]], V, "inhomogeneous"),
    Case("NaN", one_cell(np.nan, float), V, "NaN"),
    Case("NaN, float32", one_cell(np.nan, "f4"), V, "NaN"),
    Case("infinity", one_cell(np.inf, float), V, "infinity"),
    Case("minus infinity", one_cell(-np.inf, float), V, "infinity"),
    Case("complex", X.astype(complex), V, "[Cc]omplex"),
    Case("a string", one_cell("a"), V, "'a'"),
    Case("None", one_cell(None), V, "NaN|None"),
    Case("a list", one_cell([1, 2]), EITHER, "sequence|list"),
    Case("a dict", one_cell({}), EITHER, "dict"),
    Case("an object", one_cell(object()), EITHER, "object"),
    Case("a complex number", one_cell(1j), EITHER, "complex"),
    Case("strings", np.full(X.shape, "a"), V, "'a'|string"),
    Case("bytes", np.full(X.shape, b"a"), V, "b'a'|string"),
    Case("structured", np.zeros(12, dtype=[("a", "f8")]), EITHER, "2D|dtype"),
    Case("DataFrame, NaN", pd.DataFrame(one_cell(np.nan, float)), V, "NaN"),
    Case("DataFrame, NA", pd.DataFrame(X).astype("Float64").mask(X > 5), EITHER, "NaN|NA"),
    Case("CSR, NaN", scipy.sparse.csr_array(one_cell(np.nan, float)), V, "NaN"),
    Case("CSC, inf", scipy.sparse.csc_array(one_cell(np.inf, float)), V, "infinity"),
    Case("CSR, complex", scipy.sparse.csr_array(X.astype(complex)), V, "[Cc]omplex"),
    Case("tensor, NaN", torch.from_numpy(one_cell(np.nan, float)), V, "NaN"),
    Case("tensor, complex", torch.zeros(12, 3, dtype=torch.complex64), V, "omplex"),
    Case("masked", np.ma.masked_invalid(one_cell(np.nan, float)), V, "X has 1 masked|NaN"),
]


@pytest.mark.parametrize(("call", "case"), for_each(TAKE_X, BAD_X))
def test_x(call, case):
    check_refused(
        lambda: call(case.given, y[: len(case.given)] if case.id == "no samples" else y), case
    )


NO_ARRAY = "X must be one array|sequence|array|inconsistent"
NOT_ROWS = [
    Case("None", None, EITHER, NO_ARRAY),
    Case("number", 3.0, EITHER, NO_ARRAY),
    Case("string", "a", EITHER, NO_ARRAY),
    Case("set", {1.0, 2.0}, EITHER, NO_ARRAY),
    Case("dict of arrays", {"a": X, "b": X}, EITHER, NO_ARRAY),
    Case("function", print, EITHER, NO_ARRAY),
    Case("class", MLP, EITHER, NO_ARRAY),
]
TAKE_ROWS = {
    "MarginSubsetSelector": lambda X: selector().fit(X, y),
    "MarginSearchCV": lambda X: search().fit(X, y),
    "prefit": lambda X: selector(estimator=linear(), prefit=True).fit(X, y),
    "fit_resample": lambda X: clone(kept()).fit_resample(X, y),
    "transform": lambda X: kept().transform(X),
    "MarginSubsetSampler": lambda X: sampler().fit_resample(X, y),
    "ResubstitutionSplit": lambda X: list(ResubstitutionSplit().split(X)),
}


@pytest.mark.parametrize(("call", "case"), for_each(TAKE_ROWS, NOT_ROWS))
def test_what_has_no_rows(call, case):
    check_refused(lambda: call(case.given), case._replace(word="X must be one array"))


# --- data: y ----------------------------------------------------------------------------

TAKE_Y = {**TRAIN, **SCORE, **OF_LINEAR} | {
    "from_predictions": lambda X, y: MarginCurveDisplay.from_predictions(y, X[:, 0]),
    "subset_overlap": lambda X, y: subset_overlap([0, 1], [1, 2], y=y),
}
MIXED = "mix|labels unlike"


def labels(*values):
    return np.array(list(values) * 6, dtype=object)


BAD_Y = [
    Case("None", None, V, "y|array", ("subset_overlap",)),
    Case("number", 1, EITHER, "sequence|1d array|shape"),
    Case("string", "ab", EITHER, "inconsistent|1d array|shape"),
    Case(
        "one class",
        np.zeros(12, int),
        V,
        "class",
        ("partial_fit", "subset_overlap", "prefit", *SCORE, *LINEAR),
    ),
    Case("too short", y[:-1], V, "inconsistent|shape", ("subset_overlap",)),
    Case("too long", np.r_[y, y], V, "inconsistent|shape", ("subset_overlap",)),
    Case("empty", [], V, "inconsistent|0 sample"),
    Case("continuous", np.linspace(0, 1, 12), V, "continuous|label 0.09"),
    Case("NaN", np.where(y, np.nan, 0.0), V, "NaN|nan"),
    Case("infinity", np.where(y, np.inf, 0.0), V, "infinity|inf"),
    Case("complex", y + 1j, V, "[Cc]omplex"),
    Case("two columns", np.c_[y, y], V, "shape|Multilabel"),
    Case("three columns", np.c_[y, y, y], V, "shape|Multilabel"),
    Case("lists of labels", [[a] * 3 for a in y.tolist()], V, "shape"),
    Case("ragged", [[0], [1, 2]] * 6, V, "inhomogeneous|y must"),
    Case("strings and numbers", labels("a", 1), V, MIXED),
    Case("strings and None", labels("a", None), V, f"{MIXED}|None|NaN"),
    Case("strings and NaN", labels("a", np.nan), V, f"{MIXED}|NaN"),
    Case("dict", dict.fromkeys(range(12), 0), V, "shape|array"),
    Case("sparse", scipy.sparse.csr_array(y[:, None]), EITHER, "[Ss]parse|shape"),
    Case("objects", labels(object(), object()), V, "label"),
    Case("objects, ints", labels(0, 1), V, "dtype object.*astype", (*SCORE, *LINEAR)),
    Case("strings and NA", pd.Series(labels("a", pd.NA), dtype="string"), V, "NaN"),
    Case("structured", np.zeros(12, dtype=[("a", int)]), EITHER, "Unknown label|label"),
    Case("masked", np.ma.masked_array(y, np.arange(12) == 3), V, "y has 1 masked"),
]


@pytest.mark.parametrize(("call", "case"), for_each(TAKE_Y, BAD_Y))
def test_y(call, case):
    check_refused(lambda: call(X, case.given), case)


# --- data: weights ----------------------------------------------------------------------


def of_linear(**arguments):
    return MarginCurveDisplay.from_estimator(linear(), X, y, **arguments)


def of_logits(**arguments):
    return MarginCurveDisplay.from_predictions(y, X[:, 0], **arguments)


TAKE_WEIGHT = {
    "fit": lambda w: network().fit(X, y, sample_weight=w),
    "partial_fit": lambda w: network().partial_fit(X, y, classes=[0, 1], sample_weight=w),
    "MarginSubsetSelector": lambda w: selector().fit(X, y, sample_weight=w),
    "MarginSearchCV": lambda w: search().fit(X, y, sample_weight=w),
    "prefit": lambda w: selector(estimator=linear(), prefit=True).fit(X, y, sample_weight=w),
    "margin_auc_score": lambda w: margin_auc_score(linear(), X, y, sample_weight=w),
    "MarginCurveDisplay": lambda w: of_linear(sample_weight=w),
    "from_predictions": lambda w: of_logits(sample_weight=w),
    "margin_curve": lambda w: margin_curve(X[:, 0], w),
    "margin_auc": lambda w: margin_auc(X[:, 0], w),
}
BAD_WEIGHT = [
    Case("too short", np.ones(11), V, "sample_weight must have shape"),
    Case("two columns", np.ones((12, 2)), V, "sample_weight must have shape"),
    Case("negative", np.r_[-1.0, np.ones(11)], V, "negative"),
    Case("NaN", np.r_[np.nan, np.ones(11)], V, "sample_weight.*(NaN|finite)"),
    Case("infinity", np.r_[np.inf, np.ones(11)], V, "sample_weight.*(inf|finite)"),
    Case("zeros", np.zeros(12), V, "zero"),
    Case("None among them", [None] + [1.0] * 11, V, "sample_weight.*(NaN|finite)"),
    Case("strings", ["a"] * 12, EITHER, "sample_weight must hold"),
    Case("a word", "balanced", EITHER, "sample_weight must hold"),
    Case("complex", np.ones(12) + 1j, EITHER, "sample_weight must hold"),
    Case("dict", {0: 1.0, 1: 2.0}, EITHER, "sample_weight must hold"),
    Case("dates", np.full(12, DAY), EITHER, "sample_weight must hold"),
    Case("masked", np.ma.masked_equal(np.arange(12.0), 3), V, "sample_weight has 1 masked"),
]


@pytest.mark.parametrize(("call", "case"), for_each(TAKE_WEIGHT, BAD_WEIGHT))
def test_weights(call, case):
    check_refused(lambda: call(case.given), case)


# --- settings ---------------------------------------------------------------------------


class Unfinished(BaseEstimator):
    """A classifier without anything."""


NAMED = [
    # (setting, values that are no good for it, what the message must say of it)
    (
        "lr",
        (0.0, -1, np.nan, np.inf, "0.1", None, True, 1j),
        "a finite, positive float or int",
    ),
    (
        "weight_decay",
        (-1.0, np.nan, np.inf, "0", None, False),
        "a finite, non-negative float or int",
    ),
    ("max_epochs", (0, -1, 2.5, "3", None, True, np.nan), "an integer of at least 1"),
    ("batch_size", (0, -2, 2.5, "3", None, True), "integer|-1 for all"),
    ("stop_at_separation", ("no", None, 0.0, 1.5, np.nan, -1), "True, False or the share"),
    ("restore_best", ("accuracy", True, 1, ["margin_auc"]), "None, 'margin_auc'"),
    ("class_weight", ("equal", [1.0, 2.0], 1, True, "no"), "a dict, 'balanced' or None"),
    ("warm_start", ("x", "no", None, 1, 0, 0.0), "True or False"),
    ("callbacks", ("disable", 3, [3], [("a", 3)], [(3, LRScheduler())]), "list of skorch"),
    ("device", (None, 3, "tpu", True), "'auto' or the name of a torch device"),
    (
        "random_state",
        ("a", -1, 2**32, 1.5, True, np.random.default_rng(0)),
        "None, an integer",
    ),
    ("verbose", (-1, None, "yes", 1.5), "an integer of at least 0"),
    ("module", (3, "MLP", None, int), "torch.nn.Module class"),
    ("criterion", ("hinge", 3, None, dict, StandardScaler), "cross_entropy|torch.nn"),
    ("optimizer", ("rprop", 3, None, dict, nn.Linear), "adamw|torch.optim"),
]
OF_PART = [
    ("module__hidden_layer_sizes", ((0,), (-1,), 2.5, (4, 2.5), "4", ("4",), (True,), None,
                                    ((4,),), {4}), "a tuple of positive integers"),
    ("module__batch_norm", ("no", "yes", None, 1, 0), "True or False"),
    ("module__dropout", ("0.2", -0.1, 1, 1.0, np.nan, None, True), r"\[0, 1\)"),
    ("module__activation", ("relU", None, nn.ReLU, 3), "'relu'"),
]  # fmt: skip
OF_SELECTION = [
    ("n_samples_to_select", ("1 %", None, True, [1]), "a share"),
    ("n_samples_to_select", (0.0, 1.5, np.nan, -0.1), r"\(0, 1\]"),
    ("n_samples_to_select", (0, -1, 13), "between 1 and"),
    ("strategy", ("smalest", None, 3, ["smallest"]), "smallest"),
    ("stratify", ("no", "x", None, 1), "True or False"),
    ("min_per_class", (-1, 1.5, "1", None, True), "an integer of at least 0"),
    ("separation", (0.0, 1.1, np.nan, "1", None, True), r"\(0, 1\]"),
    ("noise_guard", ("no", None, 1), "True or False"),
    ("prefit", ("no", None, 0), "True or False"),
    ("on_unseparated", ("ignore", None, True), "'warn', 'raise'"),
    ("random_state", ("a", -1, 1.5, True), "None, an integer"),
    ("verbose", (-1, None, "yes"), "an integer of at least 0"),
]
OF_CONTINUING = [
    ("continue_epochs", (-1, 1.5, "3", None, True), "an integer of at least 0"),
    (
        "continue_lr",
        (0.0, np.nan, np.inf, "small", None, True),
        "'auto' or a finite, positive",
    ),
    ("reselect_every", (0, 1.5, None, True), "an integer of at least 1"),
    ("score_share", (0.0, 1.5, np.nan, "1", None, True), r"\(0, 1\]"),
    ("freeze_batch_norm", ("no", None, 1), "True or False"),
]
OF_SCORER = [
    ("scale", ("norm", 3, True, ["distance"]), "scale must be one of"),
    ("at", ("pixels", None, True, 3), "'samples', 'neighborhood'"),
    ("floor", (True, "low", np.nan, np.inf, 1j), "None or a finite float or int"),
    ("ceiling", (True, "high", np.nan, -np.inf), "None or a finite float or int"),
    ("max_samples", (0, -1, 0.5, "all", True), "None or an integer of at least 1"),
    ("noise_weight", ("no", None, 1), "True or False"),
    ("random_state", ("a", -1, 1.5, True), "None, an integer"),
]
OF_MODULE = [(name.removeprefix("module__"), *rest) for name, *rest in OF_PART]
OF_MLP = [
    (
        "input_shape",
        (3, "3", None, (0,), (2.5,), (-1, 2), {3}),
        "a tuple of positive integers|input_shape",
    ),
    ("n_classes", (0, 2.5, "2", None, True), "an integer of at least 1"),
    *OF_MODULE,
]
OF_CONVNET = [
    *(row for row in OF_MLP if row[0] != "hidden_layer_sizes"),
    ("channels", ((0,), 2.5, "4", (True,), None), "a tuple of positive integers"),
    ("kernel_size", ("3", 2, 0, 2.5, None, True, (3, 3)), "integer of at least 1"),
    ("pooling", ("max", None, True), "'flatten', 'mean'"),
]  # fmt: skip


def settings(rows):
    return [
        pytest.param(name, value, word, id=f"{name}={str(value)[:30]}")
        for name, values, word in rows
        for value in values
    ]


def check_setting(call, name, value, word):
    """Type and range in one message, with the name of the parameter and the value."""
    shown = name.removeprefix("module__")
    with pytest.raises(ValueError, match=word) as caught:
        call(**{name: value})
    assert str(caught.value).startswith(shown)
    assert repr(value)[:20] in str(caught.value) or str(value) in str(caught.value)


@pytest.mark.parametrize(("name", "value", "word"), settings(NAMED + OF_PART))
def test_settings_of_the_classifier(name, value, word):
    check_setting(lambda **given: network(**given).fit(X, y), name, value, word)


@pytest.mark.parametrize(("name", "value", "word"), settings(NAMED + OF_PART))
def test_settings_of_the_classifier_in_partial_fit(name, value, word):
    if name == "class_weight" and isinstance(value, str):
        word = "class_weight"
    check_setting(
        lambda **given: network(**given).partial_fit(X, y, classes=[0, 1]), name, value, word
    )


@pytest.mark.parametrize(("name", "value", "word"), settings(OF_SELECTION + OF_CONTINUING))
def test_settings_of_the_selector(name, value, word, monkeypatch):
    monkeypatch.setattr(subset_module, "train", None)  # before any training
    check_setting(lambda **given: selector(**given).fit(X, y), name, value, word)


@pytest.mark.parametrize(("name", "value", "word"), settings(OF_SELECTION))
def test_settings_of_the_sampler(name, value, word, monkeypatch):
    monkeypatch.setattr(subset_module, "train", None)
    check_setting(lambda **given: sampler(**given).fit_resample(X, y), name, value, word)


@pytest.mark.parametrize(("name", "value", "word"), settings(OF_SCORER))
def test_settings_of_scorers(name, value, word):
    check_setting(make_margin_auc_scorer, name, value, word)
    # Where a search sets them, they are looked at when a score is asked for.
    scorer = clone(make_margin_auc_scorer())
    check_setting(
        lambda **given: scorer.set_params(**given)(linear(), X, y), name, value, word
    )


@pytest.mark.parametrize(("name", "value", "word"), settings(OF_SCORER))
def test_settings_of_the_scorer_of_a_curve(name, value, word):
    scorer = clone(margin_auc_score)
    check_setting(
        lambda **given: of_linear(scorer=scorer.set_params(**given)), name, value, word
    )


@pytest.mark.parametrize(("name", "value", "word"), settings(OF_SCORER[2:4]))
def test_bounds(name, value, word):
    check_setting(functools.partial(margin_auc, X[:, 0]), name, value, word)
    check_setting(of_logits, name, value, word)


@pytest.mark.parametrize(("name", "value", "word"), settings(OF_MLP))
def test_settings_of_mlp(name, value, word):
    check_setting(
        lambda **given: MLP(**{"input_shape": (3,), "n_classes": 2, **given}),
        name,
        value,
        word,
    )


@pytest.mark.parametrize(("name", "value", "word"), settings(OF_CONVNET))
def test_settings_of_convnet(name, value, word):
    check_setting(
        lambda **given: ConvNet(**{"input_shape": (8, 8), "n_classes": 2, **given}),
        name,
        value,
        word,
    )


@pytest.mark.parametrize("loss", [ExponentialLoss, LogisticLoss])
@pytest.mark.parametrize("value", ["median", None, True, ["mean"], 3])
def test_settings_of_losses(loss, value):
    check_setting(loss, "reduction", value, "'none', 'mean', 'sum'")


# --- settings that go together, and names -----------------------------------------------

CLASSIFIER = [
    Case("class_weight of a word", {"class_weight": {0: "a"}}, V, r"class_weight\[0\]"),
    Case("class_weight of None", {"class_weight": {1: None}}, V, r"class_weight\[1\]"),
    Case("class_weight, negative", {"class_weight": {0: -1}}, V, "negative.*-1"),
    Case("class_weight, huge", {"class_weight": {0: 10**400}}, V, "must be a finite"),
    Case("class_weight, NaN", {"class_weight": {0: np.nan}}, V, "nan"),
    Case("stop and restore", {"stop_at_separation": True, "restore_best": "margin_auc"},
         V, "choose one"),
    Case("no such callback", {"callbacks__nope": 1}, V, "callbacks__nope.*none"),
    Case("no such callback's", {"callbacks__nope__x": 1}, V, "named 'nope'"),
    Case("a callback of ours", {"callbacks__separation__stop": True}, V, "separation"),
    Case("another callback", {"callbacks": [("lr", LRScheduler)], "callbacks__rl__gamma": 1},
         V, r"named 'rl'.*\['lr'\]"),
    Case("no such argument", {"module__widths": 3}, T, "widths"),
    Case("no such option", {"optimizer__nope": 3}, T, "nope"),
    Case("no such argument of the loss", {"criterion__nope": 3}, T, "nope"),
    Case("width 10**12", {"module__hidden_layer_sizes": (10**12,)}, V, "18,000,000,000,002 w"),
    Case("width 10**30", {"module__hidden_layer_sizes": 10**30}, V, "GiB"),
    Case("ConvNet for a table", {"module": ConvNet, "module__hidden_layer_sizes": 3}, T,
         "hidden_layer_sizes"),
    Case("LBFGS has no decay", {"optimizer": torch.optim.LBFGS}, V, "weight_decay=0"),
]  # fmt: skip


@pytest.mark.parametrize("case", each(CLASSIFIER))
def test_classifier(case):
    check_refused(lambda: network(**case.given).fit(X, y), case)


CLASSES = [
    Case("NaN", [0, 1, np.nan], V, "classes.*NaN"),
    Case("None", [0, 1, None], V, "classes.*None"),
    Case("NaT", np.array(["2020-01-01", "NaT"], "M8[D]"), V, "classes"),
    Case("empty", [], V, r"classes must be.*got \[\]"),
    Case("one", [0], V, "two or more"),
    Case("one twice", [0, 0], V, "two or more"),
    Case("number", 2, V, "classes must be.*got 2"),
    Case("string", "ab", V, "classes must be.*got 'ab'"),
    Case("table", [[0, 1]], V, "classes must be"),
    Case("ragged", [[0], [1, 2]], V, "classes must be"),
    Case("dict", {0: 1, 1: 2}, V, "classes must be"),
    Case("mixed", [0, "a"], V, "classes mix"),
    Case("other ones", [2, 3], V, "not among"),
]


@pytest.mark.parametrize("case", each(CLASSES))
def test_classes(case):
    model = network()
    check_refused(lambda: model.partial_fit(X, y, classes=case.given), case)
    if case.id != "other ones":
        check_refused(
            lambda: (
                clone(model)
                .partial_fit(X, y, classes=[0, 1])
                .partial_fit(X, y, classes=case.given)
            ),
            case,
        )


SELECTOR = [
    Case("linear", {"estimator": LogisticRegression()}, T, "prefit=True"),
    Case("class", {"estimator": MarginClassifier}, T, "must be a MarginClassifier"),
    Case("string", {"estimator": "network"}, T, "must be a MarginClassifier"),
    Case("Pipeline of another", {"estimator": make_pipeline(StandardScaler(), Ridge())},
         T, "Ridge"),
    Case("restore_best", {"estimator": network(restore_best="margin_auc")}, V,
         "restore_best"),
    Case("a setting inside", {"estimator": network(lr=-1)}, V, "lr"),
    Case("a setting in a Pipeline",
         {"estimator": make_pipeline(StandardScaler(), network(lr=0))}, V, "lr"),
    Case("guard of a fitted one", {"prefit": True, "noise_guard": True}, V, "noise_gu"),
    Case("too few", {"n_samples_to_select": 1}, V, "too few for 1 of each of 2"),
    Case("minimum too large", {"min_per_class": 10**30}, V, "too few for 1000"),
]  # fmt: skip


@pytest.mark.parametrize("case", each(SELECTOR))
def test_selector(case):
    check_refused(lambda: selector(**case.given).fit(X, y), case)
    check_refused(lambda: sampler(**case.given).fit_resample(X, y), case)


# --- functions --------------------------------------------------------------------------


def bad_strategy(result):
    return lambda: selector(
        estimator=linear(), prefit=True, stratify=False, strategy=lambda *given: result
    ).fit(X, y)


FUNCTIONS = [
    Case("margins of nothing", lambda: margins(None, X, y), T, "NoneType"),
    Case("margins of a class", lambda: margins(MLP, X, y), T, "not the class MLP"),
    Case("margins of a regressor", lambda: margins(Ridge(), X, y), T, "Ridge.*Supported"),
    Case("margins of a search", lambda: margins(GridSearchCV(linear(), {}), X, y), T,
         "GridSearchCV that is not fitted"),
    Case("score of a module", lambda: margin_auc_score(MLP((3,), 2), X, y), T, "MLP"),
    Case("score of no classifier", lambda: margin_auc_score(Unfinished(), X, y), T,
         "Unfinished"),
    Case("margins, another label", lambda: margins(fitted(), X, y + 5), V, "label 5"),
    Case("curve of None", lambda: margin_curve(None), V, "margins must have shape"),
    Case("curve of a string", lambda: margin_curve("a"), V, "margins must hold"),
    Case("curve of strings", lambda: margin_curve(["1", "2"]), V, "margins must hold"),
    Case("curve of complex", lambda: margin_curve([1j, 2]), V, "margins must hold real"),
    Case("curve of dates", lambda: margin_curve([DAY]), V, "margins must hold real"),
    Case("curve of ragged", lambda: margin_curve([[1], [2, 3]]), V, "margins must hold"),
    Case("curve of a table", lambda: margin_curve(X), V, r"shape \(n_samples,\)"),
    Case("curve of nothing", lambda: margin_curve([]), V, "0 samples"),
    Case("curve of NaN", lambda: margin_curve([1.0, np.nan]), V, r"NaN \(sample 1\)"),
    Case("curve of a dict", lambda: margin_curve({}), V, "margins must hold"),
    Case("area of both infinities", lambda: margin_auc([np.inf, -np.inf]), V, "floor"),
    Case("floor over ceiling", lambda: margin_auc([1.0], floor=2, ceiling=1), V,
         "floor must be smaller than ceiling=1, got 2"),
    Case("floor at ceiling", lambda: margin_auc([1.0], floor=1, ceiling=1), V, "floor"),
    Case("strategy, twice", bad_strategy([0, 0, 1, 2]), V, "4 different indices"),
    Case("strategy, few", bad_strategy([0, 1]), V, "4 different indices"),
    Case("strategy, outside", bad_strategy([0, 1, 2, 99]), V, "between 0 and 11"),
    Case("strategy, None", bad_strategy(None), V, "4 different indices"),
    Case("transform, few rows", lambda: kept().transform(X[:5]), V, "5 rows.*on 12"),
    Case("transform, few columns", lambda: kept().transform(X[:, :2]), V, "features"),
    Case("support, maybe", lambda: kept().get_support("no"), V, "indices must be True or"),
    Case("transform, 1-D", lambda: kept().transform(X[:, 0]), V, "Reshape"),
    Case("unfitted", lambda: selector().transform(X), V, "not fitted"),
    Case("unfitted network", lambda: network().predict(X), V, "not fitted"),
]  # fmt: skip


@pytest.mark.parametrize("case", each(FUNCTIONS))
def test_functions(case):
    check_refused(case.given, case)


def overlap(*selections, **settings):
    return lambda: subset_overlap(*selections, **{"n_samples": 12, **settings})


OVERLAP = [
    Case("one", overlap([0]), V, "two or more selections, got 1"),
    Case("None", overlap([0], None), V, r"selections\[1\].*None"),
    Case("number", overlap([0], 3), V, r"selections\[1\].*3"),
    Case("string", overlap([0], "ab"), V, r"selections\[1\].*'ab'"),
    Case("strings", overlap([0], ["a"]), V, r"selections\[1\].*<U1"),
    Case("floats", overlap([0], [1.0]), V, r"selections\[1\].*float64"),
    Case("ragged", overlap([0], [[1], [1, 2]]), V, r"selections\[1\] must be"),
    Case("table", overlap([0], [[1]]), V, r"selections\[1\] must be"),
    Case("empty", overlap([0], []), V, r"selections\[1\] is empty"),
    Case("none kept", overlap([0], [False] * 12), V, r"selections\[1\] is empty"),
    Case("outside", overlap([0], [12]), V, "holds index 12, but there are 12"),
    Case("negative", overlap([0], [-1]), V, "holds index -1"),
    Case("twice", overlap([0], [1, 1]), V, "holds index 1 2 times"),
    Case("masks of two lengths", overlap([True] * 12, [True] * 3), V, "same samples"),
    Case("unfitted", overlap([0], selector()), V, "not fitted"),
    Case("Pipeline", overlap([0], make_pipeline(kept())), T, "selector inside"),
    Case("classifier", overlap([0], linear()), V, "LogisticRegression"),
    Case("n_samples untold", overlap([0], [1], n_samples=None), V, "pass n_samples"),
    *(Case(f"n_samples={n}", overlap([0], [1], n_samples=n), V,
           "n_samples must be an integer") for n in (0, 2.5, "12", True, 10**30)),
]  # fmt: skip


@pytest.mark.parametrize("case", each(OVERLAP))
def test_overlap(case):
    check_refused(case.given, case)


def subset(margins=X[:, 0], support=y > 0, **arguments):
    return lambda: SubsetDisplay.from_predictions(margins, support, **arguments)


DISPLAYS = [
    Case("margins, None", subset(None), V, "margins must have shape"),
    Case("margins, strings", subset(["a"] * 12), V, "margins must hold"),
    Case("margins, complex", subset(X[:, 0] + 1j), V, "margins must hold real"),
    Case("margins, table", subset(X), V, "margins must have shape"),
    Case("margins, NaN", subset(np.full(12, np.nan)), V, "is a number"),
    Case("margins, empty", subset([], []), V, "is a number"),
    Case("support, None", subset(support=None), V, "support must be a mask"),
    Case("support, indices", subset(support=[0, 1]), V, r"np\.isin"),
    Case("support, short", subset(support=y[:3] > 0), V, "shape of margins"),
    Case("support, ragged", subset(support=[[True], []]), V, "support must be a mask"),
    Case("suspects, floats", subset(suspects=X[:, 0]), V, "suspects must be a mask"),
    Case("name of a subset", subset(name=3), V, "name must be"),
    Case("axes of a subset", subset(ax="x"), V, "ax must be"),
    Case("name", lambda: of_logits(name=3), V, "name must be None or a string, got 3"),
    Case("axes", lambda: of_logits(ax="x"), V, "ax must be None or matplotlib Axes"),
    Case("fill", lambda: of_logits(fill="no"), V, "fill must be True or False"),
    Case("selection of a network", lambda: SubsetDisplay.from_estimator(fitted()), T,
         "found MarginClassifier"),
    Case("selection of None", lambda: SubsetDisplay.from_estimator(None), T, "NoneType"),
    Case("selection of a class", lambda: SubsetDisplay.from_estimator(MLP), T, "found"),
    Case("selection, unfitted", lambda: SubsetDisplay.from_estimator(selector()), V,
         "not fitted"),
    Case("scores of three classes", lambda: MarginCurveDisplay.from_predictions(y, X), V,
         "2 different labels"),
    Case("scores, None", lambda: MarginCurveDisplay.from_predictions(y, None), V,
         "y_score must have shape"),
    Case("scores, strings", lambda: MarginCurveDisplay.from_predictions(y, ["a"] * 12),
         V, "y_score must hold"),
    Case("scores, complex", lambda: MarginCurveDisplay.from_predictions(y, X[:, 0] + 1j),
         V, "y_score must hold real"),
    Case("scores, 3-D", lambda: MarginCurveDisplay.from_predictions(y, X[:, :2, None]),
         V, "y_score must have shape"),
    Case("scores, NaN", lambda: MarginCurveDisplay.from_predictions(y, np.full(12, np.nan)),
         V, "NaN"),
]  # fmt: skip


@pytest.mark.parametrize("case", each(DISPLAYS))
def test_displays(case):
    check_refused(case.given, case)


# --- columns, labels and settings by name ---------------------------------------------------


def given_x(calls):
    return {
        name: functools.partial(lambda call, X: call(X, y), call)
        for name, call in calls.items()
    }


def given_y(calls):
    return {name: functools.partial(call, X) for name, call in calls.items()}


DATES = np.full(X.shape, DAY)
BY_NAME = [
    # X that is no array.
    *for_each(
        given_x({**TRAIN, **PREDICT, **SCORE}),
        [
            case._replace(word="X must be one array|X is a dict of .* not supported")
            for case in NOT_ROWS
        ],
    ),
    # Columns that are no numbers: with the column's name.
    *for_each(given_x(TRAIN), [
        Case("a column of words", frame(q="low"), V, "(?s)q.*low.*[Ee]ncod"),
        Case("a column of dates", frame(q=pd.Timestamp("2020-01-01")), EITHER, "q.*dates"),
        Case("two columns of one name", frame().set_axis(list("ppq"), axis=1), V, "'p'"),
    ]),
    *for_each(given_x(TRAIN | SCORE | OF_LINEAR), [
        Case("dates", DATES, EITHER, "X.*(dates or times|datetime)", tuple(OF_LINEAR)),
        Case("1e300", one_cell(1e300, float), V, "(1e.300.*)?too large", LINEAR),
    ]),
    # Labels that are none.
    *for_each(given_y(TRAIN), [
        Case("NaT", np.array(["2020-01-01", "NaT"] * 6, "M8[D]"), V, "y contains NaN|NaT"),
        Case("NaN among strings", labels("a", np.nan), V, "y contains NaN"),
        Case("None among strings", labels("a", None), V, "y contains"),
    ]),
    # Settings come before data, and before any truth value of theirs.
    *for_each({
        "fit": lambda given: network(**given).fit("no data", None),
        "partial_fit": lambda given: network(**given).partial_fit("no data", None, [0, 1]),
    }, [
        Case("warm_start", {"warm_start": np.ones(3)}, V, "warm_start must be"),
        Case("class_weight", {"class_weight": "equal"}, V, "class_weight must be"),
        Case("lr", {"lr": -1}, V, "lr must be"),
    ]),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::margin_sklearn.LocalityWarning")
@pytest.mark.parametrize(("call", "case"), BY_NAME)
def test_what_is_wrong_is_named(call, case):
    check_refused(lambda: call(case.given), case)
