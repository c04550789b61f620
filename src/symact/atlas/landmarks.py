"""Landmarks: the errors of a panel of functions under pseudo-shifts of training data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from symact.errors import TaskError
from symact.evaluation.cells import chosen_by_validation, with_validation
from symact.evaluation.function import Function
from symact.evaluation.hierarchy import log_errors
from symact.evaluation.judge import baselines
from symact.evaluation.training.mlp import MLPTrainer
from symact.evaluation.training.networks import Data, pack
from symact.tasks.instance import Instance, Raw, Source, spread, standardise
from symact.tasks.protocol import HELD_OUT_POINTS, SHELL_POINTS
from symact.tasks.protocol2 import VALIDATION_POINTS, PopulationForm, Setting
from symact.tasks.shifts import FloatArray, IntArray, Shift, pseudo_shifts

#: The networks that are trained on a user's data.
FORM = PopulationForm(
    name="landmarks",
    families=1,
    cells=4,
    instances=1,
    width=24,
    steps=400,
    points=128,
    judged_points=128,
    rates=(1e-2, 3e-2),
)
#: Each initialisation and each architecture once.
SETTINGS = (Setting(0, 0), Setting(1, 1), Setting(2, 2), Setting(3, 3))
#: The division without a shift, which measures the ID error, and the one by rows of the user.
WHOLE, GIVEN = "none", "given"
#: Shares of the inner rows that train, validate and measure the ID error.
_TRAIN, _VALIDATION = 0.6, 0.2
#: Targets with less spread in the outer part, in training standard deviations, say nothing.
_LEAST_SPREAD = 0.02
#: Each half of the outer part needs two rows to vary.
_LEAST_GIVEN = 4
_ENTROPY = 300


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The errors of functions on one table.

    Attributes:
        shifts: Names of the divisions. The first is :data:`WHOLE`.
        errors: Log10 errors ``[function, setting, shift, 3]``: ID, near and far in the outer part.
            With the division :data:`WHOLE` all three are the ID error.
        linear: Log10 errors of the linear model, ``[shift, 3]``.
        fallback: Log10 errors of the fallback, ``[setting, shift, 3]``; None if it was not trained.

    *Landmarks* are the functions and the linear model. *Answers* are the landmarks, and the
    fallback if it was trained.
    """

    shifts: tuple[str, ...]
    errors: FloatArray
    linear: FloatArray
    fallback: FloatArray | None = None

    @property
    def pseudo_shifts(self) -> tuple[str, ...]:
        """The names of the pseudo-shifts, as in :attr:`by_shift`."""
        return tuple(own for own in self.shifts if own not in (WHOLE, GIVEN))

    @cached_property
    def by_shift(self) -> FloatArray:
        """Log10 errors in the outer part of each pseudo-shift, ``[shift, landmark]``."""
        return self.outer[:, : len(self.errors) + 1]

    @cached_property
    def outer(self) -> FloatArray:
        """Log10 errors in the outer part of each pseudo-shift, ``[shift, answer]``."""
        return self._measured(self.pseudo_shifts, slice(1, None))

    @cached_property
    def inside(self) -> FloatArray:
        """Log10 of the ID errors, ``[answer]``."""
        return np.asarray(self._measured((WHOLE,), slice(0, 1))[0])

    @property
    def given(self) -> FloatArray | None:
        """Log10 errors on the rows of the user relative to the fallback, ``[answer]``.

        None if there are no such rows or the fallback was not trained.
        """
        if GIVEN not in self.shifts or self.fallback is None:
            return None
        errors = self._measured((GIVEN,), slice(1, None))[0]
        return np.asarray(errors - errors[-1])

    def _measured(self, names: Sequence[str], parts: slice) -> FloatArray:
        """Return mean log10 errors over parts, ``[shift, answer]``."""
        places = [self.shifts.index(own) for own in names]
        trained = self.errors if self.fallback is None else [*self.errors, self.fallback]
        means = np.asarray(trained)[:, :, places, parts].mean(axis=(1, 3)).T
        linear = self.linear[places, parts].mean(axis=1)
        return np.insert(means, len(self.errors), linear, axis=1)

    @cached_property
    def features(self) -> FloatArray:
        """What a recommendation reads, log10, ``[feature, landmark]``.

        The features are: the mean over all pseudo-shifts, the ID error, the error in the far half
        of the outer parts, and the largest distance from the median answer in a pseudo-shift.
        """
        by_shift, places = self.by_shift, [self.shifts.index(own) for own in self.pseudo_shifts]
        far = self.errors[:, :, places, 2].mean(axis=(1, 2))
        medians = np.median(by_shift, axis=1, keepdims=True)
        return np.stack(
            [
                by_shift.mean(axis=0),
                self.inside[: len(self.errors) + 1],
                np.append(far, self.linear[places, 2].mean()),
                (by_shift - medians).max(axis=0),
            ]
        )


