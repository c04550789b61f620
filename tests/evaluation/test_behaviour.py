"""Behaviour: what functions are told apart by."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from profiles import examples
from strategies import exprs

from symact.evaluation.behaviour import behaviour
from symact.expr import parse


@pytest.mark.parametrize(
    ("text", "left", "right", "parity", "turns", "smooth"),
    [
        ("relu(x)", "flat", "line", "neither", "0", False),
        ("gelu(x)", "flat", "line", "neither", "1", True),
        ("tanh(x)", "flat", "flat", "odd", "0", True),
        ("x**2", "fast", "fast", "even", "1", True),
        ("sin(x)", "flat", "flat", "odd", "4+", True),
        ("cos(0.5*x)", "flat", "flat", "even", "2-3", True),
        ("x + sin(x)**2", "line", "line", "neither", "0", True),
        ("log1p(abs(x))", "slow", "slow", "even", "1", False),
        ("abs(x)", "line", "line", "even", "1", False),
        ("max(x, 0.1*x)", "line", "line", "neither", "0", False),
        ("asinh(x)", "slow", "slow", "odd", "0", True),
        ("exp(x)", "flat", "fast", "neither", "0", True),
        ("x*sin(x)", "line", "line", "even", "4+", True),
        ("min(silu(0.7*x), 5)", "flat", "flat", "neither", "1", False),
    ],
)
def test_well_known_functions_behave_as_they_do(text, left, right, parity, turns, smooth):
    found = behaviour(parse(text))
    assert (found.left, found.right) == (left, right)
    assert found.parity == parity
    assert found.turns == turns
    assert found.smooth == smooth
    assert found.bounded == (left == right == "flat")


@pytest.mark.parametrize("factor", ["-1", "0.001", "40"])
@pytest.mark.parametrize("text", ["gelu(x)", "sin(x)", "abs(x)", "asinh(x)", "x**2"])
def test_behaviour_does_not_depend_on_the_scale_of_the_output(text, factor):
    assert behaviour(parse(f"{factor}*({text})")) == behaviour(parse(text))


def test_what_is_not_finite_has_a_behaviour_too():
    assert behaviour(parse("log(x)")).left == "fast"
    assert not behaviour(parse("1/x")).smooth


@settings(max_examples=examples(60))
@given(exprs())
def test_any_function_has_a_behaviour_and_equal_ones_share_a_key(expr):
    one, other = behaviour(expr), behaviour(expr)
    assert one == other
    assert one.key == other.key
    assert one.bounded == (one.left == one.right == "flat")
