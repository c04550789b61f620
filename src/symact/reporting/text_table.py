"""Draw tables as text with rich: plain columns for files and pipes, rules for terminals."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

#: A width beyond that of any table. Lines for programs are neither wrapped nor cut.
_UNLIMITED = 100_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Heading of the column, possibly empty.
        number: Whether to align the cells to the right.
        wraps: Whether to wrap the cells if the terminal is too narrow.
    """

    heading: str
    number: bool = False
    wraps: bool = False


def numbers(*headings: str) -> list[Column]:
    """Return columns of numbers."""
    return [Column(heading, number=True) for heading in headings]


def one_line(text: str) -> str:
    r"""Replace line breaks and control characters by spaces.

    Control characters could change the state of a terminal.

    Example:
        >>> one_line("a\nb")
        'a b'
    """
    return "".join(c if c.isprintable() else " " for c in text)


def ruled(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table for a terminal, with a rule below the headings and wrapped texts."""
    from rich import box

    return _table(columns, rows, box.SIMPLE_HEAD)


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with aligned columns, two spaces apart, and one uncut line for each row.

    Args:
        columns: The columns, in the order of the cells.
        rows: The cells of each row. Line breaks and control characters become spaces.

    Example:
        >>> print(plain([Column("name"), Column("cost", number=True)], [["gelu", "14"]]))
        name  cost
        gelu    14
    """
    from rich.console import Console

    console = Console(file=io.StringIO(), width=_UNLIMITED, color_system=None, emoji=False)
    with console.capture() as captured:
        console.print(_table(columns, rows, None))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], box: object) -> Table:
    from rich.table import Table
    from rich.text import Text

    headed = any(column.heading for column in columns)
    table = Table(box=box, pad_edge=False, padding=(0, 2, 0, 0), show_header=headed)  # type: ignore[arg-type]
    for column in columns:
        table.add_column(
            Text(column.heading),
            justify="right" if column.number else "left",
            no_wrap=not column.wraps,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    return table
