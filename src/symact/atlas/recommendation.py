"""Recommend an activation function for data, from the training data alone.

Networks with each function of a panel are trained on inner parts of the data and measured on the
outer parts (:mod:`symact.atlas.landmarks`). What such landmarks are worth was measured on generated
families (:mod:`symact.atlas.prior`). The recommendation is the function with the lowest predicted
OOD error, or the fallback where that is uncertain.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from symact import files
from symact.atlas.landmarks import FORM, Landmarks, landmarks
from symact.atlas.panel import FALLBACK, LINEAR, fixed
from symact.atlas.prior import Prediction, Prior, prior
from symact.errors import TaskError
from symact.evaluation.statistics import Interval, spearman
from symact.reporting.competitors import Competitor, competitors
from symact.reporting.figures.recommendation import recommendation
from symact.tasks import Task
from symact.tasks.protocol2 import PopulationForm
from symact.tasks.table_files import divided, read_csv
from symact.tasks.tables import Table, read_table

if TYPE_CHECKING:
    import torch

FloatArray = NDArray[np.float64]

#: Below this probability of being better than the fallback, the fallback is recommended.
LEAST_SURE = 0.55
#: A recommendation is sure if its regret is below this ratio with a probability of 0.9.
SURE_REGRET = 1.6
#: The choice hardly matters if the fallback's predicted regret is below this.
HARDLY = 1.1
#: More rows than this are thinned.
_MOST_ROWS = 20_000
_LEVEL = 0.8
#: A task with more families than this is answered from so many of them.
MOST_FAMILIES = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """A function, or the linear model, with its prediction.

    Attributes:
        name: Name of the function.
        formula: Its formula; "" for the linear model.
        ood: OOD error relative to the fallback, with its 80% interval: measured on the OOD rows of
            the user, or else predicted.
        best: Probability of being the best answer, in [0, 1].
        pseudo: Error under pseudo-shifts relative to the mean landmark; None if not measured.
        inside: ID error, likewise.
    """

    name: str
    formula: str
    ood: Interval
    best: float
    pseudo: float | None
    inside: float | None


@dataclass(frozen=True, slots=True)
class ShiftResult:
    """What one pseudo-shift says.

    Attributes:
        name: What the outer rows have in common.
        best: The answer with the lowest error.
        agreement: Rank correlation with the mean of the other pseudo-shifts; None for one shift.
    """

    name: str
    best: str
    agreement: float | None


@dataclass(frozen=True, eq=False)
class Recommendation:
    """A ranked list of activation functions for a table.

    Attributes:
        choice: The recommended answer: a name of the zoo, a formula, or ``"linear model"``.
        activation: The recommended activation function. It differs from ``choice`` if that is the
            linear model.
        answers: All answers, by their OOD error.
        better: Probability that ``choice`` has a lower OOD error than the fallback; 0.5 if it is
            the fallback.
        regret: OOD error of ``choice`` relative to the best answer: median, and the 10% and 90%
            quantiles.
        sure: Whether the 90% quantile of the regret is at most 1.6.
        abstained: Why the fallback is recommended though another answer is predicted to be better;
            "" if it is not so.
        reasons: What a user should know, in sentences.
        shifts: What each pseudo-shift says.
        like: The most similar generated families, each with the best answer there.
        errors: Errors in the outer part of each pseudo-shift relative to the mean landmark,
            ``[shift, answer]``; NaN for an answer that was not trained.
        fallback: The function to fall back to.
        rows: Number of rows used.
        seconds: Time that it took.
        measured: Whether the OOD errors are measured, not predicted.
    """

    choice: str
    activation: str
    answers: tuple[Answer, ...]
    better: float
    regret: Interval
    sure: bool
    abstained: str
    reasons: tuple[str, ...]
    shifts: tuple[ShiftResult, ...]
    like: tuple[tuple[str, str], ...]
    errors: FloatArray
    fallback: str
    rows: int
    seconds: float
    measured: bool = False

    def to_torch(self) -> torch.nn.Module:
        """Return the recommended activation function as a module."""
        from symact.zoo.modules import activation

        return activation(self.activation)

    def to_dict(self) -> dict[str, Any]:
        """Return the recommendation as values that JSON can hold."""
        return {
            "choice": self.choice,
            "activation": self.activation,
            "better_than_fallback": round(self.better, 3),
            "regret": _interval(self.regret),
            "sure": self.sure,
            "abstained": self.abstained,
            "reasons": list(self.reasons),
            "fallback": self.fallback,
            "answers": [
                {
                    "name": own.name,
                    "formula": own.formula,
                    "ood": _interval(own.ood),
                    "best": round(own.best, 3),
                    "pseudo": own.pseudo and _digits(own.pseudo),
                    "id": own.inside and _digits(own.inside),
                }
                for own in self.answers
            ],
            "shifts": [[own.name, own.best, own.agreement] for own in self.shifts],
            "like": [list(own) for own in self.like],
            "measured": self.measured,
            "rows": self.rows,
            "seconds": round(self.seconds, 1),
        }

    def __str__(self) -> str:
        """Return the choice and what a user should know, in sentences."""
        return " ".join((f"{self.choice}.", *self.reasons))


def headings() -> list[str]:
    """Return the headings of :func:`cells`."""
    return ["OOD", "80% interval", "best", "pseudo-OOD", "ID"]


def cells(own: Answer) -> list[str]:
    """Return the cells of a row of the table, as text."""
    return [
        f"{own.ood.ratio:.2f}",
        f"{own.ood.low:.2f} to {own.ood.high:.2f}",
        f"{own.best:.0%}",
        "-" if own.pseudo is None else f"{own.pseudo:.2f}",
        "-" if own.inside is None else f"{own.inside:.2f}",
    ]


def summary(found: Recommendation) -> list[str]:
    """Return the lines below the table."""
    shifts = "; ".join(f"{own.name} ({own.best})" for own in found.shifts)
    like = ", ".join(f"{name} ({best})" for name, best in found.like)
    better = f"better than {found.fallback} with probability {found.better:.0%}"
    return [
        f"recommended: {found.choice}",
        *([] if found.choice == found.fallback else [better]),
        f"error relative to the best answer: median {found.regret.ratio:.2f}, "
        f"90% quantile {found.regret.high:.2f}",
        *found.reasons,
        f"best by pseudo-shift: {shifts}",
        f"similar generated families, each with its best answer: {like}",
        f"distinct rows used: {found.rows}",
    ]


def write(found: Recommendation, folder: Path) -> None:
    """Write ``recommendation.json`` and ``recommendation.svg``.

    Args:
        found: The recommendation.
        folder: The folder to write to. It is made if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files.write(folder / "recommendation.json", json.dumps(found.to_dict(), indent=1) + "\n")
    recommendation(
        [own.name for own in found.answers],
        [(own.ood.ratio, own.ood.low, own.ood.high) for own in found.answers],
        [own.name for own in found.shifts],
        found.errors,
        folder / "recommendation.svg",
        fallback=found.fallback,
        choice=found.choice,
    )


