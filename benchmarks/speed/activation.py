"""Functions in use: ``to_torch()`` beside eager torch and ``torch.compile``, forward and backward.

Each function is measured in three forms: as torch operations that a user would write by hand
(eager), the same under ``torch.compile``, and the module of ``to_torch()``. A time is one forward
and one backward call with PyTorch's allocations, without compilation. It is the smallest of many
rounds, in which all forms take turns. Under ``torch.compile`` each size, type and number of threads
has kernels of its own, which favours it.

The goal: the module is at least as fast as the faster of the other two, for every function, type,
size and number of threads. A ratio below is that of the size where it is worst.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from symact import zoo
from symact.backends import to_torch
from symact.cli.benchmark import Bench
from symact.expr import Expr, parse

Function = Callable[[Tensor], Tensor]


def _symact_40(x: Tensor) -> Tensor:
    near, far = functional.silu(0.69 * x - 0.457), functional.silu(0.5106 * x - 4.229286)
    return 1.8 * near - 2.88 * far


def _symact_44(x: Tensor) -> Tensor:
    left = functional.silu((0.19 * x - 0.057).clamp(min=-3.2))
    return 3.813 * functional.silu(0.52 * x - 0.0832) - 5.33 * torch.asinh(left)


def _mixed(x: Tensor) -> Tensor:
    inner = torch.log1p(x.clamp(min=0.27) * torch.atan(x).clamp(min=0.18))
    return torch.cos(x) - torch.minimum(1.1 * functional.softplus(x), inner.clamp(min=4.3))


#: Formulas, each with the torch code of the same function.
FUNCTIONS: dict[str, tuple[Expr, Function]] = {
    "GELU": (parse("gelu(x)"), functional.gelu),
    "SymAct-40": (zoo.find("SymAct-40").expr, _symact_40),
    "SymAct-44": (zoo.find("SymAct-44").expr, _symact_44),
    "mixed": (
        parse("cos(x) - min(1.1*softplus(x), max(log1p(max(x, 0.27)*max(atan(x), 0.18)), 4.3))"),
        _mixed,
    ),
}
#: Logarithms to base 2 of the numbers of elements.
SIZES, QUICK_SIZES = (18, 20, 22, 24, 26), (18,)
#: The functions of a quick run: torch takes seconds to compile each.
QUICK_FUNCTIONS = ("SymAct-40",)
#: Seconds that all rounds of the eager form take together, between 3 and 200 rounds.
WORK = 3.0


def measure(bench: Bench) -> None:
    types = (torch.float32,) if bench.quick else (torch.float32, torch.bfloat16)
    for device, threads in _places(bench.quick):
        torch.set_num_threads(threads)
        for dtype in types:
            kind = f"{device}, {threads} threads, {str(dtype).removeprefix('torch.')}"
            for name in QUICK_FUNCTIONS if bench.quick else FUNCTIONS:
                expr, by_hand = FUNCTIONS[name]
                found = {
                    size: _row(bench, f"{name}, {kind}", expr, by_hand, device, dtype, size)
                    for size in (QUICK_SIZES if bench.quick else SIZES)
                }
                worst = max(found, key=lambda size: found[size])
                bench.ratio(f"{name}, {kind}, at 2^{worst}", found[worst], most=1.0)


def _places(quick: bool) -> list[tuple[str, int]]:
    """Return the devices to measure, with numbers of CPU threads."""
    threads = torch.get_num_threads()
    single = [] if quick or threads == 1 else [("cpu", 1)]
    cuda = [("cuda", threads)] if torch.cuda.is_available() else []
    return [*single, *cuda, ("cpu", threads)]


_FORMS = ("eager", "torch.compile", "to_torch")


def _row(
    bench: Bench,
    name: str,
    expr: Expr,
    by_hand: Function,
    device: str,
    dtype: torch.dtype,
    size: int,
) -> float:
    """Measure one function at one size; return the module's time over the best other one's."""
    torch.compiler.reset()
    forms = {"eager": by_hand, "to_torch": to_torch(expr)}
    if device != "cpu" or any(map(shutil.which, ("c++", "g++", "clang++"))):
        forms["torch.compile"] = torch.compile(by_hand, dynamic=False)
    x = torch.randn(2**size, device=device, dtype=dtype, requires_grad=True)
    gradient = torch.randn(2**size, device=device, dtype=dtype)

    def work(form: Function) -> None:
        x.grad = None
        form(x).backward(gradient)
        if device == "cuda":
            torch.cuda.synchronize()

    works = {own: partial(work, form) for own, form in forms.items()}
    rounds = _rounds(works["eager"])
    taken = bench.times(works, rounds=rounds, quick_rounds=30, smallest=True)
    best = min(taken[own] for own in ("eager", "torch.compile") if own in taken)
    bench.row(
        f"{name}, 2^{size}",
        **{f"{own}, ms": 1e3 * taken[own] if own in taken else None for own in _FORMS},
        ratio=taken["to_torch"] / best,
    )
    return taken["to_torch"] / best


def _rounds(work: Callable[[], None]) -> int:
    """Return the number of rounds of one cell."""
    work()
    start = time.perf_counter()
    work()
    return max(3, min(200, round(WORK / (time.perf_counter() - start))))


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
