"""Write the report of a comparison by protocol 1.0 to a folder: tables, figures and a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from symact import files
from symact.engine.result import Result
from symact.errors import SymactError
from symact.expr import Expr, show
from symact.reporting.runs import (
    chosen_functions,
    chosen_rows,
    curve_of,
    curves,
    is_written,
    run_facts,
    run_info,
)
from symact.reporting.table import Comparison, Row, to_csv, to_json, to_markdown

if TYPE_CHECKING:
    from symact.reporting.figures import Point

#: The figures of a report.
_PICTURES = ("front", "critical", "distance", "families", "functions")


def write_report(
    runs: Result | Sequence[Result], comparison: Comparison, folder: str | Path
) -> dict[str, Path]:
    """Write the tables, figures and HTML page of a comparison by protocol 1.0.

    Args:
        runs: The compared runs. The page shows the function that each run chose.
        comparison: The result of :func:`symact.reporting.comparison.compare`.
        folder: The directory of the report. It is created if missing. An earlier report is
            replaced.

    Returns:
        The written files by name: ``markdown``, ``csv``, ``json``, ``html`` and the SVG figures
        ``front``, ``functions``, ``distance``, ``families`` and ``critical``. Each figure is also
        written as a PNG of the same name.

    Example:
        >>> paths = write_report([], comparison, "report")  # doctest: +SKIP
        >>> paths["html"].name  # doctest: +SKIP
        'report.html'
    """
    from symact.reporting.html import result_text, write_html

    given = [runs] if isinstance(runs, Result) else list(runs)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    facts = [run_info(run) for run in given]
    document = json.dumps({**to_json(comparison), "runs": facts}, indent=1) + "\n"
    texts = {
        "markdown": ("table.md", to_markdown(comparison)),
        "csv": ("table.csv", to_csv(comparison)),
        "json": ("compare.json", document),
    }
    pictures = {name: target / f"{name}.svg" for name in _PICTURES}
    paths = {**pictures, **{key: target / name for key, (name, _) in texts.items()}}
    paths["html"] = target / "report.html"
    if is_written(paths, document):
        return paths
    rows, reference = comparison.rows, comparison.reference
    _draw(comparison, target, [row for _, row in chosen_rows(given, rows) if row is not None])
    chosen = chosen_functions(given, rows, lambda row: result_text(row, reference))
    write_html(comparison, run_facts(given), pictures, paths["html"], chosen)
    # The JSON file is written last. It marks a complete report.
    for key, (_, text) in texts.items():
        files.write(paths[key], text)
    return paths


def _draw(comparison: Comparison, folder: Path, chosen: Sequence[Row]) -> None:
    from symact.reporting import figures

    rows, reference = comparison.rows, comparison.reference
    pointwise = [row for row in rows if not row.statistics]
    found = [row for row in rows if row.kind == "found"]
    known = [_point(row) for row in rows if row.kind != "found"]
    drawn, grey = curves(rows, reference)
    for suffix in ("png", "svg"):
        paths = {name: folder / f"{name}.{suffix}" for name in _PICTURES}
        figures.front([_point(row, row in chosen) for row in found], known, paths["front"])
        figures.critical(
            [row.name for row in pointwise],
            [row.rank for row in pointwise],
            comparison.cliques,
            paths["critical"],
            found=[row.name for row in found],
        )
        figures.distance(rows, paths["distance"], reference=reference)
        figures.families(rows, paths["families"], reference=reference)
        figures.functions(drawn, paths["functions"], reference=grey)


def _point(row: Row, is_chosen: bool = False) -> Point:
    from symact.reporting.figures import Point

    return Point(row.title, row.flops, row.ood, is_chosen)


def draw_function(label: str, expr: Expr, path: Path) -> None:
    """Draw a function and, below it, its derivative.

    Raises:
        SymactError: The file exists, cannot be written, or does not end in ``.svg`` or ``.png``.
    """
    from symact.reporting import figures

    if path.exists():
        raise SymactError(f"{path}: exists already; choose another name")
    curve = curve_of(label, show(expr))
    try:
        figures.functions([curve] if curve is not None else [], path)
    except OSError as error:
        raise SymactError(f"{path}: cannot be written: {error.strerror}") from None
