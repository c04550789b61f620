"""Values of many expressions at once, and hashes to compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact.backends import evaluate
from symact.backends.sampling import SCREEN, SKEWED
from symact.expr import Expr, distinct, fold, uses_statistics, var
from symact.expr.primitives import CONST, PRIMITIVES, VAR
from symact.grammar import HOLES, Group

#: Multipliers of the 64-bit hash of a row of values. The probability of a collision among a million
#: functions is 3e-8.
_WEIGHTS = np.random.default_rng(5941).integers(
    1, 2**63, SCREEN.line.size + SKEWED.line.size, dtype=np.uint64
)


def points_of(inputs: int, reads_batch: bool) -> NDArray[np.float64]:
    """Return the points at which functions are compared, ``[input, point]``.

    Functions of batch statistics need a second, asymmetric sample. On a symmetric sample,
    ``x - mean(x)`` equals ``x``.
    """
    points = SCREEN.points(inputs)
    return np.concatenate([points, SKEWED.points(inputs)], axis=1) if reads_batch else points


class Maker:
    """Computes the values of a template from the values of its arguments.

    Args:
        group: The productions with this template.
        terminals: The values of each terminal, ``[point]``.
    """

    def __init__(self, group: Group, terminals: Mapping[str, NDArray[np.float64]]) -> None:
        self.group = group
        used = {str(n.value) for n in distinct(group.template) if n.op == VAR}
        self._terminals = {name: x for name, x in terminals.items() if name in used}
        self._names = (*group.holes, *self._terminals)
        self._reads_batch = uses_statistics(group.template)

    def __call__(self, *arguments: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values ``[expression, point]``, given the values of each argument."""
        shape = arguments[0].shape
        arrays = [*arguments, *(np.broadcast_to(x, shape) for x in self._terminals.values())]
        with np.errstate(all="ignore"):
            if not self._reads_batch:
                return evaluate(self.group.template, *arrays, inputs=self._names)
            known = dict(zip(self._names, arrays, strict=True))
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
        parts = np.split(values, [SCREEN.line.size], axis=1)
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
    rounded = (bits + (1 << 30)) >> 31  # keeps 22 bits of the mantissa, including the leading bit
    rounded[np.abs(values) < 1e-12] = 0
    rounded[np.isnan(values)] = -1
    return np.asarray(rounded.view(np.uint64) @ _WEIGHTS[: values.shape[1]])


def key(expr: Expr, inputs: tuple[str, ...], reads_batch: bool) -> int:
    """Return the hash of the values of an expression. Each sample is a separate batch."""
    samples = (SCREEN, SKEWED) if reads_batch else (SCREEN,)
    with np.errstate(all="ignore"):
        values = [evaluate(expr, *s.points(len(inputs)), inputs=inputs) for s in samples]
    return int(keys(np.concatenate(values)[None])[0])
