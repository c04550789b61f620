"""Write the report of a comparison to a folder: tables, figures and an HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from symact import files
from symact.backends import evaluate_with_slopes
from symact.engine.result import Found, Result
from symact.errors import ParseError, SymactError
from symact.expr import Expr, parse, show
from symact.reporting.competitors import found_name
from symact.reporting.table import Comparison, Row, to_csv, to_json, to_markdown

if TYPE_CHECKING:
    from symact.reporting.figures import Curve, Point

#: Number of functions to draw if no run is compared.
_DRAWN = 8

#: The figures of a report.
_PICTURES = ("front", "critical", "distance", "families", "functions")


def write_report(
    runs: Result | Sequence[Result], comparison: Comparison, folder: str | Path
) -> dict[str, Path]:
    """Write the tables, figures and HTML page of a comparison.

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
    given = [runs] if isinstance(runs, Result) else list(runs)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    facts = [_run_info(run) for run in given]
    chosen = _chosen(given, comparison)
    document = json.dumps({**to_json(comparison), "runs": facts}, indent=1) + "\n"
    texts = {
        "markdown": ("table.md", to_markdown(comparison)),
        "csv": ("table.csv", to_csv(comparison)),
        "json": ("compare.json", document),
    }
    pictures = {name: target / f"{name}.svg" for name in _PICTURES}
    paths = {**pictures, **{key: target / name for key, (name, _) in texts.items()}}
    paths["html"] = target / "report.html"
    if _is_written(paths, document):
        return paths
    _draw(comparison, target, [row for _, row in chosen if row is not None])
    _write_page(given, chosen, comparison, facts, pictures, paths["html"])
    # The JSON file is written last. It marks a complete report.
    for key, (_, text) in texts.items():
        files.write(paths[key], text)
    return paths


def _chosen(runs: Sequence[Result], comparison: Comparison) -> list[tuple[Found, Row | None]]:
    """Return the function that each run chose, and its row of the table; None without a row."""
    names: dict[str, Row] = {}
    for row in comparison.rows:
        if row.kind == "found":
            names |= dict.fromkeys((row.also or row.name.partition(" = ")[0]).split(", "), row)
    chosen = [(run, run.chosen) for run in runs if run.chosen is not None]
    return [(own, names.get(found_name(run, own, len(runs) > 1))) for run, own in chosen]


def _is_written(paths: Mapping[str, Path], document: str) -> bool:
    """Return whether a folder already contains this report."""
    files = [*paths.values(), *(paths[name].with_suffix(".png") for name in _PICTURES)]
    return all(path.is_file() for path in files) and (
        paths["json"].read_text(encoding="utf-8") == document
    )


def _write_page(
    runs: Sequence[Result],
    chosen: Sequence[tuple[Found, Row | None]],
    comparison: Comparison,
    facts: Sequence[dict[str, object]],
    pictures: Mapping[str, Path],
    path: Path,
) -> None:
    from symact.reporting.html import Chosen, write_html

    finished = [run for run in runs if run.chosen is not None]
    shown = [
        Chosen(
            run=run.path.name if run.path is not None and len(runs) > 1 else "",
            name=f"#{found.id}" if row is None else row.title,
            formula=found.formula,
            usage=_usage(run, found),
            row=row,
        )
        for run, (found, row) in zip(finished, chosen, strict=True)
    ]
    times = [f"{run.seconds:.0f} s" for run in runs]
    full = [{**own, "search_time": time} for own, time in zip(facts, times, strict=True)]
    write_html(comparison, full, pictures, path, shown)


def _usage(run: Result, found: Found) -> str:
    """Return Python code that makes a torch module of the function that a run chose."""
    if run.path is None:
        return f"result.best.to_torch()  # {found.formula}"
    return f"import symact\n\nactivation = symact.load({str(run.path)!r}).best.to_torch()"


def _run_info(result: Result) -> dict[str, object]:
    config, best = result.config, result.chosen
    return {
        "run": "" if result.path is None else result.path.name,
        "grammar": config["grammar"],
        "task": config["task"],
        "seed": config["seed"],
        "budget": config["budget"],
        "proposer": config["proposer"],
        "protocol": config["protocol"],
        "counts": result.counts,
        "outcomes": result.outcomes,
        "rung_spearman": result.fidelity_spearman,  # the earlier name
        "fidelity_spearman": result.fidelity_spearman,
        "chosen": {} if best is None else {"id": best.id, "formula": best.formula},
        "versions": config["versions"],
    }


def _draw(comparison: Comparison, folder: Path, chosen: Sequence[Row]) -> None:
    from symact.reporting import figures

    rows, reference = comparison.rows, comparison.reference
    pointwise = [row for row in rows if not row.statistics]
    found = [row for row in rows if row.kind == "found"]
    known = [_point(row) for row in rows if row.kind != "found"]
    shown = found or [row for row in rows if row.name != reference]
    curves = [curve for row in shown[:_DRAWN] if (curve := _curve(row.formula, row.formula))]
    grey = _curve(reference, next(row.formula for row in rows if row.name == reference))
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
        figures.functions(curves, paths["functions"], reference=grey)


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
    curve = _curve(label, show(expr))
    try:
        figures.functions([curve] if curve is not None else [], path)
    except OSError as error:
        raise SymactError(f"{path}: cannot be written: {error.strerror}") from None


def _curve(label: str, formula: str) -> Curve | None:
    """Return samples of a function; None if its formula is not an expression in x."""
    from symact.reporting.figures import Curve

    try:
        expr = parse(formula)
    except ParseError:
        return None
    x = np.linspace(-6, 6, 601)
    value, slope = evaluate_with_slopes(expr, x)
    return Curve(label, x, value, slope)
