"""Signatures of library functions, read from the rows of :mod:`symact.importers.library`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from symact.errors import ImportRefusedError
from symact.expr import Expr, const, parse, substitute, variables
from symact.expr.canonical import canonical
from symact.importers.library import ALIASES, TABLE, TORCH_NAMES, UFUNC

#: Default of a required parameter.
REQUIRED = object()
_ROW = re.compile(r"(?P<names>[\w|]+)\((?P<signature>.*?)\) (?P<sign>=|->) (?P<meaning>.*)")
_RULE = re.compile(r"@(?P<name>\w+)\((?P<arguments>.*)\)")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a library function.

    Attributes:
        name: Its name.
        kind: ``"positional"``, ``"either"``, ``"keyword"``, ``"args"`` or ``"kwargs"``.
        default: Default value; :data:`REQUIRED` for a required parameter.
    """

    name: str
    kind: str
    default: Any


@dataclass(frozen=True, slots=True)
class Row:
    """A library function.

    Attributes:
        path: Dotted path of the function.
        parameters: Parameters in order.
        formula: Meaning as a formula in the parameters; None if there is a rule.
        rule: Name of the rule; ``""`` if there is none.
        arguments: Arguments of the rule: names of parameters, or constants in a tuple.
        layer: Path of the function that a layer applies; ``""`` for a function.
        refusal: Reason if the function is always refused, else ``""``.
        note: Assumption of the meaning; ``""`` if there is none.
    """

    path: str
    parameters: tuple[Parameter, ...]
    formula: Expr | None = None
    rule: str = ""
    arguments: tuple[str | tuple[Any], ...] = ()
    layer: str = ""
    refusal: str = ""
    note: str = ""

    @property
    def used(self) -> frozenset[str]:
        """Names of the parameters that the meaning uses."""
        if self.layer:
            return frozenset(p.name for p in self.parameters)
        named = [name for name in self.arguments if isinstance(name, str)]
        return frozenset([*named, *(variables(self.formula) if self.formula else ())])


@cache
def rows() -> Mapping[str, Row]:
    """Return all rows by path."""
    return {
        row.path: row
        for module, text in TABLE.items()
        for line in filter(None, text.splitlines())
        for row in _rows_of(module, line)
    }


def find(path: str) -> Row | None:
    """Return the row of a dotted path; None if there is none."""
    return rows().get(resolved(path))


def resolved(path: str) -> str:
    """Return a path with aliases of modules replaced."""
    for alias, module in ALIASES.items():
        if path == alias or path.startswith(f"{alias}."):
            return module + path[len(alias) :]
    return path


def names_of(module: str) -> list[str]:
    """Return the names of the functions of a module."""
    head = resolved(module) + "."
    return [path[len(head) :] for path in rows() if path.startswith(head)]


def method(name: str, kind: str) -> Row | None:
    """Return the row of a method of a torch tensor or of a NumPy or JAX array.

    Args:
        name: Its name.
        kind: ``"Tensor"`` or ``"ndarray"``.
    """
    found = rows().get(f"{kind}.{name}")
    if found is not None or kind == "ndarray":
        return found
    own = rows().get(f"torch.{name}")
    is_method = own is not None and bool(own.parameters) and own.parameters[0].name == "input"
    return own if is_method or (own is not None and own.refusal) else None


def _rows_of(module: str, line: str) -> Iterator[Row]:
    match = _ROW.fullmatch(line)
    assert match is not None, line
    parameters = _parameters(match["signature"].replace("~ufunc", UFUNC))
    meaning, _, note = match["meaning"].partition(" # ")
    for name in match["names"].split("|"):
        path, own = f"{module}.{name}", meaning.replace("{}", name)
        rule = _RULE.fullmatch(own)
        if match["sign"] == "->":
            yield Row(path, parameters, layer=own)
        elif own.startswith("! "):
            yield Row(path, parameters, refusal=own[2:])
        elif rule is not None:
            arguments = tuple(_argument(text) for text in rule["arguments"].split(", "))
            yield Row(path, parameters, rule=rule["name"], arguments=arguments, note=note)
        else:
            formula = parse(own, tuple(p.name for p in parameters))
            yield Row(path, parameters, formula=formula, note=note)


def _argument(text: str) -> str | tuple[Any]:
    return text if text.isidentifier() and text != "None" else (ast.literal_eval(text),)


def _parameters(signature: str) -> tuple[Parameter, ...]:
    definition = ast.parse(f"def f({signature}): pass").body[0]
    assert isinstance(definition, ast.FunctionDef)
    spec = definition.args
    places = [(a.arg, "positional") for a in spec.posonlyargs] + [
        (a.arg, "either") for a in spec.args
    ]
    missing = [REQUIRED] * (len(places) - len(spec.defaults))
    defaults = [*missing, *(ast.literal_eval(d) for d in spec.defaults)]
    found = [Parameter(*place, default) for place, default in zip(places, defaults, strict=True)]
    if spec.vararg is not None:
        found.append(Parameter(spec.vararg.arg, "args", ()))
    for keyword, given in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
        default = REQUIRED if given is None else ast.literal_eval(given)
        found.append(Parameter(keyword.arg, "keyword", default))
    if spec.kwarg is not None:
        found.append(Parameter(spec.kwarg.arg, "kwargs", ()))
    return tuple(found)


def bind(row: Row, args: Sequence[Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all parameters of a call.

    Raises:
        ImportRefusedError: There are too many arguments, one has no parameter, or one is missing.
    """
    bound: dict[str, Any] = {}
    places = [p for p in row.parameters if p.kind in ("positional", "either")]
    rest = next((p for p in row.parameters if p.kind == "args"), None)
    if len(args) > len(places) and rest is None:
        raise ImportRefusedError(f"'{row.path}' takes {len(places)} arguments, got {len(args)}")
    bound.update(zip((p.name for p in places), args, strict=False))
    if rest is not None:
        bound[rest.name] = tuple(args[len(places) :])
    _bind_keywords(row, bound, keywords)
    for parameter in row.parameters:
        if parameter.name not in bound:
            if parameter.default is REQUIRED:
                raise ImportRefusedError(f"'{row.path}' lacks the argument '{parameter.name}'")
            bound[parameter.name] = parameter.default
    return bound


def _bind_keywords(row: Row, bound: dict[str, Any], keywords: Mapping[str, Any]) -> None:
    known = {p.name for p in row.parameters if p.kind in ("either", "keyword")}
    extra = next((p for p in row.parameters if p.kind == "kwargs"), None)
    others: dict[str, Any] = {}
    for given, value in keywords.items():
        is_torch = given not in known and row.path.startswith(("torch.", "Tensor."))
        name = TORCH_NAMES.get(given, given) if is_torch else given
        if name not in known:
            if extra is None:
                raise ImportRefusedError(f"'{row.path}' has no argument '{given}'")
            others[given] = value
        elif name in bound:
            raise ImportRefusedError(f"'{row.path}' is given '{given}' twice")
        else:
            bound[name] = value
    if extra is not None:
        bound[extra.name] = tuple(others.items())


def numeric(formula: Expr, values: Mapping[str, float]) -> float | None:
    """Return the value of a formula with numbers; None if it is not finite."""
    bound = {name: const(values[name]) for name in variables(formula)}
    value = canonical(substitute(formula, bound))
    return value.number if value.op == "const" else None
