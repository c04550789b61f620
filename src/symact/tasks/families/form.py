"""The form of a formula: its structure without constants and without the names of inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from symact.expr import Expr
from symact.expr.primitives import CONST, VAR
from symact.expr.printer import POWERS

#: The form of an expression without inputs.
CONSTANT = "c"

_Name = Callable[[str], str]


def form_of(expr: Expr) -> str:
    """Return the form of a formula over inputs ``x1``, ... and constants ``c1``, ...

    Formulas that differ only in constants, in added or multiplied constants, in signs, in the order
    of terms and factors, or in the names of inputs have the same form. The rules are part of this
    module and do not change with the simplifier, because forms assign templates to splits.

    Args:
        expr: A formula. Its variables that start with ``x`` are inputs.

    Example:
        >>> from symact import parse
        >>> names = ("x1", "x2", "c1", "c2", "c3")
        >>> form_of(parse("c1*x2*x1 - c2*sin(c3*x2)", names))
        'sin(x) + x*x'
        >>> form_of(parse("sin(x1 + c1) + 3*x1*x2", names))
        'sin(x) + x*x'
        >>> form_of(parse("c1*x1/(x1 + c2)", names))
        'x*x^-1'
    """
    return _text(expr, lambda name: name[0])


def is_linear(form: str) -> bool:
    """Whether a form is a sum of inputs or constant."""
    return set(form.split(" + ")) <= {"x", CONSTANT}


def _text(expr: Expr, name: _Name) -> str:
    terms = _terms(expr)
    if not terms:
        return CONSTANT
    if len(terms) > 1:
        return " + ".join(sorted(_text(term, name) for term in _without_repeats(terms)))
    factors = _factors(terms[0])
    if list(factors.values()) == [1]:
        return _atom(next(iter(factors)), name)
    return "*".join(sorted(_power(base, power, name) for base, power in factors.items()))


def _power(base: Expr, power: int, name: _Name) -> str:
    text = _atom(base, name)
    text = f"({text})" if base.op in ("add", "sub") and text != "x" else text
    return text if power == 1 else f"{text}^{power}"


def _atom(expr: Expr, name: _Name) -> str:
    """Return the form of an expression that is neither a product nor a sum of one term."""
    if expr.op == VAR:
        return name(str(expr.value))
    if expr.op in ("add", "sub"):
        return _text(expr, name)
    args = [_text(arg, name) for arg in _arguments(expr)]
    return f"{expr.op}({', '.join(sorted(args) if expr.op in ('max', 'min') else args)})"


def _arguments(expr: Expr) -> list[Expr]:
    """Return the arguments of a call. Nested maxima, and nested minima, have one list."""
    if expr.op not in ("max", "min"):
        return list(expr.args)
    return [
        inner for arg in expr.args for inner in (_arguments(arg) if arg.op == expr.op else [arg])
    ]


def _terms(expr: Expr) -> list[Expr]:
    """Return the terms of a sum that have inputs."""
    if expr.op in ("add", "sub"):
        return [term for arg in expr.args for term in _terms(arg)]
    factors = _factors(expr)
    if list(factors.values()) == [1] and next(iter(factors)).op in ("add", "sub"):
        return _terms(next(iter(factors)))
    return [expr] if factors else []


def _without_repeats(terms: list[Expr]) -> list[Expr]:
    """Drop repeated products of inputs, such as the second ``c*x1`` of ``c*x1 + c*x1``."""
    kept: dict[object, Expr] = {}
    for index, term in enumerate(terms):
        factors = _factors(term)
        is_monomial = all(base.op == VAR for base in factors)
        kept.setdefault(frozenset(factors.items()) if is_monomial else index, term)
    return list(kept.values())


def _factors(expr: Expr) -> dict[Expr, int]:
    """Return the factors of a product that have inputs, with their exponents."""
    if expr.op == CONST or (expr.op == VAR and not str(expr.value).startswith("x")):
        return {}
    if expr.op in ("mul", "div"):
        left, right = Counter(_factors(expr.args[0])), _factors(expr.args[1])
        for base, power in right.items():
            left[base] += power if expr.op == "mul" else -power
        return {base: power for base, power in left.items() if power}
    if expr.op == "neg" or expr.op in POWERS:
        power = POWERS.get(expr.op, 1)
        return {base: own * power for base, own in _factors(expr.args[0]).items()}
    if expr.op in ("add", "sub"):
        return {expr: 1} if _terms(expr) else {}
    is_constant = expr.op != VAR and all(_text(arg, str) == CONSTANT for arg in expr.args)
    return {} if is_constant else {expr: 1}
