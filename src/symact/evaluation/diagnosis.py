"""Diagnose a task before a search, by training networks with known functions.

A search is pointless if a linear model is better than every activation. It is also pointless if the
training noise exceeds the difference between ReLU and GELU.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symact import zoo
from symact.evaluation import statistics
from symact.evaluation.draws import by_family
from symact.evaluation.jobs import raise_on_failure
from symact.evaluation.ladder import Ladder
from symact.evaluation.training.mixed_sizes import (
    MixedSizeTrainer,
    TrainingSet,
    shuffled_networks,
)
from symact.evaluation.training.networks import ENTROPY, Data
from symact.expr import Expr, const
from symact.tasks import Task
from symact.tasks import scores as stats
from symact.tasks.protocol import REFERENCE, Training
from symact.tasks.protocol2 import SEARCHED

#: Functions that a diagnosis ranks. With a constant, the network predicts the training mean.
RANKED = ("ReLU", REFERENCE, "SiLU", "tanh", "identity", "constant", "GELUSine")


@dataclass(frozen=True, slots=True)
class Entry:
    """The errors of one function on the task, as geometric means."""

    name: str
    ood: float
    id_error: float
    families: dict[str, float]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The ranking by OOD error, best first, and warnings against a search on this task."""

    task: str
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...]


def check_task(ladder: Ladder) -> Diagnosis:
    """Diagnose a task by mini-training on the search draws with one seed, as a search does."""
    names, exprs = _functions()
    lowest = ladder.fidelities[0].name
    errors = raise_on_failure(ladder.train(lowest, exprs), names)
    return _diagnosis(ladder.problem.name, names, errors, ladder.families(lowest), "mini-training")


def diagnose_task(task: Task, *, per_family: int = 8, seeds: int = 3) -> Diagnosis:
    """Diagnose a task with several training seeds, on the search draws of seed 0.

    Args:
        task: The task to diagnose.
        per_family: Number of instances of each task family.
        seeds: Number of training seeds of each instance.
    """
    from symact.evaluation.training.numba_mlp import NumbaMLPTrainer

    def trainer(data: Data, training: Training) -> NumbaMLPTrainer:
        return NumbaMLPTrainer(data, training, range(seeds), ENTROPY["diagnosis"])

    families = by_family(task.draw("search", seed=0, per_family=per_family))
    assigned = shuffled_networks(families, SEARCHED, (0, ENTROPY["diagnosis"]))
    sets = [
        TrainingSet(data, SEARCHED[index], (SEARCHED[index].learning_rate,))
        for index, data in assigned.items()
    ]
    judge = MixedSizeTrainer(sets, trainer)
    names, exprs = _functions()
    with ThreadPoolExecutor() as pool:
        futures = judge.start(pool, exprs)
        errors = raise_on_failure([future.result() for future in futures], names)
    return _diagnosis(task.name, names, errors, judge.families, f"{seeds} seeds")


def _functions() -> tuple[list[str], list[Expr]]:
    exprs = [const(0.0) if name == "constant" else zoo.find(name).expr for name in RANKED]
    return list(RANKED), exprs


def _diagnosis(
    task: str,
    names: Sequence[str],
    errors: Sequence[NDArray[np.float64]],
    families: Sequence[str],
    noise: str,
) -> Diagnosis:
    by_name = dict(zip(names, errors, strict=True))
    scores = {name: stats.score(e, families) for name, e in by_name.items()}
    order = sorted(names, key=lambda name: scores[name].ood)
    entries = tuple(
        Entry(
            name,
            stats.plain(scores[name].ood),
            stats.plain(scores[name].id_error),
            {family: stats.plain(v) for family, v in scores[name].families.items()},
        )
        for name in order
    )
    warnings = []
    nonlinear = [name for name in order if name not in ("identity", "constant")]
    for trivial in ("identity", "constant"):
        if order[0] == trivial:
            warnings.append(f"{trivial} has the lowest OOD error on {task}: nothing to find here")
            continue
        losing = [
            family
            for family in sorted(set(families))
            if len(set(families)) > 1
            and all(
                scores[trivial].families[family] <= scores[n].families[family] for n in nonlinear
            )
        ]
        if losing:
            warnings.append(f"{trivial} beats every activation in {', '.join(losing)}")
    interval = statistics.ratio(by_name["ReLU"], by_name[REFERENCE], families)
    if interval.low <= 1 <= interval.high:
        warnings.append(
            f"ReLU and {REFERENCE} do not differ on {task} ({noise}): ratio {interval.ratio:.2f}, "
            f"95% interval {interval.low:.2f} to {interval.high:.2f}"
        )
    return Diagnosis(task, entries, tuple(warnings))
