"""What a report says about runs: the chosen functions, the facts, and curves of functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from symact.backends import evaluate_with_slopes
from symact.engine.result import Found, Result
from symact.errors import ParseError
from symact.expr import parse
from symact.reporting.competitors import found_name
from symact.reporting.html import Chosen

if TYPE_CHECKING:
    from symact.reporting.figures import Curve

#: Number of functions to draw.
_DRAWN = 8


class TableRow(Protocol):
    """A row of a table of functions, by any protocol."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def formula(self) -> str: ...

    @property
    def also(self) -> str: ...


R = TypeVar("R", bound=TableRow)


def chosen_rows(runs: Sequence[Result], rows: Sequence[R]) -> list[tuple[Found, R | None]]:
    """Return the function that each run chose, and its row of a table; None without a row."""
    names: dict[str, R] = {}
    for row in rows:
        if row.kind == "found":
            names |= dict.fromkeys((row.also or row.name.partition(" = ")[0]).split(", "), row)
    chosen = [(run, run.chosen) for run in runs if run.chosen is not None]
    return [(own, names.get(found_name(run, own, len(runs) > 1))) for run, own in chosen]


def chosen_functions(
    runs: Sequence[Result], rows: Sequence[R], result: Callable[[R], str]
) -> list[Chosen]:
    """Return the function that each run chose, for a page.

    Args:
        runs: The compared runs.
        rows: The rows of the table.
        result: Returns what was measured of a row, as sentences.
    """
    finished = [run for run in runs if run.chosen is not None]
    return [
        Chosen(
            run=run.path.name if run.path is not None and len(runs) > 1 else "",
            name=f"#{found.id}" if row is None else row.title,
            formula=found.formula,
            usage=_usage(run, found),
            result="" if row is None else result(row),
        )
        for run, (found, row) in zip(finished, chosen_rows(runs, rows), strict=True)
    ]


def _usage(run: Result, found: Found) -> str:
    """Return Python code that makes a torch module of the function that a run chose."""
    if run.path is None:
        return f"result.best.to_torch()  # {found.formula}"
    return f"import symact\n\nactivation = symact.load({str(run.path)!r}).best.to_torch()"


def run_info(result: Result) -> dict[str, object]:
    """Return the facts about a run that a report stores."""
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


def run_facts(runs: Sequence[Result]) -> list[dict[str, object]]:
    """Return the facts about each run that a page shows."""
    return [{**run_info(run), "search_time": f"{run.seconds:.0f} s"} for run in runs]


def is_written(paths: Mapping[str, Path], document: str) -> bool:
    """Return whether a folder already contains a report.

    Args:
        paths: The files of the report. ``paths["json"]`` is written last. SVG figures are also PNG.
        document: The text of the JSON file.
    """
    figures = [path.with_suffix(".png") for path in paths.values() if path.suffix == ".svg"]
    return all(path.is_file() for path in (*paths.values(), *figures)) and (
        paths["json"].read_text(encoding="utf-8") == document
    )


def curves(rows: Sequence[TableRow], reference: str) -> tuple[list[Curve], Curve | None]:
    """Return curves of the found functions, or of all if none is found, and of the reference.

    At most eight functions have a curve. Functions without a formula in x have none.
    """
    found = [row for row in rows if row.kind == "found"]
    shown = found or [row for row in rows if row.name != reference]
    drawn = [curve_of(row.formula, row.formula) for row in shown[:_DRAWN]]
    grey = curve_of(reference, next(row.formula for row in rows if row.name == reference))
    return [own for own in drawn if own is not None], grey


def curve_of(label: str, formula: str) -> Curve | None:
    """Return samples of a function; None if its formula is not an expression in x."""
    from symact.reporting.figures import Curve

    try:
        expr = parse(formula)
    except ParseError:
        return None
    x = np.linspace(-6, 6, 601)
    value, slope = evaluate_with_slopes(expr, x)
    return Curve(label, x, value, slope)
