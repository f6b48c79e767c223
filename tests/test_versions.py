"""Versions in pickles, shown to the user, and as pyproject.toml names them."""

import ast
import copy
import pickle
import pkgutil
import re
import subprocess
import sys
import tomllib
import warnings
from importlib import import_module
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import InconsistentVersionWarning
from skorch import NeuralNet

import margin_sklearn
from margin_sklearn import MarginClassifier, MarginSearchCV, show_versions
from margin_sklearn import versions as module
from margin_sklearn.runtime import resolve_device
from margin_sklearn.versions import Versioned

PROJECT = Path(__file__).parent.parent


def estimator_classes():
    found = set()
    for part in pkgutil.walk_packages(margin_sklearn.__path__, "margin_sklearn."):
        for value in vars(import_module(part.name)).values():
            ours = getattr(value, "__module__", "").startswith("margin_sklearn")
            # The net is part of an estimator.
            kinds = isinstance(value, type) and issubclass(value, BaseEstimator)
            if ours and kinds and not issubclass(value, NeuralNet):
                found.add(value)
    return found


def test_all_estimators_keep_their_versions():
    found = estimator_classes()
    assert {MarginClassifier, MarginSearchCV} <= found
    for kind in found:
        assert issubclass(kind, Versioned)
        assert kind.__getstate__ is Versioned.__getstate__
        assert kind.__setstate__ is Versioned.__setstate__


def test_a_pickle_of_these_versions_is_silent_and_equal():
    model = MarginClassifier(max_epochs=3, module__hidden_layer_sizes=(4,))
    for again in (
        pickle.loads(pickle.dumps(model)),
        copy.copy(model),
        copy.deepcopy(model),
        clone(model),
    ):
        assert vars(again) == vars(model)


@pytest.mark.parametrize("library", ["margin-sklearn", "scikit-learn", "skorch"])
def test_a_pickle_of_another_version_warns(library, monkeypatch):
    data = pickle.dumps(MarginClassifier())
    monkeypatch.setattr(
        module, "_version", lambda name: "9.9" if name == library else real(name)
    )
    real = module.versions_of_libraries.__globals__["importlib"].metadata.version
    with pytest.warns(InconsistentVersionWarning, match=rf"{library} .* is loaded with 9\.9"):
        pickle.loads(data)


def test_another_torch_or_numpy_is_silent(monkeypatch):
    data = pickle.dumps(MarginClassifier())
    real = module.versions_of_libraries.__globals__["importlib"].metadata.version
    others = ("torch", "numpy")
    monkeypatch.setattr(
        module, "_version", lambda name: "9.9" if name in others else real(name)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pickle.loads(data).max_epochs == "auto"


def test_a_pickle_without_versions_warns():
    model = MarginClassifier()
    state = vars(model).copy()
    with pytest.warns(InconsistentVersionWarning) as told:
        MarginClassifier().__setstate__(state)
    assert ["unknown" in str(warning.message) for warning in told] == [True, True, True]
    assert state == vars(model)


def test_the_warning_comes_out_of_a_worker():
    with pytest.warns(InconsistentVersionWarning) as told:
        module.warn_of_versions("MarginClassifier", {})
    again = pickle.loads(pickle.dumps(told[0].message))
    assert str(again) == str(told[0].message)
    assert vars(again) == vars(told[0].message)


def test_versions_are_shown_without_importing_the_optional_libraries():
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, margin_sklearn; margin_sklearn.show_versions(); "
            "print(*{'skops', 'dask', 'matplotlib'} & {*sys.modules})",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("margin-sklearn", "scikit-learn", "torch", "skorch", "distributed", "CUDA"):
        assert re.search(rf"^ +{name}: \S", shown, re.MULTILINE)
    assert shown.splitlines()[-1] == ""


def test_what_is_not_installed_is_shown_as_none(monkeypatch, capsys):
    monkeypatch.setattr(module, "OTHERS", ("no-such-library",))
    show_versions()
    assert re.search(r"no-such-library: None", capsys.readouterr().out)


def test_threads_and_devices_are_shown(capsys):
    show_versions()
    shown = dict(re.findall(r"^ +(.+?): (.*)$", capsys.readouterr().out, re.MULTILINE))
    assert shown["threads"] == "1"
    assert shown['device="auto"'] == str(resolve_device("auto"))
    # torch's, at least.
    assert any(re.match(r"\d+ threads, ", value) for value in shown.values())


# --- pyproject.toml ---------------------------------------------------------------------


SETTINGS = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
# Name of the distribution where it differs from that of the module.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "imblearn": "imbalanced-learn"}


def test_every_library_that_is_imported_is_named_with_its_lowest_version():
    extras = SETTINGS["optional-dependencies"]
    named = SETTINGS["dependencies"] + [
        entry for name in ("plot", "imblearn", "save", "distributed") for entry in extras[name]
    ]
    lowest = dict(entry.split(">=") for entry in named)
    assert all(re.fullmatch(r"[0-9]+(\.[0-9]+)*", version) for version in lowest.values())
    imported = set()
    for path in Path(margin_sklearn.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).partition(".")[0])
    others = imported - {*sys.stdlib_module_names}
    assert {"torch", "skops"} <= others
    assert {DISTRIBUTIONS.get(name, name) for name in others} <= {*lowest}


def test_the_libraries_that_are_shown_are_those_that_are_named():
    extras = SETTINGS["optional-dependencies"]
    named = SETTINGS["dependencies"] + [
        entry for name in ("plot", "imblearn", "save", "distributed") for entry in extras[name]
    ]
    shown = {*module.LIBRARIES, *module.OTHERS} - {module.OWN}
    assert {entry.partition(">=")[0] for entry in named} == shown


def test_the_version_is_the_same_everywhere():
    assert SETTINGS["version"] == margin_sklearn.__version__
