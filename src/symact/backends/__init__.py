"""Lowerings of an expression, one private file and one table of primitives each.

These doors import their heavy library only when they are called, so that ``import symact`` stays
light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symact.expr import Expr

if TYPE_CHECKING:
    import numpy as np
    import sympy
    import torch
    from numpy.typing import NDArray

    from symact.backends.numba.tape import Program


def to_tape(expr: Expr) -> Program:
    """Lower to a flat 3-address program for the numba interpreter."""
    from symact.backends.numba import tape

    return tape.to_tape(expr)


def evaluate(expr: Expr, x: NDArray[Any]) -> NDArray[np.float64]:
    """Evaluate on a float32 or float64 array of any shape; batch statistics are over all of it."""
    from symact.backends.numba import tape

    values: NDArray[np.float64] = tape.evaluate(expr, x)
    return values


def evaluate_with_slopes(
    expr: Expr, x: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Evaluate value and derivative; both have x's shape and dtype."""
    from symact.backends.numba import tape

    value, slope = tape.evaluate(expr, x, slopes=True)
    return value, slope


def to_sympy(expr: Expr) -> sympy.Expr:
    """Lower to a sympy expression of the real symbol x."""
    from symact.backends import sympy

    return sympy.to_sympy(expr)


def derivative(expr: Expr) -> Expr:
    """Return the derivative in x as an expression, at a kink that of one side."""
    from symact.backends import sympy

    return sympy.derivative(expr)


def log_slope(expr: Expr) -> Expr:
    """Return f''/f' as an expression, 0 on flat pieces."""
    from symact.backends import sympy

    return sympy.log_slope(expr)


def to_latex(expr: Expr) -> str:
    """Print as LaTeX."""
    from symact.backends import latex

    return latex.to_latex(expr)


def to_torch(expr: Expr, *, compile: bool = False) -> torch.nn.Module:
    """Return a ``torch.nn.Module`` that applies the expression to a tensor of any shape.

    Batch statistics are over the whole tensor, as the language-model functions define them.

    Args:
        expr: A function of x.
        compile: Whether forward and backward are one fused kernel each, which keep only the input:
            symact's own on the CPU, those of ``torch.compile`` elsewhere.
    """
    from symact.backends import torch

    return torch.Activation(expr, compile)