def recommend(
    data: Any,
    y: Any = None,
    *,
    ood: Any = None,
    form: PopulationForm = FORM,
    seed: int = 0,
    threads: int | None = None,
) -> Recommendation:
    """Recommend an activation function for data, from the training data alone.

    Args:
        data: Inputs ``[row, feature]`` or ``[row]``, at least 48 distinct rows; or the path of a
            CSV file with column names; or a :class:`.Task`, of which the training points of at
            most four families are used.
        y: Targets ``[row]`` or ``[row, output]``; for a data frame also the name or names of the
            target columns; for a file these names, the last column by default; None for a task.
        ood: Rows outside the training distribution, ``(X, y)``, or a data frame or the path of a
            CSV file with the target columns; at least 7. The first, the third and so on are used.
            The others can check the recommendation.
        form: The networks to train.
        seed: Seed of the divisions of the rows and of the initial weights.
        threads: Number of threads; None for the number of cores.

    Raises:
        TaskError: The data are unusable: too few rows, constant columns, text, missing values.

    Example:
        >>> found = recommend(X, y)  # doctest: +SKIP
        >>> found.choice, found.better  # doctest: +SKIP
        ('Softplus', 0.94)
        >>> layer = found.to_torch()  # doctest: +SKIP
    """
    start = time.perf_counter()
    known, functions = prior(), fixed()
    tables = _tables(data, y, ood)
    found = [
        landmarks(
            own.x,
            own.y,
            [function.function for function in functions],
            given=own.ood,
            fallback=None if own.ood is None else _fallback().function,
            form=form,
            seed=seed,
            threads=threads,
        )
        for own in tables
    ]
    found = [own.named(measured) for own, measured in zip(tables, found, strict=True)]
    rows = sum(len(own.x) for own in tables)
    answer = of_landmarks(known, found, rows=rows, seconds=time.perf_counter() - start)
    return replace(answer, reasons=(*answer.reasons, *_left_out(data)))


