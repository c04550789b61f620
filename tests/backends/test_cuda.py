"""The Triton lowering: on a CUDA device where there is one, else in Triton's own interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import examples
from strategies import exprs

from symact.backends.numba import tape
from symact.backends.torch import lower
from symact.expr import Expr, call, const, parse, var
from symact.expr.primitives import BY_OPCODE, PRIMITIVES

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined
pytest.importorskip("triton", reason="triton is not installed; it comes with torch's CUDA builds")
from symact.backends import triton

pytestmark = pytest.mark.gpu
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ELEMENTWISE = [name for name, row in PRIMITIVES.items() if not row.statistic]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-3, -1e-3, 40.0, -40.0, 300.0]
X = np.concatenate([np.linspace(-9.7, 9.7, 200), SPECIAL]).astype(np.float32)
MANY = " + ".join(f"sin({i}*x)" for i in range(1, 9)), "*".join(f"sin({i}*x)" for i in range(1, 9))


def applied(name: str) -> Expr:
    """A use of the primitive that is well conditioned in float32, with ties at 0 and 1."""
    x = var()
    square = call("square", x)
    arguments = {1: (x,), 2: (x, square), 3: (call("lt", x, const(0.25)), square, call("sin", x))}
    expr = call(name, *arguments[PRIMITIVES[name].arity])
    return call("where", expr, x, const(2.0)) if PRIMITIVES[name].sort == "Bool" else expr


def run(
    stack: list[tuple[Expr, int]],
    z: np.ndarray,
    *,
    slopes: bool = True,
    workers: int = triton.WORKERS,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Apply expressions, each to so many networks of ``z`` [network, unit, point]."""
    ends = np.cumsum([count for _, count in stack]).tolist()
    spans = [
        (tape.to_tape(expr), end - count, end)
        for (expr, count), end in zip(stack, ends, strict=True)
    ]
    programs = triton.Programs(spans, DEVICE, workers)
    inputs = torch.from_numpy(np.ascontiguousarray(z, dtype=np.float32)).to(DEVICE)
    value = torch.full_like(inputs, 77.0)
    slope = torch.full_like(inputs, 77.0) if slopes else None
    with np.errstate(all="ignore"):  # the interpreter computes by numpy
        triton.apply(programs, inputs, value, slope)
    return value.cpu().numpy(), None if slope is None else slope.cpu().numpy()


