"""``symact compare``: compare functions by one protocol on the test draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symact.cli.console import note, print_json, print_table
from symact.cli.leaderboard import note_step, print_board
from symact.cli.options import Device, Json, Quiet

if TYPE_CHECKING:
    from symact.atlas import Leaderboard
    from symact.engine.result import Result
    from symact.reporting.table import Comparison

#: Seconds that the statistics and the report of a comparison take.
_REPORT_SECONDS = 3.0


def compare(
    items: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|NAME|FORMULA|PROGRAM]...",
            help="Runs, zoo names, formulas or programs. "
            "Without functions beside the runs, the usual known functions are added.",
        ),
    ] = None,
    as_json: Json = False,
    quick: Annotated[
        bool | None,
        typer.Option(
            "--quick/--full",
            help="The form of the protocol. Default: quick; for protocol 1.0 full.",
            show_default=False,
        ),
    ] = None,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="Draw the best-so-far curves of runs instead."),
    ] = False,
    task: Annotated[
        str | None,
        typer.Option(
            help="Judge on test draws of this task (symact tasks). Default: generated families; "
            "the task of the first run, if it is neither generalist nor ood-suite."
        ),
    ] = None,
    families: Annotated[
        int | None,
        typer.Option(
            min=2, max=1000, help="Number of families, or of draws of a task. Default: protocol."
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="The version of the protocol: 2.0 or 1.0. Default: 2.0; 1.0 with --per-family or "
            "--seeds."
        ),
    ] = None,
    per_family: Annotated[
        int | None, typer.Option(min=1, help="Protocol 1.0: test instances of each family.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Protocol 1.0: training seeds of each instance.")
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
    """Compare functions on test families that no search has seen.

    Each judgement is stored when it is done. If the command is stopped, the same command goes on.
    """
    from symact.atlas import compare as judge
    from symact.engine.result import load
    from symact.storage.repository import is_run

    if curves:
        _compare_curves(items or [], out, as_json)
        return
    runs = [load(item) for item in items or () if is_run(item)]
    folder = out or (runs[0].path if runs else None) or Path("runs/compare")
    found = judge(
        *(items or ()),
        task=task,
        protocol=protocol or _protocol_of({"per-family": per_family, "seeds": seeds}),
        form=None if quick is None else ("quick" if quick else "full"),
        families=families,
        per_family=per_family,
        seeds=seeds,
        best=best,
        device=device,
        out=folder,
        on_step=None if as_json or quiet else note_step,
    )
    _show(found, runs, folder, as_json)


def _protocol_of(earlier: Mapping[str, int | None]) -> str:
    """Return the protocol that is meant by a command line that names none.

    Args:
        earlier: The options of protocol 1.0.
    """
    given = [name for name, value in earlier.items() if value is not None]
    if not given:
        return "2.0"
    note(f"--{given[0]} belongs to protocol 1.0, which is used")
    return "1.0"


def _show(
    found: Leaderboard | Comparison, runs: Sequence[Result], folder: Path, as_json: bool
) -> None:
    """Write the report of a comparison and print the comparison."""
    from symact.atlas import Leaderboard
    from symact.atlas.report import write_report
    from symact.reporting import report as protocol1
    from symact.reporting.table import to_json

    if isinstance(found, Leaderboard):
        paths, document = write_report(runs, found, folder), found.to_dict()
    else:
        paths, document = protocol1.write_report(runs, found, folder), to_json(found)
    if as_json:
        print_json(document)
        return
    print()
    if isinstance(found, Leaderboard):
        print_board(found)
    else:
        _print_comparison(found)
    print(f"\nreport: {paths['html']}")


def compare_run(
    result: Result, device: str | None, quiet: bool, seconds: float | None = None
) -> None:
    """Compare the functions of a run with the usual ones on few families, and write a report.

    Args:
        result: The run.
        device: As in :func:`symact.compare`.
        quiet: Whether to report no steps.
        seconds: Time for all of it; None for no limit.
    """
    from symact.atlas import compare as judge
    from symact.atlas.comparison import BRIEF_FAMILIES

    assert result.path is not None
    kind = f"quick form, {BRIEF_FAMILIES} families"
    print(f"\nComparing by protocol 2.0, on data unseen by the search ({kind}).", flush=True)
    step = None if quiet else note_step
    board = judge(
        result,
        families=BRIEF_FAMILIES,
        device=device,
        on_step=step,
        seconds=None if seconds is None else max(seconds - _REPORT_SECONDS, 0.0),
    )
    _show(board, [result], result.path, as_json=False)
    print(f"for {'all functions and ' if board.left_out else ''}more families: ", end="")
    print(f"symact compare {result.path}")


def _print_comparison(comparison: Comparison) -> None:
    from symact.reporting.table import blocks, explanation

    print(explanation(comparison))
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
