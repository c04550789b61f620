"""A Python function of one tensor becomes an expression by walking its syntax tree.

Nothing is executed: the text is parsed, and every node is either understood or refused with its
line. What a call means stands in one table, by the last part of its name, since ``np.tanh``,
``jnp.tanh``, ``torch.tanh`` and ``math.tanh`` are one function. Where libraries differ (``gelu``,
``std``), the module the name was imported from decides.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symact.errors import ImportRefusedError, ParseError, choices
from symact.expr import MAX_DEPTH, Expr, call, const, sort_of, uses_statistics, var

#: What a program may have: characters, nested brackets, nodes of its result, steps of a walk.
MAX_SOURCE, MAX_NESTING, MAX_NODES, MAX_STEPS = 200_000, 60, 2_000, 50_000
#: Rounds of a loop, and the largest whole exponent.
MAX_ROUNDS, MAX_POWER = 64, 32

#: A value while walking: an expression, a number, a text, True/False/None, or a tuple of these.
Value = Any

_ENTRIES = ("activation", "activation_function", "activation_fn", "act", "forward", "f", "fn")
#: What names usually stand for, in snippets that lack their imports.
_USUAL = {
    "np": "numpy",
    "jnp": "jax.numpy",
    "jax": "jax",
    "torch": "torch",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "math": "math",
}
_LIBRARIES = {"numpy", "jax", "torch", "math", "scipy", "tensorflow", "typing", "__future__"}


@dataclass(frozen=True, slots=True)
class Imported:
    """A program that was understood.

    Attributes:
        expr: The function of x.
        entry: The name of the Python function.
        notes: Where a library's meaning had to be chosen.
    """

    expr: Expr
    entry: str
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``"statistics"`` where it reads the whole tensor, else ``"pointwise"``."""
        return "statistics" if uses_statistics(self.expr) else "pointwise"


def from_source(text: str, *, entry: str | None = None) -> Imported:
    """Import the activation function of a Python program without running it.

    Args:
        text: The program: functions of one tensor in NumPy, jax.numpy, jax.nn, torch or math, with
            assignments, ``where``, keyword defaults, helper functions, short constant loops, and
            number constants of the module. A torch module with ``forward`` will do.
        entry: The function's name; None for the only one, or the one with a usual name.

    Raises:
        ImportRefusedError: It does not parse, is too large, or has a construct that is not
            understood; the message names line and construct.
    """
    tree = _parsed(text)
    try:
        return _walked(_Module(tree), entry)
    except RecursionError:
        raise ImportRefusedError("nested too deeply") from None


def _walked(module: _Module, entry: str | None) -> Imported:
    name, function, inner = module.entry(entry)
    walk = _Walk(module, inner)
    tensor = function.args.args[1:] if inner is not None else function.args.args
    if not tensor:
        raise _refused(function, f"'{name}' takes no tensor")
    value = walk.apply(function, [var()], {}, is_method=inner is not None)
    expr = walk.real(value, function)
    if expr.depth > MAX_DEPTH:
        raise _refused(function, f"an expression nested deeper than {MAX_DEPTH}")
    return Imported(expr, name, tuple(dict.fromkeys(walk.notes)))


def _refused(node: ast.AST | None, what: str) -> ImportRefusedError:
    line = getattr(node, "lineno", None)
    return ImportRefusedError(f"line {line}: {what}" if line else what)


