"""Expressions of several variables: every backend evaluates them as several or refuses them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symact.backends import derivative, evaluate, evaluate_with_slopes, to_torch
from symact.backends.numba.tape import BLOCK, to_batch, to_tape
from symact.backends.torch import lower
from symact.expr import parse

NAMES = ("u", "v", "w")
#: Every input occurs, one of them twice; there is a constant.
EXPR = parse("exp(u)*v - 0.5*w*u", NAMES)
SIZES = [1, 7, BLOCK, 2 * BLOCK + 1, 5 * BLOCK - 3]


def points(count: int, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(3, count)).astype(dtype)


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_variable_is_evaluated_as_itself(count, dtype):
    u, v, w = points(count, dtype)
    found = evaluate(EXPR, u, v, w, inputs=NAMES)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.exp(u) * v - 0.5 * w * u, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("order", [("u", "v", "w"), ("w", "u", "v"), ("v", "unused", "w", "u")])
def test_inputs_are_taken_in_the_order_of_their_names(order):
    columns = dict(zip(NAMES, points(40), strict=True)) | {"unused": np.full(40, np.nan)}
    found = evaluate(EXPR, *(columns[name] for name in order), inputs=order)
    np.testing.assert_array_equal(found, evaluate(EXPR, *points(40), inputs=NAMES))


@pytest.mark.parametrize("count", SIZES)
def test_the_derivative_is_by_the_input_that_is_asked_for(count):
    u, v, w = points(count)
    partials = {"u": np.exp(u) * v - 0.5 * w, "v": np.exp(u), "w": -0.5 * u}
    for name, expected in partials.items():
        _, slope = evaluate_with_slopes(EXPR, u, v, w, inputs=NAMES, wrt=name)
        np.testing.assert_allclose(slope, expected, rtol=1e-12, atol=1e-14)
    _, slope = evaluate_with_slopes(EXPR, u, v, w, inputs=NAMES)
    np.testing.assert_allclose(slope, partials["u"], rtol=1e-12, atol=1e-14)


def test_a_parameter_is_an_input_with_one_value():
    x = np.linspace(-2, 2, 600, dtype=np.float32)
    swish = parse("x*sigmoid(b*x)", ("x", "b"))
    value, slope = evaluate_with_slopes(swish, x, 1.5, inputs=("x", "b"), wrt="b")
    assert value.dtype == slope.dtype == np.float32
    gate = 1 / (1 + np.exp(-1.5 * x))
    np.testing.assert_allclose(value, x * gate, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slope, x * x * gate * (1 - gate), rtol=1e-5, atol=1e-6)


def test_arrays_are_broadcast_against_each_other():
    found = evaluate(parse("u - v", ("u", "v")), np.ones((4, 1)), np.zeros(3), inputs=("u", "v"))
    np.testing.assert_array_equal(found, np.ones((4, 3)))


def test_statistics_are_over_all_points_and_their_derivative_by_one_input():
    u, v, _ = points(700)
    expr = parse("std(u)*v + mean(u*v)", ("u", "v"))
    value, slope = evaluate_with_slopes(expr, u, v, inputs=("u", "v"), wrt="v")
    np.testing.assert_allclose(value, u.std() * v + (u * v).mean(), rtol=1e-12)
    np.testing.assert_allclose(slope, u.std() + u.mean(), rtol=1e-12)


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_of_several_inputs_gives_what_its_programs_give(count, threads):
    exprs = [EXPR, parse("u", NAMES), parse("2.5"), parse("max(v, w)", NAMES)]
    columns = points(count, np.float32)
    batch = to_batch(exprs, NAMES)
    for wrt in NAMES:
        values, slopes = batch.evaluate(*columns, slopes=True, wrt=wrt, threads=threads)
        assert slopes is not None
        for place, expr in enumerate(exprs):
            value, slope = evaluate_with_slopes(expr, *columns, inputs=NAMES, wrt=wrt)
            np.testing.assert_array_equal(values[place], value)
            np.testing.assert_array_equal(slopes[place], slope)


def test_a_variable_that_is_no_input_is_refused_in_one_line():
    two = parse("x0 - x1", ("x0", "x1"))
    with pytest.raises(ValueError, match=r"variable 'x0'; its inputs are x$"):
        evaluate(two, np.array([3.0, 4.0]))
    with pytest.raises(ValueError, match=r"variable 'x1'; its inputs are x0$"):
        to_batch([two], ("x0",))
    with pytest.raises(ValueError, match=r"^no tensor is given for 'x0', only for x$"):
        lower(two, torch.zeros(2))
    with pytest.raises(TypeError, match=r"expected 2 tensors \(x0, x1\), got 1"):
        to_torch(two)(torch.zeros(2))


@pytest.mark.parametrize("inputs", [(), ("x", "x")])
def test_names_that_are_no_inputs_are_refused(inputs):
    with pytest.raises(ValueError, match="one or more distinct names"):
        to_tape(parse("x"), inputs)


def test_other_numbers_of_arrays_and_other_names_are_refused():
    x = np.zeros(3)
    with pytest.raises(ValueError, match=r"got 2 arrays for 1 inputs \(x\)"):
        evaluate(parse("x"), x, x)
    with pytest.raises(ValueError, match="no input is called 'y'; the inputs are x"):
        evaluate_with_slopes(parse("x"), x, wrt="y")


def test_the_symbolic_derivative_is_by_the_variable_that_is_asked_for():
    columns = points(50)
    for name in NAMES:
        found = evaluate(derivative(EXPR, name), *columns, inputs=NAMES)
        _, expected = evaluate_with_slopes(EXPR, *columns, inputs=NAMES, wrt=name)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
