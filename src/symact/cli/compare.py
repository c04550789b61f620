"""``symact compare``: compare functions by one protocol on the test draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symact.cli.console import note, print_json, print_table
from symact.cli.options import Device, Json, Quiet

if TYPE_CHECKING:
    from symact.engine.result import Result
    from symact.reporting.table import Comparison


def compare(
    items: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|NAME|FORMULA|PROGRAM]...",
            help="Runs, zoo names, formulas or programs. "
            "Runs alone are compared with the usual known functions.",
        ),
    ] = None,
    as_json: Json = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Use the short form of the protocol.")
    ] = False,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="Draw the best-so-far curves of runs instead."),
    ] = False,
    task: Annotated[
        str | None, typer.Option(help="A task (symact tasks). Default: the task of the first run.")
    ] = None,
    per_family: Annotated[
        int | None, typer.Option(min=1, help="Test instances per task family. Default: protocol.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Training seeds per instance. Default: protocol.")
    ] = None,
    best: Annotated[
        int, typer.Option(min=1, help="Number of functions to compare from each run.")
    ] = 3,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder of the report. Default: the first run, or runs/compare."),
    ] = None,
    quiet: Quiet = False,
    device: Device = None,
) -> None:
    """Compare functions by one protocol on the test draws."""
    from symact.engine.result import load
    from symact.reporting.comparison import compare as judge
    from symact.reporting.report import write_report
    from symact.reporting.table import to_json
    from symact.storage.repository import is_run

    if curves:
        _compare_curves(items or [], out, as_json)
        return
    runs = [load(item) for item in items or () if is_run(item)]
    folder = out or (runs[0].path if runs else None) or Path("runs/compare")
    comparison = judge(
        *(items or ()),
        task=task,
        form="quick" if quick else "full",
        per_family=per_family,
        seeds=seeds,
        best=best,
        device=device,
        out=folder,
        on_step=None if as_json or quiet else _note_step,
    )
    paths = write_report(runs, comparison, folder)
    if as_json:
        print_json(to_json(comparison))
        return
    _print_comparison(comparison)
    print(f"\nreport: {paths['html']}")


def compare_run(result: Result, device: str | None, quiet: bool) -> None:
    """Compare the functions of a run with the usual ones by the quick form, and write a report."""
    from symact.reporting.comparison import compare as judge
    from symact.reporting.report import write_report

    assert result.path is not None
    print("\nComparing on the test draws, unseen by the search (quick form).", flush=True)
    step = None if quiet else _note_step
    comparison = judge(result, form="quick", device=device, on_step=step)
    paths = write_report(result, comparison, result.path)
    _print_comparison(comparison)
    print(f"\nreport: {paths['html']}; for the full protocol: symact compare {result.path}")


def _note_step(done: int, total: int, name: str) -> None:
    note(f"training {done + 1}/{total}: {name}")


def _print_comparison(comparison: Comparison) -> None:
    from symact.reporting.table import blocks, explanation

    print(f"\n{explanation(comparison)}")
    for block in blocks(comparison):
        print(f"\n{block.title}" if block.title else "")
        print_table(block.columns, block.cells)


def _compare_curves(runs: list[str], out: Path | None, as_json: bool) -> None:
    from dataclasses import asdict

    from symact.reporting.curves import curves_report, to_text

    found, picture = curves_report(runs, out or Path("runs/curves"))
    if as_json:
        print_json([asdict(one) for one in found])
        return
    print(f"{to_text(found)}\n\nfigure: {picture}")
