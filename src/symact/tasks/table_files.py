"""Read a table from a CSV file, and separate inputs from targets."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from symact.errors import TaskError, choices
from symact.tasks.instance import FloatArray
from symact.tasks.tables import LARGEST, Table, refuse_repeated

_MISSING = {"", "na", "nan", "null", "none"}


def read_csv(path: str | Path, name: str = "") -> Table:
    """Return the numbers of a CSV file with a line of column names.

    Rows with a missing value are left out.

    Args:
        path: The file, in UTF-8, separated by commas, semicolons or tabs.
        name: The name of the table in errors; "" for the path.

    Raises:
        TaskError: The file cannot be read or has no rows, or a cell is no number or is beyond
            1e30.
    """
    what = name or str(path)
    lines = _lines(Path(path), what)
    header, rows = _names(lines, what), lines[1:]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise TaskError(
                f"{what}, line {number}: {len(row)} cells, the first line has {len(header)}"
            )
    columns = [_column(what, own, [row[i] for row in rows]) for i, own in enumerate(header)]
    values = np.array(columns).T
    complete = values[np.isfinite(values).all(axis=1)]
    if not len(complete):
        raise TaskError(f"{what} has no row without a missing value")
    return Table(what, complete, header)


def divided(table: Table, targets: Sequence[str]) -> tuple[Table, Table]:
    """Return the inputs and the targets of a table.

    Args:
        table: A table with named columns.
        targets: Names of the target columns; empty for the last column.

    Raises:
        TaskError: A target is no column, two columns have one name, or no input is left.
    """
    names = table.columns or ()
    refuse_repeated(table.name, names)
    for own in targets:
        if own not in names:
            raise TaskError(f"{table.name} has no column '{own}'; {choices(own, names)}")
    asked = tuple(dict.fromkeys(targets)) or names[-1:]
    inputs = tuple(own for own in names if own not in asked)
    if not inputs:
        raise TaskError(f"{table.name} has no input column beside {', '.join(asked)}")
    return _part(table, inputs), _part(table, asked)


def _part(table: Table, names: tuple[str, ...]) -> Table:
    assert table.columns is not None, "tables of files have names"
    places = [table.columns.index(own) for own in names]
    return Table(table.name, table.values[:, places], names)


def _lines(path: Path, what: str) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TaskError(f"{what}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise TaskError(f"{what} is no text in UTF-8; save it as CSV in UTF-8") from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        lines = [row for row in csv.reader(text.splitlines(), delimiter=separator) if any(row)]
    except csv.Error as error:
        raise TaskError(f"{what} is no CSV file ({error})") from None
    if len(lines) < 2:
        raise TaskError(f"{what} has no rows; the first line must have the column names")
    return lines


def _names(lines: Sequence[Sequence[str]], what: str) -> tuple[str, ...]:
    header = tuple(own.strip() for own in lines[0])
    if "" in header:
        raise TaskError(
            f"{what}: column {header.index('') + 1} has no name; name it, or leave it out "
            "if it numbers the rows"
        )
    refuse_repeated(what, header)
    if all(_number(own) is not None for own in header):
        raise TaskError(f"{what}: the first line has numbers; it must have the column names")
    return header


def _column(what: str, name: str, cells: Sequence[str]) -> FloatArray:
    """Return a column as float64; NaN for a missing value."""
    found = np.empty(len(cells))
    for row, cell in enumerate(cells):
        value = _number(cell)
        if value is None:
            raise TaskError(
                f"{what}, line {row + 2}, column '{name}': '{cell[:20]}' is no number; "
                "encode the column as numbers or leave it out"
            )
        if LARGEST < abs(value) < math.inf:
            raise TaskError(
                f"{what}, line {row + 2}, column '{name}': {value:g} is beyond {LARGEST:g}; "
                "use larger units"
            )
        found[row] = value
    return found


def _number(cell: str) -> float | None:
    if cell.strip().lower() in _MISSING:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return None
