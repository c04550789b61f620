"""Evaluate functions by the protocol: full training in networks of several sizes.

The learning rate is chosen for each function and network size. The choice uses only the held-out ID
error on the validation draws. Functions with another scale therefore have no disadvantage. The
choice uses neither OOD points nor test tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symact.evaluation.function import Function
from symact.evaluation.training.networks import ENTROPY, Data, pack
from symact.tasks import Task
from symact.tasks import scores as stats
from symact.tasks.protocol import EvaluationProtocol

if TYPE_CHECKING:
    from symact.evaluation.training.torch_mlp import TorchMLPTrainer

Errors = NDArray[np.float64]


class Judge:
    """Evaluates functions on the test draws or the validation draws of a task.

    Args:
        task: The task.
        form: Network sizes, learning rates, and numbers of instances and seeds.
        per_family: Number of test instances of each family. None for the number in the form.
        seeds: Number of training seeds. None for the number in the form.
        device: ``"cuda"`` or ``"cpu"``. None for CUDA if available, else the CPU.
        split: ``"test"``, or ``"selection"``, on which a search chooses its best function.
        draw: Number of the draw of instances. The protocol uses the first draw. Other draws serve
            to confirm its results.
    """

    def __init__(
        self,
        task: Task,
        form: EvaluationProtocol,
        per_family: int | None = None,
        seeds: int | None = None,
        device: str | None = None,
        split: str = "test",
        draw: int = 0,
    ) -> None:
        self.task = task
        self.split = split
        self.form = form
        self.seeds = form.seeds if seeds is None else seeds
        self.device = device
        self.instances = task.draw(split, seed=draw, per_family=per_family or form.per_family)
        self._trainers: dict[tuple[str, int], TorchMLPTrainer] = {}

    @cached_property
    def data(self) -> Data:
        """The instances to evaluate on."""
        return pack(self.instances, self.form.training(0, 0.0).points)

    @cached_property
    def _tuning_data(self) -> Data:
        drawn = self.task.draw("selection", seed=0, per_family=self.form.tuning)
        return pack(drawn, self.form.training(0, 0.0).points)

    def rates(self, functions: Sequence[Function]) -> list[tuple[float, ...]]:
        """Return the learning rates of each function, one for each network size."""
        form = self.form
        if len(form.rates) == 1:
            return [form.rates * len(form.sizes) for _ in functions]
        families, sizes = self._tuning_data.families, range(len(form.sizes))
        trained = [
            [self._train("tuning", size, rate, functions) for rate in form.rates] for size in sizes
        ]
        return [
            chosen_rates(form, [[errors[index] for errors in row] for row in trained], families)
            for index in range(len(functions))
        ]

    def errors(
        self, functions: Sequence[Function], rates: Sequence[tuple[float, ...]]
    ) -> list[Errors]:
        """Return the errors [instance, size, seed, 4] of each function.

        Args:
            functions: Expressions or modules.
            rates: Learning rates of each function, from :meth:`rates`.
        """
        shape = (len(functions), len(self.data.families), len(self.form.sizes), self.seeds, 4)
        errors = np.empty(shape)
        for size in range(len(self.form.sizes)):
            for rate in sorted({own[size] for own in rates}):
                indexs = [index for index, own in enumerate(rates) if own[size] == rate]
                trained = self._train(
                    self.split, size, rate, [functions[index] for index in indexs]
                )
                errors[indexs, :, size] = trained
        return list(errors)

    def _train(
        self, use: str, size: int, rate: float, functions: Sequence[Function]
    ) -> NDArray[np.float64]:
        """Return errors [function, instance, seed, 4] of networks of one size."""
        from symact.evaluation.training.torch_mlp import TorchMLPTrainer

        data, seeds = (self._tuning_data, 1) if use == "tuning" else (self.data, self.seeds)
        key = (use, size)
        if key not in self._trainers:
            training = self.form.training(size, rate)
            self._trainers[key] = TorchMLPTrainer(
                data, training, range(seeds), ENTROPY[use], self.device
            )
        return self._trainers[key].judge(functions, learning_rate=rate)


def chosen_rates(
    form: EvaluationProtocol, errors: Sequence[Sequence[Errors]], families: Sequence[str]
) -> tuple[float, ...]:
    """Return the learning rate of each network size with the lowest ID error.

    Args:
        form: Network sizes and learning rates.
        errors: Errors [instance, seed, 4] of one function on the tuning draws, for each size and
            rate.
        families: The family of each instance.
    """
    inside = np.array([[stats.score(own, families).id_error for own in row] for row in errors])
    return tuple(form.rates[index] for index in inside.argmin(axis=1))


def baselines(data: Data) -> dict[str, Errors]:
    """Return the errors [instance, part] of predictors without hidden units.

    ``mean`` predicts the mean of the training targets. ``linear`` is the least-squares linear model
    of the training points.
    """
    inputs = data.x.shape[1]
    shape = data.variance.shape
    found = {"mean": np.empty(shape), "linear": np.empty(shape)}
    for index, (x, y) in enumerate(zip(data.x, data.y, strict=True)):
        for name, used in (("mean", 0), ("linear", inputs)):
            design = _with_ones(x[:used])
            weights = np.linalg.lstsq(design, y.T.astype(np.float64), rcond=None)[0]
            for part in range(shape[1]):
                judged = _with_ones(data.x_judged[index, part, :used])
                residual = judged @ weights - data.y_judged[index, part].T
                found[name][index, part] = np.square(residual).mean() / data.variance[index, part]
    return found


def _with_ones(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the design matrix [point, 1 + input] of inputs [input, point]."""
    points = x.shape[1]
    return np.column_stack([np.ones(points), x.T.astype(np.float64)])
