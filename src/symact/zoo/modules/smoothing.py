"""Any function convolved with a normal density: E f(x + width Z).

The integral is split at the kinks of f. Each piece is integrated by Gauss-Legendre quadrature.
Value and derivatives are smooth. For smooth pieces they are exact to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from symact.backends import evaluate
from symact.backends.sampling import KINKS
from symact.errors import ZooError
from symact.expr import (
    Expr,
    call,
    const,
    distinct,
    parameters,
    parse,
    substitute,
    uses_statistics,
    with_parameters,
)
from symact.zoo.catalogue import Known
from symact.zoo.modules.base import KnownModule, Pointwise
from symact.zoo.modules.learnable import Formula
from symact.zoo.modules.wrappers import Function, as_module

Floats = NDArray[np.float64]

#: Primitives with a kink where their argument is 0, and those with one where two are equal.
_AT_ZERO = frozenset({"abs", "relu", "sign", "softsign", "sqrt"})
_AT_EQUAL = frozenset({"min", "max", "lt", "le", "gt", "ge"})
_MAX_KINKS = 32
#: N(0, 1) has 2e-19 of its mass outside.
_TAIL = 9.0
#: Factors and shifts of parameters: none, then two small ones.
_MOVES = ((1.0, 0.0), (1.1, 0.05), (0.9, -0.03))


def kinks(expr: Expr) -> Floats:
    """Return the points within [-50, 50] where an expression changes its piece, ascending.

    Args:
        expr: A pointwise function of x.
    """
    zero = const(0)
    gaps = [(node.args[0], zero) for node in distinct(expr) if node.op in _AT_ZERO]
    gaps += [(node.args[0], node.args[1]) for node in distinct(expr) if node.op in _AT_EQUAL]
    found = [_sign_changes(call("sub", *pair)) for pair in gaps if any(e.varies for e in pair)]
    points = np.sort(np.concatenate([np.empty(0), *found]))
    return points[np.append(True, np.diff(points) > 1e-9)] if points.size else points


def _sign_changes(expr: Expr) -> Floats:
    """Return where the sign of an expression changes, by bisection to rounding."""

    def sign(x: Floats) -> Floats:
        with np.errstate(all="ignore"):
            found: Floats = np.sign(evaluate(expr, x))
        return found

    signs = sign(KINKS.line)
    places = np.flatnonzero((signs[1:] != signs[:-1]) & np.isfinite(signs[1:] + signs[:-1]))
    low, high, left = KINKS.line[places], KINKS.line[places + 1], signs[places]
    for _ in range(60):
        middle = 0.5 * (low + high)
        is_left = sign(middle) == left
        low, high = np.where(is_left, middle, low), np.where(is_left, high, middle)
    return np.round(high, 14)


class Smoothed(KnownModule):
    """A function convolved with a normal density: E f(x + width Z).

    SAU is this of leaky ReLU in closed form (K. Biswas et al., 2021, arXiv 2109.13210). Each
    element costs ``nodes`` evaluations of the function for each piece between kinks.

    Args:
        function: A name, a formula, an expression or a module. A learnable function is trained; its
            kinks may not move with its parameters.
        width: Standard deviation of the density, above 0.
        nodes: Of the quadrature on each piece. A function that turns often within the width needs
            more.
        kinks: Where the function is not smooth; None to find them in its formula, within [-50, 50].

    Raises:
        ZooError: A width that is not above 0, more than 32 kinks, kinks that move, a function that
            reads batch statistics, or a module without a formula and without ``kinks``.

    >>> made = Smoothed("ReLU", 0.5)
    >>> round(made(torch.tensor(0.0)).item(), 6)  # 0.5/sqrt(2 pi)
    0.199471
    """

    _pieces: Tensor
    _places: Tensor
    _weights: Tensor

    def __init__(
        self,
        function: Function,
        width: float,
        nodes: int = 48,
        kinks: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not 0 < width < math.inf:
            raise ZooError(f"the width of a smoothing must be above 0, got {width}")
        self.width = float(width)
        self.function = as_module(function)
        own = _kinks_of(self.function) if kinks is None else np.sort(np.array(kinks, float))
        places, weights = np.polynomial.legendre.leggauss(nodes)
        for name, values in (
            ("_pieces", np.concatenate([[-np.inf], own, [np.inf]])),
            ("_places", (places + 1) / 2),
            ("_weights", weights / 2),
        ):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def compute(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        # Axes: [piece, node, *x]
        column = (-1, *([1] * x.dim()))
        pieces, places, weights = (
            values.to(x.dtype).view(column)
            for values in (self._pieces, self._places, self._weights)
        )
        edges = ((pieces - x) / self.width).clamp(-_TAIL, _TAIL)
        low, length = edges[:-1].unsqueeze(1), (edges[1:] - edges[:-1]).unsqueeze(1)
        z = low + length * places
        density = torch.exp(-0.5 * z * z) * (length * weights / math.sqrt(2 * math.pi))
        made: Tensor = (density * self.function(x + self.width * z)).sum((0, 1))
        return made

    def extra_repr(self) -> str:
        return f"width = {self.width:g}, {len(self._pieces) - 2} kinks"


def _kinks_of(function: torch.nn.Module) -> Floats:
    if isinstance(function, Pointwise):
        exprs = _moved(function.expr)
    elif isinstance(function, Formula) and function.known is not None:
        exprs = _perturbed(function.known)
    else:
        raise ZooError("a module without a formula needs kinks=, () for a smooth one")
    if any(uses_statistics(expr) for expr in exprs):
        raise ZooError("a function of batch statistics cannot be smoothed")
    first, *others = (kinks(expr) for expr in exprs)
    if len(first) > _MAX_KINKS:
        raise ZooError(f"at most {_MAX_KINKS} kinks within [-50, 50] can be smoothed: {len(first)}")
    if any(len(other) != len(first) or not np.allclose(other, first) for other in others):
        name = getattr(function, "name", "the function")
        raise ZooError(f"the kinks of '{name}' move with its parameters; give it as a formula")
    return first


def _perturbed(known: Known) -> list[Expr]:
    """Return the formula at the entry's parameters and at others near by."""
    assert known.parametric is not None
    names = tuple(known.parameters)
    expr = parse(known.parametric, ("x", *names))
    return [
        substitute(expr, {n: const(factor * known.parameters[n] + shift) for n in names})
        for factor, shift in _MOVES
    ]


def _moved(expr: Expr) -> list[Expr]:
    """Return an expression at the initial values of its parameters and at others near by."""
    starts = [own.parameter[0] for own in parameters(expr)]
    return [
        with_parameters(expr, [const(factor * start + shift) for start in starts])
        for factor, shift in (_MOVES if starts else _MOVES[:1])
    ]
