"""The values of many expressions at once, and the hashes by which they are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact.backends import evaluate
from symact.backends.sampling import GRID
from symact.expr import Expr, distinct, fold, uses_statistics, var
from symact.expr.primitives import CONST, PRIMITIVES, VAR
from symact.grammar import HOLES, Group

#: The second tensor for functions of batch statistics: not symmetric, no round numbers.
SKEWED = np.random.default_rng(1710).normal(0.7, 2.3, 117)

#: Multipliers of the hash of a row of values: 64 bits, so that among a million functions two
#: different ones share a hash with probability 3e-8.
_WEIGHTS = np.random.default_rng(5941).integers(1, 2**63, GRID.size + SKEWED.size, dtype=np.uint64)


class Maker:
    """Computes what a group makes of the values of its arguments."""

    def __init__(self, group: Group, points: NDArray[np.float64]) -> None:
        self.group = group
        self._points = points
        self._names = (*group.holes, "x")
        self._uses_x = any(n.op == VAR and n.value == "x" for n in distinct(group.template))
        self._reads_batch = uses_statistics(group.template)

    def __call__(self, *arguments: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values [expression, point] from those of each argument."""
        x = [np.broadcast_to(self._points, arguments[0].shape)] if self._uses_x else []
        with np.errstate(all="ignore"):
            if not self._reads_batch:
                names = self._names if self._uses_x else self.group.holes
                return evaluate(self.group.template, *arguments, *x, inputs=names)
            known = dict(zip(self._names, [*arguments, *x], strict=False))
            return fold(self.group.template, lambda node, args: self._visit(node, args, known))

    def _visit(self, node: Expr, args: Sequence[Any], known: dict[str, Any]) -> Any:
        if node.op == VAR:
            return known[str(node.value)]
        if node.op == CONST:
            return np.full_like(known["a"], node.number)
        if not _is_statistic(node):
            return evaluate(_node(node), *args, inputs=HOLES[: len(args)])
        reduce = np.mean if node.op == "mean" else np.std
        (values,) = args
        parts = np.split(values, [GRID.size], axis=1)
        return np.concatenate(
            [np.broadcast_to(reduce(p, axis=1, keepdims=True), p.shape) for p in parts], axis=1
        )


def _node(expr: Expr) -> Expr:
    return Expr(expr.op, tuple(map(var, HOLES[: len(expr.args)])))


def _is_statistic(expr: Expr) -> bool:
    return bool(expr.args) and PRIMITIVES[expr.op].statistic


def keys(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Hash rows of values rounded as :func:`symact.backends.sampling.fingerprint` rounds them."""
    values = values + 0.0
    bits = values.view(np.int64)
    rounded = (bits + (1 << 30)) >> 31  # keeps 22 bits of the mantissa, the leading one included
    rounded[np.abs(values) < 1e-12] = 0
    rounded[np.isnan(values)] = -1
    return np.asarray(rounded.view(np.uint64) @ _WEIGHTS[: values.shape[1]])


def key(expr: Expr, reads_batch: bool) -> int:
    """Hash the values of one expression, on both tensors if the grammar has batch statistics."""
    with np.errstate(all="ignore"):
        own = evaluate(expr, GRID)
        if reads_batch:
            own = np.concatenate([own, evaluate(expr, SKEWED)])
    return int(keys(own[None])[0])
