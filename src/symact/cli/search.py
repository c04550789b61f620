"""``symact search`` and ``symact resume``: start and continue searches."""

from __future__ import annotations

import contextlib
import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symact.cli.console import print_table
from symact.cli.options import (
    Judge,
    Quiet,
    RunFolder,
    Training,
    trains,
)
from symact.cli.progress import Reporter
from symact.errors import SymactError, choices

if TYPE_CHECKING:
    from symact.engine.result import Result

#: What a search may look for.
_GOALS = ("generalist", "specialist")
#: Seconds of a budget of time for the comparison at the end on the generated families, where the
#: package has judgements of the known functions.
_COMPARISON_SECONDS = 20.0
#: The same on draws of a task, where the known functions are trained.
_TASK_SECONDS = 60.0


@trains
def search(
    grammar: Annotated[
        str, typer.Option(help="A packaged grammar (symact grammar list) or a TOML file.")
    ] = "pointwise",
    task: Annotated[
        str | None, typer.Option(help="A task (symact tasks). Default: generalist.")
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(
            help="generalist: one function for many kinds of targets, the default; specialist: one "
            "for the families of --task."
        ),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            help="The time of the whole command such as 5m or 90s, or a number of trained "
            "candidates such as 500."
        ),
    ] = "5m",
    seed: Annotated[
        int, typer.Option(min=0, help="The seed of the proposals and of the search draws.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="The run directory to create. Default: a new one in runs/.")
    ] = None,
    proposer: Annotated[
        str, typer.Option(help="gp, random, enumerate, replay:FILE or exec:'COMMAND'.")
    ] = "gp",
    judge: Judge = True,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting such as islands=1; repeatable. 'help' lists the settings.",
        ),
    ] = None,
    quiet: Quiet = False,
    *,
    training: Training,
) -> None:
    """Search activation functions, then compare the best with known ones."""
    started = time.monotonic()
    from symact import engine
    from symact.engine.settings import SearchConfig

    if "help" in (changes or ()):
        _print_settings()
        return
    config = SearchConfig.of(changes or ())
    task = _task_for(goal, task)
    folder = out or new_folder(grammar, task, seed)
    before = time.monotonic() - started
    try:
        with Reporter(folder, quiet) as reporter:
            result = engine.search(
                grammar,
                task,
                budget=budget,
                seed=seed,
                out=folder,
                proposer=proposer,
                config=config,
                on_progress=reporter,
                reserve=_comparison_seconds(task) if judge else 0.0,
                **training.arguments,
            )
    except SymactError:
        if out is None:
            with contextlib.suppress(OSError):  # the directory is not empty any more
                folder.rmdir()
        raise
    _conclude(result, judge, training.local_device, quiet, before)


@trains
def resume(
    run: RunFolder,
    budget: Annotated[
        str | None,
        typer.Option(
            help="A new total budget, of which the run has used a part. Default: the budget of "
            "the run."
        ),
    ] = None,
    proposer: Annotated[
        str | None,
        typer.Option(help="The proposer exec:'COMMAND' of the run. It only starts if given again."),
    ] = None,
    judge: Judge = True,
    quiet: Quiet = False,
    *,
    training: Training,
) -> None:
    """Continue an interrupted run, or extend a finished one."""
    started = time.monotonic()
    from symact import engine

    before = time.monotonic() - started
    with Reporter(run, quiet) as reporter:
        result = engine.resume(
            run,
            budget=budget,
            proposer=proposer,
            on_progress=reporter,
            reserve=_comparison_seconds(_task_of(run)) if judge else 0.0,
            **training.arguments,
        )
    _conclude(result, judge, training.local_device, quiet, before)


def new_folder(grammar: str, task: str, seed: int) -> Path:
    """Create and return a new directory below ``runs``.

    Concurrent searches get different directories.
    """
    stem = f"{Path(grammar).stem}-{task}-{seed}"
    for number in itertools.count(1):
        folder = Path("runs") / (stem if number == 1 else f"{stem}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder


def _task_for(goal: str | None, task: str | None) -> str:
    """Return the task of a search.

    Raises:
        SymactError: The goal is unknown, or the task does not fit it.
    """
    from symact.tasks import GENERALIST

    if goal not in (None, *_GOALS):
        raise SymactError(f"unknown goal '{goal}'; {choices(goal, _GOALS)}")
    if goal == "specialist" and task in (None, GENERALIST):
        raise SymactError("--goal specialist needs --task, such as --task polynomial")
    if goal == "generalist" and task not in (None, GENERALIST):
        raise SymactError(f"--goal generalist has its own task; use --goal specialist for '{task}'")
    return task or GENERALIST


def _task_of(run: Path) -> str:
    """Return the name of the task of a run."""
    from symact.storage.repository import open_run

    with contextlib.closing(open_run(run)) as stored:
        return stored.config().task


def _comparison_seconds(task: str) -> float:
    """Return the seconds to keep for the comparison after a search on a task."""
    from symact.tasks import GENERALIST, OOD_SUITE

    return _COMPARISON_SECONDS if task in (GENERALIST, OOD_SUITE) else _TASK_SECONDS


def _conclude(result: Result, judge: bool, device: str | None, quiet: bool, before: float) -> None:
    """Print a run. If ``judge`` is set, compare its functions on the test draws.

    Args:
        result: The run.
        judge: Whether to compare.
        device: As in :func:`symact.compare`.
        quiet: Whether to report no steps.
        before: Seconds of the command before the run.
    """
    from symact.cli.compare import compare_run
    from symact.cli.show import print_run
    from symact.engine.budget import parse_budget

    print_run(result)
    if judge and result.path is not None:
        total = parse_budget(result.config["budget"]).seconds
        left = None if total is None else total - result.seconds - before
        compare_run(result, device, quiet, left)


def _print_settings() -> None:
    from symact.engine.settings import all_settings
    from symact.reporting.text_table import Column

    rows = [(one.name, one.default, one.meaning) for one in all_settings()]
    print_table([Column("setting"), Column("default"), Column("meaning", wraps=True)], rows)
