"""``symact import``: import programs of other systems as formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symact.cli.console import note, print_json, print_table
from symact.cli.options import Json
from symact.errors import SymactError
from symact.reporting.text_table import Column

if TYPE_CHECKING:
    from symact.importers import Record


def import_programs(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Programs or results folders.")
    ],
    entry: Annotated[
        str | None, typer.Option(metavar="NAME", help="The function to read in each program.")
    ] = None,
    minimize: Annotated[
        bool,
        typer.Option("--minimize/--maximize", help="Lower reported scores are better."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the records as JSON lines.")] = None,
    as_json: Json = False,
) -> None:
    """Import programs of other systems as formulas, without running them."""
    from symact.importers import refusals, write_records

    records = [one for path in paths for one in _read(path, entry, minimize)]
    if out is not None:
        write_records(records, out)
    if as_json:
        print_json([{**asdict(one), "known": _known(one)} for one in records])
        return
    _print_records(records)
    for text in dict.fromkeys(f"{one.name}: {text}" for one in records for text in one.notes):
        note(f"note: {text}")
    for reason, count in refusals(records):
        note(f"refused {count}: {reason}")


def _read(path: Path, entry: str | None, minimize: bool) -> list[Record]:
    """Import a program or a folder, and print a note on the result."""
    from symact.importers import read_with_summary

    found, summary = read_with_summary(path, entry=entry, minimize=minimize)
    if len(found) == 1 and found[0].formula is None and path.is_file():
        raise SymactError(f"{path}: {found[0].refusal}")
    gone = "" if summary.unobserved is None else f", {summary.unobserved} iterations unobserved"
    note(
        f"{path}: programs {summary.programs}, understood {summary.understood}, "
        f"copies left out {summary.copies}, invalid left out {summary.invalid}{gone}"
    )
    return list(found)


def _known(one: Record) -> str:
    """Return the name of the zoo's function equal up to scale and sign; ``""`` if there is none."""
    from symact.reporting.competitors import known_as

    expr = one.expr
    return "" if expr is None else known_as(expr)


def _print_records(records: Sequence[Record]) -> None:
    columns = [Column("name"), Column("score", number=True), Column("kind"), Column("known as")]
    rows = [
        (
            one.name,
            "-" if one.score is None else f"{one.score:.4g}",
            one.kind,
            _known(one),
            one.formula or one.refusal,
        )
        for one in records
    ]
    print_table([*columns, Column("formula or refusal", wraps=True)], rows)
