"""Every primitive has a row in every lowering, and all lowerings agree."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from reference import REFERENCE
from reference import evaluate as reference_value
from strategies import exprs

from symact.backends import evaluate, evaluate_with_slopes
from symact.backends.numba.double import FLOAT64_ACCURACY
from symact.backends.numba.single import FLOAT32_ACCURACY
from symact.backends.numba.tape import BLOCK, apply_into, to_batch, to_tape
from symact.backends.sympy import TO_SYMPY
from symact.backends.torch import STATISTICS, TORCH, Activation, lower
from symact.expr import Expr, call, const, distinct, parse, uses_statistics, var
from symact.expr.primitives import BY_OPCODE, PRIMITIVES

X = np.concatenate([np.linspace(-9.7, 9.7, 200), [0.0, 1e-3, -1e-3, 40.0, -40.0, 300.0]])
ELEMENTWISE = [name for name, row in PRIMITIVES.items() if not row.statistic]


def applied(name: str) -> Expr:
    """A use of the primitive whose arguments differ and whose result is a number."""
    x = var()
    arguments = {
        1: (x,),
        2: (x, call("sub", const(0.7), call("mul", const(0.5), x))),
        3: (call("lt", x, const(0.3)), call("square", x), call("sin", x)),
    }[PRIMITIVES[name].arity]
    expr = call(name, *arguments)
    return call("where", expr, x, const(2.0)) if PRIMITIVES[name].sort == "Bool" else expr


def torch_value_and_slope(expr: Expr, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and, by plain autograd in float64, derivative along a vector of ones."""
    t = torch.from_numpy(x)
    value, slope = torch.autograd.functional.jvp(lambda z: lower(expr, z), t, torch.ones_like(t))
    return value.numpy(), slope.numpy()


@pytest.mark.parametrize("table", [TO_SYMPY, {**TORCH, **STATISTICS}, REFERENCE])
def test_every_lowering_has_a_row_for_every_primitive(table):
    assert set(PRIMITIVES) <= set(table)
    assert set(table) <= set(PRIMITIVES) | {"var", "const"}


