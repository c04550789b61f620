"""The fused kernel on the CPU: its values, what it keeps, and its threads."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from profiles import examples
from strategies import exprs

from symact.backends import evaluate_with_slopes, to_torch
from symact.backends.numba.fused import SHARE, STEP
from symact.backends.torch.module import WORTH_FUSING
from symact.expr import parse

FORMULAS = ["x", "1.5", "gelu(x) + 0.1*sin(x)", "x*tanh(softplus(x))", "max(x, 0.1*x)"]


def both(module: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Value, and gradient along a vector that differs from element to element."""
    own = x.clone().requires_grad_()
    value = module(own)
    weights = torch.linspace(-1, 2, x.numel(), dtype=torch.float64).reshape(x.shape)
    value.backward(weights.to(value.dtype))
    assert own.grad is not None
    return value.detach(), own.grad


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fused_is_eager(text, dtype):
    x = torch.linspace(-5, 5, 1001, dtype=dtype).reshape(7, 11, 13)
    value, gradient = both(to_torch(parse(text), compile=True), x)
    eager, _ = both(to_torch(parse(f"{text} + 0*x"), compile=False), x)
    double = both(to_torch(parse(f"{text} + 0*x"), compile=False), x.double())
    assert (value.dtype, value.shape) == (eager.dtype, eager.shape)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(value.double(), double[0], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient.double(), double[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_rounds_once(text, dtype, compile):
    """The result is that of float64 rounded to the type, not of a formula rounded at every step."""
    if text == "1.5" and not compile:
        pytest.skip("a constant has no gradient")
    x = torch.linspace(-5, 5, 997).to(dtype)
    value, gradient = both(to_torch(parse(text), compile=compile), x)
    exact_value, slope = both(to_torch(parse(f"{text} + 0*x"), compile=False), x.double())
    assert value.dtype == gradient.dtype == dtype
    unit = torch.finfo(dtype).eps
    torch.testing.assert_close(value.double(), exact_value, rtol=unit * 0.51, atol=1e-6)
    # What flows back was rounded before it was multiplied, and the product is rounded once.
    weights = torch.linspace(-1, 2, x.numel(), dtype=torch.float64)
    exact = slope / weights.where(weights != 0, torch.inf) * weights.to(dtype).double()
    torch.testing.assert_close(gradient.double(), exact, rtol=unit * 0.51, atol=2e-6)


def test_bfloat16_is_rounded_as_torch_rounds():
    bits = np.random.default_rng(0).integers(-(2**31), 2**31, 200_000, dtype=np.int64)
    numbers = bits.astype(np.int32).view(np.float32)
    ties = (np.arange(-(2**15), 2**15) * 2**16 + 2**15).astype(np.int32).view(np.float32)
    halves = torch.from_numpy(np.concatenate([numbers, ties])).to(torch.bfloat16)
    identity = to_torch(parse("x"), compile=True)
    torch.testing.assert_close(identity(halves), halves, rtol=0, atol=0, equal_nan=True)
    # 1.5 x has one more bit than bfloat16 holds, so that ties occur.
    expected = (halves.float() * 1.5).to(torch.bfloat16)
    scaled = to_torch(parse("1.5*x"), compile=True)(halves)
    torch.testing.assert_close(scaled, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("text", ["x", "exp(x)", "gelu(x)", "log(x)", "sin(x)", "max(x, 0.3)/x"])
def test_every_bfloat16_has_the_rounded_result_of_float32(text):
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    module = to_torch(parse(text), compile=True)
    expected = module(x.float()).to(torch.bfloat16)
    torch.testing.assert_close(module(x), expected, rtol=0, atol=0, equal_nan=True)


def test_threads_and_layout_change_nothing():
    x = torch.randn(3, 2 * SHARE + 77)
    module = to_torch(parse("gelu(x) + 0.1*sin(x)"), compile=True)
    expected = both(module, x)
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            for found, own in zip(both(module, x), expected, strict=True):
                torch.testing.assert_close(found, own, rtol=0, atol=0)
    finally:
        torch.set_num_threads(threads)
    turned = both(module, x.T)
    torch.testing.assert_close(turned[0], expected[0].T, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_only_the_input_is_kept(dtype):
    kept: list[torch.Tensor] = []
    x = torch.randn(1000, dtype=dtype, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        to_torch(parse("x*tanh(softplus(x)) + sin(x)"), compile=True)(x)
    assert [t.data_ptr() for t in kept] == [x.data_ptr()]


def test_an_empty_tensor_passes():
    module = to_torch(parse("sin(x)"), compile=True)
    assert both(module, torch.empty(0, 4))[1].shape == (0, 4)


def test_batch_statistics_are_not_fused_but_right():
    expr = parse("(x - mean(x))/(std(x) + 0.1)")
    module = to_torch(expr, compile=True)
    assert not module.fused
    x = torch.randn(50)
    torch.testing.assert_close(module(x), to_torch(expr)(x))


@pytest.mark.parametrize("size", [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP + 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_result_does_not_depend_on_its_place(size, dtype):
    x = torch.linspace(-3, 3, 4 * STEP).to(dtype)
    module = to_torch(parse("gelu(x) + 0.1*sin(x)"), compile=True)
    whole = both(module, x)[0]
    torch.testing.assert_close(
        both(module, x[7 : 7 + size])[0], whole[7 : 7 + size], rtol=0, atol=0
    )


@settings(max_examples=examples(6))
@given(expr=exprs(max_depth=4))
def test_random_expressions_have_the_values_and_slopes_of_the_tape(expr):
    x = np.linspace(-4.03, 4.1, 41)
    value, slope = evaluate_with_slopes(expr, x)
    own = torch.from_numpy(x).requires_grad_()
    found = to_torch(expr, compile=True)(own)
    found.sum().backward()
    known = np.isfinite(value) & np.isfinite(slope)
    np.testing.assert_allclose(found.detach().numpy()[known], value[known], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(own.grad.numpy()[known], slope[known], rtol=1e-6, atol=1e-8)


def test_a_literal_beyond_the_range_of_float32_is_an_infinity():
    for compile in (False, True):
        module = to_torch(parse("x + 1e300"), compile=compile)
        assert module(torch.zeros(3)).tolist() == [np.inf] * 3
        assert module(torch.zeros(1, dtype=torch.float64)).item() == pytest.approx(1e300)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    code = """
import os, torch
from symact.expr import parse
from symact.backends import to_torch
torch.set_num_threads(2)
module, x = to_torch(parse("sin(x)"), compile=True), torch.randn(2**17)
module(x)
child = os.fork()
if child == 0:
    module(x)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "7"


@pytest.mark.parametrize("text", ["relu(x)", "sigmoid(x)", "tanh(x)"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_kernel_of_torch_gives_the_results_of_a_fused_pass(text, dtype):
    special = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, 1e-30, -90.0, 90.0])
    x = torch.cat([special, torch.linspace(-6, 6, WORTH_FUSING)]).to(dtype)
    unit = torch.finfo(dtype).eps
    for found, fused in zip(
        both(to_torch(parse(text)), x), both(to_torch(parse(text), compile=True), x), strict=True
    ):
        assert found.dtype == dtype
        torch.testing.assert_close(found, fused, rtol=4 * unit, atol=16 * unit)


@pytest.mark.parametrize(("text", "passes"), [("relu(x)", 0), ("tanh(x)", 0), ("1.5*tanh(x)", 1)])
def test_one_kernel_of_torch_is_preferred_to_a_fused_pass(text, passes):
    value = to_torch(parse(text))(torch.randn(WORTH_FUSING, requires_grad=True))
    assert ("Fused" in type(value.grad_fn).__name__) == bool(passes)


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_threads_of_openmp_and_of_python_do_all_the_work(library):
    """torch loads OpenMP. Without it, Python threads are used."""
    code = f"""
import {library}
import numpy as np
from symact.backends.numba.fused import SHARE, apply_fused
from symact.expr import parse
x = np.linspace(-4, 4, 3 * SHARE + 77)
out = np.full_like(x, np.nan)
address = out.ctypes.data
for _ in range(20):
    apply_fused(parse("2*x + 1"), "float64", x.ctypes.data, None, address, x.size, threads=3)
    print(np.array_equal(out, 2 * x + 1))
    out[:] = np.nan
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["True"] * 20
