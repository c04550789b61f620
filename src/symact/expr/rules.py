"""The rule language: definitions of primitives from which the backends are generated.

A rule is a list of assignments in Python syntax. Each assignment defines a new name::

    e = exp(-abs(a))
    q = 1/(1 + e)
    value = select(a >= 0, q, e*q)
    da = e*q*q

The arguments are ``a``, ``b`` and ``c``. The rule assigns the ``value`` and one partial derivative
for each argument: ``da``, ``db``, ``dc``. Instead of partial derivatives a rule may assign the
``tangent``, a function of the arguments and their tangents ``ta``, ``tb``, ``tc``.

The language has no branches, which lets compilers vectorise every rule. ``select(condition, yes,
no)`` computes both values and returns one. The operators are ``+ - * /``, the sign and the
comparisons. The functions are :data:`FUNCTIONS`, the constants ``pi``, ``inf`` and ``nan``. All
operations follow IEEE 754.
"""

from __future__ import annotations

import ast
import copy
import math
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

#: The number of arguments of each function. ``bell(u)`` is exp(-u**2). ``normal_pdf(u)``
#: and ``normal_sf(u)`` are the density and the upper tail probability of the standard normal
#: distribution. Rules use them for u >= 0 alone, where both have full relative accuracy.
FUNCTIONS: dict[str, int] = {
    "abs": 1,
    "sqrt": 1,
    "exp": 1,
    "log": 1,
    "log1p": 1,
    "sin": 1,
    "cos": 1,
    "tanh": 1,
    "atan": 1,
    "erf": 1,
    "bell": 1,
    "normal_pdf": 1,
    "normal_sf": 1,
    "select": 3,
}
#: A template for each function in languages with the same names.
CALLS = {name: f"{name}({{0}})" for name in FUNCTIONS}
#: The functions for Python floats. They raise ArithmeticError or ValueError outside their domain.
MATH: dict[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in FUNCTIONS if hasattr(math, name)},
    "abs": abs,
    "bell": lambda u: math.exp(-u * u),
    "normal_pdf": lambda u: math.exp(-u * u / 2) / math.sqrt(2 * math.pi),
    "normal_sf": lambda u: math.erfc(u / math.sqrt(2)) / 2,
}
CONSTANTS = {"pi": math.pi, "inf": math.inf, "nan": math.nan}
ARGUMENTS = ("a", "b", "c")
TANGENTS = ("ta", "tb", "tc")

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type, str] = {
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Eq: "eq",
    ast.NotEq: "ne",
}


@dataclass(frozen=True)
class Rule:
    """A parsed rule.

    Attributes:
        steps: The expression of each assigned name, in order.
    """

    steps: Mapping[str, ast.expr]

    @property
    def partials(self) -> tuple[str, ...]:
        """The names of the partial derivatives that the rule assigns."""
        return tuple(name for name in ("da", "db", "dc") if name in self.steps)

    def needed(self, outputs: Collection[str]) -> list[str]:
        """Return the names of the steps that some outputs need, in order."""
        found = set(outputs)
        for name, step in reversed([*self.steps.items()]):
            if name in found:
                found |= {node.id for node in ast.walk(step) if isinstance(node, ast.Name)}
        return [name for name in self.steps if name in found]


def parse_rule(text: str) -> Rule:
    """Parse a rule.

    Raises:
        ValueError: A statement does not assign a new name, or an expression is not part of the
            language.
    """
    steps: dict[str, ast.expr] = {}
    for statement in ast.parse(text).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=expr):
                if name in steps or name in (*ARGUMENTS, *TANGENTS, *CONSTANTS):
                    raise ValueError(f"a rule assigns each name once, '{name}' is already defined")
                steps[name] = _Reader({*ARGUMENTS, *TANGENTS, *steps}).visit(expr)
            case _:
                raise ValueError(f"a rule consists of assignments, got: {ast.unparse(statement)}")
    return Rule(steps)


