"""Known functions are called by their names, whatever their scale; others are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from profiles import IS_EXPLORING, examples
from strategies import exprs

from symact import zoo
from symact.backends import evaluate
from symact.expr import call, const, parse, substitute, uses_statistics, var
from symact.reporting.text_plot import behaviour, text_plot
from symact.zoo.recognise import recognise

FUNCTIONS = [k for k in zoo.known() if not k.statistics and k.name != "identity"]
#: A jump or a far kink is met on a grid only by chance, and SAU is a kink of width 1e-4.
HARD = {"SAU", "Hardshrink", "FATReLU", "Heaviside", "SIREN", "ReLU6"}
SCALES = [(-2.5, -0.45), (0.3, 1.7)][: None if IS_EXPLORING else 1]
X = np.concatenate([-np.geomspace(0.01, 50, 60), [0], np.geomspace(0.01, 50, 60)])


def scaled(expr, output: float, inner: float):
    return call("mul", const(output), substitute(expr, {"x": call("mul", const(inner), var())}))


def agrees(expr, found) -> bool:
    a = evaluate(expr, X)
    b = found.output * evaluate(found.expr, found.input * X)
    good = np.isfinite(a) & np.isfinite(b)
    size = np.maximum(np.abs(a), np.abs(b))[good].max()
    return bool(np.abs(a - b)[good].max() <= 1e-6 * size)


@pytest.mark.parametrize("known", FUNCTIONS, ids=lambda known: known.name)
def test_a_known_function_is_known_and_so_is_what_it_is_scaled_to(known):
    found = recognise(known.expr)
    assert found is not None
    assert agrees(known.expr, found)
    if known.name in HARD:
        return
    for output, inner in SCALES:
        expr = scaled(known.expr, output, inner)
        found = recognise(expr)
        assert found is not None
        assert agrees(expr, found)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2*x*sigmoid(2*x)", "SiLU(2*x)"),
        ("x*(1 + tanh(x))", "SiLU(2*x)"),
        ("gelu(x) + 0.1*sin(x)", "GELUSine"),
        ("3*relu(x)", "3*ReLU(x)"),
        ("-abs(x)", "-Absolute value(x)"),
        ("max(x, 0.01*x)", "LeakyReLU"),
        ("x + 0.5*sin(2*x)**2", "0.5*Snake(2*x)"),
        ("x - gelu(x)", "-GELU(-x)"),
        ("relu(x) + 0.05*x*exp(-0.5*x**2)", "CRReLU with eps = 0.05"),
        ("where(x > 0, x, 0.1*x)", "PReLU with a = 0.1"),
        ("where(x < 0, x, 0.1*x)", "-PReLU(-x) with a = 0.1"),
        ("2*tanh(0.5*x) + 1", "DyT with al = 0.5, ga = 2, be = 1"),
        ("(x + 0.3*sin(2*x))*sigmoid(x)", "SinLU with a = 0.3, b = 2"),
    ],
)
def test_other_writings_are_called_by_the_name(text, name):
    assert str(recognise(parse(text))) == name


@pytest.mark.parametrize(
    "text",
    [
        *("silu(x - 0.64)", "gelu(x) + 0.11*sin(x)", "x", "2*x + 1", "3", "x - mean(x)"),
        *("log(x)", "x**3 - x", "tanh(x) + sin(x)"),
    ],
)
def test_what_is_new_a_line_or_no_number_is_not_called_anything(text):
    assert recognise(parse(text)) is None


@settings(max_examples=examples(30))
@given(expr=exprs())
def test_no_function_is_called_what_it_is_not(expr):
    if uses_statistics(expr):
        return
    with np.errstate(all="ignore"):
        found = recognise(expr)
        assert found is None or agrees(expr, found)


@settings(max_examples=examples(30))
@given(expr=exprs())
def test_any_function_can_be_plotted_and_described(expr):
    if uses_statistics(expr):
        return
    with np.errstate(all="ignore"):
        lines = text_plot(expr).splitlines()
        assert len({len(line) for line in lines[:-1]}) == 1
        assert set(behaviour(expr)) == {"f(0)", "f'(0)", "far left", "far right"}


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("relu(x)", "0", "x"),
        ("tanh(x)", "-1", "1"),
        ("x*tanh(x)", "-x", "x"),
        ("0.5*(sqrt(x**2 + 1) - 1) + x", "0.5 x - 0.5", "1.5 x - 0.5"),
        ("x**2", "grows like |x|^2", "grows like |x|^2"),
        ("sin(x)", "oscillates", "oscillates"),
        ("gelu(x) + 0.1*sin(x)", "oscillates", "about x"),
        ("exp(x**2)", "grows beyond any number", "grows beyond any number"),
    ],
)
def test_what_a_function_tends_to_is_said(text, left, right):
    said = behaviour(parse(text))
    assert (said["far left"], said["far right"]) == (left, right)
