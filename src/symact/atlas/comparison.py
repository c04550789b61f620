"""Compare a few functions, or the functions of runs with known ones, by protocol 2.0.

The families are the generated test families. For another task they are test draws of that task.
Protocol 1.0 has a module of its own, :mod:`symact.reporting.comparison`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, overload

from symact.atlas.board import (
    JUDGEMENTS,
    Leaderboard,
    OnStep,
    board_of,
    form_of,
    judge_in_time,
)
from symact.atlas.judgements import Judgements
from symact.atlas.known import known_judgements
from symact.engine.result import Result
from symact.errors import SymactError, choices
from symact.evaluation import check_device
from symact.evaluation.cells import CellJudge
from symact.reporting import comparison as protocol1
from symact.reporting.comparison import BEST, task_of
from symact.reporting.competitors import Item, flat, row_name, with_usual
from symact.reporting.table import Comparison
from symact.tasks import GENERALIST, OOD_SUITE, Task
from symact.tasks.families import population
from symact.tasks.protocol import VERSION as VERSION_1
from symact.tasks.protocol import EvaluationProtocol
from symact.tasks.protocol2 import VERSION, PopulationForm

PROTOCOLS = (VERSION, VERSION_1)

#: Number of test draws of a task that are judged as families.
DRAWS = 48
#: A task with fewer families is judged in its draws.
OWN_FAMILIES = 12
#: Number of families at the end of a search: three of each stratum.
BRIEF_FAMILIES = 36


@overload
def compare(
    *items: Item | Sequence[Item],
    task: str | Task | None = None,
    protocol: Literal["2.0"] = "2.0",
    form: str | PopulationForm | None = None,
    families: int | None = None,
    best: int = BEST,
    device: str | None = None,
    out: str | Path | None = None,
    on_step: OnStep | None = None,
    seconds: float | None = None,
) -> Leaderboard: ...


@overload
def compare(
    *items: Item | Sequence[Item],
    task: str | Task | None = None,
    protocol: Literal["1.0"],
    form: str | EvaluationProtocol | None = None,
    best: int = BEST,
    device: str | None = None,
    out: str | Path | None = None,
    on_step: OnStep | None = None,
    per_family: int | None = None,
    seeds: int | None = None,
) -> Comparison: ...


@overload
def compare(
    *items: Item | Sequence[Item],
    task: str | Task | None = None,
    protocol: str = VERSION,
    form: str | PopulationForm | EvaluationProtocol | None = None,
    families: int | None = None,
    best: int = BEST,
    device: str | None = None,
    out: str | Path | None = None,
    on_step: OnStep | None = None,
    per_family: int | None = None,
    seeds: int | None = None,
    seconds: float | None = None,
) -> Leaderboard | Comparison: ...


def compare(
    *items: Item | Sequence[Item],
    task: str | Task | None = None,
    protocol: str = VERSION,
    form: str | PopulationForm | EvaluationProtocol | None = None,
    families: int | None = None,
    best: int = BEST,
    device: str | None = None,
    out: str | Path | None = None,
    on_step: OnStep | None = None,
    per_family: int | None = None,
    seeds: int | None = None,
    seconds: float | None = None,
) -> Leaderboard | Comparison:
    """Compare functions on test families that no search has seen (``docs/protocol2.md``).

    Args:
        items: The functions. Each item is a result or a run directory (its best functions are
            compared), a name of the zoo, a formula in x, an expression, or a file or folder of
            programs to import. If all items are runs, the usual known functions are added.
        task: A name or a Task, whose test draws then are the families. A task with at least twelve
            families has its own. None for the task of the first run, or for the generated families
            if there is no run or its task is the default one.
        protocol: ``"2.0"``, or ``"1.0"`` for the earlier protocol (``docs/protocol.md``).
        form: ``"quick"`` or ``"full"``. None for the quick form of protocol 2.0 or the full form of
            protocol 1.0.
        families: Number of families, or of draws of a task, from 2 to 1,000. None for 96 families
            or 48 draws.
        best: Number of functions to compare from each run.
        device: ``"cpu"`` or ``"cuda"``. None for CUDA if available, else the CPU.
        out: Folder for the judgements. None for the folder of the first run; without a run they
            are not stored.
        on_step: Called before each function is trained, with (index, number of functions, name).
        per_family: Protocol 1.0 alone: number of test instances of each family.
        seeds: Protocol 1.0 alone: number of training seeds of each instance.
        seconds: Protocol 2.0 alone: time for data and judgements. Functions that do not fit are
            left out; the first found function and the reference are always judged. None for no
            limit.

    Returns:
        The functions sorted by their OOD error relative to GELU. A :class:`.Comparison` for
        protocol 1.0.

    Raises:
        SymactError: A name is unknown, a formula does not parse, an argument belongs to the other
            protocol, or there is no task.

    Example:
        >>> board = compare("SiLU", "x*tanh(x)", families=12)  # doctest: +SKIP
        >>> board.entry("SiLU").standing.ood  # doctest: +SKIP
        Interval(ratio=0.8, low=0.63, high=0.98)
    """
    _check_protocol(
        protocol,
        {"families": families, "seconds": seconds},
        {"per-family": per_family, "seeds": seeds},
    )
    if protocol == VERSION_1:
        if isinstance(form, PopulationForm):
            raise SymactError(f"the form '{form.name}' is of protocol {VERSION}; {_CHOOSE}")
        return protocol1.compare(
            *items,
            task=task,
            form=form or "full",
            per_family=per_family,
            seeds=seeds,
            best=best,
            device=device,
            out=out,
            on_step=on_step,
        )
    end = None if seconds is None else time.monotonic() + seconds
    if isinstance(form, EvaluationProtocol):
        raise SymactError(f"the form '{form.name}' is of protocol {VERSION_1}; {_CHOOSE}")
    check_device(device)
    asked = form_of(form or "quick", families)
    found, runs = with_usual(flat(items), best)
    functions = [replace(own, name=row_name(own)) for own in found]
    store = _store(runs, out)
    cases = _cases(runs, task, asked, families)
    judge = CellJudge(cases.task, cases.form, device=device)
    shipped = () if cases.name else known_judgements(judge)
    store.offer(shipped)
    judged = judge_in_time(judge, store, functions, on_step, task=cases.name, end=end)
    board = board_of(
        judge,
        [own for own, found in zip(functions, judged, strict=True) if found],
        [found for found in judged if found],
        task=cases.name,
        are_draws=cases.are_draws,
    )
    left_out = [own.name for own, found in zip(functions, judged, strict=True) if not found]
    used = sum(any(found is own for own in shipped) for found in judged)
    return replace(board, left_out=tuple(left_out), shipped=used)


_CHOOSE = "choose the protocol or the form"


def _check_protocol(
    protocol: str, of_2: Mapping[str, float | None], of_1: Mapping[str, float | None]
) -> None:
    """Refuse arguments of the other protocol."""
    if protocol not in PROTOCOLS:
        raise SymactError(f"unknown protocol '{protocol}'; {choices(protocol, PROTOCOLS)}")
    own, others = (VERSION_1, of_1) if protocol == VERSION else (VERSION, of_2)
    for name, value in others.items():
        if value is not None:
            raise SymactError(
                f"{name} belongs to protocol {own}; leave it out, or choose protocol {own}"
            )


@dataclass(frozen=True, slots=True)
class _Cases:
    """The families to judge on.

    Attributes:
        task: Has the families.
        form: The form of the cells.
        name: Name of the task; "" for generated families.
        are_draws: Whether the families are single instances of the task.
    """

    task: Task
    form: PopulationForm
    name: str = ""
    are_draws: bool = False


def _cases(
    runs: Sequence[Result], task: str | Task | None, form: PopulationForm, families: int | None
) -> _Cases:
    named = task or (runs[0].config["task"] if runs else GENERALIST)
    if named == GENERALIST or (task is None and named == OOD_SUITE):
        return _Cases(population("test", form.families), form)
    target = task_of(runs, task)
    own = replace(form, name=f"{form.name}-task", families=len(target.families))
    if len(target.families) >= OWN_FAMILIES:
        if families not in (None, own.families):
            raise SymactError(
                f"task '{target.name}' has {own.families} families of its own; leave out families"
            )
        return _Cases(target, own, target.name)
    drawn = target.by_instance("test", families or min(DRAWS, form.families))
    own = replace(own, families=len(drawn.families), instances=1)
    return _Cases(drawn, own, target.name, are_draws=True)


def _store(runs: Sequence[Result], out: str | Path | None) -> Judgements:
    """Return the judgements in ``out`` or the first run, and those in the other runs."""
    folders = [run.path for run in runs if run.path is not None]
    first = Path(out) if out is not None else (folders[0] if folders else None)
    others = [folder / JUDGEMENTS for folder in folders if folder != first]
    return Judgements(None if first is None else first / JUDGEMENTS, others)