@dataclass(frozen=True, eq=False)
class _Rows:
    x: FloatArray
    y: FloatArray
    ood: tuple[FloatArray, FloatArray] | None = None
    columns: tuple[str, ...] | None = None

    def named(self, found: Landmarks) -> Landmarks:
        """Return landmarks whose shifts of an input have the name of its column."""
        names = {f"input {i}": f"input '{own}'" for i, own in enumerate(self.columns or ())}
        return replace(found, shifts=tuple(names.get(own, own) for own in found.shifts))


def _tables(data: Any, y: Any, ood: Any) -> list[_Rows]:
    """Return the rows that the user gave: one table, or one for each family of a task."""
    if isinstance(data, Task):
        if y is not None or ood is not None:
            raise TaskError("a task has its own targets; give no y and no ood")
        drawn = data.draw(data.splits[0], per_family=1)
        return [
            _Rows(drawn[i].x_train.astype(np.float64), drawn[i].y_train.astype(np.float64))
            for i in _used(data)
        ]
    inputs, targets = _read(data, y, ("X", "y"))
    x, t = _distinct(inputs, targets)
    if ood is None:
        return [_Rows(x, t, columns=inputs.columns)]
    far_x, far_y = _pair(ood, data, y, targets)
    outer = _read(far_x, far_y, ("X_ood", "y_ood"))
    halves = outer[0].in_order_of(inputs), outer[1].in_order_of(targets)
    used = _distinct(*(replace(own, values=own.values[::2]) for own in halves))
    return [_Rows(x, t, used, inputs.columns)]


def _used(task: Task) -> list[int]:
    """Return the places of the families that are used, at equal distances."""
    count = len(task.families)
    return [int(i) for i in np.linspace(0, count - 1, min(count, MOST_FAMILIES)).round()]


def _left_out(data: Any) -> list[str]:
    """Return which families of a task are used, as a sentence, if some are not."""
    if not isinstance(data, Task) or len(data.families) <= MOST_FAMILIES:
        return []
    used = ", ".join(data.families[i] for i in _used(data))
    return [f"Of the {len(data.families)} families of the task, {MOST_FAMILIES} are used: {used}."]


def _pair(ood: Any, data: Any, y: Any, targets: Table) -> tuple[Any, Any]:
    """Return inputs and targets of the OOD rows; of a file or a frame, the names of the targets."""
    if isinstance(ood, tuple) and len(ood) == 2:
        return ood
    if _is_path(ood) and _is_path(data):
        return ood, targets.columns
    if _names(y) and hasattr(ood, "columns"):
        return ood, targets.columns
    raise TaskError(
        "ood must be (X_ood, y_ood), or the path of a CSV file if the data are one, "
        "or a data frame if y is the name of a column"
    )


