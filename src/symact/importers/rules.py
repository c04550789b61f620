"""Rules of library functions whose meaning is not a formula.

A row of :mod:`symact.importers.library` names the parameters of a rule after the first.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence

from symact.expr import Expr, const, fold
from symact.importers.conversions import CONVERSIONS, Rule, Use, tensor_only
from symact.importers.values import (
    Array,
    Equal,
    TensorNumber,
    Value,
    described,
    is_number,
    refused,
)

#: Maximum number of elements of a range, and of rounds of a loop.
MAX_ROUNDS = 64


#: Operations that may be infinite or undefined for finite arguments.
_UNSAFE = {"exp", "log", "log1p", "sqrt", "div"}


# Choices.
def where(use: Use, condition: Value, x: Value, y: Value) -> Value:
    """Return a choice of two values by a comparison."""
    if isinstance(condition, Equal):
        return _guarded(use, condition, x, y)
    if isinstance(condition, bool):
        chosen = x if condition else y
        return chosen if is_number(chosen) else use.real(chosen)
    return use.make("where", condition, x, y)


def _guarded(use: Use, test: Equal, yes: Value, no: Value) -> Value:
    """Return ``where(x == 0, 1, sin(x)/x)`` as sinc; refuse other choices by equality."""
    at_zero, elsewhere = (no, yes) if test.negated else (yes, no)
    sinc = _sinc(use, test, at_zero, elsewhere)
    if sinc is not None:
        return sinc
    if test.right == 0 and is_number(at_zero) and elsewhere == test.left:
        use.note(f"'where(a == 0, {float(at_zero):.6g}, a)' was read as a: its value at 0 is lost")
        return elsewhere
    raise refused(use.node, "where(a == b, ...) is understood only for sin(x)/x; use < or >=")


def _sinc(use: Use, test: Equal, at_zero: Value, elsewhere: Value) -> Expr | None:
    if not isinstance(elsewhere, Expr) or elsewhere.op != "div" or test.right != 0:
        return None
    top, bottom = elsewhere.args
    if top.op != "sin" or top.args[0] != bottom or not is_number(at_zero) or at_zero != 1:
        return None
    inner = bottom
    if bottom.op == "mul" and const(math.pi) in bottom.args:
        first, second = bottom.args
        inner = second if first == const(math.pi) else first
    if test.left not in (bottom, inner):
        return None
    return use.make("sinc", inner if inner is not bottom else use.make("mul", 1 / math.pi, bottom))


def select(use: Use, conditions: Value, choices: Value, default: Value) -> Value:
    """Return the choice of the first true comparison."""
    if not isinstance(conditions, tuple) or not isinstance(choices, tuple):
        raise use.refused("without lists of conditions and choices")
    if len(conditions) != len(choices):
        raise use.refused("with lists that differ in length")
    value = default
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        value = where(use, condition, choice, value)
    return value


def clip(use: Use, x: Value, low: Value, high: Value) -> Value:
    """Return values clipped to bounds. None means no bound."""
    if is_number(low) and is_number(high) and low > high:
        raise use.refused("with bounds in the wrong order, on which libraries differ")
    if is_number(x) and all(bound is None or is_number(bound) for bound in (low, high)):
        above = x if low is None else max(x, low)
        return above if high is None else min(above, high)
    made = use.real(x)
    if low is not None:
        made = use.make("max", made, low)
    return made if high is None else use.make("min", made, high)


def clip_numpy(use: Use, x: Value, low: Value, high: Value, low_2: Value, high_2: Value) -> Value:
    """Return values clipped to bounds. Each bound has two names."""
    if None not in (low, low_2) or None not in (high, high_2):
        raise use.refused("with a bound given twice")
    return clip(use, x, low if low_2 is None else low_2, high if high_2 is None else high_2)


def two(
    use: Use, name: str, first: Value, second: Value, args: Sequence[Value], keywords: object
) -> Expr:
    """Return the minimum or maximum of two tensors."""
    if not isinstance(second, Expr | TensorNumber) or args or keywords:
        raise use.refused("of one tensor: over features, not of one element; give two")
    return use.make(name, first, second)


def finite(use: Use, x: Value, nan: Value, posinf: Value, neginf: Value) -> Value:
    """Return ``nan_to_num(x)`` of a tensor that is always finite, which is unchanged."""
    if is_number(x):
        return x
    value = tensor_only(use, x)
    if fold(value, lambda node, args: node.op in _UNSAFE or any(args)):
        raise use.refused(
            "of a value that may be infinite or undefined: a fill value has no primitive"
        )
    use.note("nan_to_num was left out: its argument is finite")
    return value


def _compared(op: ast.cmpop) -> Rule:
    return lambda use, left, right: use.arithmetic.compare(use.node, op, left, right)


def _equal(negated: bool) -> Rule:
    return lambda use, left, right: use.arithmetic.equal(use.node, left, right, negated)


def both(use: Use, left: Value, right: Value) -> Expr:
    """Return ``left & right``."""
    return use.arithmetic.both(use.node, left, right)


def either(use: Use, left: Value, right: Value) -> Expr:
    """Return ``left | right``."""
    return use.arithmetic.either(use.node, left, right)


def neither(use: Use, value: Value) -> Expr:
    """Return ``~value``."""
    return use.arithmetic.neither(use.node, value)


# Statistics.
def mean(use: Use, x: Value, axis: Value, keepdims: Value) -> Expr:
    """Return the mean over all elements."""
    _check_axis(use, axis)
    return use.make("mean", x)


def std(use: Use, x: Value, axis: Value, ddof: Value, correction: Value, keepdims: Value) -> Expr:
    """Return the standard deviation over all elements."""
    _check_axis(use, axis)
    less = use.number(ddof if correction is None else correction, "ddof")
    if less:
        use.note(f"{use.path} divides by n - {less:g}; here the population's is taken")
    return use.make("std", x)


def var(use: Use, x: Value, axis: Value, ddof: Value, correction: Value, keepdims: Value) -> Expr:
    """Return the variance over all elements."""
    return use.make("square", std(use, x, axis, ddof, correction, keepdims))


def torch_std(
    use: Use, x: Value, dim: Value, unbiased: Value, correction: Value, keepdim: Value
) -> Expr:
    """Return torch's standard deviation, which divides by n - 1 by default."""
    if isinstance(dim, bool):  # std(input, unbiased)
        dim, unbiased = None, dim
    if not isinstance(unbiased, bool):
        raise use.refused("with 'unbiased' that is no truth value")
    return std(use, x, dim, 0, correction if unbiased else 0, keepdim)


