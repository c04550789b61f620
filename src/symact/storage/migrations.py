"""Steps that bring the database of an earlier schema up to the present one. No data is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from symact.storage.schema import CHECKSUM, checksum, create_table


def _add_tags(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE candidates ADD COLUMN tag TEXT NOT NULL DEFAULT '[]'")


def _add_checksums(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE meta ADD COLUMN revision INTEGER NOT NULL DEFAULT 0")
    db.execute("UPDATE meta SET revision = rowid")
    for table in ("meta", "candidates", "scores", "simplified", "judged"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN {CHECKSUM} DEFAULT 0")
        rows = db.execute(f"SELECT rowid, * FROM {table}").fetchall()
        sums = ((checksum(row[1:-1]), row[0]) for row in rows)
        db.executemany(f"UPDATE {table} SET sum = ? WHERE rowid = ?", sums)


def _add_quarantine(db: sqlite3.Connection) -> None:
    db.execute(create_table("quarantined"))


#: For each earlier schema the step to the next one.
MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {
    1: _add_tags,
    2: _add_checksums,
    3: _add_quarantine,
}