def _names(y: Any) -> list[str]:
    """Return the names of columns that ``y`` is; none if it is something else."""
    given = [y] if isinstance(y, str) else y if isinstance(y, list | tuple) else []
    return [*given] if all(isinstance(own, str) for own in given) else []


def _is_path(data: Any) -> bool:
    return isinstance(data, str | os.PathLike)


def _read(data: Any, y: Any, names: tuple[str, str]) -> tuple[Table, Table]:
    if _is_path(data):
        if y is not None and not _names(y):
            raise TaskError(f"{names[1]} of a CSV file must be the names of target columns")
        return divided(read_csv(Path(data)), _names(y))
    if y is None:
        raise TaskError(f"{names[1]} is missing; give the targets of {names[0]}")
    inputs = read_table(data, names[0])
    if _names(y) and inputs.columns is not None:
        return divided(inputs, _names(y))
    if isinstance(y, str):
        raise TaskError(
            f"{names[1]} is the name '{y[:20]}', but {names[0]} has no column names; give the "
            f"targets as an array, or {names[0]} as a data frame"
        )
    return inputs, read_table(y, names[1])


def _distinct(inputs: Table, targets: Table) -> tuple[FloatArray, FloatArray]:
    """Return the distinct rows, thinned to a number that training can use."""
    if len(inputs.values) != len(targets.values):
        raise TaskError(
            f"{inputs.name} has {len(inputs.values)} rows, {targets.name} has {len(targets.values)}"
        )
    rows = np.unique(np.hstack([inputs.values, targets.values]), axis=0)
    if len(rows) > _MOST_ROWS:
        rows = rows[np.random.default_rng(0).permutation(len(rows))[:_MOST_ROWS]]
    width = inputs.values.shape[1]
    return rows[:, :width], rows[:, width:]


def _predicted(known: Prior, own: Landmarks) -> Prediction:
    """Return the prediction, moved to the errors on rows of the user if there are any."""
    predicted = known.predict(own.features)
    if own.given is None:
        return predicted
    shift = own.given - predicted.errors
    return Prediction(predicted.errors + shift, predicted.draws + shift, predicted.neighbours)


def of_landmarks(
    known: Prior, found: Sequence[Landmarks], *, rows: int = 0, seconds: float = 0.0
) -> Recommendation:
    """Return the recommendation that landmarks of one or more tables lead to.

    Args:
        known: The prior.
        found: The landmarks of each table. Predictions are averaged.
        rows: Number of rows.
        seconds: Time that the landmarks took.
    """
    predictions = [_predicted(known, own) for own in found]
    errors = np.mean([own.errors for own in predictions], axis=0)
    draws = np.mean([own.draws for own in predictions], axis=0)
    first = int(errors.argmin())
    fallback = known.answers.index(FALLBACK)
    better = float((draws[:, first] < draws[:, fallback]).mean())
    shifts = _shifts(known, found)
    abstained = "" if first == fallback else _abstained(better, shifts)
    chosen = fallback if abstained else first
    regret = _quantiles(draws[:, chosen] - draws.min(axis=1))
    functions = [i for i in range(len(errors)) if known.answers[i] != LINEAR]
    activation = chosen if chosen in functions else min(functions, key=lambda i: float(errors[i]))
    is_close = _quantiles(draws[:, fallback] - draws.min(axis=1)).ratio <= HARDLY
    return Recommendation(
        choice=known.answers[chosen],
        activation=known.answers[activation],
        answers=_answers(known, found, errors, draws),
        better=better if chosen != fallback else 0.5,
        regret=regret,
        sure=regret.high <= SURE_REGRET,
        abstained=abstained,
        reasons=_reasons(known.answers[chosen], known.answers[activation], abstained, is_close),
        shifts=shifts,
        like=_like(known, predictions[0]),
        errors=_by_shift(known, found)[:, np.argsort(errors, kind="stable")],
        fallback=FALLBACK,
        rows=rows,
        seconds=seconds,
        measured=all(own.given is not None for own in found),
    )