def _parsed(text: str) -> ast.Module:
    if len(text) > MAX_SOURCE:
        raise ImportRefusedError(f"a program of {len(text)} characters; at most {MAX_SOURCE}")
    _check_nesting(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        what = " ".join(str(error.msg).split())
        raise ImportRefusedError(f"line {error.lineno}: no Python: {what}") from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise ImportRefusedError(f"no Python: {type(error).__name__}") from None


def _check_nesting(text: str) -> None:
    """Refuse what would make Python's own parser recurse deeply, before it sees it.

    Brackets, signs, ``not``, ``lambda``, ``else`` of a conditional and indentation nest; long runs
    of any of them are counted without regard to strings, which activation functions hardly have.
    """
    depth = 0
    for number, line in enumerate(text.split("\n"), 1):
        indent = len(line) - len(line.lstrip(" \t"))
        if indent > 4 * MAX_NESTING:
            raise ImportRefusedError(f"line {number}: indented too deeply")
        run = 0
        for character in line:
            if character in "([{":
                depth += 1
            elif character in ")]}":
                depth = max(0, depth - 1)
            run = run + 1 if character in "+-~" else run if character in " \t" else 0
            if depth > MAX_NESTING or run > MAX_NESTING:
                raise ImportRefusedError(f"line {number}: nested too deeply")
        words = line.replace("(", " ").replace(":", " ").split()
        for word in ("not", "lambda", "else", "if", "await"):
            if words.count(word) > MAX_NESTING:
                raise ImportRefusedError(f"line {number}: nested too deeply")
        for mark in ("**", ".", "[", "("):
            if line.count(mark) > 40 * MAX_NESTING:
                raise ImportRefusedError(f"line {number}: too long a chain")
        digits = 0
        for character in line:
            digits = digits + 1 if character.isdigit() or character == "_" else 0
            if digits > 400:
                raise ImportRefusedError(f"line {number}: too long a number")


class _Module:
    """The functions, classes, constants and imports of a program."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions: dict[str, ast.FunctionDef] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.origins = dict(_USUAL)  # local name to dotted origin
        self.constants: dict[str, ast.expr] = {}
        self.lambdas: dict[str, ast.Lambda] = {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node
            elif isinstance(node, ast.ClassDef):
                self.classes[node.name] = node
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                self._assign(node)
            # Anything else at module level (a main guard, a docstring, a call) has no bearing on
            # what the function computes; names it might change are not known and so refused.

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                origin = alias.name if alias.asname else alias.name.split(".")[0]
                self.origins[alias.asname or origin] = origin
            else:
                origin = f"{node.module or ''}.{alias.name}"
                self.origins[alias.asname or alias.name] = origin

    def _assign(self, node: ast.Assign | ast.AnnAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name) and node.value is not None:
                if isinstance(node.value, ast.Lambda):
                    self.lambdas[target.id] = node.value
                else:
                    self.constants[target.id] = node.value

    def entry(self, wanted: str | None) -> tuple[str, ast.FunctionDef, ast.ClassDef | None]:
        methods = {
            name: (method, own)
            for name, own in self.classes.items()
            for method in own.body
            if isinstance(method, ast.FunctionDef) and method.name in ("forward", "__call__")
        }
        known = [*self.functions, *methods]
        if wanted is not None:
            if wanted in self.functions:
                return wanted, self.functions[wanted], None
            if wanted in methods:
                return wanted, *methods[wanted]
            raise ImportRefusedError(f"no function '{wanted}'; {choices(wanted, known)}")
        if not known:
            raise ImportRefusedError("no function in it")
        called = {
            node.func.id
            for function in self.functions.values()
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        free = [n for n in self.functions if n not in called and not n.startswith("_")]
        for candidates in ([n for n in _ENTRIES if n in self.functions], free):
            if len(candidates) == 1 or (candidates and candidates[0] in _ENTRIES):
                return candidates[0], self.functions[candidates[0]], None
        if not free and len(methods) == 1:
            name = next(iter(methods))
            return name, *methods[name]
        if len(self.functions) == 1:
            name = next(iter(self.functions))
            return name, self.functions[name], None
        raise ImportRefusedError(
            f"several functions; say which by --entry: {', '.join(known[:20])}"
        )


class _ReturnedError(Exception):
    """Carries what a function returned; no error."""

    def __init__(self, value: Value) -> None:
        self.value = value


class _Walk:
    """Evaluates syntax on expressions."""

    def __init__(self, module: _Module, inner: ast.ClassDef | None) -> None:
        self.module = module
        self.steps = 0
        self.notes: list[str] = []
        self.active: list[str] = []
        self.own: dict[str, Value] = self._attributes(inner) if inner is not None else {}

    # Functions.
    def apply(
        self,
        function: ast.FunctionDef | ast.Lambda,
        args: Sequence[Value],
        keywords: Mapping[str, Value],
        *,
        is_method: bool = False,
        scope: Mapping[str, Value] | None = None,
    ) -> Value:
        name = getattr(function, "name", "lambda")
        if name in self.active or len(self.active) > 20:
            raise _refused(function, f"'{name}' calls itself")
        self.active.append(name)
        spec = function.args
        if spec.vararg or spec.kwarg:
            raise _refused(function, "* or ** parameters")
        names = [a.arg for a in [*spec.posonlyargs, *spec.args]][1 if is_method else 0 :]
        bound: dict[str, Value] = dict(scope or {})
        plain = spec.defaults
        for parameter, default in zip(names[len(names) - len(plain) :], plain, strict=False):
            bound[parameter] = self.value(default, {})
        for only, given in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
            if given is not None:
                bound[only.arg] = self.value(given, {})
        if len(args) > len(names):
            raise _refused(function, f"'{name}' is given {len(args)} arguments, takes {len(names)}")
        bound.update(zip(names, args, strict=False))
        for key, value in keywords.items():
            if key not in names and key not in [a.arg for a in spec.kwonlyargs]:
                raise _refused(function, f"'{name}' has no parameter '{key}'")
            bound[key] = value
        missing = [n for n in [*names, *(a.arg for a in spec.kwonlyargs)] if n not in bound]
        if missing:
            raise _refused(function, f"'{name}' lacks a value for '{missing[0]}'")
        try:
            if isinstance(function, ast.Lambda):
                return self.value(function.body, bound)
            self.block(function.body, bound)
        except _ReturnedError as returned:
            return returned.value
        finally:
            self.active.pop()
        raise _refused(function, f"'{name}' returns nothing")

    def block(self, body: Sequence[ast.stmt], scope: dict[str, Value]) -> None:
        for node in body:
            self.statement(node, scope)

    def statement(self, node: ast.stmt, scope: dict[str, Value]) -> None:
        self._count(node)
        if isinstance(node, ast.Return):
            raise _ReturnedError(None if node.value is None else self.value(node.value, scope))
        if isinstance(node, ast.Assign):
            value = self.value(node.value, scope)
            for target in node.targets:
                self._bind(target, value, scope)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._bind(node.target, self.value(node.value, scope), scope)
        elif isinstance(node, ast.AugAssign):
            if not isinstance(node.target, ast.Name):
                raise _refused(node, "assignment to a part of something")
            old = self.value(ast.copy_location(ast.Name(node.target.id, ast.Load()), node), scope)
            scope[node.target.id] = self.binary(node, node.op, old, self.value(node.value, scope))
        elif isinstance(node, ast.For):
            self._loop(node, scope)
        elif isinstance(node, ast.If):
            test = self.value(node.test, scope)
            if isinstance(test, Expr):
                raise _refused(node, "if on a tensor; use where(condition, a, b)")
            self.block(node.body if test else node.orelse, scope)
        elif isinstance(node, ast.FunctionDef):
            scope[node.name] = _Closure(node, scope)
        elif isinstance(node, ast.Pass | ast.Import | ast.ImportFrom):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.module._import(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a docstring
        else:
            raise _refused(node, f"{_kind(node)} is not understood")

    def _loop(self, node: ast.For, scope: dict[str, Value]) -> None:
        items = self.value(node.iter, scope)
        if not isinstance(items, tuple) or node.orelse:
            raise _refused(node, "a loop over something else than a constant range or list")
        if len(items) > MAX_ROUNDS:
            raise _refused(node, f"a loop of {len(items)} rounds; at most {MAX_ROUNDS}")
        for item in items:
            self._bind(node.target, item, scope)
            self.block(node.body, scope)

    def _bind(self, target: ast.expr, value: Value, scope: dict[str, Value]) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, ast.Tuple) and isinstance(value, tuple):
            if len(target.elts) != len(value):
                raise _refused(target, "names and values differ in number")
            for one, own in zip(target.elts, value, strict=True):
                self._bind(one, own, scope)
        else:
            raise _refused(target, "assignment to something else than a name")

    # Expressions.
    def value(self, node: ast.expr, scope: dict[str, Value]) -> Value:
        self._count(node)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bool | str) or node.value is None:
                return node.value
            if isinstance(node.value, int | float):
                return self._number(node, node.value)
            raise _refused(node, f"a {type(node.value).__name__} literal")
        if isinstance(node, ast.Name):
            return self._name(node, scope)
        if isinstance(node, ast.BinOp):
            return self.binary(
                node, node.op, self.value(node.left, scope), self.value(node.right, scope)
            )
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, self.value(node.operand, scope))
        if isinstance(node, ast.Compare):
            return self._compare(node, scope)
        if isinstance(node, ast.BoolOp):
            return self._bool(node, scope)
        if isinstance(node, ast.IfExp):
            test = self.value(node.test, scope)
            if isinstance(test, Expr):
                raise _refused(node, "a conditional on a tensor; use where(condition, a, b)")
            return self.value(node.body if test else node.orelse, scope)
        if isinstance(node, ast.Tuple | ast.List):
            if any(isinstance(item, ast.Starred) for item in node.elts):
                raise _refused(node, "a starred item")
            return tuple(self.value(item, scope) for item in node.elts)
        if isinstance(node, ast.Subscript):
            return self._item(node, scope)
        if isinstance(node, ast.Lambda):
            return _Closure(node, scope)
        if isinstance(node, ast.Call):
            return self._call(node, scope)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, scope)
        raise _refused(node, f"{_kind(node)} is not understood")

    def real(self, value: Value, node: ast.AST) -> Expr:
        """Return a value as an expression that is a number for each element."""
        if isinstance(value, Expr) and sort_of(value) == "Real":
            return value
        if isinstance(value, bool | int | float):
            return const(float(value))
        if isinstance(value, Expr):
            return call("where", value, const(1.0), const(0.0))
        raise _refused(node, f"{_described(value)} where a tensor is expected")

    def condition(self, value: Value, node: ast.AST) -> Expr:
        if isinstance(value, Expr) and sort_of(value) == "Bool":
            return value
        if isinstance(value, Expr):
            raise _refused(node, "a number where a comparison is expected")
        raise _refused(node, f"{_described(value)} where a comparison is expected")

    def make(self, node: ast.AST, name: str, *args: Value) -> Expr:
        """Apply a primitive to values."""
        sorts = ["Bool" if name == "where" and i == 0 else "Real" for i in range(len(args))]
        exprs = [
            self.condition(a, node) if sort == "Bool" else self.real(a, node)
            for a, sort in zip(args, sorts, strict=True)
        ]
        try:
            made = call(name, *exprs)
        except ParseError as error:
            raise _refused(node, str(error)) from None
        if made.size > MAX_NODES:
            raise _refused(node, f"an expression of more than {MAX_NODES} nodes")
        return made

    def _number(self, node: ast.AST, value: float) -> float:
        if isinstance(value, int) and value.bit_length() > 1000:
            raise _refused(node, "too large a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise _refused(node, "a number that is not finite")
        return value

    def _name(self, node: ast.Name, scope: dict[str, Value]) -> Value:
        name = node.id
        if name in scope:
            return scope[name]
        if name in self.module.functions:
            return _Closure(self.module.functions[name], {})
        if name in self.module.lambdas:
            return _Closure(self.module.lambdas[name], {})
        if name in self.module.constants:
            if f"={name}" in self.active:
                raise _refused(node, f"'{name}' is defined by itself")
            self.active.append(f"={name}")
            value = self.value(self.module.constants[name], {})
            self.active.pop()
            return value
        if name in self.module.origins:
            return _Dotted(self.module.origins[name])
        if name in _BUILTINS:
            return _Dotted(f"builtins.{name}")
        known = [*scope, *self.module.functions, *self.module.constants]
        raise _refused(
            node, f"unknown name '{name}'" + (f"; {choices(name, known)}" if known else "")
        )

    def _attribute(self, node: ast.Attribute, scope: dict[str, Value]) -> Value:
        if node.attr.startswith("__"):
            raise _refused(node, f"attribute '{node.attr}'")
        if isinstance(node.value, ast.Name) and node.value.id == "self" and "self" not in scope:
            if node.attr in self.own:
                return self.own[node.attr]
            raise _refused(node, f"'self.{node.attr}' is no constant set in __init__")
        owner = self.value(node.value, scope)
        if isinstance(owner, _Dotted):
            name = f"{owner.path}.{node.attr}"
            if node.attr in _NUMBERS and _library(name) in _LIBRARIES:
                return _NUMBERS[node.attr]
            return _Dotted(name)
        if isinstance(owner, Expr) and node.attr in ("dtype", "device", "shape", "T"):
            return _Opaque(node.attr)
        if isinstance(owner, Expr):
            return _Method(owner, node.attr)
        raise _refused(node, f"attribute '{node.attr}' of {_described(owner)}")

    def _item(self, node: ast.Subscript, scope: dict[str, Value]) -> Value:
        owner, index = self.value(node.value, scope), node.slice
        place = self.value(index, scope) if not isinstance(index, ast.Slice) else None
        if (
            isinstance(owner, tuple)
            and isinstance(place, int)
            and -len(owner) <= place < len(owner)
        ):
            return owner[place]
        if isinstance(owner, Expr):
            raise _refused(node, "indexing a tensor: a function over features, not of one element")
        raise _refused(node, f"indexing {_described(owner)}")

    def _unary(self, node: ast.UnaryOp, value: Value) -> Value:
        if isinstance(node.op, ast.UAdd):
            return value
        if isinstance(node.op, ast.USub):
            if isinstance(value, int | float):
                return -value
            return self.make(node, "neg", value)
        if isinstance(node.op, ast.Not) and not isinstance(value, Expr):
            return not value
        if isinstance(node.op, ast.Invert | ast.Not) and isinstance(value, Expr):
            flipped = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}.get(value.op)
            if flipped is not None:
                return call(flipped, *value.args)
        raise _refused(node, f"{_kind(node.op)} of {_described(value)}")

    def _compare(self, node: ast.Compare, scope: dict[str, Value]) -> Value:
        if len(node.ops) != 1:
            raise _refused(node, "a chained comparison; use two")
        left, right = self.value(node.left, scope), self.value(node.comparators[0], scope)
        if not isinstance(left, Expr) and not isinstance(right, Expr):
            operation = _CONSTANT_COMPARISONS.get(type(node.ops[0]))
            if operation is None or not _is_plain(left) or not _is_plain(right):
                raise _refused(node, f"comparison {_kind(node.ops[0])}")
            try:
                return bool(operation(left, right))
            except TypeError:
                raise _refused(node, "a comparison of different kinds") from None
        name = _COMPARISONS.get(type(node.ops[0]))
        if name is not None:
            return self.make(node, name, left, right)
        if isinstance(node.ops[0], ast.Eq | ast.NotEq) and isinstance(left, Expr):
            return _Equal(left, right, isinstance(node.ops[0], ast.NotEq))
        raise _refused(node, f"comparison {_kind(node.ops[0])} of a tensor; use <, <=, > or >=")

    def _bool(self, node: ast.BoolOp, scope: dict[str, Value]) -> Value:
        values = [self.value(item, scope) for item in node.values]
        if any(isinstance(value, Expr | _Equal) for value in values):
            raise _refused(node, "and/or of tensors; use & or nested where")
        return all(values) if isinstance(node.op, ast.And) else any(values)

    def binary(self, node: ast.AST, op: ast.operator, left: Value, right: Value) -> Value:
        is_plain = not isinstance(left, Expr) and not isinstance(right, Expr)
        if is_plain:
            return self._arithmetic(node, op, left, right)
        if isinstance(op, ast.Pow):
            return self.power(node, left, right)
        if isinstance(op, ast.BitAnd | ast.BitOr):
            return self._both(node, op, left, right)
        name = _OPERATORS.get(type(op))
        if name is None:
            raise _refused(node, f"operator {_kind(op)} on a tensor")
        return self.make(node, name, left, right)

    def _both(self, node: ast.AST, op: ast.operator, left: Value, right: Value) -> Expr:
        """Return a & b or a | b as a comparison of a number that says it."""
        a, b = self.condition(left, node), self.condition(right, node)
        one, zero = const(1.0), const(0.0)
        if isinstance(op, ast.BitAnd):
            inner = self.make(node, "where", a, self.make(node, "where", b, one, zero), zero)
        else:
            inner = self.make(node, "where", a, one, self.make(node, "where", b, one, zero))
        return call("gt", inner, const(0.5))

    def _arithmetic(self, node: ast.AST, op: ast.operator, left: Value, right: Value) -> Value:
        if not (_is_number(left) and _is_number(right)):
            raise _refused(node, f"{_kind(op)} of {_described(left)} and {_described(right)}")
        is_large = isinstance(left, int) and abs(left) > 10**6 and abs(right) > 64
        if isinstance(op, ast.Pow) and (abs(right) > 1000 or is_large):
            raise _refused(node, "too large a power")
        if isinstance(
            op, ast.LShift | ast.RShift | ast.BitAnd | ast.BitOr | ast.BitXor | ast.MatMult
        ):
            raise _refused(node, f"operator {_kind(op)}")
        try:
            value = _ARITHMETIC[type(op)](left, right)
        except (ArithmeticError, ValueError, KeyError):
            raise _refused(node, f"{_kind(op)} of {left:.6g} and {right:.6g}") from None
        if isinstance(value, complex):
            raise _refused(node, "a complex number")
        return self._number(node, value)

    def power(self, node: ast.AST, base: Value, exponent: Value) -> Expr:
        """Return base**exponent: whole and half exponents exactly, others by exp and log."""
        if _is_number(exponent):
            twice = 2 * exponent
            if float(twice).is_integer() and abs(exponent) <= MAX_POWER:
                whole = int(abs(exponent))
                made = self._whole_power(node, self.real(base, node), whole)
                if not float(exponent).is_integer():
                    root = self.make(node, "sqrt", base)
                    made = root if made is None else self.make(node, "mul", made, root)
                made = const(1.0) if made is None else made
                return self.make(node, "div", 1.0, made) if exponent < 0 else made
        if _is_number(base) and base > 0:
            return self.make(node, "exp", self.make(node, "mul", exponent, math.log(base)))
        self.notes.append("a general power was written as exp(b*log(a)), which needs a > 0")
        logarithm = self.make(node, "log", base)
        return self.make(node, "exp", self.make(node, "mul", exponent, logarithm))

    def _whole_power(self, node: ast.AST, base: Expr, exponent: int) -> Expr | None:
        if exponent == 0:
            return None
        if exponent == 1:
            return base
        if exponent == 3:
            return self.make(node, "cube", base)
        half = self._whole_power(node, base, exponent // 2)
        square = self.make(node, "square", half)
        return self.make(node, "mul", square, base) if exponent % 2 else square

    # Calls.
    def _call(self, node: ast.Call, scope: dict[str, Value]) -> Value:
        if any(isinstance(a, ast.Starred) for a in node.args) or any(
            k.arg is None for k in node.keywords
        ):
            raise _refused(node, "starred arguments")
        function = self.value(node.func, scope)
        args = [self.value(a, scope) for a in node.args]
        keywords = {str(k.arg): self.value(k.value, scope) for k in node.keywords}
        if isinstance(function, _Closure):
            return self.apply(function.node, args, keywords, scope=function.scope)
        if isinstance(function, _Method):
            return self._library(node, f"tensor.{function.name}", [function.owner, *args], keywords)
        if isinstance(function, _Dotted):
            return self._library(node, function.path, args, keywords)
        if isinstance(function, _Layer):
            if len(args) != 1 or keywords:
                raise _refused(node, f"'{function.name}' takes one tensor")
            return self._library(node, function.name, [*args, *function.args], function.keywords)
        raise _refused(node, f"a call of {_described(function)}")

    def _library(
        self, node: ast.AST, path: str, args: list[Value], keywords: dict[str, Value]
    ) -> Value:
        library, name = _library(path), path.rsplit(".", 1)[-1]
        if library not in {*_LIBRARIES, "tensor", "builtins"}:
            raise _refused(node, f"'{path}' of a library that is not known")
        if library == "builtins" and name not in _BUILTINS:
            raise _refused(node, f"'{name}' is not understood")
        rule = _CALLS.get(name)
        if rule is None:
            near = choices(name, sorted(_CALLS))
            raise _refused(node, f"'{path}' is not understood; {near}")
        try:
            return rule(_Use(self, node, library, path, args, dict(keywords)))
        except (TypeError, IndexError, KeyError, AttributeError, OverflowError):
            raise _refused(node, f"'{path}' with arguments that are not understood") from None

    def _attributes(self, own: ast.ClassDef) -> dict[str, Value]:
        """Return the constants that ``__init__`` and the class body set."""
        found: dict[str, Value] = {}
        for node in own.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._keep(found, node.targets[0].id, node.value, {})
        for method in own.body:
            if not isinstance(method, ast.FunctionDef) or method.name != "__init__":
                continue
            scope: dict[str, Value] = {}
            spec = method.args
            for parameter, default in zip(spec.args[::-1], spec.defaults[::-1], strict=False):
                self._keep(scope, parameter.arg, default, {})
            for node_ in method.body:
                if isinstance(node_, ast.Assign) and isinstance(node_.targets[0], ast.Attribute):
                    self._keep(found, node_.targets[0].attr, node_.value, scope)
        return found

    def _keep(
        self, found: dict[str, Value], name: str, node: ast.expr, scope: dict[str, Value]
    ) -> None:
        """Remember an attribute that is understood; others are refused when they are used."""
        if isinstance(node, ast.Call):
            path = _dotted(node.func)
            head, _, rest = path.partition(".")
            origin = self.module.origins.get(head, head) + (f".{rest}" if rest else "")
            last = origin.rsplit(".", 1)[-1]
            try:
                args = [self.value(a, scope) for a in node.args]
                keywords = {str(k.arg): self.value(k.value, scope) for k in node.keywords}
            except ImportRefusedError:
                return
            if last in ("Parameter", "tensor", "as_tensor", "array", "float") and args:
                found[name] = args[0]
            elif last in _LAYERS:
                found[name] = _Layer(f"torch.nn.functional.{_LAYERS[last]}", args, keywords)
            return
        try:
            found[name] = self.value(node, scope)
        except ImportRefusedError:
            return

    def _count(self, node: ast.AST) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise _refused(node, f"more than {MAX_STEPS} steps")


@dataclass(frozen=True, slots=True)
class _Closure:
    node: ast.FunctionDef | ast.Lambda
    scope: dict[str, Value]


@dataclass(frozen=True, slots=True)
class _Dotted:
    path: str


@dataclass(frozen=True, slots=True)
class _Method:
    owner: Expr
    name: str


@dataclass(frozen=True, slots=True)
class _Layer:
    name: str
    args: list[Value]
    keywords: dict[str, Value]


@dataclass(frozen=True, slots=True)
class _Opaque:
    """A dtype, device or shape: may be handed on, means nothing."""

    name: str


@dataclass(frozen=True, slots=True)
class _Equal:
    """x == c, understood only where it guards a division."""

    left: Expr
    right: Value
    negated: bool


@dataclass(slots=True)
class _Use:
    """One call of a library function."""

    walk: _Walk
    node: ast.AST
    library: str
    path: str
    args: list[Value]
    keywords: dict[str, Value]

    def take(self, place: int, name: str, default: Value = ...) -> Value:
        """Return an argument by place or name."""
        if place < len(self.args):
            return self.args[place]
        if name in self.keywords:
            return self.keywords[name]
        if default is ...:
            raise _refused(self.node, f"'{self.path}' lacks an argument")
        return default

    def number(self, place: int, name: str, default: float | None = None) -> float:
        value = self.take(place, name, ... if default is None else default)
        if not _is_number(value):
            raise _refused(self.node, f"'{self.path}' with {name} that is no number")
        return float(value)

    def x(self) -> Expr:
        for name in ("input", "x", "a", "tensor"):
            if not self.args and name in self.keywords:
                return self.walk.real(self.keywords[name], self.node)
        return self.walk.real(self.args[0], self.node)

    def make(self, name: str, *args: Value) -> Expr:
        return self.walk.make(self.node, name, *args)

    def only(self, *names: str, places: int = 1) -> None:
        """Refuse arguments beyond those that are understood."""
        for name in self.keywords:
            if name not in (*names, "inplace", "input", "x", "a", "out_dtype"):
                raise _refused(self.node, f"'{self.path}' with '{name}'")
        if len(self.args) > places:
            raise _refused(self.node, f"'{self.path}' with {len(self.args)} arguments")


Rule = Callable[[_Use], Value]


def _primitive(name: str, arity: int = 1) -> Rule:
    def rule(use: _Use) -> Expr:
        if len(use.args) != arity or set(use.keywords) - {"inplace"}:
            raise _refused(use.node, f"'{use.path}' with arguments that are not understood")
        return use.make(name, *use.args)

    return rule


def _of_number(function: Callable[[float], float], name: str) -> Rule:
    """Apply a function to a number at once, to a tensor as a primitive."""

    def rule(use: _Use) -> Value:
        if len(use.args) == 1 and _is_number(use.args[0]):
            try:
                return use.walk._number(use.node, function(float(use.args[0])))
            except (ValueError, OverflowError):
                raise _refused(use.node, f"'{use.path}' of {use.args[0]:.6g}") from None
        return _primitive(name)(use)

    return rule


def _composite(build: Callable[[_Use, Expr], Expr], *names: str, places: int = 1) -> Rule:
    def rule(use: _Use) -> Expr:
        use.only(*names, places=places)
        return build(use, use.x())

    return rule


def _gelu(use: _Use) -> Expr:
    use.only("approximate", places=2)
    given = use.take(1, "approximate", None)
    if given is None:
        is_tanh = use.library == "jax"
        if is_tanh:
            use.walk.notes.append("jax.nn.gelu is the tanh form by default")
    else:
        is_tanh = given in (True, "tanh")
    x = use.x()
    if not is_tanh:
        return use.make("gelu", x)
    inner = use.make("add", x, use.make("mul", 0.044715, use.make("cube", x)))
    bent = use.make("tanh", use.make("mul", math.sqrt(2 / math.pi), inner))
    return use.make("mul", use.make("mul", 0.5, x), use.make("add", 1.0, bent))


def _clip(use: _Use) -> Expr:
    low = use.take(1, "min", use.keywords.get("a_min", use.keywords.get("min_val", None)))
    high = use.take(2, "max", use.keywords.get("a_max", use.keywords.get("max_val", None)))
    made = use.x()
    if low is not None:
        made = use.make("max", made, low)
    return made if high is None else use.make("min", made, high)


def _where(use: _Use) -> Value:
    if len(use.args) != 3 or use.keywords:
        raise _refused(use.node, "where needs a condition and two values")
    test, yes, no = use.args
    if isinstance(test, _Equal):
        return _guarded(use, test, yes, no)
    if isinstance(test, bool):
        return use.walk.real(yes if test else no, use.node)
    return use.make("where", test, yes, no)


def _guarded(use: _Use, test: _Equal, yes: Value, no: Value) -> Value:
    """Understand where(x == 0, 1, sin(x)/x), the usual way to write sinc."""
    at_zero, elsewhere = (no, yes) if test.negated else (yes, no)
    quotient = elsewhere if isinstance(elsewhere, Expr) else None
    if test.right == 0 and quotient is not None and quotient.op == "div":
        top, bottom = quotient.args
        if bottom.op == "where":  # the denominator is guarded too
            bottom = bottom.args[2]
        if top.op == "sin" and top.args[0] == bottom and at_zero == 1:
            if bottom.op == "mul" and bottom.args[0] == const(math.pi):
                return use.make("sinc", bottom.args[1])
            return use.make("sinc", use.make("mul", 1 / math.pi, bottom))
    is_number = not isinstance(at_zero, Expr) and at_zero in (0, 1)
    if test.right == 0 and is_number and elsewhere == test.left:
        use.walk.notes.append("a guarded denominator was left bare: its value at exactly 0 is lost")
        return elsewhere
    raise _refused(use.node, "where(a == b, ...) is understood only for sin(x)/x; use < or >=")


def _statistic(name: str) -> Rule:
    def rule(use: _Use) -> Expr:
        axis = use.take(1, "axis", use.keywords.get("dim"))
        if axis is not None:
            raise _refused(use.node, f"'{use.path}' along an axis: a function over features")
        if set(use.keywords) - {
            "axis",
            "dim",
            "keepdims",
            "keepdim",
            "unbiased",
            "ddof",
            "correction",
        }:
            raise _refused(use.node, f"'{use.path}' with arguments that are not understood")
        if name == "std":
            biased = use.keywords.get("unbiased") is False or use.keywords.get("correction") == 0
            if use.library in ("torch", "tensor") and not biased:
                use.walk.notes.append("torch.std divides by n - 1; here the population's is taken")
            if use.keywords.get("ddof", 0) != 0:
                use.walk.notes.append("std with ddof is taken as the population's")
        return use.make(name, use.x())

    return rule


def _variance(use: _Use) -> Expr:
    return use.make("square", _statistic("std")(use))


def _same(use: _Use) -> Value:
    return use.args[0] if use.args else use.keywords.get("input")


def _pair(name: str) -> Rule:
    def rule(use: _Use) -> Value:
        if use.library == "builtins" and all(map(_is_number, use.args)):
            return (max if name == "max" else min)(use.args)
        if len(use.args) != 2 or use.keywords:
            raise _refused(use.node, f"'{use.path}' of one tensor: over features; give two")
        return use.make(name, *use.args)

    return rule


def _range(use: _Use) -> tuple[int, ...]:
    if not all(isinstance(a, int) for a in use.args) or not 1 <= len(use.args) <= 3:
        raise _refused(use.node, "range of something else than whole numbers")
    made = range(*use.args)
    if len(made) > MAX_ROUNDS:
        raise _refused(use.node, f"a range of {len(made)}; at most {MAX_ROUNDS}")
    return tuple(made)


def _sum(use: _Use) -> Value:
    if isinstance(use.args[0], tuple) and use.args[0]:
        total = use.args[0][0]
        for item in use.args[0][1:]:
            total = use.walk.binary(use.node, ast.Add(), total, item)
        return total
    raise _refused(use.node, f"'{use.path}' of a tensor: over features, not of one element")


def _full(value: float | None) -> Rule:
    def rule(use: _Use) -> float:
        return use.number(1, "fill_value") if value is None else value

    return rule


def _softplus(use: _Use) -> Expr:
    use.only("beta", "threshold", places=3)
    beta = use.number(1, "beta", 1.0)
    x = use.x()
    if beta == 1.0:
        return use.make("softplus", x)
    return use.make("div", use.make("softplus", use.make("mul", beta, x)), beta)


def _elu(use: _Use) -> Expr:
    use.only("alpha", places=2)
    alpha, x = use.number(1, "alpha", 1.0), use.x()
    return use.make("where", use.make("gt", x, 0.0), x, use.make("mul", alpha, _expm1(use, x)))


def _expm1(use: _Use, x: Expr) -> Expr:
    """exp(min(x, 0)) - 1: for the lower branch only, finite above it too."""
    return use.make("sub", use.make("exp", use.make("min", x, 0.0)), 1.0)


def _selu(use: _Use, x: Expr) -> Expr:
    lower = use.make("mul", 1.6732632423543772, _expm1(use, x))
    inner = use.make("where", use.make("gt", x, 0.0), x, lower)
    return use.make("mul", 1.0507009873554805, inner)


def _celu(use: _Use) -> Expr:
    use.only("alpha", places=2)
    alpha, x = use.number(1, "alpha", 1.0), use.x()
    scaled = use.make("div", x, alpha)
    lower = use.make("min", use.make("mul", alpha, _expm1(use, scaled)), 0.0)
    return use.make("add", use.make("relu", x), lower)


def _leaky(use: _Use) -> Expr:
    use.only("negative_slope", "alpha", places=2)
    slope = use.number(1, "negative_slope", use.keywords.get("alpha", 0.01))
    x = use.x()
    return use.make("where", use.make("ge", x, 0.0), x, use.make("mul", slope, x))


def _hard_tanh(use: _Use) -> Expr:
    low = use.number(1, "min_val", -1.0)
    return use.make("min", use.make("max", use.x(), low), use.number(2, "max_val", 1.0))


def _logaddexp(use: _Use) -> Expr:
    a, b = use.args
    return use.make("add", a, use.make("softplus", use.make("sub", b, a)))


def _power(use: _Use) -> Value:
    base, exponent = use.args
    return use.walk.binary(use.node, ast.Pow(), base, exponent)


def _number_of(use: _Use) -> Value:
    value = use.args[0]
    if isinstance(value, Expr):
        return value
    return float(value) if _is_number(value) else value


def _operator(op: ast.operator) -> Rule:
    return lambda use: use.walk.binary(use.node, op, use.args[0], use.args[1])


def _comparison(name: str) -> Rule:
    return lambda use: use.make(name, use.args[0], use.args[1])


def _mish(use: _Use, x: Expr) -> Expr:
    return use.make("mul", x, use.make("tanh", use.make("softplus", x)))


def _hard_sigmoid(use: _Use, x: Expr) -> Expr:
    line = use.make("add", use.make("div", x, 6.0), 0.5)
    return use.make("min", use.make("max", line, 0.0), 1.0)


def _hard_swish(use: _Use, x: Expr) -> Expr:
    return use.make("mul", x, _hard_sigmoid(use, x))


def _log_sigmoid(use: _Use, x: Expr) -> Expr:
    return use.make("neg", use.make("softplus", use.make("neg", x)))


def _expm1_of(use: _Use, x: Expr) -> Expr:
    return use.make("sub", use.make("exp", x), 1.0)


def _sinh(use: _Use, x: Expr) -> Expr:
    both = use.make("sub", use.make("exp", x), use.make("exp", use.make("neg", x)))
    return use.make("mul", 0.5, both)


def _cosh(use: _Use, x: Expr) -> Expr:
    both = use.make("add", use.make("exp", x), use.make("exp", use.make("neg", x)))
    return use.make("mul", 0.5, both)


def _erfc(use: _Use, x: Expr) -> Expr:
    return use.make("sub", 1.0, use.make("erf", x))


def _log_to(base: float) -> Callable[[_Use, Expr], Expr]:
    return lambda use, x: use.make("div", use.make("log", x), math.log(base))


def _tan(use: _Use, x: Expr) -> Expr:
    return use.make("div", use.make("sin", x), use.make("cos", x))


def _exp2(use: _Use, x: Expr) -> Expr:
    return use.make("exp", use.make("mul", math.log(2), x))


def _normal_cdf(use: _Use, x: Expr) -> Expr:
    bent = use.make("erf", use.make("mul", x, math.sqrt(0.5)))
    return use.make("mul", 0.5, use.make("add", 1.0, bent))


def _normal_pdf(use: _Use, x: Expr) -> Expr:
    bell = use.make("gaussian", use.make("mul", x, math.sqrt(0.5)))
    return use.make("mul", 1 / math.sqrt(2 * math.pi), bell)


def _reciprocal(use: _Use, x: Expr) -> Expr:
    return use.make("div", 1.0, x)


def _rsqrt(use: _Use, x: Expr) -> Expr:
    return use.make("div", 1.0, use.make("sqrt", x))


def _relu6(use: _Use, x: Expr) -> Expr:
    return use.make("min", use.make("relu", x), 6.0)


def _tanhshrink(use: _Use, x: Expr) -> Expr:
    return use.make("sub", x, use.make("tanh", x))


#: What changes the type of a tensor, or nothing.
_CASTS = (
    *("asarray", "array", "astype", "float", "double", "to", "type", "contiguous", "clone"),
    *("as_tensor", "tensor", "type_as", "nan_to_num", "float32", "float64", "positive"),
)

#: What a call means, by the last part of its name.
_CALLS: dict[str, Rule] = {
    **{name: _primitive(name) for name in ("erf", "relu", "silu", "softsign", "sinc")},
    **{name: _primitive("sigmoid") for name in ("sigmoid", "expit", "logistic")},
    "swish": _primitive("silu"),
    "soft_sign": _primitive("softsign"),
    "sin": _of_number(math.sin, "sin"),
    "cos": _of_number(math.cos, "cos"),
    "tanh": _of_number(math.tanh, "tanh"),
    "exp": _of_number(math.exp, "exp"),
    "log": _of_number(math.log, "log"),
    "log1p": _of_number(math.log1p, "log1p"),
    "sqrt": _of_number(math.sqrt, "sqrt"),
    **{name: _of_number(math.atan, "atan") for name in ("atan", "arctan")},
    **{name: _of_number(math.asinh, "asinh") for name in ("asinh", "arcsinh")},
    **{name: _of_number(abs, "abs") for name in ("abs", "absolute", "fabs")},
    **{name: _primitive("sign") for name in ("sign", "sgn")},
    **{name: _primitive("square") for name in ("square",)},
    **{name: _primitive("neg") for name in ("negative", "neg")},
    "gelu": _gelu,
    "softplus": _softplus,
    "elu": _elu,
    "celu": _celu,
    "leaky_relu": _leaky,
    "selu": _composite(_selu),
    "mish": _composite(_mish),
    "relu6": _composite(_relu6),
    **{name: _composite(_hard_sigmoid) for name in ("hardsigmoid", "hard_sigmoid")},
    **{name: _composite(_hard_swish) for name in ("hardswish", "hard_swish", "hard_silu")},
    **dict.fromkeys(("hardtanh", "hard_tanh"), _hard_tanh),
    **{name: _composite(_log_sigmoid) for name in ("logsigmoid", "log_sigmoid")},
    "tanhshrink": _composite(_tanhshrink),
    "expm1": _composite(_expm1_of),
    "exp2": _composite(_exp2),
    "sinh": _composite(_sinh),
    "cosh": _composite(_cosh),
    "tan": _composite(_tan),
    "erfc": _composite(_erfc),
    "log2": _composite(_log_to(2.0)),
    "log10": _composite(_log_to(10.0)),
    "ndtr": _composite(_normal_cdf),
    "cdf": _composite(_normal_cdf),
    "pdf": _composite(_normal_pdf),
    "reciprocal": _composite(_reciprocal),
    "rsqrt": _composite(_rsqrt),
    **dict.fromkeys(("clip", "clamp"), _clip),
    "clamp_min": lambda use: use.make("max", *use.args),
    "clamp_max": lambda use: use.make("min", *use.args),
    "where": _where,
    **{name: _pair("max") for name in ("maximum", "max", "fmax")},
    **{name: _pair("min") for name in ("minimum", "min", "fmin")},
    "logaddexp": _logaddexp,
    **dict.fromkeys(("power", "pow", "float_power"), _power),
    "mean": _statistic("mean"),
    "std": _statistic("std"),
    "var": _variance,
    **dict.fromkeys(_CASTS, _same),
    **{name: _full(0.0) for name in ("zeros_like",)},
    **{name: _full(1.0) for name in ("ones_like",)},
    "full_like": _full(None),
    "range": _range,
    "sum": _sum,
    "add": _operator(ast.Add()),
    **{name: _operator(ast.Sub()) for name in ("subtract", "sub")},
    **{name: _operator(ast.Mult()) for name in ("multiply", "mul")},
    **{name: _operator(ast.Div()) for name in ("divide", "true_divide", "div")},
    **{name: _comparison("gt") for name in ("greater", "gt")},
    **{name: _comparison("ge") for name in ("greater_equal", "ge")},
    **{name: _comparison("lt") for name in ("less", "lt")},
    **{name: _comparison("le") for name in ("less_equal", "le")},
}
_CALLS["float"] = _CALLS["int"] = _number_of
_CALLS["pow"] = _power

_BUILTINS = {"abs", "max", "min", "range", "sum", "float", "int", "pow"}
_NUMBERS = {"pi": math.pi, "e": math.e, "tau": math.tau}
#: torch.nn layers by the function they apply.
_LAYERS = {
    "ReLU": "relu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Mish": "mish",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "ELU": "elu",
    "CELU": "celu",
    "SELU": "selu",
    "LeakyReLU": "leaky_relu",
    "Softsign": "softsign",
    "Hardtanh": "hardtanh",
    "Hardswish": "hardswish",
    "Hardsigmoid": "hardsigmoid",
    "LogSigmoid": "logsigmoid",
    "Tanhshrink": "tanhshrink",
    "ReLU6": "relu6",
}

_OPERATORS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}
_COMPARISONS = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: a**b,
}
_CONSTANT_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
}


def _library(path: str) -> str:
    return path.split(".", 1)[0]


def _dotted(node: ast.expr) -> str:
    """Return the dotted name a call is made by, "" where it is none."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *parts[::-1]]) if isinstance(node, ast.Name) else ""


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_plain(value: Value) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _described(value: Value) -> str:
    if isinstance(value, Expr):
        return "a comparison" if sort_of(value) == "Bool" else "a tensor"
    kinds = {str: "a text", tuple: "a tuple", bool: "a truth value", _Closure: "a function"}
    if isinstance(value, _Dotted):
        return f"'{value.path}'"
    if isinstance(value, _Equal):
        return "a comparison by =="
    if value is None:
        return "None"
    return kinds.get(type(value), "a number" if _is_number(value) else "something")


def _kind(node: ast.AST) -> str:
    return f"'{type(node).__name__}'"
