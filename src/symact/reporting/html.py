"""One page for a run: the table, the figures, and how to read them.

Self-contained and without scripts; every text from a run is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from symact import _files
from symact.reporting.table import (
    Comparison,
    Row,
    number_text,
    p_text,
    skill_text,
    what_was_trained,
)

_STYLE = """
body { font: 16px/1.5 Georgia, serif; color: #222; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; font: 13px/1.4 Helvetica, Arial, sans-serif; width: 100%; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid #ddd;
  white-space: nowrap; }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
td:last-child { white-space: normal; overflow-wrap: anywhere; }
tr.found { background: #eef5fb; font-weight: 600; }
code { font: 12px/1.4 Menlo, Consolas, monospace; overflow-wrap: anywhere; }
figure { margin: 1.5rem 0; } figcaption { font-size: .9rem; color: #555; }
img { max-width: 100%; } dt { font-weight: 600; } dd { margin: 0 0 .3rem 1rem; }
@media print { body { margin: 0; } tr, figure { break-inside: avoid; } }
"""

_CAPTIONS = {
    "front": "OOD error on the test draws against the cost of one evaluation.",
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
    "measured on; figures are geometric means, families counted equally. The ratio compares OOD "
    "errors with {reference}'s on the same tasks, with its 95% paired bootstrap interval over "
    "tasks: an interval wholly below 1 means that the function generalises better here. p is of "
    "Wilcoxon's signed-rank test against {reference} with Holm's correction; rank is the mean rank "
    "over tasks. Skill compares with a linear model outside the range: 1 is perfect, 0 no better "
    "than it, below 0 worse. No search saw these draws, and learning rates were not chosen on them."
)


def write_html(
    comparison: Comparison,
    runs: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Path],
    path: Path,
) -> None:
    """Write the page of a comparison.

    Args:
        comparison: The judged functions.
        runs: What ran: texts, numbers and tables of them by key.
        figures: Pictures by name, SVG or PNG; they are embedded.
        path: The file to write.
    """
    reading = _READING.format(reference=comparison.reference)
    title = f"Activation functions for {comparison.task}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(what_was_trained(comparison))}.</p>",
        _table(comparison),
        f"<p>{escape(reading)}</p>",
        *(_figure(name, file) for name, file in figures.items()),
    ]
    if runs:
        body += ["<h2>What ran</h2>", *(_facts(run) for run in runs)]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )
    _files.write(path, page)


def _table(comparison: Comparison) -> str:
    families = sorted({name for row in comparison.rows for name in row.families})
    headings = [
        "function",
        "OOD",
        "ratio",
        "95% interval",
        "p",
        "rank",
        "skill",
        "ID ratio",
        "FLOPs",
    ]
    headings += [*families, "formula"]
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    rows = "\n".join(_row(row, families) for row in comparison.rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>"


def _row(row: Row, families: list[str]) -> str:
    name = f"{row.name} (reads the batch)" if row.statistics else row.name
    cells = [
        escape(name),
        number_text(row.ood),
        number_text(row.ratio),
        f"{number_text(row.low)} to {number_text(row.high)}",
        p_text(row.p),
        number_text(row.rank),
        skill_text(row.skill_linear),
        number_text(row.id_ratio),
        number_text(row.flops),
        *(number_text(row.families.get(family, float("nan"))) for family in families),
        f"<code>{escape(row.formula)}</code>"
        + (f"<br><small>{escape(row.note)}</small>" if row.note else ""),
    ]
    kind = "found" if row.kind == "found" else "known"
    return f'<tr class="{kind}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _figure(name: str, file: Path) -> str:
    kind = "svg+xml" if file.suffix == ".svg" else "png"
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    caption = escape(_CAPTIONS.get(name, name))
    return (
        f'<figure><img alt="{caption}" src="data:image/{kind};base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _facts(run: Mapping[str, Any]) -> str:
    items = []
    for key, value in run.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{name} {_value(own)}" for name, own in value.items())
        elif isinstance(value, list):
            continue
        else:
            text = _value(value)
        items.append(f"<dt>{escape(str(key).replace('_', ' '))}</dt><dd>{escape(text)}</dd>")
    return f"<dl>{''.join(items)}</dl>"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
