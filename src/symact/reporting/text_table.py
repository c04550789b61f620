"""Draw tables as text with rich: aligned columns for files and pipes, ruled for a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

#: Wider than any table, so that nothing is wrapped or cut where a program reads.
_UNLIMITED = 100_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its first line, possibly empty.
        number: Whether its cells are aligned to the right.
        wraps: Whether its cells break into lines where a terminal is too narrow.
    """

    heading: str
    number: bool = False
    wraps: bool = False


def numbers(*headings: str) -> list[Column]:
    """Return columns of numbers."""
    return [Column(heading, number=True) for heading in headings]


def one_line(text: str) -> str:
    r"""Return a text without line breaks and control characters, which could steer a terminal.

    >>> one_line("a\nb")
    'a b'
    """
    return "".join(c if c.isprintable() else " " for c in text)


def ruled(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table for a terminal: a rule below the headings, long texts wrapped."""
    from rich import box

    return _table(columns, rows, box.SIMPLE_HEAD)


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns, two spaces apart, one line a row and nothing cut.

    Args:
        columns: One for each cell of a row.
        rows: The cells; line breaks and control characters in them become spaces.

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
