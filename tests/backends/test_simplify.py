"""Simplification makes formulas cheaper, never different, and always ends."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import numpy as np
import pytest
import reference
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from profiles import examples

from symact.backends.simplify import CALLS_PER_SECOND, TimeUp, simplify, time_limit
from symact.expr import Expr, call, const, parse, show, var
from symact.expr.canonical import canonical
from symact.expr.cost import flops
from symact.expr.primitives import CONST, PRIMITIVES

Array = NDArray[np.float64]

GRID = np.concatenate(
    [
        np.linspace(-50, 50, 1537),
        [sign * 10.0**power for sign in (-1, 1) for power in range(-12, 5)],
        [0.0],
    ]
)


def evaluate(expr: Expr, x: Array, inputs: tuple[str, ...] = ("x",)) -> Array:
    """An evaluator that shares nothing with those of the package."""
    return reference.evaluate(expr, x)


def short(text: str, **options: Any) -> str:
    return show(simplify(parse(text), evaluate=evaluate, **options))


def assert_same_values(expr: Expr, other: Expr, tolerance: float = 1e-9) -> None:
    values, others = evaluate(expr, GRID), evaluate(other, GRID)
    finite = np.isfinite(values)
    assert np.array_equal(finite, np.isfinite(others))
    assert np.allclose(others[finite], values[finite], rtol=tolerance, atol=1e-11)


@st.composite
def exprs(draw: st.DrawFn, max_leaves: int = 10) -> Expr:
    """Draw any well-sorted expression of x."""
    leaves = st.one_of(
        st.just(var()),
        st.just(var()),
        st.sampled_from([-2.0, -1.0, 0.0, 0.1, 0.5, 1.0, 2.0, 3.0]).map(const),
        st.floats(-4, 4, allow_nan=False).map(const),
    )

    def extend(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        compared = [row.name for row in PRIMITIVES.values() if row.sort == "Bool"]
        condition = st.builds(call, st.sampled_from(compared), inner, inner)
        uses = {
            sorts: st.sampled_from(
                [row.name for row in PRIMITIVES.values() if row.argument_sorts == sorts]
            ).filter(lambda name: name not in compared)
            for sorts in [("Real",), ("Real", "Real"), ("Bool", "Real", "Real")]
        }
        return st.one_of(
            *(
                st.builds(call, names, *(condition if s == "Bool" else inner for s in sorts))
                for sorts, names in uses.items()
            )
        )

    return draw(st.recursive(leaves, extend, max_leaves=max_leaves))


# The normal form.


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("0.1*sin(x) + gelu(x)", "gelu(x) + 0.1*sin(x)"),
        ("1 + x*1 + 0", "x + 1"),
        ("2*(3*x)", "6*x"),
        ("x*2*tanh(x)*3", "6*x*tanh(x)"),
        ("-(-x)", "x"),
        ("-(x - 1)", "1 - x"),
        ("-x - 1", "-1 - x"),
        ("-(x*sin(x))", "-x*sin(x)"),
        ("x + sin(x) + x", "sin(x) + 2*x"),
        ("x - x", "0"),
        ("0*sin(x) + 3", "3"),
        ("exp(x) - exp(x)", "0*exp(x)"),
        ("x/x", "x/x"),
        ("x/2", "0.5*x"),
        ("sin(x)/x/x", "sin(x)/x**2"),
        ("tanh(x)/(1/x)", "x*tanh(x)"),
        ("x*x*x*x", "(x**2)**2"),
        ("(x*tanh(x))**2*cos(x)", "cos(x)*(x*tanh(x))**2"),
        ("(sin(x)/(1 + x**2))**2", "(sin(x)/(x**2 + 1))**2"),
        ("tanh(-x)", "-tanh(x)"),
        ("x - tanh(-2*x)", "x + tanh(2*x)"),
        ("tanh(-2*x)", "tanh(-2*x)"),
        ("cos(1 - x)", "cos(x - 1)"),
        ("abs(-2*abs(x))", "2*abs(x)"),
        ("abs(x**2)", "x**2"),
        ("abs(sin(x))*-abs(sin(x))", "-sin(x)**2"),
        ("sqrt(x**2)", "abs(x)"),
        ("relu(relu(x))", "relu(x)"),
        ("relu(sigmoid(x))", "sigmoid(x)"),
        ("max(x, 0)", "relu(x)"),
        ("max(x, x)", "x"),
        ("max(max(1, x), 2)", "max(x, 2)"),
        ("max(x, -x)", "abs(x)"),
        ("min(x, max(x, -1))", "min(x, max(x, -1))"),
        ("where(x > 0, x, 0)", "relu(x)"),
        ("where(0 < x, x, -x)", "abs(x)"),
        ("where(x < sin(x), x, sin(x))", "min(x, sin(x))"),
        ("where(1 < 2, x, sin(x))", "x"),
        ("where(x < 1, sin(x), sin(x))", "sin(x)"),
        ("where(1 < x, x**2, x)", "where(x > 1, x**2, x)"),
        ("x*sigmoid(x)", "silu(x)"),
        ("x/(1 + exp(-x))", "silu(x)"),
        ("sigmoid(sigmoid(x))*sigmoid(x)*x", "x*silu(sigmoid(x))"),
        ("1/(1 + exp(-2*x))", "sigmoid(2*x)"),
        ("exp(-x**2)", "gaussian(x)"),
        ("exp(-(x/tanh(x))**2)", "gaussian(x/tanh(x))"),
        ("log(1 + abs(x))", "log1p(abs(x))"),
        ("x*sin(0) + exp(1)", "2.718281828459045"),
        ("x + 1/0", "x + 1/0"),
        ("x + log(-1)", "x + log(-1)"),
        ("1e300*(1e300*x)", "x*1e+300*1e+300"),
        ("mean(2 - 2 + x)*1", "mean(x)"),
        ("std(3) + x", "x"),
    ],
)
def test_normal_forms(text: str, normal: str) -> None:
    expr = canonical(parse(text))
    assert show(expr) == normal
    assert flops(expr) <= flops(parse(text))


@settings(max_examples=examples(150))
@given(exprs(max_leaves=14))
def test_a_normal_form_is_normal(expr: Expr) -> None:
    normal = canonical(expr)
    assert canonical(normal) == normal
    assert parse(show(normal)) == normal


@settings(max_examples=examples(60))
@given(exprs(), exprs())
@example(var(), const(1e-264))
@example(const(1e300), parse("1e300*x"))
def test_arguments_that_may_be_swapped_have_one_order(a: Expr, b: Expr) -> None:
    for name in ("add", "mul", "min", "max"):
        assert canonical(call(name, a, b)) == canonical(call(name, b, a))


@pytest.mark.parametrize("name", [p.name for p in PRIMITIVES.values() if p.sort == "Real"])
def test_constants_fold_to_their_values(name: str) -> None:
    row = PRIMITIVES[name]
    for numbers in [(0.75, -1.5), (-2.25, 0.5), (3.0, 3.0), (0.0, 1.0), (-30.0, 40.0)]:
        parts = iter(numbers)
        args = [
            call("lt", const(1), const(2)) if sort == "Bool" else const(next(parts))
            for sort in row.argument_sorts
        ]
        expr = call(name, *args)
        (value,) = evaluate(expr, np.zeros(1))
        if math.isfinite(value):
            folded = canonical(expr)
            assert folded.op == CONST
            assert folded.number == pytest.approx(value, rel=1e-12, abs=1e-15)
        else:
            assert canonical(expr).op != CONST


def test_the_normal_form_is_the_same_in_another_process() -> None:
    text = "sin(x)*(x - cos(x))*0.3 + max(tanh(x), max(sin(x), 0.1)) - x*tanh(1 - x)"
    code = (
        "from symact.expr import parse; from symact.expr.canonical import canonical; "
        f"print(canonical(parse({text!r})))"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert shown == {show(canonical(parse(text)))}


# Simplification.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x*sigmoid(x) + 0", "silu(x)"),
        ("2*sin(x)*cos(x)", "sin(2*x)"),
        ("x*tanh(x) + x*sin(x)", "x*(sin(x) + tanh(x))"),
        ("sin(x)**2 + cos(x)**2", "1"),
        ("(x**2 - 1)*tanh(x)/(tanh(x)*1)", None),
    ],
)
def test_it_finds_cheaper_forms(text: str, expected: str | None) -> None:
    simpler = short(text)
    if expected is not None:
        assert simpler == expected
    assert_same_values(parse(text), parse(simpler))


# The same draws each time: a rewrite may move a jump by an ulp, between the points of the probe.
@settings(max_examples=examples(60))
@given(exprs(max_leaves=7))
def test_it_keeps_the_values_and_never_costs_more(expr: Expr) -> None:
    simpler = simplify(expr, evaluate=evaluate, seconds=0.1)
    assert (flops(simpler), simpler.size) <= (flops(expr), expr.size)
    assert_same_values(expr, simpler, 1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "1/(1 + exp(-x))",
        "1/(1 + exp(-3*sin(x) - 2*x))",
        "exp(x)/(1 + exp(x))*0.5",
        "log(exp(x))",
        "exp(log(x))",
        "sqrt(x)**2",
        "x**2/x",
        "exp(x)*exp(-x)",
        "(x + 1e20) - 1e20",
        "log(x**2)",
        "where(x > 0, 1/x, 0)",
        "tanh(exp(x) - exp(x))",
    ],
)
def test_traps_keep_their_values(text: str) -> None:
    assert_same_values(parse(text), parse(short(text)))


def test_a_logistic_gate_does_not_become_a_quotient_that_overflows() -> None:
    text = "1/(1 + exp(-3*sin(x) - 2*x))"
    assert np.all(np.isfinite(evaluate(parse(short(text)), GRID)))


def test_a_probe_that_differs_undoes_the_rules() -> None:
    assert short("(x + 1e20) - 1e20") == "x + 1e+20 - 1e+20"


def test_batch_statistics_get_rules_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sympy, "simplify", None)
    assert short("mean(x)*(x - x + 1) + std(x)*0") == "mean(x)"


def test_functions_of_other_variables_are_simplified_too():
    assert simplify(parse("a + a", ("a",))) == parse("2*a", ("a",))
    assert simplify(parse("a*b/a", ("a", "b"))) == parse("a*b/a", ("a", "b"))  # NaN where a is 0


# The time limit.


def hang(_: Any) -> Any:
    while True:
        pass


def test_a_hanging_sympy_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sympy, "simplify", hang)
    start = time.monotonic()
    assert short("x*sigmoid(x) + sin(2.5*x)", seconds=0.2) == "silu(x) + sin(2.5*x)"
    assert 0.15 < time.monotonic() - start < 5.0


def test_a_handler_that_swallows_exceptions_does_not_save_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stubborn(_: Any) -> Any:
        while True:
            try:
                sum(range(1000))
            except Exception:
                continue

    monkeypatch.setattr(sympy, "simplify", stubborn)
    assert short("x*sigmoid(x) + sin(2.25*x)", seconds=0.1) == "silu(x) + sin(2.25*x)"


def test_a_failing_sympy_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Any:
        raise RecursionError

    for name in ("factor_terms", "cancel", "simplify"):
        monkeypatch.setattr(sympy, name, fail)
    assert short("x*sigmoid(x) + sin(2.75*x)") == "silu(x) + sin(2.75*x)"


def test_a_keyboard_interrupt_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(sympy, "simplify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        short("x + sin(2.125*x)")
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_an_awkward_nest_ends_in_time() -> None:
    nest = "x"
    for _ in range(4):
        nest = f"exp(log({nest} + exp({nest})) - exp(-{nest}))"
    start = time.monotonic()
    short(nest, seconds=0.3)
    assert time.monotonic() - start < 3


def test_without_time_only_the_rules_run() -> None:
    assert short("2*sin(x)*cos(x) + 0", seconds=0) == "2*cos(x)*sin(x)"


def in_a_thread(work: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_another_thread_gets_the_same_result() -> None:
    assert in_a_thread(lambda: short("2*sin(x)*cos(x) + 3 + x")) == "x + sin(2*x) + 3"


def test_a_hanging_sympy_is_cut_in_another_thread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_on(_: Any) -> Any:
        while True:
            parse("x")

    def work() -> tuple[str, Any]:
        before = sys.gettrace()
        found = short("x*sigmoid(x) + sin(2.0625*x)", seconds=0.2)
        return found, sys.gettrace() is before

    monkeypatch.setattr(sympy, "simplify", run_on)
    start = time.monotonic()
    assert in_a_thread(work) == ("silu(x) + sin(2.0625*x)", True)
    assert time.monotonic() - start < 5.0


def test_the_limit_of_another_thread_is_a_number_of_calls() -> None:
    def work() -> int:
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        with suppress(TimeUp), time_limit(0.001):
            while True:
                step()
        return count

    first = in_a_thread(work)
    assert first == in_a_thread(work) == pytest.approx(0.001 * CALLS_PER_SECOND, abs=10)


@contextmanager
def alarm(seconds: float) -> Iterator[list[int]]:
    """Set an alarm that records its rings, as a caller might have."""
    rings: list[int] = []

    def ring(signum: int, frame: FrameType | None) -> None:
        rings.append(signum)

    handler = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield rings
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_the_callers_alarm_still_rings() -> None:
    with alarm(0.6) as rings:
        short("x + sin(2.0625*x)")
        assert not rings
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.6
        time.sleep(0.8)
        assert rings == [signal.SIGALRM]


def test_results_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "x*tanh(x) + x*sin(3*x)"
    first = short(text)
    monkeypatch.setattr(sympy, "simplify", hang)
    assert short(text) == first


def test_time_that_is_up_inside_a_destructor_ends_what_comes_after_it():
    def work(seconds: float) -> None:
        begun = time.thread_time()
        while time.thread_time() - begun < seconds:
            pass

    class Slow:
        def __del__(self) -> None:
            work(0.3)
            ended.append("destructor")

    def limited() -> None:
        with time_limit(0.05):
            Slow()
            work(5.0)
            ended.append("work")

    ended: list[str] = []
    with pytest.raises(TimeUp):
        limited()
    assert ended == ["destructor"]
