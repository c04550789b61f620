"""Tune the literals of a function as parameters that all networks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from symact.backends.torch import lower
from symact.evaluation.function import Trainable
from symact.evaluation.training.networks import Data, learning_rates
from symact.evaluation.training.torch_mlp import TorchMLPTrainer, single_torch_thread
from symact.expr import Expr, fold, literals, show, uses_statistics, var, with_literals
from symact.expr.primitives import CONST
from symact.tasks.protocol import Training

#: A literal c is trained as c (1 + STEP p) with the parameter p. A step of p changes all literals
#: by the same share, which is much less than the step of a weight.
STEP = 0.1
_PREFIX = "literal"


class _Shared(nn.Module):
    """A function with its literals as parameters of the shape [1, 1, 1]."""

    def __init__(self, expr: Expr, start: Sequence[float]) -> None:
        super().__init__()
        self._expr = expr
        self.register_buffer("start", torch.tensor(start, dtype=torch.float32))
        self.change = nn.Parameter(torch.zeros(len(start), 1, 1))

    @property
    def literals(self) -> Tensor:
        """The current values of the literals, [literal, 1, 1]."""
        start: Tensor = self.start[:, None, None]  # type: ignore[index]
        return start * (1 + STEP * self.change)

    def forward(self, x: Tensor) -> Tensor:
        bound = {f"{_PREFIX}{index}": value for index, value in enumerate(self.literals)}
        return lower(self._expr, x, bound=bound)


class Tuner:
    """Trains the literals of functions together with the networks that use them.

    Args:
        data: The instances of one draw.
        training: Settings of the training. Literals have the same learning rate as weights.
        entropy: Seed of the initial weights.
    """

    def __init__(self, data: Data, training: Training, entropy: int) -> None:
        self._rates = learning_rates(training)
        self._trainer = TorchMLPTrainer(data, training, [0], entropy, "cpu")
        self._networks = np.arange(len(data.families))

    def tune(self, expr: Expr, is_stopped: Callable[[], bool] = lambda: False) -> Expr | None:
        """Return the function with trained literals.

        All layers of all networks share the same literals.

        Args:
            expr: The function.
            is_stopped: Called between steps. If it returns True, training ends and the result is
                invalid.

        Returns:
            The tuned function; None if it has no literals or training diverged.
        """
        start = literals(expr)
        if not start or uses_statistics(expr):
            return None
        shared = _Shared(_with_names(expr), start)
        function = Trainable(show(expr), lambda networks, layer: shared)
        self._trainer._draw((1, 1))
        with single_torch_thread():
            self._trainer._train_stack(
                [function], self._networks, len(self._networks), self._rates, is_stopped
            )
        found = shared.literals.detach().flatten().tolist()
        if not np.isfinite(found).all():
            return None
        return with_literals(expr, found)


def _with_names(expr: Expr) -> Expr:
    indices = {value: index for index, value in enumerate(literals(expr))}

    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        if node.op == CONST:
            return var(f"{_PREFIX}{indices[node.number]}")
        return Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)
