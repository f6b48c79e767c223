"""What a file names is looked up only if it is known or trusted; what cannot be stored is
refused before anything is written."""

import io
import re
import sys
import types
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier
from skorch.callbacks import Checkpoint, EpochScoring, Freezer

import margin_sklearn
from margin_sklearn import MarginClassifier, MarginSubsetSelector, load, save
from margin_sklearn.persistence.archive import packed, unpacked

from . import modules

SMALL = {"max_epochs": 2, "random_state": 0}


class Local(modules.Net):
    """Defined here, but called otherwise below."""


Local.__qualname__ = "make.<locals>.Local"


class Around(BaseEstimator):
    def __init__(self, estimator):
        self.estimator = estimator


def fitted_net():
    return NeuralNetClassifier(
        modules.Net, module__input_shape=(4,), module__n_classes=3
    ).initialize()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (MarginClassifier(lambda: None), r"MarginClassifier\.module is a lambda"),
        (MarginClassifier(Local), "defined inside a function: define it in a module"),
        (MarginClassifier(modules.Net((4,), 3)), "is an instance of Net, .* pass the class"),
        (
            MarginClassifier(module__activation=torch.nn.ReLU()),
            r"module__activation is an instance of ReLU",
        ),
        (
            make_pipeline(FunctionTransformer(lambda X: X), MarginClassifier()),
            r"uses tests\.persistence\.test_trust\.<lambda>, which cannot be imported",
        ),
        (
            GridSearchCV(MarginClassifier(), {}, scoring=lambda *args: 0.0),
            r"GridSearchCV\.scoring is a lambda",
        ),
        (
            GridSearchCV(MarginClassifier(), {}, cv=iter([([0], [1])])),
            r"GridSearchCV\.cv is .*_iterator",
        ),
        (
            GridSearchCV(MarginClassifier(), {"lr": pd.period_range("2020", periods=2)}),
            "PeriodDtype|period",
        ),
        (
            MarginClassifier(callbacks=[EpochScoring(lambda *args: 0.0)]),
            r"scoring'\] is a lambda.* It is in EpochScoring.*MarginClassifier\.callbacks",
        ),
        (Around(MarginClassifier()), r"test_trust\.Around that contains a network"),
        (fitted_net(), "contains a network"),
        (
            MarginSubsetSelector(fitted_net()),
            r"MarginSubsetSelector\.estimator is a skorch.classifier.NeuralNet",
        ),
        (MarginClassifier(random_state=types.SimpleNamespace()), "SimpleNamespace"),
        (MarginClassifier, "save needs an estimator"),
        ("model", "save needs an estimator"),
        (None, "save needs an estimator"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(model, message, tmp_path):
    path = tmp_path / "model"
    path.write_text("earlier")
    with pytest.raises(TypeError, match=message):
        save(model, path)
    assert path.read_text() == "earlier"
    assert [*tmp_path.iterdir()] == [path]


def test_a_method_is_refused_by_the_names_of_its_owner_and_place(iris, tmp_path):
    # Once fitted, a Freezer holds methods of its own.
    X, y = iris
    freezer = Freezer("hidden*")
    model = MarginClassifier(callbacks=[freezer], **SMALL).fit(X, y)
    message = r"a method of a Freezer.* use a function of a module\. It is in .*Freezer"
    with pytest.raises(TypeError, match=message):
        save(make_pipeline(model), tmp_path / "model")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("module", [modules.WithHiddenState, modules.WithRandomFeatures])
def test_state_that_a_file_cannot_hold_is_noticed_when_saving(module, iris, tmp_path):
    X, y = iris
    model = MarginClassifier(module, **SMALL).fit(X, y)
    with pytest.raises(TypeError, match=r"gives other logits.*register_buffer"):
        save(model, tmp_path / "model")
    assert not [*tmp_path.iterdir()]


def test_own_classes_need_trust(iris, tmp_path):
    X, y = iris
    path = tmp_path / "model"
    save(MarginClassifier(modules.Net, **SMALL).fit(X, y), path)
    name = "tests.persistence.modules.Net"
    with pytest.raises(ValueError, match=rf"uses {name}, .*trusted=\['{name}'\]"):
        load(path)
    for trusted in ([name], [modules.Net], (name,), {modules.Net}):
        assert load(path, trusted=trusted).n_iter_ == 2
    with pytest.raises(ValueError, match="was not loaded"):
        load(path, trusted=["tests.persistence.modules.Wider"])


@pytest.mark.parametrize("trusted", ["tests.persistence.modules.Net", [3], [None]])
def test_trusted_must_be_names_or_classes(trusted, tmp_path):
    with pytest.raises(TypeError, match="trusted must"):
        load(tmp_path / "model", trusted=trusted)


def test_a_trusted_class_that_is_gone(iris, tmp_path, monkeypatch):
    X, y = iris
    path = tmp_path / "model"
    save(MarginClassifier(modules.Net, **SMALL).fit(X, y), path)
    monkeypatch.delattr(modules, "Net")
    with pytest.raises(ValueError, match=r"modules.Net, which cannot be imported here"):
        load(path, trusted=["tests.persistence.modules.Net"])


def test_a_class_whose_code_has_changed(iris, tmp_path, monkeypatch):
    X, y = iris
    path = tmp_path / "model"
    save(MarginClassifier(modules.Net, **SMALL).fit(X, y), path)
    name = "tests.persistence.modules.Net"
    monkeypatch.setattr(modules, "Net", modules.Wider)
    with pytest.raises(ValueError, match=r"has shape \(16, 4\) here, and had \(8, 4\)"):
        load(path, trusted=[name])
    monkeypatch.setattr(modules, "Net", modules.Lazy)
    with pytest.raises(ValueError, match="other parameters here than when it was saved"):
        load(path, trusted=[name])
    monkeypatch.undo()
    monkeypatch.setattr(modules.Net, "forward", lambda self, x: 2 * self.last(self.layers(x)))
    with pytest.raises(ValueError, match="gives other logits here than when it was saved"):
        load(path, trusted=[name])


@pytest.mark.parametrize("factor", [float("nan"), None])
def test_a_class_that_no_longer_works(factor, iris, tmp_path, monkeypatch):
    X, y = iris
    path = tmp_path / "model"
    save(MarginClassifier(modules.Net, **SMALL).fit(X, y), path)
    monkeypatch.setattr(modules.Net, "forward", lambda self, x: factor * self.last(x))
    with pytest.raises(ValueError, match="gives other logits here than when it was saved"):
        load(path, trusted=[modules.Net])


# --- files that someone else made -------------------------------------------------------


EVENTS = {"os.system", "subprocess.Popen", "pickle.find_class", "os.exec", "os.posix_spawn"}
SEEN: list[str] | None = None


def _hook(event, args):
    if SEEN is not None and (event in EVENTS or event in ("compile", "exec")):
        SEEN.append(f"{event} {args!r:.200}")


sys.addaudithook(_hook)


@pytest.fixture
def seen(monkeypatch):
    """Events by which code could run, during the test."""
    monkeypatch.setattr(sys.modules[__name__], "SEEN", [])
    return SEEN


def forged(path, change):
    """Change the document in a file, and make the checksum right again."""
    document, tensors = unpacked(path.read_bytes())
    change(document)
    path.write_bytes(packed(document, tensors))


@pytest.fixture
def file(iris, tmp_path):
    X, y = iris
    path = tmp_path / "model"
    save(MarginClassifier(**SMALL).fit(X, y), path)
    return path


def state_of(document):
    return document["shared"][-1]["classifier"]["object"]["state"]


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "torch.load",
        "torch.nn.functional.relu",
        "torch.nn.modules.module.torch.load",
        "torch.nn.modules.module.Module.apply",
        "torch.nn.modules.linear.init.torch.load",
        "torch.optim.optimizer.warnings.warn",
        "torch.nn.modules.linear.math",
        "skorch.callbacks.training.LoadInitState",
        "skorch.callbacks.training.Checkpoint",
        "skorch.callbacks.base.Callback.initialize",
        "margin_sklearn.nn.losses.CRITERIA",
        "margin_sklearn.persistence.reading.load",
        "tests.persistence.modules.Net",
        "no.such.module",
        "torch.nn.no_such_module.Net",
        "",
        ".",
        "torch.nn.",
    ],
)
def test_names_that_are_neither_known_nor_trusted(name, file, seen):
    forged(file, lambda document: state_of(document).update(module={"name": name}))
    with pytest.raises(ValueError, match=r"was not loaded\. The file uses"):
        load(file)
    assert not seen