def _answers(
    known: Prior, found: Sequence[Landmarks], errors: FloatArray, draws: FloatArray
) -> tuple[Answer, ...]:
    formulas = {own.name: own.formula for own in (*fixed(), _fallback())}
    logs = [np.stack([own.outer.mean(axis=0), own.inside]) for own in found]
    measured = dict(zip(known.answers, _relative(known, np.mean(logs, axis=0)).T, strict=False))
    wins = np.bincount(draws.argmin(axis=1), minlength=len(errors)) / len(draws)
    return tuple(
        Answer(
            name=known.answers[i],
            formula=formulas.get(known.answers[i], ""),
            ood=_quantiles(draws[:, i], float(errors[i])),
            best=float(wins[i]),
            pseudo=_ratio(measured.get(known.answers[i]), 0),
            inside=_ratio(measured.get(known.answers[i]), 1),
        )
        for i in np.argsort(errors, kind="stable")
    )


def _fallback() -> Competitor:
    return competitors([FALLBACK], 1)[0][0]


def _ratio(measured: FloatArray | None, place: int) -> float | None:
    return None if measured is None else float(measured[place])


def _shifts(known: Prior, found: Sequence[Landmarks]) -> tuple[ShiftResult, ...]:
    results = []
    for own in found:
        for i, name in enumerate(own.pseudo_shifts):
            others = np.delete(own.by_shift, i, axis=0)
            agreement = spearman(own.by_shift[i], others.mean(axis=0)) if len(others) else None
            best = known.landmarks[int(own.by_shift[i].argmin())]
            results.append(ShiftResult(name, best, agreement))
    return tuple(results)


def _by_shift(known: Prior, found: Sequence[Landmarks]) -> FloatArray:
    """Return the errors of all answers relative to the mean landmark, ``[shift, answer]``."""
    logs = np.vstack([own.outer for own in found])
    errors = np.full((len(logs), len(known.answers)), np.nan)
    errors[:, : logs.shape[1]] = _relative(known, logs)
    return errors


def _relative(known: Prior, logs: FloatArray) -> FloatArray:
    """Return the errors of log10 errors ``[..., answer]``, relative to the mean landmark."""
    landmarks = logs[..., : len(known.landmarks)]
    return np.asarray(10 ** (logs - landmarks.mean(axis=-1, keepdims=True)))


def _abstained(better: float, shifts: Sequence[ShiftResult]) -> str:
    """Return why the fallback is recommended though it is not predicted to be the best; or ""."""
    if better >= LEAST_SURE:
        return ""
    known = [own.agreement for own in shifts if own.agreement is not None]
    agreement = f" The pseudo-shifts agree by {np.mean(known):.2f}." if known else ""
    return (
        f"The best answer is better than the fallback with a probability of only {better:.0%}."
        f"{agreement}"
    )


def _reasons(choice: str, activation: str, abstained: str, is_close: bool) -> tuple[str, ...]:
    found = [abstained] if abstained else []
    if choice == LINEAR:
        found.append(
            f"A linear model is predicted to extrapolate better than any network. The best "
            f"activation function of a network is {activation}."
        )
    if is_close:
        found.append("The choice hardly matters on these data.")
    return tuple(found)


def _like(known: Prior, predicted: Prediction, most: int = 5) -> tuple[tuple[str, str], ...]:
    return tuple(
        (known.families[i], known.answers[int(known.truth[i].argmin())])
        for i in predicted.neighbours[:most]
    )


def _quantiles(logs: FloatArray, centre: float | None = None) -> Interval:
    tail = (1 - _LEVEL) / 2
    low, median, high = 10 ** np.quantile(logs, [tail, 0.5, 1 - tail])
    middle = float(median) if centre is None else 10**centre
    return Interval(middle, float(low), float(high))


def _interval(interval: Interval) -> list[float]:
    return [_digits(value) for value in (interval.ratio, interval.low, interval.high)]


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
