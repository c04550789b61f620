"""Read SQLite databases of other systems without writing to their directory."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from symact.errors import SymactError

_MAGIC = b"SQLite format 3\0"


def rows_of(path: Path, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table as dicts.

    SQLite needs to create a file next to a database with a write-ahead log. If that fails, as on a
    read-only medium, a copy in a temporary directory is read.

    Args:
        path: The database.
        table: Name of the table. It must not come from user input.

    Raises:
        SymactError: The file is not an SQLite database.
        sqlite3.Error: The table is missing, or the database is damaged.
    """
    with path.open("rb") as handle:
        if handle.read(len(_MAGIC)) != _MAGIC:
            raise SymactError(f"{path}: no SQLite database")
    if not _log(path).exists():
        return _read(path, table, "mode=ro&immutable=1")
    try:
        return _read(path, table, "mode=ro")
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise
        return _read_copy(path, table)


def _log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _read(path: Path, table: str, options: str) -> list[dict[str, Any]]:
    address = f"{path.resolve().as_uri()}?{options}"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        cursor = connection.execute(f'SELECT * FROM "{table}"')
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _read_copy(path: Path, table: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        shutil.copyfile(_log(path), _log(copy))
        return _read(copy, table, "mode=rw")