@pytest.mark.parametrize(
    "node",
    [
        {"no such kind": 1},
        {"shared": 99},
        {"shared": -7},
        {"shared": "0"},
        {"list": 3},
        {"dict": [[1]]},
        {"dict": [[{"list": []}, 1]]},
        {"tensor": "no such tensor"},
        {"array": {"dtype": "|O", "shape": [1], "bytes": "values_0"}},
        {"array": {"dtype": "<f8", "shape": [10**9], "bytes": "values_0"}},
        {"array": {"dtype": "<f8", "shape": [-1], "bytes": "values_0"}},
        {"array": {}},
        {"dtype": "load"},
        {"dtype": "nn"},
        {"numpy_dtype": "no dtype"},
        {"generator": {"dict": [["bit_generator", "default_rng"]]}},
        {"distribution": {"name": "norm.__class__", "args": None, "keywords": None}},
        {"distribution": {"name": "describe", "args": {"list": []}, "keywords": {"dict": []}}},
        {"object": {"class": "margin_sklearn.nn.modules.MLP", "state": {}}},
        {"object": {"class": "builtins.object", "state": {}}},
        {"object": {"class": "sklearn.pipeline.Pipeline", "state": {"__class__": 1}}},
        {"object": {"class": "sklearn.pipeline.Pipeline", "state": {"a b": 1}}},
        {"callback": {"class": None, "attributes": None}},
        {"skops": "values_0"},
        {"training": {}},
        {"frame": {}},
        {},
        {"a": 1, "b": 2},
        [],
    ],
)
def test_nodes_that_nobody_wrote(node, file, seen):
    forged(file, lambda document: state_of(document).update(class_weight=node))
    with pytest.raises(ValueError, match="cannot be loaded|was not loaded"):
        load(file)
    assert not seen


