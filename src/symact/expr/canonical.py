"""Canonical forms by algebraic rewriting, in microseconds and without sympy.

The rules view an expression as a *sum* (terms with coefficients) or a *product* (powers of factors
in a numerator and a denominator). They rebuild the expression from that view. The rules hold for
real numbers. :func:`symact.backends.simplify.simplify` compares values to detect differences by
rounding, overflow or NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from symact.expr import Expr, call, const, sort_of
from symact.expr.cost import flops
from symact.expr.primitives import CONST, PARAM, PRIMITIVES, VAR, is_subtype
from symact.expr.printer import POWERS
from symact.expr.rules import ARGUMENTS, MATH, interpret

_MAX_PASSES = 12
_MAX_POWER = 12

# Constants.

_SWAPPED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


def _folded(node: Expr) -> Expr | None:
    """Return the value of a call with literal arguments as a literal, None if not finite."""
    if not node.args or any(arg.op != CONST for arg in node.args) or sort_of(node) == "Bool":
        return None
    value = _value(node)
    return const(value) if value is not None and math.isfinite(value) else None


def _value(node: Expr) -> float | None:
    """Return the value of a call with literal arguments, None outside the domain."""
    primitive = PRIMITIVES[node.op]
    if primitive.statistic:
        return node.args[0].number if node.op == "mean" else 0.0
    values = dict(zip(ARGUMENTS, (arg.number for arg in node.args), strict=False))
    try:
        return float(interpret(primitive.rule, MATH, values))
    except (ArithmeticError, ValueError):
        return None


# Properties of expressions, and the order of arguments. They are cached, because the expressions of
# a search share most of their subexpressions.

_UNSAFE = {"exp", "log", "log1p", "sqrt", "div"}


@functools.lru_cache(maxsize=16_384)
def _is_tame(expr: Expr) -> bool:
    """Whether the value is finite for every ``x`` that is not extremely large."""
    return expr.op not in _UNSAFE and all(map(_is_tame, expr.args))


def _is_nonnegative(expr: Expr) -> bool:
    """Whether the signatures of the primitives prove that the value is never below 0."""
    return any(is_subtype(name, "NonNegative") for name in _types(expr))


@functools.lru_cache(maxsize=16_384)
def _types(expr: Expr) -> frozenset[str]:
    """Return the types that the signatures of the primitives give an expression."""
    if expr.op == CONST:
        known = {"Const", "PositiveConst"} if expr.number > 0 else {"Const"}
        return frozenset(known | ({"NonNegative"} if expr.number >= 0 else {"Real"}))
    if expr.op in (VAR, PARAM):
        return frozenset({"Real"})
    return _result_types(expr.op, *map(_types, expr.args))


@functools.lru_cache(maxsize=4096)
def _result_types(op: str, *args: frozenset[str]) -> frozenset[str]:
    """Return the result types of a primitive, given the types of its arguments."""
    return frozenset(
        signature.result
        for signature in PRIMITIVES[op].signatures
        if all(
            any(is_subtype(name, needed) for name in types)
            for types, needed in zip(args, signature.args, strict=True)
        )
    )


@functools.lru_cache(maxsize=16_384)
def _rank(expr: Expr) -> tuple[Any, ...]:
    """Return the sort key of an argument: by size, literals last."""
    args = [_rank(arg) for arg in expr.args]
    nodes = 1 + sum(arg[1] for arg in args)
    return (expr.op == CONST, nodes, expr.op, expr.value, *args)


def _in_order(expr: Expr) -> Expr:
    """Sort the arguments of a commutative primitive."""
    if expr.op not in PRIMITIVES or not PRIMITIVES[expr.op].commutative:
        return expr
    return Expr(expr.op, tuple(sorted(expr.args, key=_rank)))


# Products.

_ODD = {"sin", "tanh", "atan", "asinh", "erf", "softsign", "sign"}
_EVEN = {"abs", "cos", "sinc", "gaussian"}


@dataclass(frozen=True, slots=True)
class _Product:
    """``coefficient * over / under``, with the exponent of each factor.

    Signs of factors are moved into the coefficient.
    """

    coefficient: float
    over: Mapping[Expr, int]
    under: Mapping[Expr, int]

    def to(self, power: int) -> _Product:
        over = {base: exponent * power for base, exponent in self.over.items()}
        under = {base: exponent * power for base, exponent in self.under.items()}
        return _Product(self.coefficient**power, over, under)

    def times(self, other: _Product) -> _Product:
        coefficient = self.coefficient * other.coefficient
        return _Product(coefficient, _plus(self.over, other.over), _plus(self.under, other.under))

    def inverse(self) -> _Product:
        return _Product(1 / self.coefficient, self.under, self.over)

    def scaled(self, coefficient: float) -> _Product:
        return _Product(coefficient, self.over, self.under)

    @property
    def is_sound(self) -> bool:
        powers = [*self.over.values(), *self.under.values()]
        is_normal = self.coefficient == 0 or 1e-200 < abs(self.coefficient) < 1e200
        return is_normal and max(powers, default=1) <= _MAX_POWER


def _plus(a: Mapping[Expr, int], b: Mapping[Expr, int]) -> dict[Expr, int]:
    return {base: a.get(base, 0) + b.get(base, 0) for base in [*a, *b]}


@functools.lru_cache(maxsize=16_384)
def _product(expr: Expr) -> _Product:
    """View an expression as a product, in the simplest case with itself as the only factor."""
    if expr.op == CONST:
        return _Product(expr.number, {}, {})
    try:
        view = _product_of_args(expr)
    except ArithmeticError:
        view = None
    return view if view is not None and view.is_sound else _Product(1.0, {_in_order(expr): 1}, {})


def _product_of_args(expr: Expr) -> _Product | None:
    if expr.op == "mul":
        return _product(expr.args[0]).times(_product(expr.args[1]))
    if expr.op == "div":
        divisor = _product(expr.args[1])
        # Keep a division by 0: its value is infinite or NaN.
        return _product(expr.args[0]).times(divisor.inverse()) if divisor.coefficient else None
    if expr.op == "neg":
        inner = _product(expr.args[0])
        return inner.scaled(-inner.coefficient)
    if expr.op in POWERS:
        is_even = expr.op == "square" and expr.args[0].op == "abs"
        base = expr.args[0].args[0] if is_even else expr.args[0]
        return _product(base).to(POWERS[expr.op])
    if expr.op in _ODD and _product(expr.args[0]).coefficient < 0:
        return _Product(-1.0, {Expr(expr.op, (_negated(expr.args[0]),)): 1}, {})
    if expr.op in ("add", "sub") and _sum(expr).leads_negative:
        return _Product(-1.0, {_from_sum(_sum(expr).scaled(-1.0)): 1}, {})
    return None


def _from_product(view: _Product) -> Expr:
    """Build a cheap expression of a product without additional transcendental functions."""
    coefficient, over, under = view.coefficient, dict(view.over), dict(view.under)
    if coefficient == 0 and all(map(_is_tame, [*over, *under])) and not under:
        return const(0.0)
    _to_sigmoid(over, under)
    _to_silu(over)
    if coefficient == -1 and over:
        return _from_negative(over, under)
    if coefficient == 1:
        return _quotient(over, under)
    return _quotient(over, under, const(coefficient))


def _from_negative(over: Mapping[Expr, int], under: Mapping[Expr, int]) -> Expr:
    """Build a negated product. Move the sign into a factor if that costs no FLOP."""
    for powers in (over, under):
        for base in sorted(powers, key=_rank):
            absorbed = _absorb_sign(base) if powers[base] % 2 else None
            if absorbed is not None:
                others = {key: power for key, power in powers.items() if key != base}
                signed = _plus(others, {absorbed: powers[base]})
                return _quotient(signed, under) if powers is over else _quotient(over, signed)
    return _quotient(over, under, negate=True)


def _quotient(
    over: Mapping[Expr, int],
    under: Mapping[Expr, int],
    head: Expr | None = None,
    *,
    negate: bool = False,
) -> Expr:
    """Build a quotient of powers. Factors with a common power are grouped: ``(a**2*b)**2 * c``.

    Args:
        over: Exponents of the factors of the numerator.
        under: Exponents of the factors of the denominator.
        head: A number in front of the numerator, or None.
        negate: Whether to negate the first factor.
    """
    top, bottom = _plain(over), _plain(under)
    has_powers = max(*over.values(), *under.values(), 0, 0) > 1
    roots = list(zip(POWERS, _roots(over), _roots(under), strict=True)) if has_powers else []
    # Use one division: square a quotient only if the denominator has no other factor.
    is_alone = not bottom and sum(bool(below) for _, _, below in roots) == 1
    for name, above, below in roots:
        if above and is_alone:
            top.append(call(name, _quotient(above, below)))
            continue
        top += [call(name, _quotient(above, {}))] if above else []
        bottom += [call(name, _quotient(below, {}))] if below else []
    if negate:
        top[0] = call("neg", top[0])
    if head is not None or not top:
        top.insert(0, head or const(1))
    numerator = _chain("mul", top)
    return call("div", numerator, _chain("mul", bottom)) if bottom else numerator


def _plain(powers: Mapping[Expr, int]) -> list[Expr]:
    """Return the bases with a factor outside squares and cubes (exponents 1, 5, 7, 11, ...)."""
    return sorted((base for base, power in powers.items() if _is_plain(power)), key=_rank)


def _is_plain(power: int) -> bool:
    return power % 2 != 0 and power % 3 != 0


def _roots(powers: Mapping[Expr, int]) -> tuple[dict[Expr, int], dict[Expr, int]]:
    """Return the exponents of the factors to square and of the factors to cube."""
    squared = {base: power - _is_plain(power) for base, power in powers.items() if power > 1}
    halves = {base: power // 2 for base, power in squared.items() if power % 2 == 0}
    thirds = {base: power // 3 for base, power in squared.items() if power % 2}
    return halves, thirds


def _absorb_sign(base: Expr) -> Expr | None:
    """Return the negated factor if it costs at most as much as the factor, else None."""
    if base.op in _ODD:
        minus = Expr(base.op, (_negated(base.args[0]),))
    elif base.op in ("add", "sub"):
        minus = _from_sum(_sum(base).scaled(-1.0))
    else:
        return None
    return minus if flops(minus) <= flops(base) else None


def _to_sigmoid(over: dict[Expr, int], under: dict[Expr, int]) -> None:
    """Replace ``1/(1 + exp(-u))`` by ``sigmoid(u)``."""
    for base in list(under):
        view = _sum(base) if base.op == "add" else None
        if view is None or view.constant != 1 or list(view.terms.values()) != [1.0]:
            continue
        (term,) = view.terms
        slope = _product(term.args[0]).coefficient if term.op == "exp" else 0
        if slope == -1 or (slope < 0 and not over):
            gate = Expr("sigmoid", (_negated(term.args[0]),))
            over[gate] = over.get(gate, 0) + under.pop(base)


def _to_silu(over: dict[Expr, int]) -> None:
    """Replace ``u * sigmoid(u)`` by ``silu(u)``."""
    for gate in [base for base in over if base.op == "sigmoid"]:
        (u,) = gate.args
        count = min(
            over.get(gate, 0), over.get(u, 0)
        )  # an earlier iteration may have removed the gate
        if count:
            unit = Expr("silu", (u,))
            over[unit] = over.get(unit, 0) + count
            for base in (gate, u):
                over[base] -= count
                if not over[base]:
                    del over[base]


def _chain(name: str, args: list[Expr]) -> Expr:
    return functools.reduce(lambda a, b: Expr(name, (a, b)), args)


@functools.lru_cache(maxsize=16_384)
def _negated(expr: Expr) -> Expr:
    view = _product(expr)
    return _from_product(view.scaled(-view.coefficient))


# Sums.


@dataclass(frozen=True, slots=True)
class _Sum:
    """``constant`` plus terms with coefficients."""

    constant: float
    terms: Mapping[Expr, float]

    def scaled(self, factor: float) -> _Sum:
        terms = {term: factor * coefficient for term, coefficient in self.terms.items()}
        return _Sum(factor * self.constant, terms)

    def plus(self, other: _Sum) -> _Sum:
        terms = dict(self.terms)
        for term, coefficient in other.terms.items():
            terms[term] = terms.get(term, 0.0) + coefficient
            # Keep 0*exp(x): like exp(x) - exp(x), it is NaN where exp(x) is infinite.
            if terms[term] == 0 and _is_tame(term):
                del terms[term]
        return _Sum(self.constant + other.constant, terms)

    def ordered(self) -> list[tuple[Expr, float]]:
        return sorted(self.terms.items(), key=lambda item: (abs(item[1]) != 1, _rank(item[0])))

    @property
    def leads_negative(self) -> bool:
        return bool(self.terms) and self.ordered()[0][1] < 0


@functools.lru_cache(maxsize=16_384)
def _sum(expr: Expr) -> _Sum:
    """View an expression as a sum, in the simplest case of one term."""
    if expr.op == CONST:
        return _Sum(expr.number, {})
    if expr.op in ("add", "sub"):
        left, right = map(_sum, expr.args)
        view = left.plus(right if expr.op == "add" else right.scaled(-1.0))
        is_finite = all(map(math.isfinite, [view.constant, *view.terms.values()]))
        return view if is_finite else _Sum(0.0, {_in_order(expr): 1.0})
    product = _product(expr)
    if abs(product.coefficient) == 1 and list(product.over.values()) == [1] and not product.under:
        (base,) = product.over
        if base.op in ("add", "sub") and base != expr:
            return _sum(base).scaled(product.coefficient)
    unit = _from_product(product.scaled(1.0))
    return _Sum(0.0, {unit: product.coefficient})


def _from_sum(view: _Sum) -> Expr:
    """Build a sum: positive terms, then negative terms, then the constant."""
    terms = view.ordered()
    added = [_term(unit, factor) for unit, factor in terms if factor >= 0]
    subtracted = [(unit, factor) for unit, factor in terms if factor < 0]
    constant = view.constant
    if not added and (constant or not terms):
        added, constant = [const(constant)], 0.0
    if not added:
        unit, factor = min(subtracted, key=lambda item: _sign_cost(*item))
        subtracted.remove((unit, factor))
        added = [_term(unit, factor)]
    total = _chain("add", added)
    for unit, factor in subtracted:
        total = call("sub", total, _term(unit, -factor))
    if constant:
        total = call("add" if constant > 0 else "sub", total, const(abs(constant)))
    return total


@functools.lru_cache(maxsize=16_384)
def _term(unit: Expr, coefficient: float) -> Expr:
    view = _product(unit)
    return _from_product(view.scaled(view.coefficient * coefficient))


def _sign_cost(unit: Expr, coefficient: float) -> int:
    return flops(_term(unit, coefficient)) - flops(_term(unit, -coefficient))


# The other primitives.


def _even(node: Expr) -> Expr:
    (arg,) = node.args
    if arg.op == "abs":
        arg = arg.args[0]
    return Expr(node.op, (_negated(arg) if _product(arg).coefficient < 0 else arg,))


def _homogeneous(node: Expr) -> Expr:
    """Move a positive coefficient out of the argument."""
    view = _product(node.args[0])
    coefficient = abs(view.coefficient)
    if coefficient in (0, 1) or not view.over:
        return node
    inner = _from_product(view.scaled(math.copysign(1.0, view.coefficient)))
    return call("mul", const(coefficient), Expr(node.op, (inner,)))


def _sign(node: Expr) -> Expr:
    moved = _homogeneous(node)
    return _arithmetic(node if moved == node else moved.args[1])


def _absolute(node: Expr) -> Expr:
    return node.args[0] if _is_nonnegative(node.args[0]) else _homogeneous(_even(node))


def _relu(node: Expr) -> Expr:
    is_negative = _product(node.args[0]).coefficient < 0
    moved = node if is_negative else _homogeneous(node)
    return _extremum(Expr("max", (node.args[0], const(0)))) if moved == node else moved


def _extremum(node: Expr) -> Expr:
    """Flatten nested extrema and drop repeated arguments and redundant constants."""
    choose = max if node.op == "max" else min
    items = dict.fromkeys(_flattened(node, node.op))
    numbers = [item.number for item in items if item.op == CONST]
    others = sorted((item for item in items if item.op != CONST), key=_rank)
    if node.op == "max" and len(others) == 2 and _negated(others[0]) == others[1]:
        others = [call("abs", others[0])]
    bound = choose(numbers) if numbers else None
    if bound is None or (node.op == "max" and bound <= 0 and any(map(_is_nonnegative, others))):
        return _chain(node.op, others)
    if node.op == "max" and bound == 0:
        return call("relu", _chain("max", others))
    return _chain(node.op, [*others, const(bound)])


def _flattened(expr: Expr, name: str) -> Iterator[Expr]:
    if expr.op == name:
        for arg in expr.args:
            yield from _flattened(arg, name)
    elif expr.op == "relu" and name == "max":
        yield from _flattened(expr.args[0], name)
        yield const(0)
    else:
        yield expr


def _comparison(node: Expr) -> Expr:
    a, b = node.args
    return Expr(_SWAPPED[node.op], (b, a)) if _rank(a) > _rank(b) else node


def _where(node: Expr) -> Expr:
    condition, a, b = node.args
    left, right = condition.args
    if left.op == CONST and right.op == CONST:
        return a if _value(condition) else b
    if a == b:
        return a
    larger, smaller = (a, b) if condition.op in ("gt", "ge") else (b, a)
    if (larger, smaller) == (left, right):
        return call("max", left, right)
    if (larger, smaller) == (right, left):
        return call("min", left, right)
    if right == const(0) and larger == left and smaller == _negated(left):
        return call("abs", left)
    return node


def _sqrt(node: Expr) -> Expr:
    (arg,) = node.args
    return call("abs", arg.args[0]) if arg.op == "square" else node


def _exp(node: Expr) -> Expr:
    view = _product(node.args[0])
    powers = [*view.over.values(), *view.under.values()]
    if view.coefficient != -1 or not powers or any(power % 2 for power in powers):
        return node
    over, under = (
        {base: power // 2 for base, power in side.items()} for side in (view.over, view.under)
    )
    return call("gaussian", _quotient(over, under))


def _log(node: Expr) -> Expr:
    view = _sum(node.args[0])
    return call("log1p", _from_sum(_Sum(0.0, view.terms))) if view.constant == 1 else node


def _arithmetic(node: Expr) -> Expr:
    return _from_sum(_sum(node))


_RULES: dict[str, Callable[[Expr], Expr]] = {
    **dict.fromkeys(("add", "sub", "mul", "div", "neg", "square", "cube", *_ODD), _arithmetic),
    **dict.fromkeys(_EVEN, _even),
    **dict.fromkeys(_SWAPPED, _comparison),
    "abs": _absolute,
    "relu": _relu,
    "sign": _sign,
    "min": _extremum,
    "max": _extremum,
    "where": _where,
    "sqrt": _sqrt,
    "exp": _exp,
    "log": _log,
}


@functools.lru_cache(maxsize=16_384)
def canonical(expr: Expr) -> Expr:
    """Return the canonical form of an expression. The function is deterministic and idempotent.

    Expressions with equal canonical forms are equal functions of real variables, up to rounding and
    overflow. The converse does not hold. The result may cost more FLOPs than the original if that
    has shared subexpressions; :func:`symact.backends.simplify.simplify` rejects such results.

    Example:
        >>> from symact.expr import parse
        >>> str(canonical(parse("x*2 - x + 1/(1 + exp(-x))")))
        'x + sigmoid(x)'
    """
    for _ in range(_MAX_PASSES):
        rewritten = _pass(expr)
        if rewritten == expr:
            break
        expr = rewritten
    return expr


@functools.lru_cache(maxsize=16_384)
def _pass(expr: Expr) -> Expr:
    """Apply the rules once to every subexpression, from the leaves up."""
    node = Expr(expr.op, tuple(map(_pass, expr.args)), expr.value) if expr.args else expr
    literal = _folded(node)
    if literal is not None:
        return literal
    rule = _RULES.get(node.op)
    return node if rule is None else rule(node)
