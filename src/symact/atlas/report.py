"""Write the report of a comparison by protocol 2.0 to a folder: tables, figures and a page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from symact import files
from symact.atlas.board import Entry, Leaderboard, columns, explanation, table_cells
from symact.atlas.page import draw_matrix, page_of
from symact.engine.result import Result
from symact.evaluation.statistics import Interval
from symact.reporting.html import picture
from symact.reporting.runs import (
    chosen_functions,
    chosen_rows,
    curves,
    is_written,
    run_facts,
    run_info,
)
from symact.reporting.table import markdown_table

if TYPE_CHECKING:
    from symact.reporting.figures import Point

_CAPTIONS = {
    "front": "OOD error relative to {reference} against the cost of one evaluation. Lower left is "
    "better; the ring marks the chosen function.",
    "functions": "The best found functions and their derivatives; {reference} in grey.",
}


def write_report(
    runs: Result | Sequence[Result], board: Leaderboard, folder: str | Path
) -> dict[str, Path]:
    """Write the tables, figures and HTML page of a comparison by protocol 2.0.

    Args:
        runs: The compared runs. The page shows the function that each run chose.
        board: The result of :func:`symact.compare`.
        folder: The directory of the report. It is created if missing. An earlier report is
            replaced.

    Returns:
        The written files by name: ``markdown``, ``csv``, ``json``, ``html`` and the SVG figures
        ``matrix``, ``front`` and ``functions``. Each figure is also written as a PNG of the same
        name.

    Example:
        >>> paths = write_report([], board, "report")  # doctest: +SKIP
        >>> paths["html"].name  # doctest: +SKIP
        'report.html'
    """
    given = [runs] if isinstance(runs, Result) else list(runs)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    document = json.dumps({**board.to_dict(), "runs": [*map(run_info, given)]}, indent=1) + "\n"
    paths = {name: target / f"{name}.svg" for name in ("matrix", *_CAPTIONS)}
    paths |= {"html": target / "report.html", "markdown": target / "table.md"}
    paths |= {"csv": target / "table.csv", "json": target / "compare.json"}
    if is_written(paths, document):
        return paths
    chosen = [row for _, row in chosen_rows(given, board.entries) if row is not None]
    _draw(board, target, chosen)
    _write_page(given, board, paths)
    files.write(paths["markdown"], to_markdown(board))
    files.write(paths["csv"], to_csv(board))
    # The JSON file is written last. It marks a complete report.
    files.write(paths["json"], document)
    return paths


def _write_page(runs: Sequence[Result], board: Leaderboard, paths: dict[str, Path]) -> None:
    def result(row: Entry) -> str:
        own, reads = row.standing, " It reads batch statistics." if row.statistics else ""
        return (
            f"OOD error {own.ood.ratio:.3g} of {board.reference}'s (95% interval "
            f"{own.ood.low:.3g} to {own.ood.high:.3g}), lower in {own.won:.0%} of the cells, "
            f"{own.worst_ratio.ratio:.3g} in its worst family ({own.worst}), ID error "
            f"{own.id.ratio:.3g} of {board.reference}'s, {row.flops:.3g} FLOPs.{reads}"
        )

    what = board.task or "many kinds of targets"
    page_of(
        board,
        f"Activation functions for {what}",
        paths["matrix"],
        pictures=[
            picture(text.format(reference=board.reference), paths[name])
            for name, text in _CAPTIONS.items()
        ],
        chosen=chosen_functions(runs, board.entries, result),
        facts=run_facts(runs),
    ).write(paths["html"])


def _draw(board: Leaderboard, folder: Path, chosen: Sequence[Entry]) -> None:
    from symact.reporting import figures

    entries, label = board.entries, f"OOD error relative to {board.reference}"
    found = [_point(own, own in chosen) for own in entries if own.kind == "found"]
    known = [_point(own) for own in entries if own.kind != "found"]
    drawn, grey = curves(entries, board.reference)
    for suffix in ("png", "svg"):
        figures.front(found, known, folder / f"front.{suffix}", label=label)
        figures.functions(drawn, folder / f"functions.{suffix}", reference=grey)
        draw_matrix(board, folder / f"matrix.{suffix}")


def _point(entry: Entry, is_chosen: bool = False) -> Point:
    from symact.reporting.figures import Point

    return Point(entry.title, entry.flops, entry.standing.ood.ratio, is_chosen)


def to_markdown(board: Leaderboard) -> str:
    """Return what was trained and a GitHub Markdown table for each block."""
    tables = [
        (f"{block.title}:\n\n" if block.title else "")
        + markdown_table(columns(), [table_cells(own) for own in block.rows])
        for block in board.blocks
    ]
    return "\n".join([f"{explanation(board)}\n", *tables])


def to_csv(board: Leaderboard) -> str:
    """Return a CSV text with a line for each function and a column for each family."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    intervals = [f"{name}{end}" for name in ("ood", "id", "worst") for end in ("", "_low", "_high")]
    numbers = [*intervals, "worst_family", "won", "dominance", "p", "flops", "diverged"]
    writer.writerow(["name", "kind", "formula", *numbers, *(f"family {f}" for f in board.families)])
    for row in board.entries:
        own = row.standing
        ends = [end for one in (own.ood, own.id, own.worst_ratio) for end in _ends(one)]
        flops = row.flops if math.isfinite(row.flops) else None
        values = [*ends, own.worst, own.won, own.dominance, own.p, flops, row.diverged]
        writer.writerow([row.title, row.kind, row.formula, *values, *row.families])
    return out.getvalue()


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.ratio, interval.low, interval.high