def test_a_part_that_contains_itself(file):
    def change(document):
        place = len(document["shared"])
        items = {"shape": [1], "items": [{"shared": place}]}
        document["shared"].append({"objects": items})
        state_of({"shared": document["shared"][:-1]})["lr"] = {
            "shared": len(document["shared"]) - 1
        }

    forged(file, change)
    with pytest.raises(ValueError, match="contains itself"):
        load(file)


def test_a_forged_part_of_scikit_learn(iris, tmp_path, seen):
    X, y = iris
    path = tmp_path / "model"
    scaled = FunctionTransformer(np.log1p)
    save(make_pipeline(scaled, MarginClassifier(**SMALL)).fit(X - X.min(), y), path)
    document, tensors = unpacked(path.read_bytes())
    (name,) = [key for key, value in tensors.items() if b"log1p" in value.numpy().tobytes()]
    data = tensors[name].numpy().tobytes()
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(changed, "w") as new:
        for part in old.namelist():
            text = old.read(part)
            if part == "schema.json":
                text = re.sub(
                    rb'"numpy[\w.]*"', b'"os"', text.replace(b'"log1p"', b'"system"')
                )
            new.writestr(part, text)
    tensors[name] = torch.frombuffer(bytearray(changed.getvalue()), dtype=torch.uint8)
    path.write_bytes(packed(document, tensors))
    with pytest.raises(ValueError, match="os.system|posix.system"):
        load(path)
    assert not [event for event in seen if not event.startswith(("compile", "exec"))]


