"""Evaluations a second of formulas by the tape and by NumPy, in one process and in turn.

A ratio far below what the table in a release note says means that vectorisation was lost.

Run: ``python benchmarks/kernels.py``
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from symact.expr import parse
from symact.lower._tape import apply_into

POINTS = 4096
ROUNDS = 15
Floats = NDArray[np.float32]

FORMULAS: dict[str, Callable[[Floats], Floats]] = {
    "relu(x)": lambda x: np.maximum(x, 0),
    "exp(x)": np.exp,
    "tanh(x)": np.tanh,
    "sin(x)": np.sin,
    "erf(x)": special.erf,
    "gelu(x)": lambda x: x * special.ndtr(x),
    "silu(x)": lambda x: x * special.expit(x),
    "gelu(x) + 0.1*sin(x)": lambda x: x * special.ndtr(x) + np.float32(0.1) * np.sin(x),
}


def rate(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(40):
        work()
    return POINTS * 40 / (time.perf_counter() - start) / 1e6


def main() -> None:
    x = np.linspace(-6, 6, POINTS, dtype=np.float32)
    value, slope = np.empty_like(x), np.empty_like(x)
    print(f"float32, {POINTS} points, one thread; millions of evaluations a second, medians")
    print(f"{'formula':24}{'tape':>8}{'+slope':>8}{'NumPy':>8}{'ratio':>7}")
    for text, reference in FORMULAS.items():
        expr = parse(text)
        apply_into(expr, x, value, slope)
        apply_into(expr, x, value, None)
        works: tuple[Callable[[], object], ...] = (
            lambda expr=expr: apply_into(expr, x, value, None),
            lambda expr=expr: apply_into(expr, x, value, slope),
            lambda reference=reference: reference(x),
        )
        rates = np.median([[rate(work) for work in works] for _ in range(ROUNDS)], axis=0)
        print(f"{text:24}{rates[0]:8.0f}{rates[1]:8.0f}{rates[2]:8.0f}{rates[0] / rates[2]:7.1f}")


if __name__ == "__main__":
    main()
