"""``symact tasks`` and ``symact doctor``: list tasks, and check tasks and runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symact.cli.console import print_json, print_table, quoted
from symact.cli.options import Json
from symact.reporting.text_table import Column, numbers

if TYPE_CHECKING:
    from symact.evaluation.diagnosis import Diagnosis
    from symact.storage.recovery import Examined


def list_tasks() -> None:
    """List the tasks that a search can use."""
    from symact.tasks import TASKS, describe

    rows = [(name, describe(name)) for name in TASKS]
    print_table([Column("task"), Column("description", wraps=True)], rows)


def doctor(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="A run directory to check.")
    ] = None,
    task: Annotated[str, typer.Option(help="A task to diagnose (symact tasks).")] = "ood-suite",
    as_json: Json = False,
) -> None:
    """Check a run and recover it if damaged, or diagnose a task.

    A diagnosis tells whether a task is worth searching. The exit status is 1 for a damaged run. A
    check never changes the run.
    """
    if run is not None:
        _check_run(run, as_json)
    else:
        _diagnose(task, as_json)


def _diagnose(task: str, as_json: bool) -> None:
    from symact.evaluation.diagnosis import diagnose_task
    from symact.tasks import describe
    from symact.tasks import task as built_in

    diagnosis = diagnose_task(built_in(task))
    if as_json:
        print_json(asdict(diagnosis))
        return
    print(f"{task}: {describe(task)}\n")
    _print_diagnosis(diagnosis)


def _print_diagnosis(diagnosis: Diagnosis) -> None:
    families = sorted(diagnosis.entries[0].families)
    shown = families if len(families) > 1 else []
    rows = [
        [entry.name, *(f"{error:.3g}" for error in (entry.ood, entry.id_error)),
         *(f"{entry.families[family]:.3g}" for family in shown)]
        for entry in diagnosis.entries
    ]  # fmt: skip
    print_table([Column("function"), *numbers("OOD", "ID", *shown)], rows)
    print()
    for warning in diagnosis.warnings:
        print(f"warning: {warning}")
    if not diagnosis.warnings:
        print("worth searching: no warning")


def _check_run(run: Path, as_json: bool) -> None:
    from symact.storage.recovery import examine_run

    found = examine_run(run)
    if as_json:
        from json import dumps

        print(dumps(asdict(found), indent=1, default=str))
    else:
        _print_examination(run, found)
    if found.problem:
        raise typer.Exit(1)


def _print_examination(run: Path, found: Examined) -> None:
    print(f"{run}: {'damaged: ' + found.problem if found.problem else 'sound'}")
    held = ", ".join(f"{count} {table}" for table, count in found.rows.items() if count)
    print(f"intact rows: {held or 'none'}")
    if found.lost:
        print(f"lost: {found.lost}; the run can be shown, not continued")
    if found.saved is not None:
        verb = "show" if found.lost else "resume"
        print(f"saved in {found.saved}; continue with: symact {verb} {quoted(found.saved)}")