def landmarks(
    x: FloatArray,
    y: FloatArray,
    functions: Sequence[Function],
    *,
    given: tuple[FloatArray, FloatArray] | None = None,
    fallback: Function | None = None,
    form: PopulationForm = FORM,
    seed: int = 0,
    threads: int | None = None,
) -> Landmarks:
    """Train networks with each function on the inner parts of a table, and measure on the outer.

    Args:
        x: Inputs ``[row, input]``, finite.
        y: Targets ``[row, output]``, finite.
        functions: The functions.
        given: Inputs and targets of the outer part of one more division, whose inner part is the
            whole table; at least 4 rows.
        fallback: The fallback, trained like the functions; None to leave it out.
        form: The networks.
        seed: Seed of the divisions and of the initial weights.
        threads: Number of threads; None for the number of cores.

    Raises:
        TaskError: There are too few rows, the inputs are constant, or the targets are, also those
            of ``given``.
    """
    names, data = _divided(x, y, given, form, seed)
    every = [*functions, *([] if fallback is None else [fallback])]
    pool = ThreadPoolExecutor(threads or os.cpu_count() or 1)
    try:
        started = [
            [trainer.start(pool, every, learning_rate=rate) for rate in form.rates]
            for trainer in (_trainer(data, form, i, seed) for i in range(len(SETTINGS)))
        ]
        errors = [
            [chosen_by_validation([rate[i].result() for rate in rates])[0] for rates in started]
            for i in range(len(every))
        ]
    finally:
        pool.shutdown(cancel_futures=True)
    linear = baselines(data)["linear"][:, 1:]
    logs = log_errors(np.array(errors))
    last = None if fallback is None else logs[-1]
    return Landmarks(names, logs[: len(functions)], log_errors(linear), last)


def _trainer(data: Data, form: PopulationForm, place: int, seed: int) -> MLPTrainer:
    training = form.training(SETTINGS[place], form.rates[0])
    return MLPTrainer(data, training, [0], _ENTROPY + place + 10 * seed)


def _divided(
    x: FloatArray,
    y: FloatArray,
    given: tuple[FloatArray, FloatArray] | None,
    form: PopulationForm,
    seed: int,
) -> tuple[tuple[str, ...], Data]:
    """Return the names of the divisions and their data, with the parts of a judgement."""
    rows = np.random.default_rng(seed).permutation(len(x))
    shifts = [Shift(WHOLE, rows, np.empty(0, dtype=np.int64)), *pseudo_shifts(x, y, seed=seed)]
    if given is not None:
        if len(given[0]) < _LEAST_GIVEN:
            raise TaskError(
                f"{len(given[0])} distinct OOD row(s) are used (every second one), "
                f"at least {_LEAST_GIVEN} are needed"
            )
        outer = np.random.default_rng(seed).permutation(len(given[0])) + len(x)
        shifts.append(Shift(GIVEN, rows, outer))
        x, y = np.vstack([x, given[0]]), np.vstack([y, given[1]])
    every = [_instance(x, y, shift, form) for shift in shifts]
    usable = [own for own in every if own is not None]
    if every[0] is None:
        raise TaskError("y is (nearly) constant; nothing to learn")
    if given is not None and every[-1] is None:
        raise TaskError("y of the OOD rows is (nearly) constant; give more varied rows")
    names = tuple(own.name.partition("/")[2] for own in usable)
    if not set(names) - {WHOLE, GIVEN}:
        raise TaskError("y is (nearly) constant in all outer parts of X; give more varied rows")
    data = with_validation(pack(usable, form.points), form.judged_points)
    return names, data


def _instance(x: FloatArray, y: FloatArray, shift: Shift, form: PopulationForm) -> Instance | None:
    """Return the data of a division; None if the targets of a part are nearly constant."""
    first = round(len(shift.inner) * _TRAIN)
    second = first + round(len(shift.inner) * _VALIDATION)
    train, validation, inside = np.split(shift.inner, [first, second])
    shells = np.array_split(shift.outer, 2) if len(shift.outer) else (inside, inside)
    held_out = np.concatenate(
        [
            np.resize(validation, VALIDATION_POINTS),
            np.resize(inside, HELD_OUT_POINTS - VALIDATION_POINTS),
        ]
    )
    ood = np.stack([_spaced(rows, SHELL_POINTS) for rows in shells])
    trained = np.resize(train, form.points) if len(train) < form.points else train
    raw = Raw(shift.name, x[trained], y[trained], x[held_out], y[held_out], x[ood], y[ood])
    made = standardise(Source("", _never), raw)
    parts = (made.y_train, y_part(made, inside=False), y_part(made, inside=True), *made.y_ood)
    is_usable = all(spread(part) >= _LEAST_SPREAD for part in parts)
    return made if is_usable else None


def y_part(made: Instance, *, inside: bool) -> NDArray[np.float32]:
    """Return the validation targets or the ID targets of an instance, ``[point, output]``."""
    first, second = made.y_held_out[:VALIDATION_POINTS], made.y_held_out[VALIDATION_POINTS:]
    return second if inside else first


def _spaced(rows: IntArray, count: int) -> IntArray:
    """Return rows at equal distances, so that few rows are repeated and many are thinned."""
    return rows[np.linspace(0, len(rows), count, endpoint=False).astype(np.int64)]


def _never(split: str, seed: int, index: int, attempt: int) -> Raw:
    raise AssertionError("the instances of a table are not drawn")
