"""Conversion of expressions to sympy and back, and symbolic derivatives.

Composite primitives such as ``gelu`` and ``sigmoid`` become sympy functions of this module. sympy
can differentiate and evaluate them, but does not expand them. Expanded forms such as
``1/(1 + exp(-u))`` may overflow after a rewrite.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import sympy

from symact.errors import SymactError
from symact.expr import Expr, call, const, fold, parse, show, var
from symact.expr.primitives import CONST, PARAM, PRIMITIVES, VAR, Primitive
from symact.expr.rules import ARGUMENTS, interpret

_MAX_POWER = 64
_MAX_FLOAT = 1.7976931348623157e308


class _AbstractPrimitive(sympy.Function):  # type: ignore[misc]  # sympy is untyped
    """A primitive that sympy does not expand, with its definition, derivative and range."""

    nargs = 1
    above: ClassVar[str] = "real"  # the range: "positive", "nonnegative" or "real"

    @staticmethod
    def definition(a: Any) -> Any:
        """Return the function in terms of sympy functions."""
        raise NotImplementedError

    @staticmethod
    def slope(a: Any) -> Any:
        """Return the derivative."""
        raise NotImplementedError

    def fdiff(self, argindex: int = 1) -> Any:
        return self.slope(self.args[0])

    def _eval_evalf(self, prec: int) -> Any:
        return self.definition(*self.args)._eval_evalf(prec)

    def _eval_is_extended_real(self) -> Any:
        return sympy.core.logic.fuzzy_and(arg.is_extended_real for arg in self.args)

    def _eval_is_finite(self) -> Any:
        return sympy.core.logic.fuzzy_and(arg.is_finite for arg in self.args)

    def _eval_is_nonnegative(self) -> Any:
        return True if self.above != "real" and self.args[0].is_real else None

    def _eval_is_positive(self) -> Any:
        return True if self.above == "positive" and self.args[0].is_real else None


class Log1p(_AbstractPrimitive):
    @staticmethod
    def definition(a: Any) -> Any:
        return sympy.log(1 + a)

    @staticmethod
    def slope(a: Any) -> Any:
        return 1 / (1 + a)

    def _eval_is_extended_real(self) -> Any:
        return True if self.args[0].is_nonnegative else None


class Sinc(_AbstractPrimitive):
    @staticmethod
    def definition(a: Any) -> Any:
        ratio = sympy.sin(sympy.pi * a) / (sympy.pi * a)
        return sympy.Piecewise((ratio, sympy.Ne(a, 0)), (1, True))

    @staticmethod
    def slope(a: Any) -> Any:
        ratio = (sympy.cos(sympy.pi * a) - Sinc(a)) / a
        return sympy.Piecewise((ratio, sympy.Ne(a, 0)), (0, True))


class Sigmoid(_AbstractPrimitive):
    above = "positive"

    @staticmethod
    def definition(a: Any) -> Any:
        return 1 / (1 + sympy.exp(-a))

    @staticmethod
    def slope(a: Any) -> Any:
        return Sigmoid(a) * Sigmoid(-a)


class Softplus(_AbstractPrimitive):
    above = "positive"

    @staticmethod
    def definition(a: Any) -> Any:
        return sympy.log(1 + sympy.exp(a))

    @staticmethod
    def slope(a: Any) -> Any:
        return Sigmoid(a)


class Softsign(_AbstractPrimitive):
    @staticmethod
    def definition(a: Any) -> Any:
        return a / (1 + sympy.Abs(a))

    @staticmethod
    def slope(a: Any) -> Any:
        return (1 + sympy.Abs(a)) ** -2


class Relu(_AbstractPrimitive):
    above = "nonnegative"

    @staticmethod
    def definition(a: Any) -> Any:
        return sympy.Piecewise((a, a > 0), (0, True))

    @staticmethod
    def slope(a: Any) -> Any:
        return sympy.Piecewise((1, a > 0), (0, True))


class Gelu(_AbstractPrimitive):
    @staticmethod
    def definition(a: Any) -> Any:
        return a * sympy.erfc(-a / sympy.sqrt(2)) / 2

    @staticmethod
    def slope(a: Any) -> Any:
        density = sympy.exp(-(a**2) / 2) / sympy.sqrt(2 * sympy.pi)
        return sympy.erfc(-a / sympy.sqrt(2)) / 2 + a * density


class Silu(_AbstractPrimitive):
    @staticmethod
    def definition(a: Any) -> Any:
        return a / (1 + sympy.exp(-a))

    @staticmethod
    def slope(a: Any) -> Any:
        return Sigmoid(a) + a * Sigmoid(a) * Sigmoid(-a)


class Gaussian(_AbstractPrimitive):
    above = "positive"

    @staticmethod
    def definition(a: Any) -> Any:
        return sympy.exp(-(a**2))

    @staticmethod
    def slope(a: Any) -> Any:
        return -2 * a * Gaussian(a)


class Mean(sympy.Function):  # type: ignore[misc]  # sympy is untyped
    """The mean over the tensor. It is opaque: its value depends on all elements."""

    nargs = 1
    is_extended_real = True

    @classmethod
    def eval(cls, a: Any) -> Any:
        return a if a.is_number else None


class Std(sympy.Function):  # type: ignore[misc]  # sympy is untyped
    """The standard deviation over the tensor. It is opaque."""

    nargs = 1
    is_extended_real = True
    is_nonnegative = True

    @classmethod
    def eval(cls, a: Any) -> Any:
        return sympy.Integer(0) if a.is_number else None


def _equal(a: Any, b: Any) -> Any:
    """Compare numbers under the assumption that all symbols are finite."""
    if a == b:
        return True
    return False if sympy.oo in (a, b) else sympy.Eq(a, b)


#: The functions of the rule language for sympy.
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": sympy.Abs,
    "sqrt": sympy.sqrt,
    "exp": sympy.exp,
    "log": sympy.log,
    "log1p": lambda a: sympy.log(1 + a),
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tanh": sympy.tanh,
    "atan": sympy.atan,
    "erf": sympy.erf,
    "bell": lambda a: sympy.exp(-(a**2)),
    "normal_pdf": lambda a: sympy.exp(-(a**2) / 2) / sympy.sqrt(2 * sympy.pi),
    "normal_sf": lambda a: sympy.erfc(a / sympy.sqrt(2)) / 2,
    "select": lambda test, yes, no: sympy.Piecewise((yes, test), (no, True)),
    "eq": _equal,
    "ne": lambda a, b: sympy.Not(_equal(a, b)),
}


def opaque(primitive: Primitive) -> Any:
    """Return a sympy function whose definition and derivatives are the rule of a primitive."""

    def compute(args: Sequence[Any], output: str, **known: Any) -> Any:
        values = dict(zip(ARGUMENTS, args, strict=False)) | known
        # sympy treats a float inf as an ordinary number; oo is its infinity.
        return interpret(primitive.rule, _FUNCTIONS, {**values, "inf": sympy.oo}, output)

    class Opaque(_AbstractPrimitive):
        nargs = primitive.arity

        @staticmethod
        def definition(*args: Any) -> Any:
            return compute(args, "value")

        def fdiff(self, argindex: int = 1) -> Any:
            return compute(self.args, primitive.rule.partials[argindex - 1], value=self)

    Opaque.__name__ = primitive.name.title()
    return Opaque


# To sympy.


def _extremum(kind: Any) -> Callable[[Any, Any], Any]:
    def build(a: Any, b: Any) -> Any:
        try:
            return kind(a, b)
        except ValueError:  # the arguments may be complex, such as log(x)
            return kind(a, b, evaluate=False)

    return build


def _relation(kind: Any) -> Callable[[Any, Any], Any]:
    def build(a: Any, b: Any) -> Any:
        try:
            return kind(a, b)
        except TypeError:  # the arguments may be complex
            return kind(a, b, evaluate=False)

    return build


def _where(condition: Any, a: Any, b: Any) -> Any:
    return sympy.Piecewise((a, condition), (b, True))


#: Primitives that are not converted by their rule, because sympy has a better form.
_KNOWN: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "abs": sympy.Abs,
    "square": lambda a: a**2,
    "cube": lambda a: a**3,
    "sqrt": sympy.sqrt,
    "exp": sympy.exp,
    "log": sympy.log,
    "log1p": Log1p,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "sinc": Sinc,
    "tanh": sympy.tanh,
    "atan": sympy.atan,
    "asinh": sympy.asinh,
    "erf": sympy.erf,
    "sigmoid": Sigmoid,
    "softplus": Softplus,
    "softsign": Softsign,
    "relu": Relu,
    "gelu": Gelu,
    "silu": Silu,
    "gaussian": Gaussian,
    "sign": sympy.sign,
    "min": _extremum(sympy.Min),
    "max": _extremum(sympy.Max),
    "where": _where,
    "lt": _relation(sympy.StrictLessThan),
    "le": _relation(sympy.LessThan),
    "gt": _relation(sympy.StrictGreaterThan),
    "ge": _relation(sympy.GreaterThan),
    "mean": Mean,
    "std": Std,
}
#: The sympy function of each primitive.
TO_SYMPY: dict[str, Callable[..., Any]] = {
    name: _KNOWN[name] if name in _KNOWN else opaque(row) for name, row in PRIMITIVES.items()
}


def to_sympy(expr: Expr) -> Any:
    """Convert an expression to sympy, with one real symbol for each variable.

    The symbol of a trained parameter has the text of the parameter as its name, ``"param(1)"``.
    sympy simplifies during construction and ignores IEEE arithmetic: ``exp(log(x))`` becomes ``x``.

    Raises:
        SymactError: A constant subexpression is not a finite float.

    Example:
        >>> from symact import parse
        >>> to_sympy(parse("2*x + x"))
        3*x
    """
    return fold(expr, _build_checked)


def _build(node: Expr, args: Sequence[Any]) -> Any:
    if node.op == VAR:
        return sympy.Symbol(str(node.value), real=True)
    if node.op == PARAM:
        return sympy.Symbol(show(node), real=True)
    if node.op == CONST:
        number = node.number
        is_whole = number.is_integer() and abs(number) < 1e15
        return sympy.Integer(int(number)) if is_whole else sympy.Float(number)
    return TO_SYMPY[node.op](*args)


def _build_checked(node: Expr, args: Sequence[Any]) -> Any:
    value = _build(node, args)
    # sympy has numbers of any size: without this check exp(exp(exp(30))) takes all memory.
    if node.args and getattr(value, "is_number", False) and not _is_float(value):
        raise SymactError(f"the constant '{show(node)}' is not a finite number")
    return value


def _is_float(value: Any) -> bool:
    number = value.evalf()
    return bool(number.is_extended_real and number.is_finite and abs(number) <= _MAX_FLOAT)


# From sympy.


def from_sympy(e: Any) -> Expr:
    """Convert a sympy expression. Commutative arguments are in the order of sympy.

    Powers become calls of ``square``, ``cube`` and ``sqrt``, products and quotients. A Piecewise
    becomes nested calls of ``where``. Constant subexpressions become literals.

    Raises:
        SymactError: A part of ``e`` has no counterpart or is not a finite real number.
    """
    if getattr(e, "is_number", False):
        return _number(e)
    if e.is_Symbol:
        symbol = str(e.name)
        return parse(symbol) if symbol.startswith(f"{PARAM}(") else var(symbol)
    for kind, build in _FROM_SYMPY:
        if isinstance(e, kind):
            return build(e)
    name = _NAMES.get(e.func)
    if name is None:
        raise SymactError(f"sympy's {type(e).__name__} has no counterpart in symact: {str(e)[:80]}")
    return call(name, *map(from_sympy, e.args))


def _number(e: Any) -> Expr:
    if not _is_float(e):
        raise SymactError(f"{str(e)[:80]} is not a finite real number")
    return const(float(e))


def _ordered(args: Iterable[Any]) -> list[Any]:
    # The order of e.args is not deterministic: Max and Min store a set.
    return sorted(args, key=sympy.default_sort_key)


def _chain(name: str, terms: Iterable[Expr]) -> Expr:
    return functools.reduce(lambda a, b: call(name, a, b), terms)


def _sum(e: Any) -> Expr:
    terms = _ordered(e.args)
    negative = [term for term in terms if term.could_extract_minus_sign()]
    positive = [term for term in terms if not term.could_extract_minus_sign()]
    if not positive:
        positive, negative = negative[:1], negative[1:]
    minuends = _chain("add", map(from_sympy, positive))
    return functools.reduce(lambda a, b: call("sub", a, from_sympy(-b)), negative, minuends)


def _product(e: Any) -> Expr:
    numerator: list[Expr] = []
    denominator: list[Expr] = []
    coefficient, factors = e.as_coeff_mul()
    for factor in _ordered(factors):
        base, exponent = factor.as_base_exp()
        if exponent.is_Rational and exponent < 0:
            denominator.append(from_sympy(base**-exponent))
        else:
            numerator.append(from_sympy(factor))
    if coefficient not in (1, -1) or not numerator:
        numerator.insert(0, _number(coefficient))
    elif coefficient == -1:
        numerator[0] = call("neg", numerator[0])
    top = _chain("mul", numerator)
    return call("div", top, _chain("mul", denominator)) if denominator else top


def _power(e: Any) -> Expr:
    base, exponent = e.args
    if base.is_number and _is_float(base) and base > 0:
        return call("exp", from_sympy(exponent * sympy.Float(math.log(float(base)))))
    term = from_sympy(base)
    while exponent.is_Rational and exponent.q % 4 == 0:
        term, exponent = call("sqrt", term), 2 * exponent
    doubled = 2 * exponent
    if not (exponent.is_number and doubled == int(doubled) and abs(exponent) <= _MAX_POWER):
        raise SymactError(f"expected a whole power up to {_MAX_POWER} or a root, got {str(e)[:80]}")
    whole, half = divmod(abs(int(doubled)), 2)
    factors = ([_whole_power(term, whole)] if whole else []) + [call("sqrt", term)] * half
    product = _chain("mul", factors)
    return call("div", const(1), product) if exponent < 0 else product


def _whole_power(base: Expr, power: int) -> Expr:
    if power == 1:
        return base
    if power % 2 == 0:
        return call("square", _whole_power(base, power // 2))
    if power % 3 == 0:
        return call("cube", _whole_power(base, power // 3))
    return call("mul", base, _whole_power(base, power - 1))


def _piecewise(e: Any) -> Expr:
    *cases, (otherwise, condition) = e.args
    if condition is not sympy.true:
        raise SymactError(f"a Piecewise needs a default case (otherwise): {str(e)[:80]}")
    value = from_sympy(otherwise)
    for branch, condition in reversed(cases):
        value = _choose(condition, from_sympy(branch), value)
    return value


def _choose(condition: Any, a: Expr, b: Expr) -> Expr:
    """Return ``a`` if the condition holds, else ``b``, as nested calls of ``where``."""
    if isinstance(condition, sympy.And):
        return functools.reduce(lambda c, part: _choose(part, c, b), _ordered(condition.args), a)
    if isinstance(condition, sympy.Or):
        return functools.reduce(lambda c, part: _choose(part, a, c), _ordered(condition.args), b)
    if condition in (sympy.true, sympy.false):
        return a if condition == sympy.true else b
    if isinstance(condition, sympy.ITE):
        test, then, otherwise = condition.args
        return _choose(test, _choose(then, a, b), _choose(otherwise, a, b))
    if isinstance(condition, sympy.Not):
        return _choose(condition.args[0], b, a)
    if isinstance(condition, sympy.Eq | sympy.Ne):
        left, right = condition.args
        both = sympy.And(left <= right, left >= right, evaluate=False)
        return _choose(both, a, b) if isinstance(condition, sympy.Eq) else _choose(both, b, a)
    return call("where", from_sympy(condition), a, b)


_FROM_SYMPY: tuple[tuple[Any, Callable[[Any], Expr]], ...] = (
    (sympy.Add, _sum),
    (sympy.Mul, _product),
    (sympy.exp, lambda e: call("exp", from_sympy(e.args[0]))),  # before Pow: it is E**a
    (sympy.Pow, _power),
    (sympy.Piecewise, _piecewise),
    (sympy.Max, lambda e: _chain("max", map(from_sympy, _ordered(e.args)))),
    (sympy.Min, lambda e: _chain("min", map(from_sympy, _ordered(e.args)))),
)

#: The primitive of each sympy class with the same arguments.
_NAMES: dict[Any, str] = {
    build: name for name, build in TO_SYMPY.items() if isinstance(build, type)
} | {
    sympy.StrictLessThan: "lt",
    sympy.LessThan: "le",
    sympy.StrictGreaterThan: "gt",
    sympy.GreaterThan: "ge",
}

# Derivatives.


def derivative(expr: Expr, wrt: str = "x") -> Expr:
    """Return the derivative with respect to a variable. At a kink it is one-sided.

    Args:
        expr: An expression of any variables.
        wrt: The name of the variable.

    Raises:
        SymactError: sympy finds no derivative in the expression language.
    """
    return from_sympy(_regular(_choices(_slope(expr, wrt))))


def log_slope(expr: Expr) -> Expr:
    """Return f''/f' as a function of x, with common factors cancelled.

    This is the derivative of log|f'|. It is 0 on flat pieces, the limit for linear pieces with
    vanishing slope.

    Raises:
        SymactError: As for :func:`derivative`.
    """
    slope = _pieces(_slope(expr, "x"))
    if not isinstance(slope, sympy.Piecewise):
        return from_sympy(_log_slope(slope))
    pieces = [(_log_slope(piece), condition) for piece, condition in slope.args]
    return from_sympy(_pieces(sympy.Piecewise(*pieces)))


def _log_slope(slope: Any) -> Any:
    if slope == 0:
        return sympy.Integer(0)
    ratio = sympy.diff(slope, sympy.Symbol("x", real=True)) / slope
    return min((_regular(ratio), _regular(sympy.cancel(ratio))), key=sympy.count_ops)


def _slope(expr: Expr, wrt: str) -> Any:
    form = to_sympy(expr).replace(Relu, Relu.definition)
    return sympy.diff(_choices(form), sympy.Symbol(wrt, real=True))


def _choices(form: Any) -> Any:
    """Rewrite functions with kinks as a Piecewise of smooth functions."""
    form = form.replace(Softsign, Softsign.definition)
    return form.replace(
        lambda e: isinstance(e, sympy.Abs | sympy.sign | sympy.Max | sympy.Min),
        lambda e: e.rewrite(sympy.Piecewise),
    )


def _regular(form: Any) -> Any:
    """Remove Dirac deltas and replace erfc, which the expression language lacks."""
    form = form.replace(sympy.DiracDelta, lambda *args: sympy.Integer(0))
    return form.replace(sympy.erfc, lambda a: 1 - sympy.erf(a))


def _pieces(form: Any) -> Any:
    return sympy.piecewise_fold(_regular(_choices(form)))


def collected(expr: Expr) -> Expr:
    """Collect like terms. Return the expression unchanged if that is not shorter.

    Literals are rounded to ten digits, because rounding errors would prevent equal terms from
    cancelling.
    """
    form = to_sympy(expr)
    rounded = {n: sympy.Float(f"{float(n):.10g}") for n in form.atoms(sympy.Float)}
    found = from_sympy(sympy.expand(form.xreplace(rounded)))
    return found if found.size < expr.size else expr
