"""The independent reference: every primitive by NumPy and SciPy, in float64.

It shares nothing with :mod:`symact.backends`, so a backend and its reference cannot be wrong in the
same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from symact.expr import Expr, fold
from symact.expr.primitives import CONST, VAR

Array = NDArray[Any]  # float64, or bool where the primitive is a comparison


def _relu(a: Array) -> Array:
    return np.maximum(a, 0.0)


def _gelu(a: Array) -> Array:
    return np.asarray(a * special.ndtr(a))


def _silu(a: Array) -> Array:
    return np.asarray(a * special.expit(a))


def _softplus(a: Array) -> Array:
    return np.logaddexp(0.0, a)


def _softsign(a: Array) -> Array:
    return np.asarray(a / (1.0 + np.abs(a)))


def _gaussian(a: Array) -> Array:
    return np.exp(-np.square(a))


def _cube(a: Array) -> Array:
    return np.asarray(a * a * a)


def _mean(a: Array) -> Array:
    return np.asarray(np.mean(a))


def _std(a: Array) -> Array:
    return np.asarray(np.std(a))


REFERENCE: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "abs": np.abs,
    "square": np.square,
    "cube": _cube,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "sinc": np.sinc,
    "tanh": np.tanh,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "erf": special.erf,
    "sigmoid": special.expit,
    "softplus": _softplus,
    "softsign": _softsign,
    "relu": _relu,
    "gelu": _gelu,
    "silu": _silu,
    "gaussian": _gaussian,
    "sign": np.sign,
    "min": np.minimum,
    "max": np.maximum,
    "where": np.where,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "mean": _mean,
    "std": _std,
}


def evaluate(expr: Expr, x: Array) -> NDArray[np.float64]:
    """Return the value of ``expr`` at each element of ``x``, in float64 and IEEE meaning.

    Args:
        expr: An expression of the one variable ``x``.
        x: The inputs, any shape; the whole array is the tensor of ``mean`` and ``std``.

    Returns:
        An array of the shape of ``x``.
    """
    inputs = np.asarray(x, dtype=np.float64)

    def visit(node: Expr, args: Sequence[Array]) -> Array:
        if node.op == CONST:
            return np.full_like(inputs, node.number)
        if node.op == VAR:
            return inputs
        result = REFERENCE[node.op](*args)
        return np.broadcast_to(result, inputs.shape)

    with np.errstate(all="ignore"):
        return np.array(fold(expr, visit), dtype=np.float64)