def torch_var(
    use: Use, x: Value, dim: Value, unbiased: Value, correction: Value, keepdim: Value
) -> Expr:
    """Return torch's variance, which divides by n - 1 by default."""
    return use.make("square", torch_std(use, x, dim, unbiased, correction, keepdim))


def _check_axis(use: Use, axis: Value) -> None:
    if axis is not None:
        raise use.refused("along an axis: a function over features")


# Functions.
def gelu(use: Use, x: Value, approximate: Value) -> Expr:
    """Return GELU or its tanh approximation."""
    if "approximate" not in use.given and approximate is True:
        use.note(f"{use.path} is the tanh form by default")
    if approximate not in (True, False, "tanh", "none"):
        raise use.refused("with 'approximate' that is not understood")
    if approximate in (False, "none"):
        return use.make("gelu", x)
    inner = use.make("add", x, use.make("mul", 0.044715, use.make("cube", x)))
    bent = use.make("tanh", use.make("mul", math.sqrt(2 / math.pi), inner))
    return use.make("mul", use.make("mul", 0.5, x), use.make("add", 1.0, bent))


def silu(use: Use, x: Value, beta: Value) -> Expr:
    """Return ``x*sigmoid(beta*x)``."""
    if is_number(beta) and beta == 1:
        return use.make("silu", x)
    return use.make("mul", x, use.make("sigmoid", use.make("mul", beta, x)))


def softplus(use: Use, x: Value, beta: Value, threshold: Value) -> Expr:
    """Return softplus. torch replaces it by a line above a threshold."""
    factor, limit = use.number(beta, "beta"), use.number(threshold, "threshold")
    scaled = x if factor == 1 else use.make("mul", factor, x)
    made = use.make("softplus", scaled)
    if factor != 1:
        made = use.make("div", made, factor)
    if limit >= 20:  # the difference to the line is at most 2e-9 there
        return made
    return use.make("where", use.make("gt", scaled, limit), x, made)


def keras_relu(
    use: Use, x: Value, negative_slope: Value, max_value: Value, threshold: Value
) -> Expr:
    """Return Keras' ReLU with a slope, a maximum and a threshold."""
    slope, start = use.number(negative_slope, "negative_slope"), use.number(threshold, "threshold")
    if slope == 0 and start == 0:
        made = use.make("relu", x)
    else:
        below = use.make("mul", slope, use.make("sub", x, start) if start else x)
        made = use.make("where", use.make("ge", x, start), x, below)
    return made if max_value is None else use.make("min", made, use.number(max_value, "max_value"))


def normal_cdf(use: Use, x: Value, loc: Value, scale: Value) -> Expr:
    """Return the distribution function of a normal distribution."""
    bent = use.make("erf", _standardised(use, x, loc, scale))
    return use.make("mul", 0.5, use.make("add", 1.0, bent))


def normal_pdf(use: Use, x: Value, loc: Value, scale: Value) -> Expr:
    """Return the density of a normal distribution."""
    bell = use.make("gaussian", _standardised(use, x, loc, scale))
    return use.make("mul", 1 / (math.sqrt(2 * math.pi) * use.number(scale, "scale")), bell)


