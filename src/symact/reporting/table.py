"""The comparison table as a value, and as JSON, CSV, Markdown and plain text.

Numbers are plain (not log10) throughout. A number that is NaN or infinite is ``null`` in JSON, an
empty cell in CSV and ``-`` in text. Only plain text shortens formulas.

Functions of batch statistics form a block of their own: an element's output depends on the other
elements, so they are no drop-in replacement. Each block has its own ranks and its own correction of
p-values.
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
#: The title of the block of functions that read the whole tensor.
BATCH_TITLE = "Functions of batch statistics (compared separately; no drop-in replacement)"
_ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """One function under the judging protocol.

    Attributes:
        name: What it is called.
        kind: ``"found"``, ``"zoo"`` or ``"imported"``.
        formula: Its text, as ``expr.show`` prints it.
        latex: The same for a paper, or None where there is none.
        ood: Geometric-mean normalised OOD error.
        ratio: ``ood`` over that of the reference; below 1 is better.
        low: Lower end of the 95% interval of ``ratio``.
        high: Its upper end.
        id_error: Geometric-mean normalised error held out in distribution.
        id_ratio: ``id_error`` over that of the reference.
        flops: Cost of one evaluation.
        families: Geometric-mean OOD error of each family.
        shells: Geometric-mean error near, middle and far.
        diverged: The share of networks whose error was not finite, in [0, 1].
        statistics: Whether it reads the whole tensor rather than one element.
        p: Of Wilcoxon's signed-rank test against the reference, with Holm's correction over the
            rows of the same block; 1 for the reference itself.
        rank: Mean rank over the instances among the rows of the same block; 1 is best.
        skill_mean: OOD skill against predicting the mean of the training targets.
        skill_linear: OOD skill against a linear model; 1 is perfect, below 0 worse than it.
        rates: The learning rate of each size of network.
        note: Where it comes from and what was reported of it there, "" for nothing to say.
        also: The name under which a run found this function, where the row has the zoo's name.
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
        """The name in tables: both names where a run found a known function."""
        return f"{self.also} = {self.name}" if self.also else self.name


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the table that is printed and tested by itself.

    Attributes:
        title: What it holds, "" for the block of pointwise functions.
        rows: Its rows.
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
    """Functions judged on the same instances with the same seeds.

    Attributes:
        protocol: The version of the judging protocol.
        tasks: The names of the instances.
        seeds: The training seeds.
        task: The name of the task they come from.
        rows: In the order they are shown, functions of batch statistics last.
        reference: The name of the function that ratios are to.
        sizes: ``(width, depth)`` of the networks.
        pairs: Wilcoxon p-values between rows of one block, with Holm's correction over the pairs
            of the block; NaN between blocks.
        cliques: Positions of pointwise rows of which no pair differs; see
            :class:`symact.evaluation.statistics.Ranking`.
        friedman: p-value of Friedman's test that all pointwise rows rank alike, or None.
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
    """Return the comparison as values that any JSON writer accepts.

    Keys are only ever added. NaN and infinity become None.
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
    """Return the comparison that :func:`to_json` wrote; None becomes NaN."""
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
    """Return a value of plain Python types, None for each number that is NaN or infinite."""
    if isinstance(value, Mapping):
        return {key: _finite_only(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_only(own) for own in value]
    is_number = not isinstance(value, bool | str | None)
    return _finite(value) if is_number else value


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def to_csv(comparison: Comparison) -> str:
    """Return one line for each function, with a column for each shell and family."""
    families = family_names(comparison.rows)
    fields = [*_FIELDS, *SHELLS, *(f"family {name}" for name in families)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    for row in comparison.rows:
        values = _row_to_json(row)
        errors = [*row.shells, *(row.families.get(name, math.nan) for name in families)]
        # The csv module writes None as an empty cell and a float so that it reads back equal.
        writer.writerow([*(values[field] for field in _FIELDS), *map(_finite, errors)])
    return out.getvalue()


def blocks(comparison: Comparison) -> Iterator[Block]:
    """Yield the pointwise block and, if there are any, the functions of batch statistics."""
    pointwise = [row for row in comparison.rows if not row.statistics]
    reading = [row for row in comparison.rows if row.statistics]
    if pointwise:
        yield Block("", pointwise)
    if reading:
        yield Block(BATCH_TITLE, reading)


def to_markdown(comparison: Comparison) -> str:
    """Return a GitHub table for each block, with whole formulas."""
    return "\n".join(map(_markdown_block, blocks(comparison)))


def _markdown_block(block: Block) -> str:
    headings = [heading for heading, _, _ in _COLUMNS]
    rules = ["---:" if number else ":---" for _, number, _ in _COLUMNS]
    lines = [headings, rules]
    for row, cells in zip(block.rows, block.cells, strict=True):
        lines.append([*map(_escaped, cells[:-1]), _code(row.formula)])
    title = f"{block.title}:\n\n" if block.title else ""
    return title + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_text(comparison: Comparison) -> str:
    """Return aligned columns for each block, at most 120 wide unless names are very long."""
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
    """Return what was trained and what the columns mean, in one paragraph."""
    reference = comparison.reference
    return (
        f"{what_was_trained(comparison)}; ratio of OOD error to {reference} with its 95% "
        f"interval, p against {reference}, skill against a linear model:"
    )


def what_was_trained(comparison: Comparison) -> str:
    """Return one line on tasks, seeds, sizes and protocol."""
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
    """Return three significant digits, or ``-`` for NaN and infinity."""
    if not math.isfinite(value):
        return _ABSENT
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"


def p_text(p: float) -> str:
    """Return a p-value to two digits, small ones as a bound."""
    if not math.isfinite(p):
        return _ABSENT
    return "<0.001" if p < 1e-3 else f"{p:.2g}"


def skill_text(skill: float) -> str:
    """Return a skill to two decimals."""
    return f"{skill:.2f}" if abs(skill) < 100 else number_text(skill)


def shortened(text: str, limit: int, ellipsis: str = "…") -> str:
    """Return the text cut to at most ``limit`` characters, the ellipsis included."""
    return text if len(text) <= limit else text[: limit - len(ellipsis)].rstrip() + ellipsis


#: Fields of a comparison that JSON takes as they are.
_PLAIN = ("sizes", "pairs", "cliques", "friedman", "baselines")

#: The columns of the CSV file before shells and families.
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

#: The columns of text and Markdown: heading, whether it is a number, cell. The formula is last.
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
    """Return a number of Python's own, whole ones as given, or None for NaN and infinity."""
    if not math.isfinite(value):
        return None
    return int(value) if isinstance(value, int) else float(value)


def _escaped(text: str) -> str:
    """Return text that Markdown shows as written, in one cell."""
    out = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    for symbol in "\\`*_[]|":
        out = out.replace(symbol, f"\\{symbol}")
    return out


def _code(text: str) -> str:
    """Return a code span that is one cell; a table wants its pipes escaped even there."""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{one_line(text)}{space}{fence}".replace("|", "\\|")
