"""``symact search`` and ``symact resume``: start and continue searches."""

from __future__ import annotations

import contextlib
import itertools
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
from symact.errors import SymactError

if TYPE_CHECKING:
    from symact.engine.result import Result


@trains
def search(
    grammar: Annotated[
        str, typer.Option(help="A packaged grammar (symact grammar list) or a TOML file.")
    ] = "pointwise",
    task: Annotated[str, typer.Option(help="A task (symact tasks).")] = "ood-suite",
    budget: Annotated[
        str,
        typer.Option(
            help="A time such as 5m or 90s, or a number of trained candidates such as 500."
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
    from symact import engine
    from symact.engine.settings import SearchConfig

    if "help" in (changes or ()):
        _print_settings()
        return
    config = SearchConfig.of(changes or ())
    folder = out or new_folder(grammar, task, seed)
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
                **training.arguments,
            )
    except SymactError:
        if out is None:
            with contextlib.suppress(OSError):  # the directory is not empty any more
                folder.rmdir()
        raise
    _conclude(result, judge, training.local_device, quiet)


@trains
def resume(
    run: RunFolder,
    budget: Annotated[
        str | None, typer.Option(help="A new total budget. Default: the budget of the run.")
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
    from symact import engine

    with Reporter(run, quiet) as reporter:
        result = engine.resume(
            run,
            budget=budget,
            proposer=proposer,
            on_progress=reporter,
            **training.arguments,
        )
    _conclude(result, judge, training.local_device, quiet)


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


def _conclude(result: Result, judge: bool, device: str | None, quiet: bool) -> None:
    """Print a run. If ``judge`` is set, compare its functions on the test draws."""
    from symact.cli.compare import compare_run
    from symact.cli.show import print_run

    print_run(result)
    if judge and result.path is not None:
        compare_run(result, device, quiet)


def _print_settings() -> None:
    from symact.engine.settings import all_settings
    from symact.reporting.text_table import Column

    rows = [(one.name, one.default, one.meaning) for one in all_settings()]
    print_table([Column("setting"), Column("default"), Column("meaning", wraps=True)], rows)