def on_tape(expr: Expr, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value, slope = np.empty_like(x), np.empty_like(x)
    tape.apply_into(expr, np.ascontiguousarray(x), value, slope)
    return value, slope


def expected_of(expr: Expr, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and slope by the float64 tape, rounded."""
    with np.errstate(over="ignore"):
        value, slope = (a.astype(np.float32) for a in on_tape(expr, x.astype(np.float64)))
    return value, slope


@pytest.fixture(scope="module")
def of_each_primitive() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Values and slopes of every primitive at X, from one launch."""
    stack = [(applied(name), 1) for name in ELEMENTWISE]
    value, slope = run(stack, np.tile(X, (len(stack), 1, 1)))
    return {name: (value[i, 0], slope[i, 0]) for i, name in enumerate(ELEMENTWISE)}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_each_primitive_has_value_and_slope_of_the_tape(name, of_each_primitive):
    value, slope = of_each_primitive[name]
    expected, expected_slope = expected_of(applied(name), X)
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=4e-7)
    # Slopes of quotients and of the sinc's quotient round more often.
    np.testing.assert_allclose(slope, expected_slope, rtol=2e-6, atol=6e-7)


@pytest.mark.parametrize("name", ["exp", "sigmoid", "softplus", "silu", "gelu", "gaussian"])
def test_left_tails_keep_their_relative_accuracy(name, of_each_primitive):
    tail = (X < -1) & (X > -9)
    for found, expected in zip(of_each_primitive[name], expected_of(applied(name), X), strict=True):
        np.testing.assert_allclose(found[tail], expected[tail], rtol=6e-6)


@pytest.mark.parametrize("name", ["log", "log1p", "sqrt", "atan", "asinh", "tanh", "erf"])
def test_kernels_keep_their_relative_accuracy_at_every_size(name):
    x = np.geomspace(1e-30, 1e30, 500).astype(np.float32)
    value, _ = run([(call(name, var()), 1)], x[None, None])
    np.testing.assert_allclose(value[0, 0], expected_of(call(name, var()), x)[0], rtol=7e-7)


@pytest.mark.parametrize("name", ["sin", "cos", "tanh", "erf"])
def test_bounded_kernels_stay_bounded(name):
    reach = np.geomspace(1e-30, 3e38, 500)
    value, _ = run([(call(name, var()), 1)], np.concatenate([reach, -reach])[None, None])
    assert np.abs(value).max() <= 1


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_slopes_are_those_of_autograd(name, of_each_primitive):
    inside = np.isfinite(X) & (np.abs(X) < 30)
    x = torch.from_numpy(X[inside].astype(np.float64)).requires_grad_()
    value = lower(applied(name), x)
    (expected,) = torch.autograd.grad(value.sum(), x)
    finite = (torch.isfinite(expected) & torch.isfinite(value)).numpy()
    assert finite.sum() > 90
    found = of_each_primitive[name][1][inside][finite]
    np.testing.assert_allclose(found, expected.numpy()[finite], rtol=2e-6, atol=6e-7)


@pytest.mark.parametrize("points", [1, 37, triton.BLOCK, triton.BLOCK + 1, 3 * triton.BLOCK - 5])
@pytest.mark.parametrize("slopes", [True, False])
def test_every_network_gets_its_own_program(points, slopes):
    texts = ["gelu(x)*(1 + 0.5*sinc(x))", "x", "-2.5", "max(x, 0.01*x)", "x*tanh(softplus(x))"]
    stack = [(parse(text), count) for text, count in zip(texts, [2, 1, 1, 3, 1], strict=True)]
    z = np.random.default_rng(0).normal(size=(8, 1, points)).astype(np.float32)
    value, slope = run(stack, z, slopes=slopes)
    assert (slope is not None) == slopes
    network = 0
    for expr, count in stack:
        for own in range(network, network + count):
            expected, expected_slope = expected_of(expr, z[own])
            np.testing.assert_allclose(value[own], expected, rtol=2e-6, atol=1e-6)
            if slope is not None:
                np.testing.assert_allclose(slope[own], expected_slope, rtol=2e-6, atol=2e-6)
        network += count


def test_many_live_results_spill_into_memory():
    expr = parse(f"({MANY[0]})*(1 + {MANY[1]})")
    assert triton.encode(tape.to_tape(expr))[2] > triton.SLOTS + 1
    z = np.random.default_rng(0).normal(size=(3, 2, triton.BLOCK)).astype(np.float32)
    # With two thread blocks, each one takes several blocks of points.
    value, slope = run([(parse("x*x"), 1), (expr, 2)], z, workers=2)
    for found, expected in zip((value, slope), expected_of(expr, z[1:]), strict=True):
        np.testing.assert_allclose(found[1:], expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(value[0], z[0] * z[0])


@settings(max_examples=examples(8))
@given(st.lists(exprs(), min_size=1, max_size=6))
def test_random_programs_do_what_they_do_on_the_tape(batch):
    x = np.linspace(-4.03, 4.1, 61, dtype=np.float32)
    found = run([(expr, 1) for expr in batch], np.tile(x, (len(batch), 1, 1)))
    for place, expr in enumerate(batch):
        exact, single = expected_of(expr, x), on_tape(expr, x)
        # Where rounding does not matter, and so no kink or pole is near.
        tame = np.ones(x.shape, dtype=bool)
        for a, b in zip(exact, single, strict=True):
            with np.errstate(invalid="ignore"):
                tame &= np.isfinite(a) & (np.abs(a - b) <= 1e-5 * (1 + np.abs(a)))
        for a, b in zip(found, exact, strict=True):
            np.testing.assert_allclose(a[place, 0][tame], b[tame], rtol=1e-3, atol=1e-3)


@settings(max_examples=examples(150))
@given(exprs())
def test_the_accumulators_code_computes_the_tape(expr):
    """Follow each instruction's operands to the expressions that they stand for."""
    program = tape.to_tape(expr)
    words, result, slots = triton.encode(program, first_constant=5)

    def meaning(place: int, accumulator: object, kept: dict[int, object]) -> object:
        if place < 0:
            return program.constants[-1 - place - 5]
        return (
            {triton.X: "x", triton.ACCUMULATOR: accumulator}[place]
            if place < triton.FIRST_SLOT
            else kept[place - triton.FIRST_SLOT]
        )

    accumulator: object = "x"
    kept: dict[int, object] = {}
    for op, slot, *places in words.tolist():
        read = places[: BY_OPCODE[op].arity]
        accumulator = (BY_OPCODE[op].name, *(meaning(place, accumulator, kept) for place in read))
        if slot != triton.NOWHERE:
            assert 0 <= slot < slots
            kept[slot] = accumulator

    def expected(node: Expr) -> object:
        if node.op == "const":
            return node.number
        return "x" if node.op == "var" else (node.op, *map(expected, node.args))

    assert meaning(result, accumulator, kept) == expected(expr)


def test_programs_share_no_constants():
    texts = ["x + 1", "x + 2", "3", "min(4*x, 5)", "x"]
    value, slope = run([(parse(text), 1) for text in texts], np.full((5, 1, 3), 1.5))
    np.testing.assert_array_equal(value[:, 0, 0], [2.5, 3.5, 3, 5, 1.5])
    np.testing.assert_array_equal(slope[:, 0, 0], [1, 1, 0, 0, 1])


def test_values_may_replace_their_arguments():
    z = torch.linspace(-2, 2, 700, device=DEVICE).reshape(1, 1, -1)
    expected = z * z
    triton.apply(triton.Programs([(tape.to_tape(parse("x*x")), 0, 1)], DEVICE), z, z, None)
    torch.testing.assert_close(z, expected, rtol=0, atol=0)


def test_what_the_interpreter_cannot_take_is_refused():
    lower = tape.to_tape
    with pytest.raises(ValueError, match="batch statistics"):
        triton.Programs([(lower(parse("x")), 0, 1), (lower(parse("x - mean(x)")), 1, 2)], DEVICE)
    with pytest.raises(ValueError, match="spans must be contiguous"):
        triton.Programs([(lower(parse("x")), 1, 2)], DEVICE)
    programs = triton.Programs([(lower(parse("x")), 0, 2)], DEVICE)
    z = torch.zeros(2, 3, 4, device=DEVICE)
    with pytest.raises(ValueError, match="contiguous"):
        triton.apply(programs, z.transpose(1, 2), z.transpose(1, 2), None)
    with pytest.raises(ValueError, match="the same shape"):
        triton.apply(programs, z[:1], z[:1], None)


@pytest.mark.skipif(DEVICE == "cpu", reason="only a CUDA device can capture a graph")
def test_a_graph_captures_a_launch():
    programs = triton.Programs([(tape.to_tape(parse("x*sigmoid(x)")), 0, 2)], DEVICE)
    z = torch.zeros(2, 4, 512, device=DEVICE)
    value, slope = torch.empty_like(z), torch.empty_like(z)
    triton.apply(programs, z, value, slope)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        triton.apply(programs, z, value, slope)
    z.normal_()
    graph.replay()
    torch.testing.assert_close(value, torch.nn.functional.silu(z), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(DEVICE == "cpu", reason="needs a CUDA device")
def test_threads_that_train_at_once_take_turns():
    from symact.evaluation.training.networks import pack
    from symact.evaluation.training.torch_mlp import TorchMLPTrainer
    from symact.tasks import task
    from symact.tasks.protocol import Training

    training = Training(width=16, depth=2, steps=60, points=256, learning_rate=1e-2)
    data = pack([*task("ood-suite").draw("search", seed=0, per_family=2)], training.points)
    trainers = [TorchMLPTrainer(data, training, [0], entropy, DEVICE) for entropy in range(4)]
    functions = [parse("x*sigmoid(x)"), parse("sin(x)")]
    alone = [trainer.judge(functions) for trainer in trainers]
    with ThreadPoolExecutor(4) as pool:
        waiting = [trainer.start(pool, functions) for trainer in trainers]
        for expected, wait in zip(alone, waiting, strict=True):
            np.testing.assert_array_equal(np.stack(wait()), expected)


def test_programs_of_several_inputs_are_refused():
    program = tape.to_tape(parse("a*x", ("a", "x")), ("a", "x"))
    with pytest.raises(ValueError, match="supports one input, got a, x"):
        triton.Programs([(program, 0, 1)], DEVICE)


COMPILED = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from symact.backends.triton import interpret as kernel
kinds = dict.fromkeys(("z", "value_out", "slope_out", "constants", "scratch"), "*fp32")
kinds |= {"code": "*i32", "spans": "*i32", "SLOPES": "constexpr"}
kinds |= dict.fromkeys(("networks", "size", "own_rows"), "i32")
source = ASTSource(fn=kernel, signature={n: kinds[n] for n in kernel.arg_names},
                   constexprs={"SLOPES": True})
found = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})
print(len(found.asm["ptx"]))
"""


@pytest.mark.skipif(DEVICE == "cuda", reason="the other tests compile it for the device")
def test_the_kernel_compiles_for_a_gpu_where_there_is_none():
    environment = {n: text for n, text in os.environ.items() if n != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10_000
