"""The backends of expressions: numba, Triton, torch, sympy, LaTeX and source code.

The functions here import a heavy library only when they are called, so ``import symact`` is fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symact.errors import SymactError
from symact.expr import Expr, variables

if TYPE_CHECKING:
    import numpy as np
    import sympy
    import torch
    from numpy.typing import ArrayLike, NDArray

    from symact.backends.numba.tape import Program


def to_tape(expr: Expr, inputs: tuple[str, ...] = ("x",)) -> Program:
    """Lower to a flat 3-address program of the named inputs for the numba interpreter.

    Raises:
        ValueError: The expression has a variable that is not among the inputs.
    """
    from symact.backends.numba import tape

    return tape.to_tape(expr, inputs)


def evaluate(
    expr: Expr, *arrays: ArrayLike, inputs: tuple[str, ...] = ("x",)
) -> NDArray[np.float64]:
    """Evaluate an expression on arrays.

    Args:
        expr: An expression of the variables ``inputs``.
        arrays: One for each input, float32 or float64, of shapes that broadcast against each
            other. Batch statistics are over all points.
        inputs: The names of the inputs.

    Returns:
        An array of the common shape and dtype.

    Raises:
        ValueError: The numbers of arrays and inputs differ, the dtype is another one, or the
            expression has a variable that is not among the inputs.

    Example:
        >>> import numpy as np
        >>> from symact import parse
        >>> evaluate(parse("a*x + 1", ("x", "a")), np.array([1.0, 2.0]), 3.0, inputs=("x", "a"))
        array([4., 7.])
    """
    from symact.backends.numba import tape

    values: NDArray[np.float64] = tape.evaluate(expr, *arrays, inputs=inputs)
    return values


def evaluate_with_slopes(
    expr: Expr,
    *arrays: ArrayLike,
    inputs: tuple[str, ...] = ("x",),
    wrt: str | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Evaluate an expression and its derivative.

    Args:
        expr: An expression of the variables ``inputs``.
        arrays: As for :func:`evaluate`.
        inputs: The names of the inputs.
        wrt: The input by which to differentiate; None for the first. For the derivative by a
            parameter, make the parameter an input.

    Returns:
        Values and derivatives, both of the common shape and dtype of the arrays.

    Raises:
        ValueError: As for :func:`evaluate`, or no input is called ``wrt``.
    """
    from symact.backends.numba import tape

    value, slope = tape.evaluate(expr, *arrays, inputs=inputs, slopes=True, wrt=wrt)
    return value, slope


def to_sympy(expr: Expr) -> sympy.Expr:
    """Lower to a sympy expression with one real symbol for each variable."""
    from symact.backends import sympy

    return sympy.to_sympy(expr)


def derivative(expr: Expr, wrt: str = "x") -> Expr:
    """Return the derivative by a variable as an expression, at a kink that of one side."""
    from symact.backends import sympy

    return sympy.derivative(expr, wrt)


def collected(expr: Expr) -> Expr:
    """Return the same function with like terms collected, where that is shorter."""
    from symact.backends import sympy

    return sympy.collected(expr)


def log_slope(expr: Expr) -> Expr:
    """Return f''/f' as an expression, 0 on flat pieces."""
    from symact.backends import sympy

    return sympy.log_slope(expr)


def to_latex(expr: Expr) -> str:
    """Print as LaTeX."""
    from symact.backends import latex

    return latex.to_latex(expr)


def to_torch(
    expr: Expr, *, compile: bool | None = None, inputs: Sequence[str] | None = None
) -> torch.nn.Module:
    """Return a ``torch.nn.Module`` that applies the expression to tensors of any shape.

    It computes in float32 at least and returns the type of its input. Batch statistics are over
    the whole tensor, as the language-model functions define them. A pickled module needs symact to
    load.

    Args:
        expr: An expression of one variable or of several.
        compile: Whether forward and backward are one fused kernel each, which keep only the input:
            symact's own on the CPU, those of ``torch.compile`` on a GPU. None fuses tensors of at
            least 2**14 elements; smaller ones gain nothing.
        inputs: The names of the variables, in the order of the module's tensors; None for
            alphabetic order. Functions of several inputs are not fused.

    Raises:
        SymactError: The expression has a variable that is not among ``inputs``, or a fused kernel
            of several inputs is asked for.

    Example:
        >>> from symact import parse
        >>> to_torch(parse("x*tanh(softplus(x))"))
        Activation(x*tanh(softplus(x)))
    """
    from symact.backends import torch

    if inputs is None and len(variables(expr)) < 2:
        return torch.Activation(expr, compile)
    if compile:
        raise SymactError("functions of several inputs are not fused; leave out compile=True")
    return torch.ActivationOfSeveral(expr, inputs)
