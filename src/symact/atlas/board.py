"""The leaderboard: functions judged by protocol 2.0, sorted by their generalist score.

The generalist score is the OOD error relative to the reference, a geometric mean over families and
cells. Functions of batch statistics are in a block of their own: they are no pointwise functions,
and a network with them predicts each point from the others.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from symact import zoo
from symact.atlas.judgements import Judgement, Judgements
from symact.errors import SymactError, choices
from symact.evaluation import check_device
from symact.evaluation.cells import CellJudge
from symact.evaluation.hierarchy import Standing, inside, ood, standings
from symact.expr import Expr
from symact.expr.cost import flops
from symact.reporting.competitors import Competitor, Item, competitors, flat, of_zoo
from symact.reporting.text_table import Column, numbers
from symact.tasks import Task
from symact.tasks.families import population
from symact.tasks.protocol2 import FORMS, REFERENCE, PopulationForm
from symact.tasks.registry import whole_number
from symact.tasks.scores import plain

OnStep = Callable[[int, int, str], None]
FloatArray = NDArray[np.float64]

#: The file of judgements in a folder.
JUDGEMENTS = "judgements.jsonl"
#: Limits of the number of families. One family has no interval over families.
LEAST_FAMILIES, MOST_FAMILIES = 2, 1000
#: Number of functions that are judged whatever the time.
_LEAST_JUDGED = 2


@dataclass(frozen=True, eq=False)
class Entry:
    """A row of the leaderboard.

    Attributes:
        name: Name of the function.
        formula: Its formula, or its definition in words.
        kind: ``"found"``, ``"zoo"`` or ``"imported"``.
        note: How it is trained; "" for a fixed function.
        statistics: Whether it reads batch statistics.
        flops: FLOPs of one evaluation; NaN for a module.
        standing: Statistics relative to the reference.
        families: Ratio of OOD errors in each family, in the order of the leaderboard's families.
        inside: Ratio of ID errors in each family.
        diverged: Share of networks that diverged at every rate, in [0, 1].
        seconds: Time that the training took.
        also: Name of the function in a run, if ``name`` is its name in the zoo.
    """

    name: str
    formula: str
    kind: str
    note: str
    statistics: bool
    flops: float
    standing: Standing
    families: tuple[float, ...]
    inside: tuple[float, ...]
    diverged: float
    seconds: float
    also: str = ""

    @property
    def title(self) -> str:
        """The name in tables. It contains both names if a run found a known function."""
        return f"{self.also} = {self.name}" if self.also else self.name


class Block(NamedTuple):
    """A part of the table.

    Attributes:
        title: The title; "" for pointwise functions.
        rows: The rows.
    """

    title: str
    rows: list[Entry]


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """Functions judged by protocol 2.0.

    Attributes:
        version: Version of the scores.
        split: The split of the families.
        families: The names of the families.
        reference: The function that ratios are to.
        looked_at: Number of functions that p-values are corrected for.
        entries: Pointwise functions by their generalist score, then functions of batch statistics.
        differences: Log10 of the ratios, ``[entry, family, cell]``.
        linear: Geometric mean of the linear model's OOD errors, relative to the reference.
        task: Name of the task that has the families; "" for generated families.
        are_draws: Whether the families are single instances of the task.
        left_out: Names of functions for which no time was left.
        shipped: Number of functions whose judgement is part of the package.
    """

    version: str
    split: str
    families: tuple[str, ...]
    reference: str
    looked_at: int
    entries: tuple[Entry, ...]
    differences: FloatArray
    linear: float
    task: str = ""
    are_draws: bool = False
    left_out: tuple[str, ...] = ()
    shipped: int = 0

    @property
    def blocks(self) -> list[Block]:
        """The parts of the table that have rows: pointwise functions, then the others."""
        parts = (("", False), ("Functions of batch statistics", True))
        found = [
            Block(title, [own for own in self.entries if own.statistics == statistics])
            for title, statistics in parts
        ]
        return [block for block in found if block.rows]

    @cached_property
    def matrix(self) -> FloatArray:
        """Log10 of the ratios of OOD errors, ``[entry, family]``."""
        return np.asarray(self.differences.mean(axis=-1))

    def entry(self, name: str) -> Entry:
        """Return the row of a function.

        Raises:
            SymactError: There is none.
        """
        found = {own.name: own for own in self.entries}
        if name not in found:
            raise SymactError(f"no function '{name}' was judged; {choices(name, found)}")
        return found[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the leaderboard as values that JSON can hold, without the single cells."""
        return {
            "protocol": self.version,
            "task": self.task,
            "draws": self.are_draws,
            "split": self.split,
            "families": list(self.families),
            "reference": self.reference,
            "looked_at": self.looked_at,
            "linear": _digits(self.linear),
            "left_out": list(self.left_out),
            "shipped": self.shipped,
            "entries": [_entry_to_dict(own) for own in self.entries],
        }


