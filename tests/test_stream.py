"""Found functions in use: fused forward and backward on the CPU, and what a compiler is given."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from symact.backends import to_torch
from symact.backends.torch import in_single
from symact.backends.torch_fused import SHARE
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
    eager, _ = both(to_torch(parse(f"{text} + 0*x")), x)
    double = both(to_torch(parse(f"{text} + 0*x")), x.double())
    assert (value.dtype, value.shape) == (eager.dtype, eager.shape)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(value.double(), double[0], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient.double(), double[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_rounds_once(text, dtype):
    """The result is that of float64 rounded to the type, not of a formula rounded at every step."""
    x = torch.linspace(-5, 5, 997).to(dtype)
    value, gradient = both(to_torch(parse(text), compile=True), x)
    exact_value, slope = both(to_torch(parse(f"{text} + 0*x")), x.double())
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


def test_it_differentiates_once_and_says_so():
    x = torch.randn(10, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        to_torch(parse("sin(x)"), compile=True)(x).sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="differentiates once"):
        gradient.sum().backward()


def test_an_empty_tensor_passes():
    module = to_torch(parse("sin(x)"), compile=True)
    assert both(module, torch.empty(0, 4))[1].shape == (0, 4)


def test_batch_statistics_are_not_fused_but_right():
    expr = parse("(x - mean(x))/(std(x) + 0.1)")
    module = to_torch(expr, compile=True)
    assert not module.fused
    x = torch.randn(50)
    torch.testing.assert_close(module(x), to_torch(expr)(x))


@pytest.mark.parametrize("text", FORMULAS[2:])
def test_what_other_devices_compile_traces_as_one_graph(text):
    """The compiler's front end without its back end, which needs a GPU or a C++ compiler."""
    expr = parse(text)
    compiled = torch.compile(
        lambda x: in_single(expr, x), backend="aot_eager", fullgraph=True, dynamic=True
    )
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.linspace(-4, 4, 501).to(dtype)
        found = both(compiled, x)
        expected = both(lambda x: in_single(expr, x), x)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_a_module_that_was_used_can_be_saved():
    module = to_torch(parse("sin(x)"), compile=True)
    x = torch.randn(5)
    expected = module(x)
    torch.testing.assert_close(pickle.loads(pickle.dumps(module))(x), expected)


def test_transforms_of_functions_pass_through():
    module = to_torch(parse("gelu(x) + 0.1*sin(x)"), compile=True)
    plain = to_torch(parse("gelu(x) + 0.1*sin(x)"))
    x = torch.randn(4, 5)
    torch.testing.assert_close(torch.vmap(module)(x), plain(x))
    found = torch.func.grad(lambda z: module(z).sum())(x)
    torch.testing.assert_close(found, torch.func.grad(lambda z: plain(z).sum())(x))


def test_a_compiled_model_takes_it_in():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), to_torch(parse("sin(x)"), compile=True))
    x = torch.randn(3, 4)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), model(x))


def test_whole_numbers_become_floats():
    module = to_torch(parse("0.5*x"), compile=True)
    torch.testing.assert_close(module(torch.arange(3)), torch.tensor([0.0, 0.5, 1.0]))


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
