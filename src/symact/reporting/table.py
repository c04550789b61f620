"""The comparison table, and its output as JSON, CSV, Markdown and plain text.

All numbers are on a linear scale, not log10. NaN and infinity are ``null`` in JSON, an empty cell
in CSV and ``-`` in text. Only plain text shortens formulas.

Functions of batch statistics are in a separate block. Their output at one element depends on the
other elements, so they cannot replace a pointwise activation directly. Ranks and corrected p-values
are computed within each block.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from symact.reporting.text_table import Column, one_line, plain
from symact.tasks.protocol import SHELLS

_TEXT_WIDTH = 120
_LEAST_FORMULA = 24
#: Title of the block of functions of batch statistics.
BATCH_TITLE = "Functions of batch statistics (compared separately; no drop-in replacement)"
_ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one function.

    Attributes:
        name: Name of the function.
        kind: ``"found"``, ``"zoo"`` or ``"imported"``.
        formula: The formula, as ``expr.show`` prints it.
        latex: The formula in LaTeX; None if there is no formula in x.
        ood: Geometric-mean normalised OOD error.
        ratio: ``ood`` divided by the OOD error of the reference. Below 1 is better.
        low: Lower end of the 95% interval of ``ratio``.
        high: Upper end of the 95% interval of ``ratio``.
        id_error: Geometric-mean normalised error on held-out points in distribution.
        id_ratio: ``id_error`` divided by the ID error of the reference.
        flops: FLOPs of one evaluation.
        families: Geometric-mean OOD error of each task family.
        shells: Geometric-mean errors of the near, middle and far shell.
        diverged: Share of the networks whose error is not finite, in [0, 1].
        statistics: Whether the function reads statistics of the whole tensor.
        p: p-value of Wilcoxon's signed-rank test against the reference, with Holm's correction over
            the rows of the block. It is 1 for the reference itself.
        rank: Mean rank over the instances within the block. 1 is best.
        skill_mean: OOD skill relative to predicting the mean of the training targets.
        skill_linear: OOD skill relative to a linear model. 1 is perfect. A negative skill is worse
            than the linear model.
        rates: Learning rate of each network size.
        note: Source of the function and scores reported there; "" if unknown.
        also: Name of the function in a run, if ``name`` is its name in the zoo.
    """

    name: str
    kind: str
    formula: str
    latex: str | None
    ood: float
    ratio: float
    low: float
    high: float
    id_error: float
    id_ratio: float
    flops: float
    families: dict[str, float]
    shells: tuple[float, float, float]
    diverged: float
    statistics: bool
    p: float = math.nan
    rank: float = math.nan
    skill_mean: float = math.nan
    skill_linear: float = math.nan
    rates: tuple[float, ...] = ()
    note: str = ""
    also: str = ""

    @property
    def title(self) -> str:
        """The name in tables. It contains both names if a run found a known function."""
        return f"{self.also} = {self.name}" if self.also else self.name


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the table with its own ranks and tests.

    Attributes:
        title: Title of the block; "" for pointwise functions.
        rows: Rows of the block.
    """

    title: str
    rows: list[Row]

    @property
    def columns(self) -> list[Column]:
        return [Column(head, number, wraps=head == "formula") for head, number, _ in _COLUMNS]

    @property
    def cells(self) -> list[list[str]]:
        return [[cell(row) for _, _, cell in _COLUMNS] for row in self.rows]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The scores of functions on the same instances with the same seeds.

    Attributes:
        protocol: Version of the evaluation protocol.
        tasks: Names of the instances.
        seeds: The training seeds.
        task: Name of the task.
        rows: Rows in the order of display. Functions of batch statistics are last.
        reference: Name of the reference function of all ratios.
        sizes: ``(width, depth)`` of each network size.
        pairs: Wilcoxon p-values between rows, with Holm's correction over the pairs of a block. NaN
            between blocks.
        cliques: Groups of indices of pointwise rows without a significant difference; see
            :class:`symact.evaluation.statistics.Ranking`.
        friedman: p-value of Friedman's test that all pointwise rows have equal ranks, or None.
        baselines: Geometric-mean OOD error of predicting the mean and of a linear model.
    """

    protocol: str
    tasks: list[str]
    seeds: list[int]
    task: str
    rows: list[Row]
    reference: str
    sizes: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[float, ...], ...] = ()
    cliques: tuple[tuple[int, ...], ...] = ()
    friedman: float | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)