def test_known_callbacks_that_use_files_need_trust(tmp_path):
    path = tmp_path / "model"
    model = MarginClassifier(
        callbacks=[Checkpoint(dirname=str(tmp_path / "c"), f_pickle=None)]
    )
    save(model.set_params(**SMALL), path)
    with pytest.raises(ValueError, match=r"skorch\.callbacks\.training\.Checkpoint"):
        load(path)
    assert load(path, trusted=[Checkpoint]).callbacks[0].dirname == str(tmp_path / "c")


def test_splitters_and_linear_models_need_no_trust(iris, tmp_path):
    X, y = iris
    path = tmp_path / "model"
    search = GridSearchCV(
        make_pipeline(PCA(3), MarginClassifier(**SMALL)),
        {"marginclassifier": [MarginClassifier(**SMALL), LogisticRegression()]},
        cv=KFold(2, shuffle=True, random_state=0),
    ).fit(X, y)
    save(search, path)
    assert load(path).score(X, y) == search.score(X, y)


def test_without_the_extra(monkeypatch, tmp_path):
    reading = sys.modules["margin_sklearn.persistence.reading"]
    monkeypatch.setattr(reading, "find_spec", lambda name: None)
    for function in (lambda: save(MarginClassifier(), tmp_path / "m"), lambda: load("m")):
        with pytest.raises(ImportError, match=r'pip install "margin-sklearn\[save\]"'):
            function()
    assert margin_sklearn.save is save


# --- what would change silently ---------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"module": modules.CountsSteps},
        {"module": modules.WithGenerator},
        {"module": modules.Net, "criterion": modules.GrowingLoss},
    ],
    ids=lambda params: [*params.values()][-1].__name__,
)
def test_state_that_only_training_uses_is_noticed(params, iris, tmp_path):
    X, y = iris
    model = MarginClassifier(**params, **SMALL).fit(X, y)
    with pytest.raises(TypeError, match="computes something else in training mode"):
        save(model, tmp_path / "model")
    assert not [*tmp_path.iterdir()]


def test_hidden_state_where_fractions_are_no_input(tmp_path):
    codes, y = np.arange(120).reshape(60, 2) % 9 + 1, np.arange(60) % 2
    model = MarginClassifier(modules.CodesWithHiddenState, **SMALL).fit(codes, y)
    with pytest.raises(TypeError, match="gives other logits"):
        save(model, tmp_path / "model")


def _other_dropout(net):
    net.module_.layers[2].p = 0.6


def _other_layer(net):
    net.module_.last = torch.nn.Linear(8, 3)


def _other_optimizer(net):
    net.optimizer_ = torch.optim.SGD(net.module_.parameters(), lr=0.1)


@pytest.mark.parametrize("change", [_other_dropout, _other_layer, _other_optimizer])
def test_a_network_that_was_changed_by_hand(change, iris, tmp_path):
    X, y = iris
    model = MarginClassifier(modules.Net, **SMALL).fit(X, y)
    change(model.net_)
    with pytest.raises(TypeError, match="changed by hand|by another optimizer"):
        save(model, tmp_path / "model")


def test_tensors_that_cannot_be_stored(iris, tmp_path):
    X, y = iris
    for tensor in (torch.eye(2).to_sparse(), torch.ones(2, dtype=torch.complex128)):
        with pytest.raises(TypeError, match="make it dense|does not know its dtype"):
            save(MarginClassifier(module__start=tensor), tmp_path / "model")
    model = MarginClassifier(modules.Sparse, **SMALL).fit(X, y)
    with pytest.raises(TypeError, match="make it dense"):
        save(model, tmp_path / "model")
    assert not [*tmp_path.iterdir()]


# --- short files that would take long ---------------------------------------------------


@pytest.mark.parametrize(
    "node",
    [
        {"set": {"shared": 40}},
        {"dict": [[{"shared": 40}, 1]]},
        {"callback": {"class": {"shared": 40}, "attributes": {"dict": []}}},
    ],
    ids=lambda node: next(iter(node)),
)
def test_tuples_that_hold_each_other_twice(node, file):
    if "set" in node:
        node = {"set": [node["set"]]}

    def change(document):
        state_of(document)["class_weight"] = node
        network = document["shared"]
        document["shared"] = [{"tuple": [1]}]
        document["shared"] += [{"tuple": [{"shared": i}, {"shared": i}]} for i in range(40)]
        document["root"] = network[-1]
        document["shared"] += network

    forged(file, change)
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(file)