def leaderboard(
    *items: Item | Sequence[Item],
    form: str | PopulationForm = "quick",
    families: int | None = None,
    split: str = "test",
    task: Task | None = None,
    out: str | Path = "runs/leaderboard",
    device: str | None = None,
    threads: int | None = None,
    on_step: OnStep | None = None,
) -> Leaderboard:
    """Judge functions by protocol 2.0 (``docs/protocol2.md``).

    Each judgement is stored when it is done. The same call later trains only new functions.

    Args:
        items: Functions as in :func:`.compare`: names of the zoo, formulas, runs, programs. None
            for the whole zoo.
        form: ``"quick"`` or ``"full"``.
        families: The number of generated families, from 2 to 1,000. None for the number in the
            form.
        split: The split of the generated families: ``"test"``, or ``"search"`` and
            ``"selection"``, which tuning and choices use.
        task: Other families; None for the generated ones.
        out: Folder of the file ``judgements.jsonl``.
        device: ``"cpu"`` or ``"cuda"``. None for CUDA if available, else the CPU.
        threads: Number of threads on the CPU; None for the number of cores.
        on_step: Called before each function is trained, with (index, number of functions, name).

    Raises:
        SymactError: A name is unknown, a formula does not parse, or a training failed.

    Example:
        >>> board = leaderboard("SiLU", "x*tanh(x)")  # doctest: +SKIP
        >>> board.entries[0].standing.ood  # doctest: +SKIP
        Interval(ratio=0.93, low=0.86, high=1.01)
    """
    check_device(device)
    asked = form_of(form, families)
    functions = _functions(items)
    store = Judgements(Path(out) / JUDGEMENTS)
    target = population(split, asked.families) if task is None else task
    judge = CellJudge(target, asked, device=device, threads=threads)
    # Families of different splits have the same names, so the name of their task tells them apart.
    name = "" if task is None and split == "test" else target.name
    judged = judge_all(judge, store, functions, on_step, task=name)
    return board_of(judge, functions, judged, split=split, task=name)


def judge_all(
    judge: CellJudge,
    store: Judgements,
    functions: Sequence[Competitor],
    on_step: OnStep | None = None,
    *,
    task: str = "",
) -> list[Judgement]:
    """Return the judgement of each function; train those that the store does not have.

    Args:
        judge: Trains functions.
        store: Has earlier judgements.
        functions: The functions to judge.
        on_step: As in :func:`leaderboard`.
        task: Name of the task that has the families; "" for generated families.
    """
    version, digest = judge.form.version, population_digest(judge, task)
    found = []
    for place, own in enumerate(functions):
        known = store.get(own.key, digest)
        if known is None:
            store.prepare()
            if on_step is not None:
                on_step(place, len(functions), own.name)
            start = time.perf_counter()
            (errors,) = judge.judge([own.function])
            seconds = time.perf_counter() - start
            known = Judgement.of(own.name, own.key, version, digest, errors, seconds)
            store.add(known)
        found.append(known)
    return found


