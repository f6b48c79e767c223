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


def described_parameters(text):
    """Names in the sections of parameters and attributes that have a description."""
    sections = re.findall(
        r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=\n\n[A-Z][a-zA-Z ]+\n-{3,}|\Z)",
        text,
        re.S | re.M,
    )
    names = re.findall(r"^(\*{0,2}\w[\w, *]*?)(?: :.*)?\n +\S", "\n".join(sections), re.M)
    return {part.strip().lstrip("*") for name in names for part in name.split(",")}


def everything_handed_on():
    """Functions and classes that packages hand on, and their methods, also those inherited."""
    for package in PACKAGES:
        for name in getattr(package, "__all__", ()):
            thing = getattr(package, name)
            if not inspect.isclass(thing):
                if inspect.isfunction(thing):
                    yield pytest.param(thing, id=f"{package.__name__}.{name}")
                continue
            yield pytest.param(thing, id=f"{package.__name__}.{name}")
            for method in dir(thing):
                function = inspect.getattr_static(thing, method)
                function = getattr(function, "__func__", function)
                # scikit-learn generates set_fit_request and the like.
                module = getattr(function, "__module__", None) or ""
                if module.startswith("margin_sklearn") and not _documented_elsewhere(
                    thing, method
                ):
                    id = f"{package.__name__}.{name}.{method}"
                    yield pytest.param(getattr(thing, method), id=id)


@pytest.mark.parametrize("thing", list(everything_handed_on()))
def test_every_public_parameter_is_described(thing):
    names = set()
    if not (inspect.isclass(thing) and issubclass(thing, Warning)):
        names = set(inspect.signature(thing).parameters) - {"self"}
    assert names <= described_parameters(inspect.getdoc(thing))


@pytest.mark.parametrize(
    "description", ["", "    ", "\nReturns\n-------\ny : int\n    Label."]
)
def test_a_type_alone_is_not_a_description(description):
    text = f"Do.\n\nParameters\n----------\nX, y : int\n    Data.\nz : int\n{description}"
    assert described_parameters(text) == {"X", "y"}


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
