"""A found function in use: forward and backward beside torch's own GELU and ReLU.

The function is the best of the search in the README. ``to_torch(compile=True)`` runs it as one
pass through memory forward and one backward, ``to_torch()`` operation by operation through
autograd. Sizes are in elements; a time is one forward and one backward call, in which PyTorch's
allocations are included. On a GPU ``compile=True`` is ``torch.compile``, warmed up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from symact.backends import to_torch
from symact.cli.benchmark import Bench
from symact.expr import parse

FOUND = "cos(x) - min(1.1*softplus(x), max(log1p(max(x, 0.27)*max(atan(x), 0.18)), 4.3))"
#: The goal is set for the largest tensors: 2**26 elements.
LARGEST = 26


def measure(bench: Bench) -> None:
    expr = parse(FOUND)
    modules: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "gelu": torch.nn.functional.gelu,
        "relu": torch.nn.functional.relu,
        "found": to_torch(expr),
        "found, compiled": to_torch(expr, compile=True),
        "gelu as a formula, compiled": to_torch(parse("gelu(x)"), compile=True),
    }
    sizes = (18, 20) if bench.quick else (20, 22, 24, LARGEST)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    ratios: dict[tuple[str, str, int], dict[str, float]] = {}
    for device in devices:
        for dtype in (torch.float32, torch.bfloat16):
            for size in sizes if device == "cpu" else dict.fromkeys((*sizes, LARGEST)):
                name = str(dtype).removeprefix("torch.")
                taken = _times(bench, modules, device, dtype, 2**size)
                for key, seconds in taken.items():
                    bench.row(
                        f"{key}, {device}, {name}, 2^{size}",
                        **{"ms": seconds * 1e3, "over gelu": seconds / taken["gelu"]},
                    )
                ratios[device, name, size] = taken
    top = max(sizes)
    for name in ("float32", "bfloat16"):
        taken = ratios["cpu", name, top]
        compiled = taken["found, compiled"]
        bench.ratio(f"cpu_eager_over_compiled_{name}", taken["found"] / compiled, least=2.0)
        # Torch's own GELU is one kernel too, so that the same function should take as long; the
        # found one has four times its operations.
        formula = taken["gelu as a formula, compiled"] / taken["gelu"]
        bench.ratio(f"cpu_formula_over_gelu_{name}", formula, most=1.5)
    cuda = ratios.get(("cuda", "bfloat16", LARGEST))
    bench.ratio(
        "cuda_compiled_over_gelu_bfloat16",
        None if cuda is None else cuda["found, compiled"] / cuda["gelu"],
        most=1.05,
    )


def _times(
    bench: Bench,
    modules: dict[str, Callable[[torch.Tensor], torch.Tensor]],
    device: str,
    dtype: torch.dtype,
    size: int,
) -> dict[str, float]:
    x = torch.randn(size, device=device, dtype=dtype, requires_grad=True)
    gradient = torch.randn(size, device=device, dtype=dtype)

    def work(module: Callable[[torch.Tensor], torch.Tensor]) -> None:
        x.grad = None
        module(x).backward(gradient)
        if device == "cuda":
            torch.cuda.synchronize()

    return bench.times(
        {name: partial(work, module) for name, module in modules.items()},
        rounds=5,
        quick_rounds=1,
    )


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