def judge_in_time(
    judge: CellJudge,
    store: Judgements,
    functions: Sequence[Competitor],
    on_step: OnStep | None = None,
    *,
    task: str = "",
    end: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Judgement | None]:
    """Return the judgement of each function; None where no time is left to train it.

    The first found function and the reference are always judged, then the others in order.

    Args:
        judge: Trains functions.
        store: Has earlier judgements.
        functions: The functions to judge.
        on_step: As in :func:`leaderboard`.
        task: As in :func:`judge_all`.
        end: Reading of the clock at which to end; None for no limit.
        clock: Returns seconds.
    """
    if end is None:
        return [*judge_all(judge, store, functions, on_step, task=task)]
    each, digest = 0.0, population_digest(judge, task)
    found: dict[int, Judgement] = {}
    for place in _by_priority(functions):
        own = functions[place]
        is_known = store.get(own.key, digest) is not None
        if not is_known and len(found) >= _LEAST_JUDGED and clock() + each > end:
            continue
        if not is_known and on_step is not None:
            on_step(place, len(functions), own.name)
        start = clock()
        (found[place],) = judge_all(judge, store, [own], task=task)
        each = each if is_known else clock() - start
    return [found.get(place) for place in range(len(functions))]


def _by_priority(functions: Sequence[Competitor]) -> list[int]:
    """Return the places of functions: the first found one, the reference, then the others."""
    places = range(len(functions))
    first = next((i for i in places if functions[i].kind == "found"), 0)
    names = [own.name for own in functions]
    return list(dict.fromkeys([first, names.index(REFERENCE), *places]))


def population_digest(judge: CellJudge, task: str = "") -> str:
    """Return a digest of all that determines the errors of a function.

    Args:
        judge: Has the form and the families.
        task: Name of the task that has the families; "" for generated families. Names of a task do
            not determine its data, so its digest includes the points.
    """
    asked: list[Any] = [judge.form.version, asdict(judge.form), judge.families]
    if task:
        asked += [task, judge.data]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def form_of(form: str | PopulationForm, families: int | None) -> PopulationForm:
    """Return a form by its name, with another number of families.

    Raises:
        SymactError: The name is unknown, or the number is out of range.
    """
    if isinstance(form, str) and form not in FORMS:
        raise SymactError(f"unknown form '{form}'; {choices(form, FORMS)}")
    asked = FORMS[form] if isinstance(form, str) else form
    if families is None:
        return asked
    if whole_number("families", families, LEAST_FAMILIES) > MOST_FAMILIES:
        raise SymactError(f"families must be at most {MOST_FAMILIES}, got {families}")
    return replace(asked, families=families)


def _functions(items: Sequence[Item | Sequence[Item]]) -> list[Competitor]:
    """Return the functions to judge, with the reference."""
    given = flat(items)
    activations = [known for known in zoo.catalogue() if known.is_activation]
    found = competitors(given, 1)[0] if given else [of_zoo(known) for known in activations]
    if all(own.name != REFERENCE for own in found):
        found.append(of_zoo(zoo.find(REFERENCE)))
    return found


def board_of(
    judge: CellJudge,
    functions: Sequence[Competitor],
    judged: Sequence[Judgement],
    *,
    split: str = "test",
    task: str = "",
    are_draws: bool = False,
) -> Leaderboard:
    """Return the leaderboard of judged functions. The reference is one of them.

    Args:
        judge: Has the families and the baselines.
        functions: The functions.
        judged: Their judgements.
        split: The split of the families.
        task: As in :class:`Leaderboard`.
        are_draws: Likewise.
    """
    outside = np.stack([ood(own.errors) for own in judged])
    within = np.stack([inside(own.errors) for own in judged])
    reference = next(i for i, own in enumerate(functions) if own.name == REFERENCE)
    outside_ratio, within_ratio = outside - outside[reference], within - within[reference]
    found = standings(outside_ratio, within_ratio, judge.families)
    order = sorted(
        range(len(functions)), key=lambda i: (functions[i].statistics, found[i].ood.ratio)
    )
    linear = ood(judge.baselines()["linear"]) - outside[reference]
    return Leaderboard(
        version=judge.form.version,
        split=split,
        families=judge.families,
        reference=REFERENCE,
        looked_at=len(functions),
        entries=tuple(
            _entry(functions[i], judged[i], found[i], outside_ratio[i], within_ratio[i])
            for i in order
        ),
        differences=outside_ratio[order],
        linear=plain(float(linear.mean())),
        task=task,
        are_draws=are_draws,
    )


