"""Print tables, JSON and notes."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symact.reporting.text_table import Column, one_line, plain, ruled


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: ruled and wrapped on a terminal, with aligned uncut lines elsewhere."""
    if not sys.stdout.isatty():
        print(plain(columns, rows))
        return
    from rich.console import Console

    Console().print(ruled(columns, rows))


def print_json(document: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(document, indent=1))


def note(line: str) -> None:
    """Print a line to standard error, separate from the results."""
    print(one_line(line), file=sys.stderr, flush=True)


def quoted(path: Path | str | None) -> str:
    """Return a path quoted for a shell, for commands that users copy."""
    return shlex.quote(str(path))
