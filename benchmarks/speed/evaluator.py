"""Random expressions by the interpreter, beside pyoperon's batch evaluator and DEAP with NumPy.

A thousand expressions of 15 nodes of {+, -, *, /, exp, log, sin, cos, tanh, sqrt, max, min} over
one variable and constants are evaluated on 256 and 1,024 points. Programs are made beforehand,
unless the row says otherwise. A node counts once for each point, leaves included.

The limit is the time of the operations of the programs, each alone on rows in the L1 cache. It
contains no dispatch, no constants and no results. The table of operations has the time of each
operation on one block of 256 points, alone and in the interpreter, and its share of the limit. The
table of parts has the time of a program without instructions and of a constant.

The table of kernels has the rate of each elementary function, of NumPy and of libm called from
numba, which does not vectorise. A kernel as slow as libm is not vectorised.

Work of one thread is measured by the smallest processor time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from symact.backends.numba import kernels
from symact.backends.numba.intrinsics import for_each
from symact.backends.numba.tape import BLOCK, Batch, to_batch, to_tape, workspace
from symact.cli.benchmark import Bench
from symact.errors import SymactError
from symact.expr import Expr, call, const, var
from symact.expr.primitives import PRIMITIVES

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]
ARITY = dict.fromkeys(("exp", "log", "sin", "cos", "tanh", "sqrt"), 1) | dict.fromkeys(
    ("add", "sub", "mul", "div", "max", "min"), 2
)
RULES = {name: kernels.RULES[name] for name in ARITY}
NUMPY: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
}
NODES, COUNT = 15, 1000
#: Slower than this multiple of libm in a scalar loop, and a kernel is not vectorised.
GUARD = 3.0


def tree(nodes: int, stream: random.Random) -> Expr:
    """Draw an expression of exactly so many nodes."""
    if nodes == 1:
        return var() if stream.random() < 0.6 else const(round(stream.uniform(-2, 2), 3))
    name = stream.choice([op for op, arity in ARITY.items() if arity < nodes])
    if ARITY[name] == 1:
        return Expr(name, (tree(nodes - 1, stream),))
    left = stream.randint(1, nodes - 2)
    return Expr(name, (tree(left, stream), tree(nodes - 1 - left, stream)))


def measure(bench: Bench) -> None:
    stream = random.Random(0)
    exprs = [tree(NODES, stream) for _ in range(COUNT // 8 if bench.quick else COUNT)]
    batch = to_batch(exprs)
    # Compiling its loops is most of what a quick run takes; no goal asks for float64.
    dtypes = ("float32",) if bench.quick else ("float32", "float64")
    alone = {dtype: _alone(bench, dtype) for dtype in dtypes}
    for points in (256,) if bench.quick else (256, 1024):
        _side_by_side(bench, exprs, batch, points, alone)
    _operation_rows(bench, batch, alone)
    _part_rows(bench, list(alone))
    _kernel_rows(bench)


def _side_by_side(
    bench: Bench,
    exprs: Sequence[Expr],
    batch: Batch,
    points: int,
    alone: dict[str, dict[str, float]],
) -> None:
    x = np.random.default_rng(0).uniform(-3, 3, points).astype(np.float32)
    x64 = x.astype(np.float64)
    both, values = batch.evaluate(x, slopes=True), batch.evaluate(x)
    both64, values64 = batch.evaluate(x64, slopes=True), batch.evaluate(x64)
    deap, compiled = _deap(exprs)
    works: dict[str, Callable[[], object]] = {
        "symact float32": lambda: batch.evaluate(x, threads=1, out=values),
        "symact float32, value and derivative": lambda: batch.evaluate(
            x, slopes=True, threads=1, out=both
        ),
        "symact float64": lambda: batch.evaluate(x64, threads=1, out=values64),
        "symact float64, value and derivative": lambda: batch.evaluate(
            x64, slopes=True, threads=1, out=both64
        ),
    }
    operon = _operon(exprs, x)
    if operon is not None:
        works["pyoperon EvaluateTrees"] = operon
    taken = bench.times(works, rounds=30, quick_rounds=3, processor=True)
    threads: dict[str, Callable[[], object]] = {
        "symact float32, two threads": lambda: batch.evaluate(x, threads=2, out=values),
    }
    taken |= bench.times(threads, rounds=15, quick_rounds=3)
    slow: dict[str, Callable[[], object]] = {
        "symact float32, lowering included": lambda: _lowered_anew(exprs).evaluate(x, threads=1),
        "DEAP compiled before, NumPy": lambda: [function(x) for function in compiled],
        "DEAP gp.compile and NumPy": lambda: [function(x) for function in deap()],
    }
    with np.errstate(all="ignore"):
        taken |= bench.times(slow, rounds=5, quick_rounds=1, processor=True)
    work = Counter(batch.code[:, 0].tolist())
    blocks = points / BLOCK
    for dtype, rates in alone.items():
        taken[f"limit of the operations, {dtype}"] = sum(
            number * blocks * rates[name]
            for name in RULES
            for number in [work[PRIMITIVES[name].opcode]]
        )
    for name, seconds in taken.items():
        bench.row(
            f"{name}, {points} points",
            **{
                "Mnode/s": len(exprs) * NODES * points / seconds / 1e6,
                "us/expression": seconds / len(exprs) * 1e6,
            },
        )
    own = taken["symact float32"]
    operon_time = taken.get("pyoperon EvaluateTrees")
    bench.ratio(
        f"over_pyoperon_{points}",
        None if operon_time is None else operon_time / own,
        least=3.0 if points == 1024 else 5.5,
    )
    bench.ratio(f"over_deap_{points}", taken["DEAP gp.compile and NumPy"] / own, least=25.0)
    bench.ratio(
        f"share_of_limit_{points}", taken["limit of the operations, float32"] / own, least=0.75
    )
    bench.ratio(f"float64_over_float32_{points}", taken["symact float64"] / own, most=2.2)
    both_over = taken["symact float32, value and derivative"] / own
    bench.ratio(f"dual_over_values_{points}", both_over, most=2.0)


def _lowered_anew(exprs: Sequence[Expr]) -> Batch:
    to_tape.cache_clear()
    return to_batch(exprs)


def _alone(bench: Bench, dtype: str) -> dict[str, float]:
    """Seconds of each operation for one block, alone on rows in the L1 cache."""
    w = workspace(8, np.dtype(dtype))
    w[:] = np.random.default_rng(0).uniform(0.1, 3, w.size)
    works, repeats = {}, 2000
    # Row numbers come from memory, so that no turn can be foreseen and left out.
    rows = np.array([[4, 0, 2], [5, 1, 3], [6, 0, 3], [7, 1, 2]])
    for name, rule in RULES.items():
        works[name] = partial(_loop(rule, ARITY[name]), w, rows, repeats)
    return {name: t / repeats for name, t in bench.times(works, rounds=9, processor=True).items()}


def _operation_rows(bench: Bench, batch: Batch, alone: dict[str, dict[str, float]]) -> None:
    """Report each operation on one block: alone, in the interpreter, and its share of the limit."""
    work = Counter(batch.code[:, 0].tolist())
    inside = {dtype: _in_interpreter(bench, dtype) for dtype in alone}
    for name in RULES:
        columns: dict[str, float] = {"instructions": float(work[PRIMITIVES[name].opcode])}
        for dtype, times in alone.items():
            limit = sum(work[PRIMITIVES[own].opcode] * times[own] for own in RULES)
            columns |= {
                f"{dtype} alone ns": times[name] * 1e9,
                f"{dtype} interpreter ns": inside[dtype][name] * 1e9,
                f"{dtype} share %": 100 * columns["instructions"] * times[name] / limit,
            }
        bench.row(f"operation {name}", **columns)


def _in_interpreter(bench: Bench, dtype: str) -> dict[str, float]:
    """Return the seconds of an instruction on one block, from programs of 1 and 9 instructions."""
    x = np.random.default_rng(0).uniform(0.1, 3, BLOCK).astype(dtype)
    works: dict[str, Callable[[], object]] = {}
    for name in RULES:
        for length in (1, 9):
            batch = to_batch([_chain(name, length)] * 100)
            works[f"{name} {length}"] = partial(batch.evaluate, x, threads=1, out=batch.evaluate(x))
    taken = bench.times(works, rounds=15, quick_rounds=1, processor=True)
    return {name: (taken[f"{name} 9"] - taken[f"{name} 1"]) / 800 for name in RULES}


def _part_rows(bench: Bench, dtypes: Sequence[str]) -> None:
    """Report the time of a program without instructions, and of a constant, on one block."""
    shapes = {
        "program": var(),
        "sum": call("add", var(), var()),
        "sum with a constant": call("add", var(), const(1.5)),
    }
    taken: dict[str, float] = {}
    for dtype in dtypes:
        x = np.random.default_rng(0).uniform(0.1, 3, BLOCK).astype(dtype)
        works: dict[str, Callable[[], object]] = {}
        for name, expr in shapes.items():
            batch = to_batch([expr] * COUNT)
            works[f"{name} {dtype}"] = partial(batch.evaluate, x, threads=1, out=batch.evaluate(x))
        taken |= bench.times(works, rounds=15, quick_rounds=1, processor=True)
    own = {dtype: taken[f"program {dtype}"] for dtype in dtypes}
    extra = {d: taken[f"sum with a constant {d}"] - taken[f"sum {d}"] for d in dtypes}
    for name, times in (("part program without instructions", own), ("part constant", extra)):
        bench.row(name, **{f"{d} ns": seconds / COUNT * 1e9 for d, seconds in times.items()})


def _chain(name: str, length: int) -> Expr:
    """Return an expression that applies an operation repeatedly."""
    expr = var()
    for _ in range(length):
        expr = Expr(name, (expr, var())[: ARITY[name]])
    return expr


def _loop(rule: Any, arity: int) -> Any:
    if arity == 1:

        @njit(error_model="numpy")
        def one(w, rows, repeats):
            for turn in range(repeats):
                d, a, _ = rows[turn % 4]
                for_each(BLOCK, 1, rule, w, (d,), (a,))

        return one

    @njit(error_model="numpy")
    def two(w, rows, repeats):
        for turn in range(repeats):
            d, a, b = rows[turn % 4]
            for_each(BLOCK, 1, rule, w, (d,), (a, b))

    return two


def _kernel_rows(bench: Bench) -> None:
    """Each elementary function: the kernel, NumPy and libm from numba, over eight blocks."""
    for dtype, least in ((np.float32, GUARD), (np.float64, GUARD / 2)):
        x = np.random.default_rng(0).uniform(0.1, 3, 8 * BLOCK).astype(dtype)
        target, text = np.empty_like(x), np.dtype(dtype).name
        for name in ("exp",) if bench.quick else ("exp", "log", "sin", "tanh"):
            # Many programs of one instruction: what a call costs is spread over them.
            batch = to_batch([call(name, var())] * 32)
            out = batch.evaluate(x)
            works: dict[str, Callable[[], object]] = {
                "kernel": partial(batch.evaluate, x, threads=1, out=out),
                "NumPy": partial(NUMPY[name], x, out=target),
                "libm": partial(_scalar(NUMPY[name]), x, target),
            }
            taken = bench.times(works, rounds=15, quick_rounds=3, processor=True)
            taken["kernel"] /= 32
            bench.row(
                f"{name} {text}",
                **{f"{key} Gvalue/s": x.size / t / 1e9 for key, t in taken.items()},
            )
            bench.ratio(f"simd_{name}_{text}", taken["libm"] / taken["kernel"], least=least)


def _scalar(function: Any) -> Any:
    @njit(error_model="numpy")
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


def _deap(exprs: Sequence[Expr]) -> tuple[Callable[[], list[Any]], list[Any]]:
    """Return what compiles all expressions as DEAP does, and what that returned."""
    from deap import gp

    pset = gp.PrimitiveSet("main", 1)
    pset.renameArguments(ARG0="x")
    for name, arity in ARITY.items():
        pset.addPrimitive(NUMPY[name], arity, name=name)
    kinds = {primitive.name: primitive for primitive in pset.primitives[object]}

    def prefix(expr: Expr) -> list[Any]:
        if expr.op == "var":
            return [pset.mapping["x"]]
        if expr.op == "const":
            return [gp.Terminal(np.float32(expr.number), False, object)]
        return [kinds[expr.op], *(node for arg in expr.args for node in prefix(arg))]

    trees = [gp.PrimitiveTree(prefix(expr)) for expr in exprs]
    pset.context["np"] = np

    def compile_all() -> list[Any]:
        return [gp.compile(one, pset) for one in trees]

    return compile_all, compile_all()


def _operon(exprs: Sequence[Expr], x: Array) -> Callable[[], object] | None:
    """Return what evaluates all expressions with pyoperon, None where it is not installed."""
    try:
        import pyoperon
    except ImportError:
        return None
    kind = pyoperon.NodeType
    names = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "exp": "Exp", "log": "Log"}
    names |= {"sin": "Sin", "cos": "Cos", "tanh": "Tanh", "sqrt": "Sqrt"}
    # In 0.6.2 each evaluates the other.
    names |= {"max": "Fmin", "min": "Fmax"}
    # The data set keeps a view of the array: it must live as long.
    columns = np.asfortranarray(np.stack([x, x], axis=1))
    data = pyoperon.Dataset(columns)
    key = data.Variables[0].Hash

    def postfix(expr: Expr) -> list[Any]:
        if expr.op == "var":
            leaf = pyoperon.Node.Variable(1.0)
            leaf.HashValue = key
            return [leaf]
        if expr.op == "const":
            return [pyoperon.Node.Constant(expr.number)]
        node = pyoperon.Node(getattr(kind, names[expr.op]))
        node.Arity = len(expr.args)
        return [*(n for arg in reversed(expr.args) for n in postfix(arg)), node]

    trees = [pyoperon.Tree(postfix(expr)).UpdateNodes() for expr in exprs]
    result = np.empty((len(trees), x.size), dtype=np.float32)
    span = pyoperon.Range(0, x.size)

    def work() -> object:
        pyoperon.EvaluateTrees(trees, data, span, result, 1)
        return columns

    work()
    # The trees mean what ours mean; on NaN its extrema differ, so not all values agree.
    own, _ = to_batch(exprs).evaluate(x)
    agree = [np.allclose(a, b, 1e-3, 1e-3, True) for a, b in zip(own, result, strict=True)]
    if np.mean(agree) < 0.7:
        raise SymactError("this pyoperon computes something else; 0.6.2 is what is compared with")
    return work


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