def _entry(
    own: Competitor,
    judged: Judgement,
    standing: Standing,
    outside: FloatArray,
    within: FloatArray,
) -> Entry:
    return Entry(
        name=own.name,
        formula=own.formula,
        kind=own.kind,
        note=own.note,
        statistics=own.statistics,
        flops=flops(own.function) if isinstance(own.function, Expr) else float("nan"),
        standing=standing,
        families=tuple(plain(float(value)) for value in outside.mean(axis=-1)),
        inside=tuple(plain(float(value)) for value in within.mean(axis=-1)),
        diverged=float(np.isnan(judged.errors).any(axis=-1).mean()),
        seconds=judged.seconds,
        also=own.also,
    )


def explanation(board: Leaderboard) -> str:
    """Return what was trained and what the numbers mean, as sentences."""
    _, families, cells = board.differences.shape
    what = "generated families of targets"
    if board.task:
        what = f"{'test draws' if board.are_draws else 'families'} of task '{board.task}'"
    shipped = f"{board.shipped} judgements are part of symact. " if board.shipped else ""
    left = f" No time was left for {', '.join(board.left_out)}." if board.left_out else ""
    limit = "The intervals describe new draws of this task, not other tasks. "
    return (
        f"Protocol {board.version}: {len(board.entries)} functions in {families} {what}, "
        f"{cells} cells each (initialisation and architecture). Ratios are to {board.reference} "
        f"in the same cells; below 1 is better. {shipped}{limit if board.are_draws else ''}"
        f"p is corrected for {board.looked_at} functions (Holm). A linear model has "
        f"{board.linear:.3g}.{left}"
    )


def headings() -> list[str]:
    """Return the headings of :func:`cells`."""
    return ["OOD", "95% interval", "p", "won", "worst family", "ratio there", "ID", "FLOPs"]


def columns() -> list[Column]:
    """Return the columns of :func:`table_cells`."""
    return [Column("function"), *numbers(*headings()), Column("formula", wraps=True)]


def table_cells(entry: Entry) -> list[str]:
    """Return a row of the table as text: its name, its cells and its formula."""
    return [entry.title, *cells(entry), entry.formula]


def cells(entry: Entry) -> list[str]:
    """Return the cells of a row of the table, as text."""
    own = entry.standing
    return [
        f"{own.ood.ratio:.3f}",
        f"{own.ood.low:.3f} to {own.ood.high:.3f}",
        f"{own.p:.2g}",
        f"{own.won:.0%}",
        own.worst,
        f"{own.worst_ratio.ratio:.3g}",
        f"{own.id.ratio:.3f}",
        "-" if np.isnan(entry.flops) else f"{entry.flops:g}",
    ]


def _entry_to_dict(entry: Entry) -> dict[str, Any]:
    standing = entry.standing
    return {
        "name": entry.name,
        "also": entry.also,
        "formula": entry.formula,
        "kind": entry.kind,
        "note": entry.note,
        "statistics": entry.statistics,
        "flops": None if np.isnan(entry.flops) else entry.flops,
        "ood": _interval(standing.ood),
        "id": _interval(standing.id),
        "worst": [standing.worst, *_interval(standing.worst_ratio)],
        "won": _digits(standing.won),
        "dominance": _digits(standing.dominance),
        "p": _digits(standing.p),
        "diverged": _digits(entry.diverged),
        "families": [_digits(value) for value in entry.families],
        "id_families": [_digits(value) for value in entry.inside],
        "seconds": round(entry.seconds, 1),
    }


def _interval(interval: Any) -> list[float]:
    return [_digits(value) for value in (interval.ratio, interval.low, interval.high)]


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
