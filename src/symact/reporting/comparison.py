"""Compare functions by protocol 1.0 on the test draws.

Errors are stored by function, protocol version, instance and seed. A second comparison therefore
trains only new functions. :mod:`symact.atlas.comparison` compares by protocol 2.0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from symact import __version__
from symact.backends import to_latex
from symact.engine.result import Result
from symact.errors import StoreError, SymactError, choices
from symact.evaluation import check_device, statistics
from symact.evaluation.judge import Judge, baselines
from symact.expr import Expr
from symact.expr.cost import flops
from symact.reporting.competitors import (
    Competitor,
    Item,
    flat,
    row_name,
    with_usual,
)
from symact.reporting.table import Comparison, Row, from_json, to_json
from symact.storage.records import Judged
from symact.storage.repository import Repository, in_memory, open_judged, open_run
from symact.tasks import OOD_SUITE, TASKS, Task
from symact.tasks import scores as stats
from symact.tasks import task as built_in_task
from symact.tasks.protocol import FORMS, REFERENCE, EvaluationProtocol

#: Default number of functions that :func:`compare` takes from each run.
BEST = 3

#: Version of the stored comparisons. Comparisons of other versions are computed again.
_ANSWER = 2

OnStep = Callable[[int, int, str], None]


def compare(
    *items: Item | Sequence[Item],
    task: str | Task | None = None,
    form: str | EvaluationProtocol = "full",
    per_family: int | None = None,
    seeds: int | None = None,
    best: int = BEST,
    device: str | None = None,
    out: str | Path | None = None,
    on_step: OnStep | None = None,
) -> Comparison:
    """Compare functions on the test draws by protocol 1.0 (``docs/protocol.md``).

    Args:
        items: The functions. Each item is a result or a run directory (its best functions are
            compared), a name of the zoo, a formula in x, an expression, or a file or folder of
            programs to import. If all items are runs, the usual known functions are added.
        task: A name or a Task. None for the task of the first run, or the default task without
            runs.
        form: ``"full"`` for the protocol, or ``"quick"`` for its short form. Scores of the two
            forms are stored separately.
        per_family: Number of test instances of each family. None for the number in the form.
        seeds: Number of training seeds of each instance. None for the number in the form.
        best: Number of functions to compare from each run.
        device: ``"cpu"`` or ``"cuda"``. None for CUDA if available, else the CPU.
        out: Folder for the measured errors. None for the database of the first run.
        on_step: Called before each function is trained, with (index, number of functions, name).

    Raises:
        SymactError: A name is unknown, a formula does not parse, or there is no task.

    Example:
        >>> comparison = compare(["SiLU", "x*tanh(x)"], form="quick")  # doctest: +SKIP
        >>> comparison.reference  # doctest: +SKIP
        'GELU'
    """
    check_device(device)
    if isinstance(form, str) and form not in FORMS:
        raise SymactError(f"unknown form '{form}'; {choices(form, FORMS)}")
    asked = FORMS[form] if isinstance(form, str) else form
    found, runs = with_usual(flat(items), best)
    target = task_of(runs, task)
    judge = Judge(target, asked, per_family, seeds, device)
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(store)) for store in _stores(runs, out)]
        judged = _judge(stores, judge, found, on_step)
        # Comparisons are cached: an equal call returns the stored one.
        digest = _digest(judge, found)
        known = stores[0].comparison(digest)
        if known is not None:
            return from_json(known)
        answer = _comparison(judge, found, judged)
        with stores[0].transaction():
            stores[0].put_comparison(digest, to_json(answer))
        return from_json(to_json(answer))


def task_of(runs: Sequence[Result], task: str | Task | None) -> Task:
    """Return a task by its name; for None, that of the first run, or ``ood-suite`` without runs.

    Raises:
        StoreError: The task of the run was made from arrays.
        TaskError: The name is unknown.
    """
    if isinstance(task, Task):
        return task
    if task is not None:
        return built_in_task(task)
    if not runs:
        return built_in_task(OOD_SUITE)
    name = runs[0].config["task"]
    if name not in TASKS:
        raise StoreError(
            f"{runs[0].path}: the task '{name}' was made from arrays; pass it as task="
        )
    return built_in_task(name)


def _stores(runs: Sequence[Result], out: str | Path | None) -> list[Repository]:
    """Return the stores of known errors; new errors go into the first."""
    stores = [open_run(run.path) for run in runs if run.path is not None]
    folder = None if out is None else Path(out).resolve()
    if folder is not None and all(run.path is None or run.path.resolve() != folder for run in runs):
        stores.insert(0, open_judged(folder))
    return stores or [in_memory()]


def _judge(
    stores: Sequence[Repository], judge: Judge, found: Sequence[Competitor], on_step: OnStep | None
) -> list[Judged]:
    # Instance names are unique only within a task. The key therefore includes the task.
    keys = [f"{judge.task.name}:{instance.name}" for instance in judge.instances]
    version = judge.form.version
    judged = []
    for place, competitor in enumerate(found):
        known = (store.judged(competitor.key, version, keys, judge.seeds) for store in stores)
        result = next((one for one in known if one is not None), None)
        if result is None:
            if on_step is not None:
                on_step(place, len(found), competitor.name)
            rates = judge.rates([competitor.function])
            (errors,) = judge.errors([competitor.function], rates)
            # Reading back makes the first result equal to the stored one in all digits.
            result = stores[0].add_judged(competitor.key, version, keys, errors, rates[0])
        judged.append(result)
    return judged


def _digest(judge: Judge, found: Sequence[Competitor]) -> str:
    """Return a digest of everything that determines a comparison."""
    asked = [
        __version__,
        _ANSWER,
        judge.form.version,
        judge.task.name,
        [instance.name for instance in judge.instances],
        judge.seeds,
        [(one.name, one.kind, one.key, one.note, one.also) for one in found],
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Tests:
    """Ranks and p-values of all rows. Each block of the table is tested separately.

    Attributes:
        p: p-value against the reference, ``[row]``.
        ranks: Mean rank within the block, ``[row]``.
        pairs: p-value of each pair of rows, ``[row, row]``; NaN between blocks.
        cliques: Cliques of the pointwise rows.
        friedman: p-value of Friedman's test of the pointwise rows.
    """

    p: NDArray[np.float64]
    ranks: NDArray[np.float64]
    pairs: NDArray[np.float64]
    cliques: tuple[tuple[int, ...], ...]
    friedman: float | None


def _tests(ood: NDArray[np.float64], reads_batch: Sequence[bool], reference: int) -> _Tests:
    """Rank and test pointwise functions and functions of batch statistics, separately.

    Args:
        ood: Log10 errors ``[function, instance]``, pointwise functions first.
        reads_batch: Whether each function reads batch statistics.
        reference: Index of the reference function, which is pointwise.
    """
    count = len(ood)
    p, ranks = np.full(count, np.nan), np.full(count, np.nan)
    pairs = np.full((count, count), np.nan)
    own = np.asarray(reads_batch)
    blocks = [np.flatnonzero(own == value) for value in (False, True)]
    rankings = [statistics.ranking(ood[block]) for block in blocks if len(block)]
    for block, ranking in zip(blocks, rankings, strict=False):
        ranks[block] = ranking.ranks
        pairs[np.ix_(block, block)] = ranking.pairs
        others = block[block != reference]
        p[others] = statistics.holm([statistics.wilcoxon(ood[i], ood[reference]) for i in others])
    p[reference] = 1.0
    return _Tests(p, ranks, pairs, rankings[0].cliques, rankings[0].friedman)


def _comparison(judge: Judge, found: Sequence[Competitor], judged: Sequence[Judged]) -> Comparison:
    families = tuple(instance.family for instance in judge.instances)
    scores = [stats.score(one.errors, families).ood for one in judged]
    order = sorted(range(len(found)), key=lambda i: (found[i].statistics, scores[i]))
    found, judged = [found[i] for i in order], [judged[i] for i in order]
    base = baselines(judge.data)
    ood = np.array([stats.ood_errors(one.errors, families) for one in judged])
    reference = next(i for i, one in enumerate(found) if one.name == REFERENCE)
    tests = _tests(ood, [one.statistics for one in found], reference)
    rows = [
        _row(one, own, judged[reference], families, base, tests.p[i], tests.ranks[i])
        for i, (one, own) in enumerate(zip(found, judged, strict=True))
    ]
    return Comparison(
        protocol=judge.form.version,
        tasks=[instance.name for instance in judge.instances],
        seeds=list(range(judge.seeds)),
        task=judge.task.name,
        rows=rows,
        reference=REFERENCE,
        sizes=judge.form.sizes,
        pairs=tuple(tuple(map(float, line)) for line in tests.pairs),
        cliques=tests.cliques,
        friedman=tests.friedman,
        baselines={
            name: stats.plain(stats.score(errors[:, None, :], families).ood)
            for name, errors in base.items()
        },
    )


def _row(
    competitor: Competitor,
    judged: Judged,
    reference: Judged,
    families: Sequence[str],
    base: dict[str, NDArray[np.float64]],
    p: float,
    rank: float,
) -> Row:
    errors = judged.errors
    score = stats.score(errors, families)
    interval = statistics.ratio(errors, reference.errors, families)
    near, middle, far = (stats.plain(shell) for shell in score.shells)
    expr = competitor.function if isinstance(competitor.function, Expr) else None
    return Row(
        name=row_name(competitor),
        kind=competitor.kind,
        formula=competitor.formula,
        latex=None if expr is None else to_latex(expr),
        ood=stats.plain(score.ood),
        ratio=interval.ratio,
        low=interval.low,
        high=interval.high,
        id_error=stats.plain(score.id_error),
        id_ratio=statistics.id_ratio(errors, reference.errors, families).ratio,
        flops=float("nan") if expr is None else flops(expr),
        families={name: stats.plain(value) for name, value in score.families.items()},
        shells=(near, middle, far),
        diverged=score.diverged,
        statistics=competitor.statistics,
        p=float(p),
        rank=float(rank),
        skill_mean=statistics.skill(errors, base["mean"], families),
        skill_linear=statistics.skill(errors, base["linear"], families),
        rates=judged.rates,
        note=competitor.note,
        also=competitor.also,
    )