def to_json(comparison: Comparison) -> dict[str, object]:
    """Return the comparison as plain JSON values.

    Later versions may add keys but remove none. NaN and infinity become None.
    """
    return {
        "protocol": comparison.protocol,
        "tasks": list(comparison.tasks),
        "seeds": [int(seed) for seed in comparison.seeds],
        "rows": [_row_to_json(row) for row in comparison.rows],
        "task": comparison.task,
        "reference": comparison.reference,
        **_finite_only({name: getattr(comparison, name) for name in _PLAIN}),
    }


def from_json(document: Mapping[str, Any]) -> Comparison:
    """Return the comparison of a document of :func:`to_json`. None becomes NaN."""
    rows = []
    for stored in document["rows"]:
        values = {key: _number(value) for key, value in stored.items()}
        values["families"] = {name: _number(own) for name, own in stored["families"].items()}
        for key in ("shells", "rates"):
            values[key] = tuple(map(_number, stored[key]))
        rows.append(Row(**{**values, "latex": stored["latex"]}))
    values = {key: document[key] for key in ("protocol", "tasks", "seeds", "task", "reference")}
    return Comparison(
        **values,
        rows=rows,
        sizes=tuple((width, depth) for width, depth in document["sizes"]),
        pairs=tuple(tuple(map(_number, line)) for line in document["pairs"]),
        cliques=tuple(map(tuple, document["cliques"])),
        friedman=document["friedman"],
        baselines={name: _number(value) for name, value in document["baselines"].items()},
    )


