"""Docstrings say what signatures say, in numpydoc's sections."""

import importlib
import inspect
import re

import pytest

import margin_sklearn

MODULES = [
    importlib.import_module(f"margin_sklearn.{name}")
    for name in (
        "neighborhoods.step_length",
        "neighborhoods.copies",
        "neighborhoods.distinct_rows",
        "nn.losses",
        "neighborhoods.residual_steps",
        "neighborhoods.neighbors",
        "scoring.evaluation",
        "adapters.registry",
        "subsets.overlap",
        "classifier.pipelines",
        "neighborhoods.prepared_rows",
        "neighborhoods.perturbed",
        "subsets.report",
        "scales.registry",
        "scoring.scorer",
        "subsets.strategies",
    )
]


def public_objects():
    found = {name: getattr(margin_sklearn, name) for name in margin_sklearn.__all__}
    for module in MODULES:
        found.update({name: getattr(module, name) for name in module.__all__})
    for name, thing in sorted(found.items()):
        if inspect.isclass(thing):
            yield pytest.param(thing, id=name)
            for method, function in vars(thing).items():
                function = getattr(function, "__func__", function)
                if not method.startswith("_") and inspect.isfunction(function):
                    yield pytest.param(function, id=f"{name}.{method}")
        elif inspect.isfunction(thing):
            yield pytest.param(thing, id=name)


def documented_parameters(text):
    section = re.search(
        r"Parameters\n-{10}\n(.*?)(?:\n\n[A-Z][a-zA-Z ]+\n-{3,}|\Z)", text, re.S
    )
    if not section:
        return []
    names = re.findall(r"^(\*{0,2}\w[\w, *]*?)(?: : |$)", section[1], re.M)
    return [part.strip().lstrip("*") for name in names for part in name.split(",")]


@pytest.mark.parametrize("thing", list(public_objects()))
def test_parameters_are_those_of_the_signature(thing):
    text = inspect.getdoc(thing)
    assert text, "no docstring"
    if thing.__name__.startswith("_") or (
        issubclass(type(thing), type) and issubclass(thing, Warning)
    ):
        return
    called = thing.__init__ if "__init__" in vars(thing) else thing
    names = [
        name for name in inspect.signature(called).parameters if name not in ("self", "cls")
    ]
    if inspect.isclass(thing) and "Attributes" in text and "Parameters" not in text:
        return
    if "Parameters" not in text and re.fullmatch(r"[^\n]+\.", text.split("\n\n")[0]):
        # One sentence may do for a method that says all in its name and its class.
        assert len(names) <= 1 or hasattr(thing, "__wrapped__"), names
        return
    assert documented_parameters(text) == names


@pytest.mark.parametrize(
    "name", [name for name in margin_sklearn.__all__ if not name.endswith("Warning")]
)
def test_top_level_names_have_examples(name):
    assert ">>>" in inspect.getdoc(getattr(margin_sklearn, name))


def test_every_name_of_all_is_there():
    assert sorted(margin_sklearn.__all__, key=str.lower) == sorted(
        set(margin_sklearn.__all__), key=str.lower
    )
    assert all(hasattr(margin_sklearn, name) for name in margin_sklearn.__all__)
