"""The backends of expressions: numba, Triton, torch, sympy, LaTeX and source code.

Each function imports its library at the first call. ``import symact`` therefore stays fast.
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
    """Convert an expression to a flat three-address program for the numba interpreter.

    Args:
        expr: An expression of the variables ``inputs``.
        inputs: The distinct names of the inputs, at least one.

    Raises:
        ValueError: The inputs are not distinct, or the expression has another variable.
    """
    from symact.backends.numba import tape

    return tape.to_tape(expr, inputs)


def evaluate(
    expr: Expr, *arrays: ArrayLike, inputs: tuple[str, ...] = ("x",)
) -> NDArray[np.float64]:
    """Evaluate an expression on arrays.

    Args:
        expr: An expression of the variables ``inputs``.
        arrays: One array for each input, float32 or float64. The arrays must broadcast. Batch
            statistics are over all points.
        inputs: The names of the inputs.

    Returns:
        An array of the broadcast shape and the common dtype.

    Raises:
        ValueError: The number of arrays or a dtype is wrong, or the expression has a variable
            outside ``inputs``.

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
        wrt: The input with respect to which to differentiate; None for the first.

    Returns:
        Values and derivatives, both of the broadcast shape and the common dtype.

    Raises:
        ValueError: As for :func:`evaluate`, or ``wrt`` is not an input.

    Example:
        >>> import numpy as np
        >>> from symact import parse
        >>> values, slopes = evaluate_with_slopes(parse("x**2"), np.array([1.0, 3.0]))
        >>> slopes
        array([2., 6.])
    """
    from symact.backends.numba import tape

    value, slope = tape.evaluate(expr, *arrays, inputs=inputs, slopes=True, wrt=wrt)
    return value, slope


def to_sympy(expr: Expr) -> sympy.Expr:
    """Convert to a sympy expression with one real symbol for each variable and trained parameter.

    Raises:
        SymactError: A constant subexpression is not a finite float.
    """
    from symact.backends import sympy

    return sympy.to_sympy(expr)


def derivative(expr: Expr, wrt: str = "x") -> Expr:
    """Return the derivative with respect to a variable. At a kink it is one-sided.

    Raises:
        SymactError: sympy finds no derivative in the expression language.

    Example:
        >>> from symact import parse
        >>> str(derivative(parse("x*sin(x)")))
        'x*cos(x) + sin(x)'
    """
    from symact.backends import sympy

    return sympy.derivative(expr, wrt)


def collected(expr: Expr) -> Expr:
    """Collect like terms. Return the expression unchanged if that is not shorter."""
    from symact.backends import sympy

    return sympy.collected(expr)


def log_slope(expr: Expr) -> Expr:
    """Return f''/f' as an expression. It is 0 on flat pieces.

    Raises:
        SymactError: sympy finds no derivative in the expression language.
    """
    from symact.backends import sympy

    return sympy.log_slope(expr)


def to_latex(expr: Expr) -> str:
    r"""Return the LaTeX source of an expression for math mode. Numbers have six digits.

    Example:
        >>> from symact import parse
        >>> print(to_latex(parse("x*sigmoid(1.7*x)")))
        x \sigma(1.7 x)
    """
    from symact.backends import latex

    return latex.to_latex(expr)


def to_torch(
    expr: Expr, *, compile: bool | None = None, inputs: Sequence[str] | None = None
) -> torch.nn.Module:
    """Return a ``torch.nn.Module`` that applies an expression to tensors of any shape.

    The module computes in float32 or float64 and returns the dtype of its input. Batch statistics
    are over the whole tensor. Trained parameters of the expression are parameters of the module,
    with their initial values. A pickled module needs symact to load.

    Args:
        expr: An expression of one or more variables.
        compile: Whether to use one fused kernel each for the forward and the backward pass. The CPU
            kernel is part of symact; a GPU uses ``torch.compile``. None fuses tensors of at least
            2**14 elements, except for relu, sigmoid and tanh by themselves, which torch computes
            with one kernel. Functions with trained parameters are not fused; ``torch.compile``
            fuses their plain operations.
        inputs: The names of the variables, in the order of the tensors; None for alphabetical
            order. Functions of several inputs are not fused.

    Raises:
        SymactError: The expression has a variable outside ``inputs``, or ``compile`` is true for
            several inputs.

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
