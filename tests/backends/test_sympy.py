"""The sympy lowering means what the primitives mean, and comes back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from profiles import examples

from symact.backends import to_latex
from symact.backends.sympy import TO_SYMPY, from_sympy, to_sympy
from symact.errors import SymactError
from symact.expr import Expr, call, const, fold, parse, show, uses_statistics, var
from symact.expr.primitives import CONST, PRIMITIVES, VAR

SECOND = 0.625  # the second argument of primitives of two: exact in binary
POINTS = (-6.25, -1.75, -0.3125, 0.1875, 1.625, 4.5)
LEAST = {"log": 0.0, "sqrt": 0.0, "log1p": -1.0}  # real above these only

#: Independent definitions, written from ops.PRIMITIVES' meanings, at 40 digits.
REFERENCE: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "abs": abs,
    "square": lambda a: a * a,
    "cube": lambda a: a * a * a,
    "sqrt": mpmath.sqrt,
    "exp": mpmath.exp,
    "log": mpmath.log,
    "log1p": lambda a: mpmath.log(1 + a),
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "sinc": lambda a: mpmath.sinc(mpmath.pi * a),
    "tanh": mpmath.tanh,
    "atan": mpmath.atan,
    "asinh": mpmath.asinh,
    "erf": mpmath.erf,
    "sigmoid": lambda a: 1 / (1 + mpmath.exp(-a)),
    "softplus": lambda a: mpmath.log(1 + mpmath.exp(a)),
    "softsign": lambda a: a / (1 + abs(a)),
    "relu": lambda a: a if a > 0 else mpmath.mpf(0),
    "gelu": lambda a: a * mpmath.ncdf(a),
    "silu": lambda a: a / (1 + mpmath.exp(-a)),
    "gaussian": lambda a: mpmath.exp(-a * a),
    "sign": mpmath.sign,
    "min": lambda a, b: min(a, b),
    "max": lambda a, b: max(a, b),
    "where": lambda c, a, b: a if c else b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}
POINTWISE = [row.name for row in PRIMITIVES.values() if not row.statistic and row.sort == "Real"]


def reference(expr: Expr, x: Any) -> Any:
    def visit(node: Expr, args: Any) -> Any:
        if node.op == VAR:
            return x
        return mpmath.mpf(node.number) if node.op == CONST else REFERENCE[node.op](*args)

    return fold(expr, visit)


def use_of(name: str) -> Expr:
    """Return ``name(x, 0.625)``, or ``where(x < 0.625, x, x**2)``."""
    x, second = var(), const(SECOND)
    if name == "where":
        return call("where", call("lt", x, second), x, call("square", x))
    return call(name, *[x, second][: PRIMITIVES[name].arity])


def value_at(e: Any, x: float) -> Any:
    return mpmath.mpf(sympy.N(e.subs(sympy.Symbol("x", real=True), sympy.Float(x, 40)), 30))


def test_every_primitive_has_a_sympy_row() -> None:
    assert list(TO_SYMPY) == list(PRIMITIVES)


@pytest.mark.parametrize("name", POINTWISE)
def test_values_and_derivatives_are_right(name: str) -> None:
    expr = use_of(name)
    lowered = to_sympy(expr)
    slope = sympy.diff(lowered, sympy.Symbol("x", real=True))
    for x in POINTS:
        if x <= LEAST.get(name, -math.inf):
            continue
        with mpmath.workdps(40):
            expected = reference(expr, mpmath.mpf(x))
            derivative = mpmath.diff(lambda at: reference(expr, at), x)
            assert mpmath.almosteq(value_at(lowered, x), expected, 1e-15, 1e-25), x
            assert mpmath.almosteq(value_at(slope, x), derivative, 1e-12, 1e-12), x


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge"])
@pytest.mark.parametrize("x", [-1.0, SECOND, 2.0])
def test_comparisons_are_right(name: str, x: float) -> None:
    lowered = to_sympy(use_of(name)).subs(sympy.Symbol("x", real=True), x)
    assert bool(lowered) == REFERENCE[name](x, SECOND)


def test_sinc_and_its_slope_are_defined_at_zero() -> None:
    sinc = to_sympy(parse("sinc(x)"))
    assert value_at(sinc, 0.0) == 1
    assert value_at(sinc.diff(sympy.Symbol("x", real=True)), 0.0) == 0


@pytest.mark.parametrize("name", list(PRIMITIVES))
def test_every_primitive_comes_back(name: str) -> None:
    if PRIMITIVES[name].sort == "Bool":
        expr = call("where", use_of(name), var(), const(2))
    else:
        expr = use_of(name)
    back = from_sympy(to_sympy(expr))
    if not uses_statistics(expr):
        for x in (0.25, 3.5):
            assert float(reference(back, x)) == pytest.approx(float(reference(expr, x)))
    assert from_sympy(to_sympy(back)) == back


@pytest.mark.parametrize(
    "text",
    [
        "sigmoid(x)",
        "gelu(x)",
        "1/(1 + exp(-x))",
        "softplus(2*x)",
        "mean(x)/std(x)",
        "log1p(abs(x))",
        "where(x > 0, x, 0.01*x)",
        "sqrt(sqrt(log(x)))",
    ],
)
def test_building_leaves_the_form_alone(text: str) -> None:
    assert show(from_sympy(to_sympy(parse(text)))) == text


X = sympy.Symbol("x", real=True)


@pytest.mark.parametrize(
    ("e", "text"),
    [
        (X**4, "(x**2)**2"),
        (X**5, "x*(x**2)**2"),
        (X**6, "(x**3)**2"),
        (X**-3, "1/x**3"),
        (X ** sympy.Rational(3, 2), "x*sqrt(x)"),
        (X ** sympy.Rational(-1, 2), "1/sqrt(x)"),
        (X / 4, "0.25*x"),
        (-X / (1 + sympy.exp(X)), "-x/(1 + exp(x))"),
        (sympy.sqrt(2) * X, "1.4142135623730951*x"),
        (2**X, "exp(0.6931471805599453*x)"),
        (sympy.Max(X, 0, sympy.sin(X)), "max(max(0, x), sin(x))"),
        (
            sympy.Piecewise((1, X < -1), (2, X < 0), (3, True)),
            "where(x < -1, 1, where(x < 0, 2, 3))",
        ),
        (
            sympy.Piecewise((1, (X > 0) & (X < 1)), (2, True)),
            "where(x < 1, where(x > 0, 1, 2), 2)",
        ),
        (sympy.Piecewise((1, sympy.Ne(X, 0)), (2, True)), None),
    ],
)
def test_sympy_forms_have_counterparts(e: Any, text: str | None) -> None:
    expr = from_sympy(e)
    if text is not None:
        assert show(expr) == text
    for x in (0.25, 2.75):
        assert float(reference(expr, x)) == pytest.approx(float(e.subs(X, x)))


@pytest.mark.parametrize(
    ("e", "said"),
    [
        (sympy.gamma(X), "gamma has no counterpart"),
        (sympy.I * X, "not a finite real number"),
        (sympy.zoo, "not a finite real number"),
        (sympy.Integer(10) ** 400, "not a finite real number"),
        (X**X, "expected a whole power"),
        (sympy.Piecewise((X, X > 0)), "otherwise"),
    ],
)
def test_what_has_no_counterpart_is_refused(e: Any, said: str) -> None:
    with pytest.raises(SymactError, match=said):
        from_sympy(e)


def test_a_tower_of_constants_is_refused_before_it_takes_all_memory() -> None:
    with pytest.raises(
        SymactError, match=r"the constant 'exp\(exp\(10\)\)' is not a finite number"
    ):
        to_sympy(parse("x + exp(exp(exp(exp(exp(10)))))"))


@st.composite
def total_exprs(draw: st.DrawFn) -> Expr:
    """Draw an expression that is finite everywhere: no division, root or logarithm."""
    # Compared with a number that no other value equals, so that rounding moves no jump.
    threshold = const(0.12345678)
    leaves = st.one_of(st.just(var()), st.sampled_from([-2.0, -1, 0, 0.5, 1, 3]).map(const))
    unary = ["neg", "abs", "square", "sin", "cos", "tanh", "atan", "erf", "sigmoid", "softsign"]
    unary += ["relu", "gelu", "silu", "gaussian", "softplus", "asinh", "sinc"]

    def extend(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        pairs = st.tuples(st.sampled_from(["add", "sub", "mul", "min", "max"]), inner, inner)
        chosen = st.tuples(st.sampled_from(["lt", "le", "gt", "ge"]), inner, st.just(threshold))
        return st.one_of(
            st.tuples(st.sampled_from(unary), inner).map(lambda t: call(*t)),
            pairs.map(lambda t: call(*t)),
            st.tuples(chosen, inner, inner).map(lambda t: call("where", call(*t[0]), *t[1:])),
        )

    return draw(st.recursive(leaves, extend, max_leaves=8))


@settings(max_examples=examples(120))
@given(total_exprs())
def test_there_and_back_keeps_the_values(expr: Expr) -> None:
    try:
        back = from_sympy(to_sympy(expr))
    except SymactError:
        assume(False)
    points = (-2.3125, -0.40625, 0.1875, 1.71875)
    expected = [float(reference(expr, mpmath.mpf(x))) for x in points]
    assume(max(map(abs, expected)) < 1e6)
    values = [float(reference(back, mpmath.mpf(x))) for x in points]
    assert np.allclose(values, expected, rtol=1e-8, atol=1e-8)


@given(total_exprs())
@settings(max_examples=examples(60))
def test_latex_has_balanced_braces(expr: Expr) -> None:
    text = to_latex(expr)
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("gelu(x) + 0.1*sin(x)", r"\operatorname{GELU}(x) + 0.1 \sin(x)"),
        ("gelu(x)*(1 + 0.5*sinc(x))", r"\operatorname{GELU}(x) (1 + 0.5 \operatorname{sinc}(x))"),
        ("x*sigmoid(2*x)", r"x \sigma(2 x)"),
        ("x/(1 + abs(x))", r"\frac{x}{1 + \left|x\right|}"),
        ("gaussian(x)", "e^{-x^{2}}"),
        ("gaussian(x - 1)", "e^{-(x - 1)^{2}}"),
        ("exp(-0.5*x**2)", "e^{-0.5 x^{2}}"),
        ("tanh(x)**2", r"\tanh(x)^{2}"),
        ("-(x + 1)**3", "-(x + 1)^{3}"),
        ("x - (x - 1)", "x - (x - 1)"),
        ("x*0.7071067811865476", "0.707107 x"),
        ("1e-7*x - 2*3", r"1 \cdot 10^{-7} x - 2 \cdot 3"),
        ("sqrt(x**2 + 1)", r"\sqrt{x^{2} + 1}"),
        (
            "sign(x)*log1p(0.5*abs(x))",
            r"\operatorname{sgn}(x) \ln\left(1 + 0.5 \left|x\right|\right)",
        ),
        ("max(x, 0) + min(x, -1)", r"\max(x, 0) + \min(x, -1)"),
        ("exp(x)**2", r"\left(e^{x}\right)^{2}"),
        ("x*x/2", r"\frac{x x}{2}"),
        ("log(sigmoid(x/2))", r"\ln\left(\sigma\left(\frac{x}{2}\right)\right)"),
        (
            "where(x >= 0, x, 0.01*x)",
            r"\begin{cases} x & \text{if } x \ge 0 \\ 0.01 x & \text{otherwise} \end{cases}",
        ),
        ("(x - mean(x))/std(x)", r"\frac{x - \operatorname{mean}(x)}{\operatorname{std}(x)}"),
    ],
)
def test_latex(text: str, latex: str) -> None:
    assert to_latex(parse(text)) == latex