def _standardised(use: Use, x: Value, loc: Value, scale: Value) -> Expr:
    """Return ``(x - loc)/(scale*sqrt(2))``."""
    width, centre = use.number(scale, "scale"), use.number(loc, "loc")
    if width <= 0:
        raise use.refused("with 'scale' that is not above 0")
    moved = use.make("sub", x, centre) if centre else x
    return use.make("mul", math.sqrt(0.5) / width, moved)


def logaddexp(use: Use, a: Value, b: Value) -> Expr:
    """Return ``log(exp(a) + exp(b))``, accurate in both tails."""
    for one, other in ((a, b), (b, a)):
        if is_number(one) and one == 0:
            return use.make("softplus", other)
    apart = use.make("abs", use.make("sub", a, b))
    return use.make("add", use.make("max", a, b), use.make("softplus", use.make("neg", apart)))


def log(use: Use, x: Value, base: Value) -> Value:
    """Return a logarithm, of any base."""
    value = _logarithm(use, x)
    if base is None:
        return value
    return use.arithmetic.binary(use.node, ast.Div(), value, _logarithm(use, base))


def _logarithm(use: Use, x: Value) -> Value:
    if not is_number(x):
        return use.make("log", x)
    if x <= 0:
        raise use.refused(f"of {x:.6g}")
    return math.log(x)


def power(use: Use, base: Value, exponent: Value) -> Value:
    """Return ``base**exponent``."""
    return use.arithmetic.power(use.node, base, exponent)


# Sequences.
def _items(use: Use, value: Value) -> tuple[Value, ...]:
    if isinstance(value, Array):
        return value.items
    if not isinstance(value, tuple):
        raise use.refused(f"of {described(value)}: over features, not of one element")
    return value


def _extreme(name: str) -> Rule:
    def rule(use: Use, args: tuple[Value, ...]) -> Value:
        values = _items(use, args[0]) if len(args) == 1 else args
        if not values:
            raise use.refused("of nothing")
        if all(map(is_number, values)):
            return (max if name == "max" else min)(values)
        made = values[0]
        for value in values[1:]:
            made = use.make(name, made, value)
        return made

    return rule


def total(use: Use, iterable: Value, start: Value) -> Value:
    """Return the sum of the items of a list."""
    values = _items(use, iterable)
    made, values = (values[0], values[1:]) if values and start == 0 else (start, values)
    for value in values:
        made = use.arithmetic.binary(use.node, ast.Add(), made, value)
    return made


def length(use: Use, obj: Value) -> int:
    """Return the number of items of a list."""
    return len(_items(use, obj))


def range_(use: Use, args: tuple[Value, ...]) -> tuple[int, ...]:
    """Return a range of integers."""
    if not 1 <= len(args) <= 3 or not all(type(a) is int for a in args):
        raise use.refused("of something else than whole numbers")
    if len(args) == 3 and args[2] == 0:
        raise use.refused("with a step of 0")
    made = range(*args)
    if len(made) > MAX_ROUNDS:
        raise use.refused(f"of {len(made)}; at most {MAX_ROUNDS}")
    return tuple(made)


def enumerate_(use: Use, iterable: Value, start: Value) -> tuple[Value, ...]:
    """Return items with their indices."""
    if type(start) is not int:
        raise use.refused("with 'start' that is no whole number")
    return tuple(enumerate(_items(use, iterable), start))


def zip_(use: Use, args: tuple[Value, ...]) -> tuple[Value, ...]:
    """Return tuples of the items of several lists."""
    return tuple(zip(*(_items(use, a) for a in args), strict=False))


def sequence(use: Use, iterable: Value) -> tuple[Value, ...]:
    """Return the items of a list."""
    return _items(use, iterable)


def reversed_(use: Use, sequence: Value) -> tuple[Value, ...]:
    """Return the items of a list in reverse order."""
    return _items(use, sequence)[::-1]


#: Rules by their names in the table.
RULES: dict[str, Rule] = {
    **CONVERSIONS,
    **{
        rule.__name__.rstrip("_"): rule
        for rule in (
            *(where, select, clip, clip_numpy, two, finite, both, either, neither, mean, std, var),
            *(torch_std, torch_var, gelu, silu, softplus, keras_relu, logaddexp, log, power),
            *(normal_cdf, normal_pdf, total, length, range_, enumerate_, zip_, sequence),
            reversed_,
        )
    },
    "largest": _extreme("max"),
    "smallest": _extreme("min"),
    "gt": _compared(ast.Gt()),
    "ge": _compared(ast.GtE()),
    "lt": _compared(ast.Lt()),
    "le": _compared(ast.LtE()),
    "eq": _equal(False),
    "ne": _equal(True),
}
