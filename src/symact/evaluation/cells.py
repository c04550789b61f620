"""Evaluate functions by protocol 2.0: train networks in cells, and choose each learning rate.

A cell is a family, an initialisation and an architecture. All functions have the same instances and
initial weights in each cell. The learning rate of a cell is the one with the lowest error on the
validation points, for each function. These points measure nothing else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from symact.errors import SymactError
from symact.evaluation.executors import best_device
from symact.evaluation.function import Function
from symact.evaluation.jobs import Failed, Trained
from symact.evaluation.judge import baselines
from symact.evaluation.training.mlp import MLPTrainer
from symact.evaluation.training.networks import Data, pack
from symact.tasks import Task
from symact.tasks.protocol2 import SETTINGS, VALIDATION_POINTS, PopulationForm, Setting

Errors = NDArray[np.float64]

#: Offset of the seeds of initial weights; each setting has its own.
_ENTROPY = 100
#: Seconds that the networks of one function in one setting at one rate may take.
TIMEOUT = 600.0


@dataclass(frozen=True, eq=False)
class CellErrors:
    """The errors of a function in all cells.

    Attributes:
        errors: Normalised errors ``[family, cell, 4]``: ID, near, middle and far; NaN for a network
            that diverged at every rate.
        rates: The learning rate of each network, ``[family, cell]``.
    """

    errors: Errors
    rates: Errors


class CellJudge:
    """Evaluates functions in the cells of a population of families.

    Args:
        task: The population. Its families are those of the form, in order.
        form: The cells and the networks.
        split: The split of the population to draw from.
        device: ``"cuda"`` or ``"cpu"``. None for CUDA if available, else the CPU.
        threads: Number of threads on the CPU; None for the number of cores.

    Attributes:
        families: The names of the families.
        settings: The settings of each family, one for each cell.
        data: Digest of the points.
    """

    def __init__(
        self,
        task: Task,
        form: PopulationForm,
        *,
        split: str = "test",
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.form, self.families = form, task.families
        self.settings = tuple(form.settings_of(index) for index in range(len(self.families)))
        self._threads = threads or os.cpu_count() or 1
        instances = task.draw(split, seed=0, per_family=form.instances)
        packed = with_validation(pack(instances, form.points), form.judged_points)
        self.data = _digest(packed)
        self._groups = [
            _Group(self, setting, packed, device)
            for setting in SETTINGS
            if any(setting in own for own in self.settings)
        ]

    def judge(self, functions: Sequence[Function]) -> list[CellErrors]:
        """Train and return the errors of each function.

        Raises:
            SymactError: A function cannot be trained. The message has its name.
        """
        pool = ThreadPoolExecutor(self._threads)
        try:
            started = [own.start(pool, functions, rate) for own, rate in self._work()]
            trained = [[future.result() for future in futures] for futures in started]
        finally:
            pool.shutdown(cancel_futures=True)
        return [self._chosen([own[i] for own in trained]) for i in range(len(functions))]

    def baselines(self) -> dict[str, Errors]:
        """Return the errors ``[family, cell, 4]`` of the mean and of the linear model."""
        found = {}
        for name in ("mean", "linear"):
            found[name] = self._empty()
            for group in self._groups:
                found[name][group.families, group.cells] = baselines(group.data)[name][:, 1:]
        return found

    def _work(self) -> list[tuple[_Group, float]]:
        return [(group, rate) for group in self._groups for rate in self.form.rates]

    def _empty(self) -> Errors:
        return np.full((len(self.families), self.form.cells, 4), np.nan)

    def _chosen(self, trained: Sequence[Trained]) -> CellErrors:
        """Choose the learning rates of one function.

        Args:
            trained: The errors ``[instance, 1, 5]`` of each group and rate.
        """
        found = CellErrors(self._empty(), np.full((len(self.families), self.form.cells), np.nan))
        count, rates = len(self.form.rates), np.array(self.form.rates)
        for place, group in enumerate(self._groups):
            errors, best = chosen_by_validation(trained[place * count :][:count])
            found.errors[group.families, group.cells] = errors
            found.rates[group.families, group.cells] = rates[best]
        return found


def _digest(data: Data) -> str:
    found = hashlib.sha256()
    for values in (data.x, data.y, data.x_judged, data.y_judged):
        found.update(np.ascontiguousarray(values).data)
    return found.hexdigest()[:16]


class _Group:
    """The networks of one setting."""

    def __init__(
        self, judge: CellJudge, setting: Setting, packed: Data, device: str | None
    ) -> None:
        self._form, self._setting = judge.form, setting
        self._device = device or best_device()
        places = [
            (family, settings.index(setting))
            for family, settings in enumerate(judge.settings)
            if setting in settings
        ]
        self.families = np.array([family for family, _ in places])
        self.cells = np.array([cell for _, cell in places])
        form = judge.form
        rows = [f * form.instances + form.instance_of(f, setting) for f, _ in places]
        self.data = rows_of(packed, rows)

    @cached_property
    def _trainer(self) -> MLPTrainer:
        return MLPTrainer(
            self.data,
            self._form.training(self._setting, self._form.rates[0]),
            [0],
            _ENTROPY + SETTINGS.index(self._setting),
            device=self._device,
            timeout=TIMEOUT,
        )

    def start(
        self, pool: ThreadPoolExecutor, functions: Sequence[Function], rate: float
    ) -> list[Future[Trained]]:
        return self._trainer.start(pool, functions, learning_rate=rate)


def with_validation(data: Data, points: int) -> Data:
    """Return data with five parts: validation, ID, near, middle and far.

    The first :data:`VALIDATION_POINTS` held-out points are the validation points.

    Args:
        data: Packed data with four parts.
        points: The number of points of each part.
    """

    def parted(values: NDArray[np.float32]) -> NDArray[np.float32]:
        held_out = values[:, :1]
        validation = held_out[..., :VALIDATION_POINTS][..., :points]
        inside = held_out[..., VALIDATION_POINTS:][..., :points]
        return np.ascontiguousarray(
            np.concatenate([validation, inside, values[:, 1:, :, :points]], axis=1)
        )

    y_judged = parted(data.y_judged)
    variance = y_judged.astype(np.float64).var(axis=-1).mean(axis=-1)
    return replace(data, x_judged=parted(data.x_judged), y_judged=y_judged, variance=variance)


def rows_of(data: Data, rows: Sequence[int]) -> Data:
    """Return some instances of packed data. Padding that none of them needs is removed."""
    own = np.asarray(rows)
    widest = int(data.inputs[own].max())
    return Data(
        families=tuple(data.families[row] for row in rows),
        inputs=data.inputs[own],
        x=np.ascontiguousarray(data.x[own, :widest]),
        y=data.y[own],
        x_judged=np.ascontiguousarray(data.x_judged[own, :, :widest]),
        y_judged=data.y_judged[own],
        variance=data.variance[own],
    )


def chosen_by_validation(trained: Sequence[Trained]) -> tuple[Errors, NDArray[np.intp]]:
    """Choose the learning rate of each instance by the error on its validation points.

    Args:
        trained: The errors ``[instance, 1, part]`` at each rate. The first part is validation.

    Returns:
        The errors ``[instance, part]`` of the other parts at the chosen rates, and the index of the
        rate of each instance.

    Raises:
        SymactError: A training failed.
    """
    errors = np.stack([_known(own) for own in trained])[:, :, 0]
    validation = np.where(np.isfinite(errors[..., 0]), errors[..., 0], np.inf)
    best = validation.argmin(axis=0)
    return errors[best, np.arange(len(best)), 1:], best


def _known(trained: Trained) -> Errors:
    if isinstance(trained, Failed):
        raise SymactError(f"training failed: {trained.reason}")
    return trained
