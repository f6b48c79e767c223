"""Docstrings say what signatures say, in numpydoc's sections."""

import importlib
import inspect
import pkgutil
import re

import pytest

import margin_sklearn

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(margin_sklearn.__path__, "margin_sklearn.")
]
# What a package hands on is documented whole; other functions may do with a sentence.
PACKAGES = [margin_sklearn, *(module for module in MODULES if hasattr(module, "__path__"))]


def public_objects(modules):
    found = {}
    for module in modules:
        found.update({name: getattr(module, name) for name in getattr(module, "__all__", ())})
    for name, thing in sorted(found.items()):
        if inspect.isclass(thing):
            yield pytest.param(thing, id=name)
            for method, function in vars(thing).items():
                function = getattr(function, "__func__", function)
                if inspect.isfunction(function) and not _documented_elsewhere(thing, method):
                    yield pytest.param(function, id=f"{name}.{method}")
        elif inspect.isfunction(thing):
            yield pytest.param(thing, id=name)


def _documented_elsewhere(thing, method):
    """Whether a method is private, or one of skorch's, torch's or Python's protocols."""
    return method.startswith("_") or any(
        method in vars(base)
        for base in thing.__mro__[1:]
        if base.__module__.partition(".")[0] in ("skorch", "torch", "builtins")
    )


def documented_parameters(text):
    section = re.search(
        r"Parameters\n-{10}\n(.*?)(?:\n\n[A-Z][a-zA-Z ]+\n-{3,}|\Z)", text, re.S
    )
    if not section:
        return []
    names = re.findall(r"^(\*{0,2}\w[\w, *]*?)(?: : |$)", section[1], re.M)
    return [part.strip().lstrip("*") for name in names for part in name.split(",")]


def parameters_of(thing):
    called = vars(thing).get("__init__") if inspect.isclass(thing) else thing
    if called is None:
        return None
    return [
        name for name in inspect.signature(called).parameters if name not in ("self", "cls")
    ]


@pytest.mark.parametrize("thing", list(public_objects(MODULES)))
def test_documented_parameters_are_those_of_the_signature(thing):
    text = inspect.getdoc(thing)
    assert text, "no docstring"
    documented, names = documented_parameters(text), parameters_of(thing)
    if documented and names is not None:
        assert documented == names


@pytest.mark.parametrize("thing", list(public_objects(PACKAGES)))
def test_what_a_package_hands_on_documents_its_parameters(thing):
    text = inspect.getdoc(thing)
    names = parameters_of(thing)
    if inspect.isclass(thing) and ("Attributes" in text or issubclass(thing, Warning)):
        return
    if names and not documented_parameters(text):
        # One sentence may do for a method that says all in its name and its class.
        assert re.fullmatch(r"[^\n]+\.", text.split("\n\n")[0])
        assert len(names) <= 1 or hasattr(thing, "__wrapped__"), names


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