def _row_to_json(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = _finite_only(asdict(row))
    return found


def _finite_only(value: Any) -> Any:
    """Return a value in plain Python types. NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {key: _finite_only(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_only(own) for own in value]
    is_number = not isinstance(value, bool | str | None)
    return _finite(value) if is_number else value


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def to_csv(comparison: Comparison) -> str:
    """Return a CSV text with a line for each function and a column for each shell and family."""
    families = family_names(comparison.rows)
    fields = [*_FIELDS, *SHELLS, *(f"family {name}" for name in families)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    for row in comparison.rows:
        values = _row_to_json(row)
        errors = [*row.shells, *(row.families.get(name, math.nan) for name in families)]
        # The csv module writes None as an empty cell, and floats with all their digits.
        writer.writerow([*(values[field] for field in _FIELDS), *map(_finite, errors)])
    return out.getvalue()


def blocks(comparison: Comparison) -> Iterator[Block]:
    """Yield the pointwise block, then the block of batch statistics if it has rows."""
    pointwise = [row for row in comparison.rows if not row.statistics]
    reading = [row for row in comparison.rows if row.statistics]
    if pointwise:
        yield Block("", pointwise)
    if reading:
        yield Block(BATCH_TITLE, reading)


def to_markdown(comparison: Comparison) -> str:
    """Return a GitHub Markdown table for each block, with complete formulas."""
    return "\n".join(map(_markdown_block, blocks(comparison)))


def _markdown_block(block: Block) -> str:
    title = f"{block.title}:\n\n" if block.title else ""
    return title + markdown_table(block.columns, block.cells)


def markdown_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return a GitHub Markdown table. The last cell of each row is a formula."""
    rules = ["---:" if column.number else ":---" for column in columns]
    lines = [[column.heading for column in columns], rules]
    lines += [[*map(_escaped, cells[:-1]), _code(cells[-1])] for cells in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_text(comparison: Comparison) -> str:
    """Return a table with aligned columns for each block.

    Lines have at most 120 characters unless names are very long.
    """
    return "\n".join(map(_text_block, blocks(comparison)))


def _text_block(block: Block) -> str:
    *columns, formula = block.columns
    cells = block.cells
    head = plain(columns, [row[:-1] for row in cells])
    taken = max(map(len, head.splitlines())) + 2
    room = max(_TEXT_WIDTH - taken, _LEAST_FORMULA)
    rows = [[*row[:-1], shortened(one_line(row[-1]), room, "...")] for row in cells]
    title = f"{block.title}:\n" if block.title else ""
    return title + plain([*columns, formula], rows) + "\n"


def explanation(comparison: Comparison) -> str:
    """Return a paragraph that explains the training and the columns."""
    reference = comparison.reference
    return (
        f"{what_was_trained(comparison)}; ratio of OOD error to {reference} with its 95% "
        f"interval, p against {reference}, skill against a linear model:"
    )


def what_was_trained(comparison: Comparison) -> str:
    """Return one line with the tasks, seeds, network sizes and protocol."""
    sizes = ", ".join(f"{width}x{depth}" for width, depth in comparison.sizes)
    return (
        f"{len(comparison.tasks)} test tasks x {len(comparison.seeds)} seeds"
        + (f" x networks of {sizes}" if sizes else "")
        + f", protocol {comparison.protocol}"
    )


def family_names(rows: Sequence[Row]) -> list[str]:
    """Return the families of all rows, sorted."""
    return sorted({name for row in rows for name in row.families})


def number_text(value: float) -> str:
    """Format a number with three significant digits; ``-`` for NaN and infinity."""
    if not math.isfinite(value):
        return _ABSENT
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"


def p_text(p: float) -> str:
    """Format a p-value with two digits, or as an upper bound if it is small."""
    if not math.isfinite(p):
        return _ABSENT
    return "<0.001" if p < 1e-3 else f"{p:.2g}"


def skill_text(skill: float) -> str:
    """Format a skill with two decimals."""
    return f"{skill:.2f}" if abs(skill) < 100 else number_text(skill)


def shortened(text: str, limit: int, ellipsis: str = "…") -> str:
    """Cut a text to at most ``limit`` characters, including the ellipsis."""
    return text if len(text) <= limit else text[: limit - len(ellipsis)].rstrip() + ellipsis


#: Fields of a comparison that need no conversion to JSON.
_PLAIN = ("sizes", "pairs", "cliques", "friedman", "baselines")

#: Columns of the CSV file before the shells and families.
_FIELDS = (
    "name",
    "kind",
    "formula",
    "ood",
    "ratio",
    "low",
    "high",
    "id_error",
    "id_ratio",
    "flops",
    "diverged",
    "statistics",
    "p",
    "rank",
    "skill_mean",
    "skill_linear",
    "note",
    "also",
)

#: Columns of text and Markdown: (heading, whether it is a number, cell). The formula is last.
_COLUMNS: tuple[tuple[str, bool, Callable[[Row], str]], ...] = (
    ("name", False, lambda row: row.title),
    ("kind", False, lambda row: row.kind),
    ("ood", True, lambda row: number_text(row.ood)),
    ("ratio", True, lambda row: number_text(row.ratio)),
    ("low", True, lambda row: number_text(row.low)),
    ("high", True, lambda row: number_text(row.high)),
    ("p", True, lambda row: p_text(row.p)),
    ("skill", True, lambda row: skill_text(row.skill_linear)),
    ("id_ratio", True, lambda row: number_text(row.id_ratio)),
    ("flops", True, lambda row: f"{row.flops:g}" if math.isfinite(row.flops) else _ABSENT),
    ("formula", False, lambda row: row.formula),
)


def _finite(value: float) -> float | int | None:
    """Return a Python number; None for NaN and infinity. Integers stay integers."""
    if not math.isfinite(value):
        return None
    return int(value) if isinstance(value, int) else float(value)


def _escaped(text: str) -> str:
    """Escape a text for a cell of a Markdown table."""
    out = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    for symbol in "\\`*_[]|":
        out = out.replace(symbol, f"\\{symbol}")
    return out


def _code(text: str) -> str:
    """Return a Markdown code span for a table cell. Pipes are escaped in code spans, too."""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{one_line(text)}{space}{fence}".replace("|", "\\|")
