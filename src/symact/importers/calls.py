"""Calls of library functions: bind and check their arguments, then apply a rule."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symact.errors import ImportRefusedError, choices
from symact.expr import Expr, fold, variables
from symact.importers import signatures
from symact.importers.arithmetic import Arithmetic
from symact.importers.conversions import Use, type_kind
from symact.importers.rules import RULES
from symact.importers.signatures import Parameter, Row
from symact.importers.values import (
    Layer,
    TensorNumber,
    Value,
    described,
    is_number,
    is_plain,
    refused,
)

#: Parameters without an effect on values.
_HARMLESS = {
    *("name", "copy", "order", "subok", "device", "requires_grad", "memory_format", "layout"),
    *("pin_memory", "non_blocking", "accuracy", "casting", "trainable", "persistent", "like"),
    *("out_sharding", "validate_shape", "caching_device", "keepdims", "keepdim", "ndmin"),
}
_TYPE_NAMES = {"dtype", "out_dtype", "dtype_hint"}
#: Operations that map integers to integers.
_WHOLE = {"add", "sub", "mul", "neg", "abs", "min", "max", "var", "const"}

#: Function of (call, argument): whether the call may change the argument in place.
InPlace = Callable[[ast.AST, Value], bool]


class Calls:
    """Applies library functions.

    Args:
        arithmetic: Creates expressions.
        may_change: Returns whether a call may change its argument in place.
    """

    def __init__(self, arithmetic: Arithmetic, may_change: InPlace) -> None:
        self._arithmetic, self._may_change = arithmetic, may_change

    def function(
        self, node: ast.AST, path: str, args: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        """Return the value of a call of a library function.

        Raises:
            ImportRefusedError: The function is unknown, or an argument is not supported.
        """
        row = signatures.find(path)
        if row is None:
            raise refused(node, _unknown(path))
        return self._row(node, row, args, keywords)

    def method(
        self,
        node: ast.AST,
        owner: Value,
        name: str,
        args: Sequence[Value],
        keywords: Mapping[str, Value],
        kinds: Sequence[str],
    ) -> Value:
        """Return the value of a call of a method of a tensor.

        Args:
            node: The call.
            owner: The tensor.
            name: Name of the method.
            args: Positional arguments.
            keywords: Keyword arguments.
            kinds: Possible types of the tensor: ``"Tensor"``, ``"ndarray"`` or both.
        """
        plain = name.removesuffix("_") if not name.endswith("__") else name
        found = [row for kind in kinds if (row := signatures.method(plain, kind)) is not None]
        if not found:
            known = [path[7:] for path in signatures.rows() if path.startswith("Tensor.")]
            near = choices(name, [*known, *signatures.names_of("torch")])
            raise refused(node, f"'tensor.{name}' is not understood; {near}")
        if plain != name and not self._may_change(node, owner):
            raise refused(node, f"'tensor.{name}' changes a tensor that has another name")
        return self._only_result(node, name, found, [owner, *args], keywords)

    def _only_result(
        self,
        node: ast.AST,
        name: str,
        found: Sequence[Row],
        args: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Value:
        """Return the result of all rows that accept the arguments, if their results are equal."""
        results, refusals = [], []
        for row in found:
            try:
                results.append(self._row(node, row, args, keywords))
            except ImportRefusedError as error:
                refusals.append(error)
        if not results:
            raise refusals[0]
        if any(result != results[0] for result in results):
            raise refused(node, f"'tensor.{name}' differs between torch and NumPy")
        return results[0]

    def layer(self, node: ast.AST, layer: Layer, args: Sequence[Value]) -> Value:
        """Apply a layer to a tensor."""
        if len(args) != 1:
            raise refused(node, f"'{layer.path}' takes one tensor")
        row = signatures.rows()[layer.path]
        known = {p.name for p in row.parameters}
        arguments = {key: value for key, value in layer.arguments.items() if key in known}
        return self._row(node, row, args, arguments)

    def _row(
        self, node: ast.AST, row: Row, args: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        if row.refusal:
            raise refused(node, f"'{row.path}': {row.refusal}")
        try:
            bound = signatures.bind(row, args, keywords)
        except ImportRefusedError as error:
            raise refused(node, str(error)) from None
        used = row.used
        for parameter in row.parameters:
            if parameter.name not in used:
                self._check_unused(node, row, parameter, bound)
        if row.note:
            self._arithmetic.note(row.note)
        if row.layer:
            return Layer(row.layer, bound)
        if row.formula is not None:
            return self._formula(node, row, row.formula, bound)
        use = Use(self._arithmetic, node, row.path, _given(row, args, keywords))
        values = [bound[a] if isinstance(a, str) else a[0] for a in row.arguments]
        return RULES[row.rule](use, *values)

    def _check_unused(
        self, node: ast.AST, row: Row, parameter: Parameter, bound: Mapping[str, Value]
    ) -> None:
        """Refuse an argument that the meaning does not use, unless its value has no effect."""
        name, value = parameter.name, bound[parameter.name]
        if name in _HARMLESS or parameter.kind in ("args", "kwargs"):
            return
        is_same_kind = is_plain(value) and type(value) is type(parameter.default)
        if is_same_kind and value == parameter.default:
            return
        if name in _TYPE_NAMES and type_kind(value) == "floating":
            return
        if name in _TYPE_NAMES and type_kind(value) == "half":
            self._arithmetic.note("rounding to half precision is left out")
            return
        if name == "inplace" and value is True:
            if self._may_change(node, bound[row.parameters[0].name]):
                return
            raise refused(node, f"'{row.path}' in place changes a tensor that has another name")
        shown = repr(value)[:40] if is_plain(value) else described(value)
        raise refused(node, f"'{row.path}' with {name}={shown} is not understood")

    def _formula(self, node: ast.AST, row: Row, formula: Expr, bound: Mapping[str, Value]) -> Value:
        names = variables(formula)
        values = {name: bound[name] for name in names}
        if formula.op == "var":
            return self._identity(node, row, values[names[0]])
        if values and all(map(is_number, values.values())):
            return self._number(node, row, formula, values)

        def visit(part: Expr, args: Sequence[Value]) -> Value:
            if part.op == "var":
                return values[str(part.value)]
            if part.op == "const":
                return part.number
            return self._applied(node, part.op, args)

        return fold(formula, visit)

    def _identity(self, node: ast.AST, row: Row, value: Value) -> Value:
        if not isinstance(value, Expr) and not is_number(value):
            raise refused(node, f"'{row.path}' of {described(value)}")
        return value

    def _applied(self, node: ast.AST, name: str, args: Sequence[Value]) -> Value:
        """Apply a primitive. Constant parts of a formula are evaluated."""
        if name in ("mul", "div") and is_number(args[-1]) and args[-1] == 1:
            return args[0]
        if name == "mul" and is_number(args[0]) and args[0] == 1:
            return args[1]
        if name in ("add", "sub") and is_number(args[-1]) and args[-1] == 0:
            return args[0]
        if all(map(is_number, args)):
            exprs = [self._arithmetic.real(a, node) for a in args]
            value = signatures.numeric(Expr(name, tuple(exprs)), {})
            if value is not None:
                return value
        return self._arithmetic.make(node, name, *args)

    def _number(
        self, node: ast.AST, row: Row, formula: Expr, values: Mapping[str, Any]
    ) -> int | float:
        given = {name: float(self._arithmetic.number(node, v)) for name, v in values.items()}
        value = signatures.numeric(formula, given)
        if value is None:
            shown = ", ".join(f"{number:.6g}" for number in given.values())
            raise refused(node, f"'{row.path}' of {shown}")
        if any(isinstance(v, TensorNumber) for v in values.values()):
            return TensorNumber(value)
        is_whole = all(isinstance(v, int) for v in values.values())
        kept = fold(formula, lambda part, args: part.op in _WHOLE and all(args))
        return int(value) if is_whole and kept else value


def _given(row: Row, args: Sequence[Value], keywords: Mapping[str, Value]) -> frozenset[str]:
    places = [p.name for p in row.parameters if p.kind in ("positional", "either")]
    return frozenset([*places[: len(args)], *keywords])


def _unknown(path: str) -> str:
    module, _, name = signatures.resolved(path).rpartition(".")
    known = signatures.names_of(module)
    if not known:
        is_known = any(own.split(".")[0] == path.split(".")[0] for own in signatures.rows())
        return f"'{path}' {'is not understood' if is_known else 'of a library that is not known'}"
    return f"'{path}' is not understood; {choices(name, known)}"
