"""Modules use only public names of one another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Modules that all packages of symact share and nobody else uses.
SHARED = {"_deprecated", "_shared", "_validation"}
#: Attributes that are private by name only.
STANDARD = {"_exit", "_asdict", "_replace"}
#: Private names of the package that other files use, and why.
EXCEPTIONS: dict[tuple[str, str], str] = {}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def is_own(name: str) -> bool:
    return name.lstrip(".").split(".")[0] == "symact" or name.startswith(".")


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that a module imports: what each is called there, and in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.split(".")[0]
                yield local, alias.name if alias.asname else local
                yield "", alias.name
        elif isinstance(node, ast.ImportFrom):
            module = f"{'.' * node.level}{node.module}." if node.module else "." * node.level
            for alias in node.names:
                yield alias.asname or alias.name, module + alias.name


def private_attributes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The objects and names of attributes with an underscore; those of ``self`` are one's own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            if owner not in ("self", "cls") and node.attr not in STANDARD:
                yield owner, node.attr


def used_by_the_package(source: str) -> set[str]:
    """The private names of other modules of symact that a module of symact uses."""
    tree = ast.parse(source)
    names = list(imported(tree))
    modules = dict(names)
    used = {full for _, full in names}
    for owner, attribute in private_attributes(tree):
        first, dot, rest = owner.partition(".")
        used.add(f"{modules.get(first, '')}{dot}{rest}.{attribute}" if first in modules else "")
    return {
        name
        for name in filter(is_own, used)
        if any(is_private(part) and part not in SHARED for part in name.split("."))
    }


def used_elsewhere(source: str) -> set[str]:
    """The private names of symact, and of any object, that a file outside of it uses."""
    tree = ast.parse(source)
    names = {full for _, full in imported(tree) if is_own(full)}
    found = {name for name in names if any(map(is_private, name.split(".")))}
    return found | {f"{owner}.{attribute}" for owner, attribute in private_attributes(tree)}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from symact.expr.parser import _token", {"symact.expr.parser._token"}),
        ("from symact.expr import _parser", {"symact.expr._parser"}),
        ("import symact.expr._parser", {"symact.expr._parser"}),
        ("from symact.expr import parser as p\np._token", {"symact.expr.parser._token"}),
        ("import symact\nsymact.expr._token()", {"symact.expr._token"}),
        ("from . import _parser", {"._parser"}),
        ("from symact import _shared", set()),
        ("from symact import __version__\nimport torch\ntorch._C", set()),
    ],
)
def test_uses_of_private_names_are_found(source, expected):
    assert used_by_the_package(source) == expected


def test_uses_of_private_attributes_are_found():
    source = "from symact import _shared, search\nsearch()._state\nself._own = os._exit"
    assert used_elsewhere(source) == {"symact._shared", "search()._state"}


def test_no_module_of_the_package_uses_a_private_name_of_another():
    found = {path: used_by_the_package(path.read_text("utf-8")) for path in sources("src")}
    assert {str(path.relative_to(ROOT)): names for path, names in found.items() if names} == {}


def test_no_test_or_tool_uses_a_private_name():
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in sources("tests", "reliability", "tools", "examples")
        for name in used_elsewhere(path.read_text("utf-8"))
    }
    assert found == set(EXCEPTIONS)
