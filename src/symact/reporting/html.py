"""Write the HTML page of a comparison: the chosen functions, the table and the figures.

The page is one file without scripts. Its template is ``templates/report.html.j2``, for comparisons
by protocol 1.0 and 2.0 and for leaderboards. jinja2 escapes all texts of a run.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import jinja2

from symact import files
from symact.reporting.table import (
    Comparison,
    Row,
    blocks,
    family_names,
    number_text,
    p_text,
    skill_text,
    what_was_trained,
)

_CAPTIONS = {
    "front": "OOD error on the test draws against the cost of one evaluation. Lower left is "
    "better; the ring marks the chosen function.",
    "functions": "The best found functions and their derivatives; GELU in grey.",
    "critical": "Mean rank over tasks. A bar joins functions of which no pair differs "
    "significantly (Wilcoxon's signed-rank test, Holm's correction over all pairs, 5%).",
    "families": "OOD error by task family, relative to the reference.",
    "distance": "Error over the distance from the training range. At 1 a network predicts no "
    "better than the mean.",
}

_READING = (
    "Every function was trained in the same networks, on the same data, from the same initial "
    "weights. An error is the mean squared error divided by the variance of the targets it is "
    "measured on. Figures are geometric means; families count equally. The ratio compares OOD "
    "errors with {reference}'s on the same tasks, with its 95% paired bootstrap interval over "
    "tasks. An interval wholly below 1 means that the function generalises better here. p is of "
    "Wilcoxon's signed-rank test against {reference} with Holm's correction over the rows of a "
    "table; rank is the mean rank over tasks. Skill compares with a linear model outside the "
    "range: 1 is perfect, 0 equals the linear model, below 0 is worse. No search saw these draws, "
    "and learning rates were not chosen on them."
)

#: Columns between the name and the formula, except those of the families.
_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("OOD", lambda row: number_text(row.ood)),
    ("ratio", lambda row: number_text(row.ratio)),
    ("95% interval", lambda row: f"{number_text(row.low)} to {number_text(row.high)}"),
    ("p", lambda row: p_text(row.p)),
    ("rank", lambda row: number_text(row.rank)),
    ("skill", lambda row: skill_text(row.skill_linear)),
    ("ID ratio", lambda row: number_text(row.id_ratio)),
    ("FLOPs", lambda row: number_text(row.flops)),
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The function that a run chose.

    Attributes:
        run: Name of the run; "" if only one run was compared.
        name: Name of the function in the table.
        formula: Formula of the function.
        usage: Python code that returns the function as a torch module.
        result: What was measured, as sentences; "" if the function was not compared.
    """

    run: str
    name: str
    formula: str
    usage: str
    result: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a page embeds.

    Attributes:
        caption: The caption.
        source: The picture as a data URL.
    """

    caption: str
    source: str


def write_html(
    comparison: Comparison,
    runs: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Path],
    path: Path,
    chosen: Sequence[Chosen] = (),
) -> None:
    """Write the HTML page of a comparison.

    Args:
        comparison: The compared functions.
        runs: Facts about each run by name. Values are texts, numbers and mappings of them.
        figures: SVG or PNG files by name. The page embeds them.
        path: The file to write.
        chosen: The function that each run chose.
    """
    families = family_names(comparison.rows)
    page = Page(
        title=f"Activation functions for {comparison.task}",
        trained=f"{what_was_trained(comparison)}.",
        blocks=list(blocks(comparison)),
        headings=["function", *(heading for heading, _ in _COLUMNS), *families, "formula"],
        cells=lambda row: _cells(row, families),
        reading=_READING.format(reference=comparison.reference),
        pictures=[picture(_CAPTIONS.get(name, name), file) for name, file in figures.items()],
        chosen=chosen,
        facts=runs,
    )
    page.write(path)


def result_text(row: Row, reference: str) -> str:
    """Return the errors and the cost of a row as sentences."""
    reads = " It reads batch statistics." if row.statistics else ""
    return (
        f"OOD error {number_text(row.ratio)} of {reference}'s (95% interval "
        f"{number_text(row.low)} to {number_text(row.high)}), ID error "
        f"{number_text(row.id_ratio)} of {reference}'s, {number_text(row.flops)} FLOPs.{reads}"
    )


class TableBlock(Protocol):
    """A part of the table of a page: a title, and rows with a name and a formula."""

    @property
    def title(self) -> str: ...

    @property
    def rows(self) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The content of an HTML page about functions.

    Attributes:
        title: The heading.
        trained: What was trained, as sentences.
        blocks: The parts of the table. A row has ``title``, ``kind``, ``formula`` and ``note``.
        headings: Headings of the table: the name, the cells, the formula.
        cells: Returns the cells of a row between its name and its formula.
        reading: How to read the table.
        lead: Pictures before the table.
        pictures: Pictures after the table.
        chosen: The function that each run chose.
        facts: Facts about each run by name. Values are texts, numbers and mappings of them.
    """

    title: str
    trained: str
    blocks: Sequence[TableBlock]
    headings: Sequence[str]
    cells: Callable[[Any], Sequence[str]]
    reading: str
    lead: Sequence[Picture] = ()
    pictures: Sequence[Picture] = ()
    chosen: Sequence[Chosen] = ()
    facts: Sequence[Mapping[str, Any]] = ()

    def write(self, path: Path) -> None:
        """Write the page to a file. All texts are escaped."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("symact.reporting"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        written = datetime.now(UTC).strftime("%Y-%m-%d at %H:%M UTC")
        facts = [_facts(run) for run in self.facts]
        text = environment.get_template("report.html.j2").render(
            page=self, written=written, facts=facts
        )
        files.write(path, text)


def _cells(row: Row, families: Sequence[str]) -> list[str]:
    errors = (row.families.get(family, float("nan")) for family in families)
    return [*(cell(row) for _, cell in _COLUMNS), *map(number_text, errors)]


def picture(caption: str, file: Path) -> Picture:
    """Return an SVG or PNG file as a picture to embed."""
    kind = "svg+xml" if file.suffix == ".svg" else "png"
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    return Picture(caption, f"data:image/{kind};base64,{data}")


def _facts(run: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts about a run as texts, without lists."""
    shown = {}
    for key, value in run.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{name} {_value(own)}" for name, own in value.items())
        elif isinstance(value, list):
            continue
        else:
            text = _value(value)
        shown[key.replace("_", " ")] = text
    return shown


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
