"""Reports of an enumeration as JSON values and as text."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact.backends.sampling import SCREEN
from symact.errors import GrammarError
from symact.expr import Expr, show
from symact.grammar.enumeration.sentences import CHUNK, Enumeration, Placement, Sentence
from symact.grammar.enumeration.values import keys


def up_to_scale(enumeration: Enumeration) -> list[Sentence]:
    """Return the sentences that are distinct up to sign and scale of output and input.

    Scales of the input are tried from a finite set: 1, the literals of the enumeration and their
    quotients, of either sign. The output's may be any.

    Raises:
        GrammarError: The grammar has batch statistics, or terminals other than x.
    """
    from symact.backends.numba.tape import to_batch

    grammar = enumeration.grammar
    if enumeration.reads_batch or tuple(grammar.terminals) != ("x",):
        raise GrammarError(
            f"grammar '{grammar.name}': only functions of one element of x are compared up to scale"
        )
    sizes = {1.0, *(abs(c) for c in enumeration.constants if c)}
    ratios = sorted({float(f"{a / b:.12g}") for a in sizes for b in sizes})
    scales = np.array([1.0, *(-r for r in ratios), *(r for r in ratios if r != 1)])
    points = np.multiply.outer(scales, SCREEN.line)
    kept: list[Sentence] = []
    seen: set[int] = set()
    sentences = iter(enumeration)
    while chunk := list(itertools.islice(sentences, CHUNK // len(scales) + 1)):
        with np.errstate(all="ignore"):
            values, _ = to_batch([s.expr for s in chunk]).evaluate(points)
            own_keys = keys(_scaled(values.reshape(-1, SCREEN.line.size))).reshape(len(chunk), -1)
        for sentence, own in zip(chunk, own_keys.tolist(), strict=True):
            if seen.isdisjoint(own):
                seen.add(own[0])
                kept.append(sentence)
    return kept


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide each row by its value of largest size within [-8, 8]. Rows with 0 or inf stay."""
    near = values[:, np.abs(SCREEN.line) <= 8]
    sizes = np.abs(near)
    top = sizes.max(axis=1, keepdims=True)
    # Use the first of several values of equal size: rounding must not choose the sign.
    first = (sizes >= (1 - 1e-9) * top).argmax(axis=1)
    scale = near[np.arange(len(near)), first]
    usable = np.isfinite(scale) & (scale != 0)
    return values / np.where(usable, scale, 1.0)[:, None]


def report(
    enumeration: Enumeration,
    wanted: Sequence[tuple[str, Expr]] = (),
    *,
    first: int = 20,
    scaled: bool = False,
) -> dict[str, Any]:
    """Return a report of an enumeration as JSON values.

    Args:
        enumeration: What was found.
        wanted: Names and functions to be placed.
        first: How many of the first sentences to list.
        scaled: Whether to list those of :func:`up_to_scale` only.
    """
    listed: Iterable[Sentence] = up_to_scale(enumeration) if scaled else enumeration
    head = list(itertools.islice(listed, first))
    shown: dict[str, Any] = {
        "grammar": enumeration.grammar.name,
        "constants": list(enumeration.constants),
        "depth": enumeration.language.depth,
        "complete_size": enumeration.complete_size,
        "exhausted": enumeration.exhausted,
        "limit_reached": enumeration.is_cut,
        "distinct": len(enumeration),
        "counts": [asdict(count) for count in enumeration.counts()],
        "sentences": [{"place": s.place, "size": s.size, "formula": show(s.expr)} for s in head],
        "found": [
            {"name": name, **_placement_json(enumeration.find(expr))} for name, expr in wanted
        ],
    }
    if isinstance(listed, list):
        shown["distinct_up_to_scale"] = len(listed)
    return shown


def _placement_json(found: Placement) -> dict[str, Any]:
    rows = {each.name: getattr(found, each.name) for each in fields(found)}
    rows["formula"] = show(rows.pop("expr"))
    rows["first"] = None if found.first is None else show(found.first)
    return rows


def to_text(report: dict[str, Any]) -> str:
    """Return a :func:`report` as readable text."""
    numbers = ", ".join(f"{value:g}" for value in report["constants"]) or "none"
    if report["exhausted"]:
        state = "the list is complete"
    elif report["limit_reached"]:
        state = (
            f"complete up to {report['complete_size']} nodes; the limit was reached within the "
            "next size"
        )
    else:
        state = f"complete up to {report['complete_size']} nodes"
    depth = "" if report["depth"] is None else f", at most {report['depth']} productions nested"
    lines = [
        f"{report['grammar']}, literals {numbers}{depth}",
        f"{report['distinct']:,} distinct functions; {state}",
    ]
    if "distinct_up_to_scale" in report:
        count = report["distinct_up_to_scale"]
        lines.append(f"{count:,} of them up to sign and scale of output and input")
    lines += ["", f"{'nodes':>5} {'sentences':>20} {'distinct':>12}"]
    for count in report["counts"]:
        total = "-" if count["sentences"] is None else f"{count['sentences']:,}"
        partial = "" if count["complete"] else "  partial"
        lines.append(f"{count['size']:5d} {total:>20} {count['distinct']:12,}{partial}")
    if report["sentences"]:
        lines += ["", f"{'place':>9} {'nodes':>5}  formula"]
        lines += [f"{s['place']:9,} {s['size']:5d}  {s['formula']}" for s in report["sentences"]]
    if report["found"]:
        lines.append("")
        lines += [_placed(row, report["complete_size"]) for row in report["found"]]
    return "\n".join(lines)


def _placed(row: dict[str, Any], complete: int) -> str:
    """Return the size and the rank of a function in one line."""
    name = row["name"]
    if row["size"] is None:
        return f"{name}: no sentence, and no distinct function that was found equals it"
    parts = [f"{row['size']} nodes" if row["is_exact"] else f"at most {row['size']} nodes"]
    if row["place"] is not None:
        parts.append(f"place {row['place']:,} among the distinct functions, as {row['first']}")
    if row["smaller"] is not None:
        parts.append(f"{row['smaller']:,} sentences are smaller, {row['of_size']:,} as large")
    if row["number"] is not None:
        parts.append(f"as written it is sentence {row['number']:,}")
    if row["place"] is None:
        parts.append(f"beyond what was enumerated, which is complete up to {complete} nodes")
        if row["estimate"] is not None:
            parts.append(f"estimated place {row['estimate']:.2g} among the distinct functions")
    return f"{name}: " + "; ".join(parts)
