"""The structure of the code: which package imports which, length and names of modules."""

import ast
import importlib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import margin_sklearn

ROOT = Path(margin_sklearn.__file__).parent
# From the top down: a package imports only itself and packages of lower levels.
LEVELS = [
    {"displays", "persistence"},
    {"subsets", "model_selection"},
    {"classifier"},
    {"training"},
    {"scoring"},
    {"scales"},
    {"neighborhoods", "adapters"},
    {"data", "nn", "storage", "runtime", "exceptions", "checks", "versions", "representation"},
]
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}
GROUND = len(LEVELS) - 1
MAX_LINES = 400
MAX_FILES_BESIDE_PACKAGES = 5


def name_of(path: Path) -> str:
    """Name of a module without ``margin_sklearn.``; "" for the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}


class Import(NamedTuple):
    module: str  # where the import stands
    target: str  # module or package that is imported
    name: str | None  # name that is imported from it, if it is not a module
    bound: str  # name under which it is known in the module


def absolute(module: str, node: ast.ImportFrom) -> str | None:
    """Target of ``from ... import``; None if it is outside of margin_sklearn."""
    if not node.level:
        first, _, rest = (node.module or "").partition(".")
        return rest if first == "margin_sklearn" else None
    package = module.split(".") if module else []
    if FILES[module].name != "__init__.py":
        package = package[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def imports_of(module: str) -> Iterator[Import]:
    """Imports of margin_sklearn's modules anywhere in a module, also inside functions."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first, _, rest = alias.name.partition(".")
                if first == "margin_sklearn":
                    yield Import(module, rest, None, alias.asname or alias.name)
        elif isinstance(node, ast.ImportFrom):
            target = absolute(module, node)
            if target is None:
                continue
            for alias in node.names:
                inner = f"{target}.{alias.name}".strip(".")
                bound = alias.asname or alias.name
                if inner in FILES:
                    yield Import(module, inner, None, bound)
                else:
                    yield Import(module, target, alias.name, bound)


IMPORTS = [found for module in FILES for found in imports_of(module)]
MODULES = pytest.mark.parametrize("module", [module for module in FILES if module])


def package_of(module: str) -> str:
    return module.partition(".")[0]


def allowed(package: str, imported: str) -> bool:
    """Whether one package may import another."""
    if not imported:
        # margin_sklearn/__init__.py imports everything, so nothing may import it.
        return False
    level, below = LEVEL_OF[package], LEVEL_OF[imported]
    return imported == package or below > level or below == level == GROUND


def test_every_package_has_a_level():
    assert {package_of(module) for module in FILES if module} <= set(LEVEL_OF)


@MODULES
def test_imports_go_down(module):
    own = package_of(module)
    upward = [
        found.target
        for found in IMPORTS
        if found.module == module and not allowed(own, package_of(found.target))
    ]
    assert not upward


def test_there_is_no_import_circle_between_modules():
    graph: dict[str, set[str]] = {module: set() for module in FILES}
    for found in IMPORTS:
        graph[found.module].add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import circle: {' -> '.join(error.args[1])}")


def test_there_is_no_import_circle_between_packages_of_the_lowest_level():
    graph: dict[str, set[str]] = {name: set() for name in LEVELS[GROUND]}
    for found in IMPORTS:
        pair = package_of(found.module), package_of(found.target)
        if set(pair) <= LEVELS[GROUND] and pair[0] != pair[1]:
            graph[pair[0]].add(pair[1])
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import circle: {' -> '.join(error.args[1])}")


@MODULES
def test_modules_are_short(module):
    path = FILES[module]
    n_lines = len(path.read_text("utf-8").splitlines())
    assert n_lines <= MAX_LINES


def test_there_are_few_files_beside_the_packages():
    assert len(list(ROOT.glob("*.py"))) <= MAX_FILES_BESIDE_PACKAGES


def public_functions(package: str) -> set[str]:
    """Top-level functions of a package's modules without a leading underscore."""
    return {
        node.name
        for module, tree in TREES.items()
        if package_of(module) == package
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


@MODULES
def test_modules_do_not_have_the_name_of_a_public_function_or_class(module):
    """``from margin_sklearn import margins`` must not depend on what was imported before."""
    name = module.rpartition(".")[2]
    assert name not in margin_sklearn.__all__
    assert name not in public_functions(package_of(module))


def is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


@pytest.mark.parametrize("module", list(FILES))
def test_private_names_stay_in_their_module(module):
    """Neither those of margin_sklearn nor those of other libraries are used elsewhere."""
    namespace = vars(importlib.import_module(f"margin_sklearn.{module}".strip(".")))
    modules = {name for name, value in namespace.items() if isinstance(value, ModuleType)}
    # Imports inside functions are not in the namespace of the module.
    modules |= {found.bound for found in IMPORTS if found.module == module and not found.name}
    private = []
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            private += [alias.name for alias in node.names if is_private(alias.name)]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(alias.name for alias in node.names)]
            private += [name for name in names if is_private(name)]
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            value = ast.unparse(node.value)
            if value.partition(".")[0] in modules:
                private.append(f"{value}.{node.attr}")
    assert not private


def test_functions_of_the_package_are_not_modules():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("margin_sklearn.margins")
    assert callable(margin_sklearn.margins)
