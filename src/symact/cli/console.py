"""Print for people and for programs: tables, JSON, lines that are safe on any terminal."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symact.reporting.text_table import Column, one_line, plain, ruled


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: ruled and wrapped on a terminal, aligned whole lines elsewhere."""
    if not sys.stdout.isatty():
        print(plain(columns, rows))
        return
    from rich.console import Console

    Console().print(ruled(columns, rows))


def print_json(document: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(document, indent=1))


def note(line: str) -> None:
    """Print a line beside the results: on standard error, where no pipe takes it for data."""
    print(one_line(line), file=sys.stderr, flush=True)


def quoted(path: Path | str | None) -> str:
    """Return a path as a shell takes it, for commands that users copy."""
    return shlex.quote(str(path))