class _Reader(ast.NodeTransformer):
    """Checks an expression and folds its constant parts."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def generic_visit(self, node: ast.AST) -> ast.AST:
        raise ValueError(f"a rule cannot contain: {ast.unparse(node)}")

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if not isinstance(node.value, int | float) or isinstance(node.value, bool):
            raise ValueError(f"a literal in a rule is a number, got {node.value!r}")
        return ast.Constant(float(node.value))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == "pi":
            return ast.Constant(math.pi)
        if node.id not in self._names and node.id not in CONSTANTS:
            raise ValueError(f"a rule uses names after they are assigned, got '{node.id}'")
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if not isinstance(node.op, ast.USub):
            raise ValueError(f"a rule cannot contain: {ast.unparse(node)}")
        return _computed(ast.UnaryOp(node.op, self.visit(node.operand)))

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        if type(node.op) not in _BINARY:
            raise ValueError(f"a rule cannot contain: {ast.unparse(node)}")
        return _computed(ast.BinOp(self.visit(node.left), node.op, self.visit(node.right)))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) != 1 or type(node.ops[0]) not in _COMPARISONS:
            raise ValueError(f"a rule cannot contain: {ast.unparse(node)}")
        return ast.Compare(self.visit(node.left), node.ops, [self.visit(node.comparators[0])])

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = ast.unparse(node.func)
        if FUNCTIONS.get(name) != len(node.args) or node.keywords:
            raise ValueError(f"a rule cannot contain: {ast.unparse(node)}")
        return _computed(ast.Call(ast.Name(name), [self.visit(arg) for arg in node.args], []))


def _computed(node: ast.expr) -> ast.expr:
    """Fold an expression of numbers to a number; return any other expression unchanged."""
    parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
    numbers = parts[1:] if isinstance(node, ast.Call) else parts
    if not all(isinstance(part, ast.Constant) for part in numbers):
        return node
    return ast.Constant(interpret(Rule({"value": node}), MATH, {}))


def interpret(
    rule: Rule, functions: Mapping[str, Any], values: Mapping[str, Any], output: str = "value"
) -> Any:
    """Compute one output of a rule for values of any type with Python's operators.

    Args:
        rule: The rule.
        functions: An implementation of each of :data:`FUNCTIONS` for the type of the values.
            Without ``select``, only the selected value is computed. Optional entries ``eq``,
            ``ne``, ``lt``, ``le``, ``gt`` and ``ge`` replace the comparison operators.
        values: The arguments ``a``, ``b``, ``c``, and their tangents if the output needs them.
        output: The name of the step to compute.
    """
    known = {**CONSTANTS, **values}

    def of(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=number):
                return number
            case ast.Name(id=name):
                if name not in known:
                    known[name] = of(rule.steps[name])
                return known[name]
            case ast.UnaryOp(operand=inner):
                return -of(inner)
            case ast.BinOp(left=left, op=op, right=right):
                return _BINARY[type(op)](of(left), of(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                name = _COMPARISONS[type(op)]
                return functions.get(name, getattr(operator, name))(of(left), of(right))
            case ast.Call(func=ast.Name(id="select"), args=[test, yes, no]):
                if "select" not in functions:
                    return of(yes if of(test) else no)
                return functions["select"](of(test), of(yes), of(no))
            case ast.Call(func=ast.Name(id=name), args=[arg]):
                return functions[name](of(arg))
            case _:
                raise AssertionError(ast.dump(node))

    return of(rule.steps[output])


@dataclass(frozen=True)
class Target:
    """A programming language or library for which :func:`emit` writes source code.

    Attributes:
        functions: A template for each of :data:`FUNCTIONS`, such as ``"np.exp({0})"``.
        number: The template of a number.
        names: The texts of ``inf`` and ``nan``.
        has_sign: Whether to write ``-a``; False to write the product with -1.
    """

    functions: Mapping[str, str]
    number: str = "{}"
    names: Mapping[str, str] = field(default_factory=dict)
    has_sign: bool = True


def emit(
    rule: Rule, target: Target, outputs: Collection[str] = ("value",)
) -> list[tuple[str, str]]:
    """Return the source code of a rule as pairs of a name and the text of its expression.

    Args:
        rule: The rule.
        target: The language or library.
        outputs: The names to compute. Steps that no output needs are omitted.

    Example:
        >>> rule = parse_rule("twice = a + a; value = exp(twice); da = 2*value")
        >>> emit(rule, Target({"exp": "np.exp({0})"}))
        [('twice', 'a + a'), ('value', 'np.exp(twice)')]
    """
    writer = _Writer(target)
    return [
        (name, ast.unparse(writer.visit(copy.deepcopy(rule.steps[name]))))
        for name in rule.needed(outputs)
    ]


class _Writer(ast.NodeTransformer):
    """Replaces the functions and numbers of an expression by the texts of a target."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.Name(self._target.number.format(node.value))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(self._target.names.get(node.id, node.id))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        inner = self.visit(node.operand)
        if self._target.has_sign:
            return ast.UnaryOp(node.op, inner)
        return ast.BinOp(inner, ast.Mult(), self.visit(ast.Constant(-1.0)))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        args = [self.visit(arg) for arg in node.args]
        return ast.Name(self._target.functions[node.func.id].format(*map(ast.unparse, args)))
