"""The public names and their signatures are those of ``tests/data/public_api.txt``.

``python tests/project/test_public_api.py`` writes the file anew after an intended change.
"""

from __future__ import annotations

import difflib
import enum
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import ForwardRef

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "data" / "public_api.txt"
COMMAND = "python tests/project/test_public_api.py"
#: The packages and modules whose names the documentation uses.
DOCUMENTED = [
    "symact",
    "symact.backends",
    "symact.engine",
    "symact.errors",
    "symact.evaluation",
    "symact.evaluation.behaviour",
    "symact.expr",
    "symact.grammar",
    "symact.grammar.enumeration",
    "symact.importers",
    "symact.proposers",
    "symact.reporting",  # with its modules
    "symact.tasks",
    "symact.zoo",
    "symact.zoo.modules",
    "symact.zoo.recognise",
]


class Plain:
    """An annotation that prints as it was written."""

    def __init__(self, annotation: object) -> None:
        if isinstance(annotation, ForwardRef):  # of a named tuple
            annotation = annotation.__forward_arg__
        is_text = isinstance(annotation, str)
        self.text = annotation if is_text else inspect.formatannotation(annotation)

    def __repr__(self) -> str:
        return self.text


def signature(value: object) -> str:
    """The signature of a callable, without addresses in memory and quotation marks."""
    found = inspect.signature(value)
    empty = inspect.Signature.empty
    parameters = [
        one if one.annotation is empty else one.replace(annotation=Plain(one.annotation))
        for one in found.parameters.values()
    ]
    returned = found.return_annotation
    returned = empty if returned is empty else Plain(returned)
    text = str(found.replace(parameters=parameters, return_annotation=returned))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def own_members(cls: type) -> dict[str, object]:
    """The public members that symact's classes in the ancestry of a class define."""
    found: dict[str, object] = {}
    for ancestor in reversed(cls.__mro__):
        if ancestor.__module__.startswith("symact"):
            found |= {name: one for name, one in vars(ancestor).items() if name[0] != "_"}
    return dict(sorted(found.items()))


def lines_of_class(name: str, cls: type) -> Iterator[str]:
    if issubclass(cls, enum.Enum):
        yield f"{name} = {', '.join(one.name for one in cls)}"
        return
    has_constructor = not getattr(cls, "_is_protocol", False) and not issubclass(cls, Exception)
    yield f"class {name}{signature(cls).split(' -> ')[0] if has_constructor else ''}"
    fields = inspect.signature(cls).parameters if has_constructor else {}
    for own, member in own_members(cls).items():
        if isinstance(member, classmethod | staticmethod):
            yield f"{name}.{own}{signature(member.__func__)} [{type(member).__name__}]"
        elif inspect.isfunction(member):
            yield f"{name}.{own}{signature(member)}"
        elif own not in fields:
            yield f"{name}.{own}"


def lines_of(name: str, value: object) -> Iterator[str]:
    """The lines that state one public name."""
    if isinstance(value, type):
        yield from lines_of_class(name, value)
    elif inspect.isroutine(value):
        yield f"{name}{signature(value)}"
    else:
        is_alias = type(value).__module__ in ("types", "typing", "collections.abc")
        yield f"{name}: {'type alias' if is_alias else type(value).__name__}"


def public_names(module: ModuleType) -> list[str]:
    """``__all__``, or else what the module itself defines without an underscore."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if name[0] != "_" and getattr(value, "__module__", None) == module.__name__
    )


def modules() -> list[str]:
    reporting = importlib.import_module("symact.reporting")
    found = pkgutil.iter_modules(reporting.__path__, "symact.reporting.")
    return sorted([*DOCUMENTED, *(one.name for one in found)])


def public_api() -> list[str]:
    """One line for each public name and member."""
    return [
        line
        for module in map(importlib.import_module, modules())
        for name in public_names(module)
        for line in lines_of(f"{module.__name__}.{name}", getattr(module, name))
    ]


def test_the_public_api_is_the_recorded_one():
    recorded, present = FILE.read_text("utf-8").splitlines(), public_api()
    changes = difflib.unified_diff(recorded, present, "recorded", "present", lineterm="", n=0)
    assert present == recorded, "\n".join(
        [f"The public API changed. If this is intended, run: {COMMAND}", *changes]
    )


def test_signatures_are_part_of_the_record():
    class Example:
        def method(self, count: int = 3) -> str: ...

    Example.__module__ = "symact.example"
    assert list(lines_of("Example", Example)) == [
        "class Example()",
        "Example.method(self, count: int = 3) -> str",
    ]


if __name__ == "__main__":
    FILE.write_text("\n".join(public_api()) + "\n", "utf-8")
    sys.stdout.write(f"wrote {FILE.relative_to(ROOT)}\n")
