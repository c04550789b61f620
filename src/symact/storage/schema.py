"""The layout of a run directory: its files, the tables of its database, the checksum of a row."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

SCHEMA_VERSION = 4

RUN_FILE, JUDGED_FILE, LOCK_FILE = "run.db", "judged.db", "run.lock"
#: A copy of the configuration for people to read.
CONFIG_FILE = "config.toml"

#: The documents of a run, by the keys under which their JSON values are stored. The keys are those
#: of the first release.
CONFIG, STATE, PROBLEM, BASELINES, REFERENCES = (
    "config",
    "state",
    "problem",
    "anchors",
    "references",
)
DIAGNOSIS, REPEATED, REFERENCE, SELECTED = "gate", "repeated", "yardstick", "selected"
FINISHED, MISSING, COMPARISON = "finished_generation", "gaps", "comparison:"
#: Stored names of fields of the state of a search and of parts of its costs, where they differ.
STORED_FIELDS = {"fitted": "forecast", "promoted": "climbing"}
STORED_PARTS = {"surrogate": "forecast"}
#: The names of the fidelities of an activation search, the lowest first, and of the fidelity of
#: finalists. Runs of early releases do not list theirs.
FIDELITIES = ("mini", "full")
SELECTION = "selection"
#: The column of the name of a fidelity, or of another place where a candidate failed.
PLACE = "rung"

#: The first bytes of every SQLite database. Other files are not opened.
MAGIC = b"SQLite format 3\0"

#: The columns of each table. A checksum of the row follows as the last column.
TABLES = {
    # Only a damaged database has several rows of one key; the highest revision counts.
    "meta": {
        "key": "TEXT PRIMARY KEY",
        "value": "TEXT NOT NULL",
        "revision": "INTEGER NOT NULL",
    },
    "candidates": {
        "id": "INTEGER PRIMARY KEY",
        "formula": "TEXT NOT NULL",
        "fingerprint": "TEXT NOT NULL",
        "origin": "TEXT NOT NULL",
        "parents": "TEXT NOT NULL",
        "generation": "INTEGER NOT NULL",
        "outcome": "TEXT NOT NULL",
        "flops": "INTEGER NOT NULL",
        "nodes": "INTEGER NOT NULL",
        "tag": "TEXT NOT NULL",
    },
    "scores": {
        "candidate": "INTEGER NOT NULL REFERENCES candidates (id)",
        PLACE: "TEXT NOT NULL",
        "ood": "REAL NOT NULL",
        "id_error": "REAL NOT NULL",
        "errors": "TEXT NOT NULL",
        "protocol": "TEXT NOT NULL",
    },
    "simplified": {"candidate": "INTEGER PRIMARY KEY", "formula": "TEXT NOT NULL"},
    # Trials that failed: an exception, the time limit, or a lost process.
    "quarantined": {
        "candidate": "INTEGER NOT NULL REFERENCES candidates (id)",
        PLACE: "TEXT NOT NULL",
        "reason": "TEXT NOT NULL",
    },
    "judged": {
        "formula": "TEXT NOT NULL",
        "protocol": "TEXT NOT NULL",
        "instance": "TEXT NOT NULL",
        "seed": "INTEGER NOT NULL",
        "errors": "TEXT NOT NULL",
    },
}
#: The column of the checksum.
CHECKSUM = "sum INTEGER NOT NULL"
_KEYS = {
    "scores": f"PRIMARY KEY (candidate, {PLACE})",
    "quarantined": f"PRIMARY KEY (candidate, {PLACE})",
    "judged": "PRIMARY KEY (formula, protocol, instance, seed)",
}
INDEX = "CREATE INDEX candidates_fingerprint ON candidates (fingerprint)"


def create_table(table: str) -> str:
    """Return the SQL statement that creates a table."""
    lines = [*(f"{name} {kind}" for name, kind in TABLES[table].items()), CHECKSUM]
    lines += [_KEYS[table]] if table in _KEYS else []
    return f"CREATE TABLE {table} ({', '.join(lines)})"


def checksum(row: Sequence[Any]) -> int:
    """Return the checksum of a row: the CRC-32 of its values as a JSON list."""
    return zlib.crc32(json.dumps(list(row)).encode())