def training_of(document):
    (node,) = (part["training"] for part in document["shared"] if "training" in part)
    return node


def _sizes(node):
    def change(document):
        training_of(document)["settings"]["nested"] = {
            "dict": [["module__hidden_layer_sizes", node]]
        }

    return change


def _built(name, value):
    return lambda document: training_of(document)["built"].update({name: value})


@pytest.mark.parametrize(
    "change",
    [
        _sizes({"tuple": [30_000, 30_000]}),
        _sizes({"list": [1] * 100_000}),
        _sizes({"range": [1, 10_000_000, 1]}),
        _sizes({"range": [1, 10**30, 1]}),
        _built("n_classes", 10**8),
        _built("n_classes", -1),
        _built("input_shape", [10**8]),
        _built("input_shape", ["a"]),
        _built("n_threads", 10**9),
        _built("flops", None),
    ],
)
def test_settings_of_a_network_that_is_not_in_the_file(change, file):
    forged(file, change)
    # It would take gigabytes, and Linux would end the process.
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(file)


def test_a_shape_that_needs_gigabytes(tmp_path):
    path = tmp_path / "model"
    images = np.random.RandomState(0).rand(20, 1, 8, 8).astype("float32")
    model = MarginClassifier(margin_sklearn.ConvNet, module__channels=(4,), **SMALL)
    save(model.fit(images, np.arange(20) % 2), path)
    forged(path, _built("input_shape", [1, 20_000, 20_000]))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(path)


def test_a_tensor_is_used_once(file):
    def change(document):
        array = {"array": {"dtype": "|u1", "shape": [1], "bytes": "values_0"}}
        state_of(document)["class_weight"] = {"list": [array] * 1000}

    forged(file, change)
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(file)


@pytest.mark.parametrize("kind", ["compressed", "repeated"])
def test_a_part_of_scikit_learn_that_expands(kind, iris, tmp_path):
    X, y = iris
    path = tmp_path / "model"
    save(make_pipeline(PCA(2), MarginClassifier(**SMALL)).fit(X, y), path)
    document, tensors = unpacked(path.read_bytes())
    (name,) = [key for key, value in tensors.items() if value.numpy().tobytes()[:2] == b"PK"]
    changed = io.BytesIO()
    packing = zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(changed, "w", packing) as new:
        new.writestr("a.npy", bytes(2**20))
        new.writestr("schema.json", '{"file": "a.npy"}' * 1000)
    tensors[name] = torch.frombuffer(bytearray(changed.getvalue()), dtype=torch.uint8)
    path.write_bytes(packed(document, tensors))
    with pytest.raises(ValueError, match="is compressed|repeats its arrays"):
        load(path)


@pytest.mark.parametrize(
    "name",
    ["sklearn.tests.test_base.A", "sklearn.conftest.A", "sklearn..os.system", "sklearn.A"],
)
def test_tests_of_scikit_learn_are_not_imported(name, file):
    node = {"object": {"class": name, "state": {}}}
    forged(file, lambda document: state_of(document).update(class_weight=node))
    before = {*sys.modules}
    with pytest.raises(ValueError, match="was not loaded"):
        load(file)
    assert not {part for part in {*sys.modules} - before if part.startswith("sklearn")}


@pytest.mark.parametrize("root", [3, None, {"list": []}, {"name": "builtins.print"}])
def test_a_file_without_an_estimator(root, file):
    forged(file, lambda document: document.update(root=root))
    with pytest.raises(ValueError, match="not an estimator"):
        load(file)


@pytest.mark.parametrize("text", ["f8,(2", "(9,9)f8", None, 3])
def test_dtypes_that_are_none(text, file):
    node = {"array": {"dtype": text, "shape": [1], "bytes": "values_0"}}
    forged(file, lambda document: state_of(document).update(class_weight=node))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(file)
