"""Tune the literals of a function as parameters that all networks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from symact.backends.torch import TrainedParameters, lower
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
    """Literals as parameters of the shape [1, 1, 1]."""

    def __init__(self, start: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("start", torch.tensor(start, dtype=torch.float32))
        self.change = nn.Parameter(torch.zeros(len(start), 1, 1))

    @property
    def literals(self) -> Tensor:
        """The current values of the literals, [literal, 1, 1]."""
        start: Tensor = self.start[:, None, None]  # type: ignore[index]
        return start * (1 + STEP * self.change)

    def bound(self) -> dict[str, Tensor]:
        """Return the current values of the literals by name."""
        return {f"{_PREFIX}{index}": value for index, value in enumerate(self.literals)}


class _Layer(nn.Module):
    """A function of one layer, with trained parameters of its own beside the shared literals."""

    def __init__(self, expr: Expr, shared: _Shared, networks: int) -> None:
        super().__init__()
        self._expr, self.shared = expr, shared
        self.trained = TrainedParameters(expr, (networks, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return lower(self._expr, x, bound={**self.shared.bound(), **self.trained.bound()})


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

        All layers of all networks share the same literals. Trained parameters are trained too, in
        each layer of each network; the result has their initial values.

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
        named, shared = _with_names(expr), _Shared(start)
        function = Trainable(show(expr), lambda networks, layer: _Layer(named, shared, networks))
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
