"""Values of an interpreted program, and refusals.

Other values are an :class:`~symact.expr.Expr` (a tensor), a Python number, a truth value, a text,
None, or a tuple of values.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from symact.errors import ImportRefusedError
from symact.expr import Expr, sort_of

#: A value of the program.
Value = Any


class TooLargeError(ImportRefusedError):
    """A limit of steps or sizes was reached. The interpretation ends."""


class TensorNumber(float):
    """A constant tensor of one element.

    Its identity matters, because several names may be bound to the same tensor.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """A constant tensor of several elements, such as ``np.array([1.0, 2.0])``."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Library:
    """A module, function or constant of a library, by its dotted path."""

    path: str


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """A method of a tensor."""

    owner: Value
    name: str


@dataclass(slots=True, eq=False)
class Scope:
    """The names of a function call, a class body or the module, and their enclosing scope."""

    names: dict[str, Value] = field(default_factory=dict)
    outer: Scope | None = None

    def find(self, name: str) -> Scope | None:
        """Return the nearest scope with a name; None if there is none."""
        scope: Scope | None = self
        while scope is not None and name not in scope.names:
            scope = scope.outer
        return scope


@dataclass(frozen=True, slots=True, eq=False)
class Closure:
    """A function or lambda of the program, with the values of its defaults."""

    node: ast.FunctionDef | ast.Lambda
    scope: Scope
    defaults: Mapping[str, Value]
    owner: Class | None = None

    @property
    def name(self) -> str:
        return getattr(self.node, "name", "lambda")


@dataclass(slots=True, eq=False)
class Class:
    """A class of the program. ``unknown`` is the reason if its content is unknown."""

    name: str
    base: Class | None
    is_module: bool
    attributes: dict[str, Value]
    unknown: str = ""

    def find(self, name: str) -> Value:
        """Return an attribute of the class or its bases; :data:`MISSING` if there is none."""
        own: Class | None = self
        while own is not None:
            if own.unknown:
                return Unknown(own.unknown)
            if name in own.attributes:
                return own.attributes[name]
            own = own.base
        return MISSING


@dataclass(slots=True, eq=False)
class Instance:
    """An object of a class of the program."""

    cls: Class
    attributes: dict[str, Value]
    unknown: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A method of an object of the program."""

    instance: Instance
    function: Closure


@dataclass(frozen=True, slots=True, eq=False)
class Super:
    """The value of ``super()``: the attributes of the base classes for an instance."""

    instance: Instance
    base: Class | None


@dataclass(frozen=True, slots=True, eq=False)
class Property:
    """A function that is called when the attribute is read."""

    function: Closure


@dataclass(frozen=True, slots=True, eq=False)
class Static:
    """A static method."""

    function: Value


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A layer of a library: a function with all arguments except the tensor."""

    path: str
    arguments: Mapping[str, Value]


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """A function with some arguments."""

    function: Value
    args: Sequence[Value]
    keywords: Mapping[str, Value]


@dataclass(slots=True, eq=False)
class Dictionary:
    """A dict of the program. ``unknown`` is the reason if its content is unknown."""

    items: dict[Value, Value]
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value without supported operations, such as a device."""

    what: str
    of: Value = None


@dataclass(frozen=True, slots=True)
class Equal:
    """``x == c`` or ``x != c``. It is supported only as the guard of a division."""

    left: Expr
    right: Value
    negated: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """An unknown value, with the reason."""

    reason: str


#: The value of a missing attribute.
MISSING = Opaque("a missing attribute")


def refused(node: ast.AST | None, what: str) -> ImportRefusedError:
    """Return the refusal of a construct. The message is one line with the line number."""
    what = " ".join(what.encode("utf-8", "backslashreplace").decode().split())
    line = getattr(node, "lineno", None)
    return ImportRefusedError(f"line {line}: {what}" if line else what)


def is_number(value: Value) -> TypeGuard[int | float]:
    """Return whether a value is a number. Truth values are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_plain(value: Value) -> bool:
    """Return whether a value is a Python number, truth value, text or None."""
    plain = value is None or isinstance(value, bool | int | float | str)
    return plain and not isinstance(value, TensorNumber)


def is_comparison(value: Value) -> bool:
    """Return whether a value is a truth value, for each element or for all."""
    return isinstance(value, bool) or (isinstance(value, Expr) and sort_of(value) == "Bool")


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a truth value"),
    (int, "a number"),
    (float, "a number"),
    (str, "a text"),
    (tuple, "a tuple"),
    (Array, "an array of several elements"),
    (Closure, "a function"),
    (Bound, "a method"),
    (Class, "a class"),
    (Instance, "an object"),
    (Layer, "a layer"),
    (Dictionary, "a dict"),
    (Equal, "a comparison by =="),
)


def described(value: Value) -> str:
    """Return the description of a value for messages."""
    if isinstance(value, Expr):
        return "a comparison" if sort_of(value) == "Bool" else "a tensor"
    if isinstance(value, Library):
        return f"'{value.path}'"
    if isinstance(value, Opaque):
        return value.what
    if value is None:
        return "None"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "something")


def kind_of(node: ast.AST) -> str:
    """Return the name of a syntax node for messages."""
    return f"'{type(node).__name__}'"