@pytest.mark.parametrize("name", PRIMITIVES)
def test_tape_and_torch_agree_with_the_reference_in_float64(name):
    expr = applied(name)
    with np.errstate(all="ignore"):
        expected = reference_value(expr, X)
    for found in (evaluate(expr, X), lower(expr, torch.from_numpy(X)).numpy()):
        np.testing.assert_allclose(found, expected, rtol=2e-12, atol=1e-14)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_tape_derivative_is_that_of_autograd(name):
    expr = applied(name)
    _, slope = evaluate_with_slopes(expr, X)
    expected_value, expected = torch_value_and_slope(expr, X)
    finite = np.isfinite(expected_value) & np.isfinite(expected)
    assert finite.sum() > 100 or name in ("sqrt", "log", "log1p")
    np.testing.assert_allclose(slope[finite], expected[finite], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_derivative_is_the_slope_of_the_value(name):
    x = np.linspace(-3.03, 3.0, 97) if name not in ("sqrt", "log", "log1p") else np.linspace(0.1, 5)
    expr, h = applied(name), 1e-5
    _, slope = evaluate_with_slopes(expr, x)
    numeric = (evaluate(expr, x + h) - evaluate(expr, x - h)) / (2 * h)
    smooth = np.abs(numeric) < 1e3  # not across the jump of a comparison
    np.testing.assert_allclose(slope[smooth], numeric[smooth], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_kernels_are_right_at_infinities_nan_and_zero(name):
    special = np.array([np.nan, np.inf, -np.inf, 0.0])
    expr = call(name, var()) if PRIMITIVES[name].arity == 1 else applied(name)
    double = evaluate(expr, special)
    single = evaluate(expr, special.astype(np.float32))
    with np.errstate(all="ignore"):
        expected = reference_value(expr, special)
    # Where the written formula is inf * 0, the kernels return the limit.
    limits = {"sinc": [0.0, 0.0], "softsign": [1.0, -1.0], "gelu": [np.inf, 0.0]}
    limits["silu"] = limits["gelu"]
    expected[1:3] = limits.get(name, expected[1:3])
    np.testing.assert_allclose(double, expected)
    np.testing.assert_allclose(single, expected, rtol=1e-6)


def points_of(low: float, high: float, top: float, count: int) -> np.ndarray:
    """Points of a range: evenly near 0, evenly in the logarithm, and around multiples of pi."""
    reach = np.geomspace(1.2e-38, min(max(abs(low), abs(high)), top), count)
    near = np.linspace(max(low, -20), min(high, 20), count)
    turns = np.pi / 4 * np.arange(-count // 8, count // 8)
    x = np.concatenate([near, reach, -reach, turns, np.nextafter(turns, np.inf)])
    return x[(x >= low) & (x <= high)]


@pytest.mark.parametrize("name", FLOAT32_ACCURACY)
def test_float32_kernels_keep_their_stated_accuracy(name):
    kind, limit, low, high = FLOAT32_ACCURACY[name]
    x = points_of(low, high, 3e38, 100_000).astype(np.float32)
    x = x[(x >= low) & (x <= high)]
    expected = REFERENCE[name](x.astype(np.float64))
    error = np.abs(evaluate(call(name, var()), x).astype(np.float64) - expected)
    if kind == "relative":
        error = error[np.abs(expected) > 1e-37] / np.abs(expected[np.abs(expected) > 1e-37])
    assert error.max() <= limit


@pytest.mark.parametrize("name", FLOAT64_ACCURACY)
def test_float64_kernels_keep_their_stated_accuracy(name):
    kind, limit, low, high = FLOAT64_ACCURACY[name]
    x = points_of(low, high, 1e300, 400)
    found = evaluate(call(name, var()), x)
    with mpmath.workdps(40 if name not in ("sin", "cos") else 60):
        exact = [getattr(mpmath, name)(mpmath.mpf(float(value))) for value in x]
        error = np.array(
            [float(abs(mpmath.mpf(float(f)) - e)) for f, e in zip(found, exact, strict=True)]
        )
    if kind == "relative":
        size = np.abs(np.array([float(e) for e in exact]))
        error = error[size > 1e-300] / size[size > 1e-300]
    assert error.max() <= limit


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["sin", "cos", "tanh", "erf"])
def test_bounded_kernels_stay_bounded_wherever_they_are_asked(name, dtype):
    reach = np.geomspace(1e-30, np.finfo(dtype).max / 2, 20_000)
    x = np.concatenate([reach, -reach]).astype(dtype)
    assert np.abs(evaluate(call(name, var()), x)).max() <= 1


@settings(max_examples=examples(40))
@given(
    st.lists(exprs(), min_size=1, max_size=9),
    st.integers(0, 5 * BLOCK),
    st.booleans(),
    st.sampled_from([np.float32, np.float64]),
)
def test_a_batch_gives_what_its_programs_give_one_by_one(batch, points, slopes, dtype):
    x = np.linspace(-4, 4, points, dtype=dtype)
    for threads in (1, 2, 3):
        values, tangents = to_batch(batch).evaluate(x, slopes=slopes, threads=threads)
        for place, expr in enumerate(batch):
            value, slope = np.empty_like(x), np.empty_like(x) if slopes else None
            apply_into(expr, x, value, slope)
            np.testing.assert_array_equal(values[place], value)
            if tangents is not None:
                np.testing.assert_array_equal(tangents[place], slope)
    assert slopes == (tangents is not None)


def test_a_batch_overwrites_what_it_is_given():
    x = np.linspace(-1, 1, 300, dtype=np.float32)
    batch = to_batch([parse("sin(x)"), parse("x"), parse("2.5")])
    first = batch.evaluate(x, slopes=True)
    kept = [array.copy() for array in first if array is not None]
    again = batch.evaluate(x, slopes=True, out=first)
    for old, new, expected in zip(first, again, kept, strict=True):
        assert new is old
        np.testing.assert_array_equal(new, expected)


def test_a_batch_refuses_what_needs_the_whole_tensor():
    with pytest.raises(ValueError, match="batch statistics"):
        to_batch([parse("x"), parse("x - mean(x)")])


@settings(max_examples=examples(150))
@given(expr=exprs())
def test_random_expressions_agree_in_value_and_derivative(expr):
    x = np.linspace(-4.03, 4.1, 41)
    value, slope = evaluate_with_slopes(expr, x)
    expected, expected_slope = torch_value_and_slope(expr, x)
    with np.errstate(all="ignore"):
        reference = reference_value(expr, x)
    # Where nothing is extreme on the way; at kinks and overflows conventions may differ.
    tame = _tame(expr, x) & np.isfinite(expected_slope) & (np.abs(expected_slope) < 1e6)
    np.testing.assert_allclose(value[tame], reference[tame], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(value[tame], expected[tame], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(slope[tame], expected_slope[tame], rtol=1e-4, atol=1e-5)


def _tame(expr: Expr, x: np.ndarray) -> np.ndarray:
    """Points where every subexpression is finite and moderate, and no comparison is on its edge."""
    tame = np.ones(x.shape, dtype=bool)
    with np.errstate(all="ignore"):
        for node in distinct(expr):
            if PRIMITIVES.get(node.op) is not None and PRIMITIVES[node.op].sort == "Bool":
                a, b = (reference_value(arg, x) for arg in node.args)
                tame &= np.abs(a - b) > 1e-6
            else:
                value = reference_value(node, x)
                tame &= np.isfinite(value) & (np.abs(value) < 1e6)
                if node.op in ("min", "max"):
                    a, b = (reference_value(arg, x) for arg in node.args)
                    tame &= np.abs(a - b) > 1e-6
                if node.op in ("abs", "relu", "sign", "sqrt", "log", "std", "softsign"):
                    tame &= np.abs(reference_value(node.args[0], x)) > 1e-3
                if node.op == "div":
                    tame &= np.abs(reference_value(node.args[1], x)) > 1e-3
    return tame if not uses_statistics(expr) else tame & tame.all()


def test_sinc_has_a_finite_gradient_at_zero_in_every_lowering():
    expr = parse("gelu(x)*(1 + 0.5*sinc(x))")
    x = torch.tensor([0.0, 1e-9, 0.29999, 0.30001], dtype=torch.float64, requires_grad=True)
    lower(expr, x).sum().backward()
    _, slope = evaluate_with_slopes(expr, x.detach().numpy())
    assert torch.isfinite(x.grad).all()
    np.testing.assert_allclose(slope, x.grad.numpy(), rtol=1e-9)
    assert slope[0] == pytest.approx(0.75)


def test_where_hides_the_derivative_of_the_arm_not_taken():
    _, slope = evaluate_with_slopes(parse("where(x > 0, sqrt(x), 0.5*x)"), np.array([-1.0, 4.0]))
    np.testing.assert_allclose(slope, [0.5, 0.25])


#: At a kink: the derivative, as torch defines it.
KINKS = [
    ("abs(x)", 0.0, 0.0),
    ("relu(x)", 0.0, 0.0),
    ("sign(x)", 0.0, 0.0),
    ("softsign(x)", 0.0, 1.0),
    ("max(x, 2*x)", 0.0, 1.5),
    ("min(x, 2*x)", 0.0, 1.5),
    ("min(max(x, 0), 1)", 0.0, 0.5),
    ("min(max(x, 0), 1)", 1.0, 0.5),
    ("where(x > 1, 3*x, 5*x)", 1.0, 5.0),
    ("where(x >= 1, 3*x, 5*x)", 1.0, 3.0),
    ("sqrt(x)", 0.0, np.inf),
    ("cube(x)", 0.0, 0.0),
    ("sinc(x)", 0.0, 0.0),
]


@pytest.mark.parametrize(("text", "at", "expected"), KINKS)
def test_the_derivative_at_a_kink_is_that_of_torch(text, at, expected):
    x = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    lower(parse(text), x).sum().backward()
    for dtype in (np.float32, np.float64):
        _, slope = evaluate_with_slopes(parse(text), np.array([at], dtype))
        assert slope == x.grad.numpy() == expected


@settings(max_examples=examples(60))
@given(expr=exprs(statistics=True), shape=st.sampled_from([(0,), (1,), (3, 5), (700,), (2, 3, 4)]))
def test_evaluation_keeps_shape_and_dtype(expr, shape):
    for dtype in (np.float32, np.float64):
        x = np.zeros(shape, dtype=dtype)
        assert evaluate(expr, x).shape == shape
        assert evaluate(expr, x).dtype == dtype


def test_blocks_do_not_show():
    expr = parse("gelu(x) + 0.1*sin(x)*max(x, 0.3)")
    x = np.linspace(-5, 5, 1000).astype(np.float32)
    whole = evaluate(expr, x)
    np.testing.assert_array_equal(
        whole, np.concatenate([evaluate(expr, p) for p in np.split(x, 8)])
    )


@settings(max_examples=examples(100))
@given(expr=exprs())
def test_no_instruction_of_a_tape_writes_where_it_reads(expr):
    program = to_tape(expr)
    constants = set(range(1 + len(program.constants)))
    for op, target, *operands in program.code.tolist():
        arity = BY_OPCODE[op].arity
        assert target not in operands[:arity]
        assert target not in constants
        assert target < program.registers


def test_a_module_applies_its_formula_and_shows_it():
    module = Activation(parse("x*tanh(softplus(x))"))
    x = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(module(x), torch.nn.functional.mish(x))
    assert "softplus" in repr(module)


def test_a_module_with_statistics_reads_the_whole_tensor():
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = Activation(parse("(x - mean(x))/(std(x) + 0.000001)"))(x)
    torch.testing.assert_close(found, (x - x.mean()) / (x.std(correction=0) + 1e-6))


def test_other_dtypes_are_refused_in_one_line():
    with pytest.raises(ValueError, match="float32 or float64 arrays, got int64"):
        evaluate(parse("sin(x)"), np.arange(3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_arguments_of_products_do_not_overflow_into_nan(dtype):
    far = np.array([0.7, 0.9]) * np.finfo(dtype).max
    for text in ("sinc(x)", "gaussian(x)"):
        value, slope = evaluate_with_slopes(parse(text), far.astype(dtype))
        assert not value.any()
        assert not slope.any()
