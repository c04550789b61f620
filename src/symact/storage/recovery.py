"""Checks a run, and saves the rows of a damaged one in a new run."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symact.errors import DamagedError, StoreError
from symact.storage.pages import Rows, whole_rows
from symact.storage.repository import create_with, open_run
from symact.storage.schema import (
    CONFIG,
    CONFIG_FILE,
    MISSING,
    RUN_FILE,
    SELECTED,
    SELECTION,
    STATE,
)


@dataclass(frozen=True, slots=True)
class Examined:
    """The state of a run directory.

    Attributes:
        path: The directory.
        problem: What is wrong with it; empty for a sound run.
        rows: How many rows of each table are whole.
        lost: What is known to be missing, for people to read; empty where nothing is.
        saved: The new run that holds the rows of a damaged one; None if nothing was written.
    """

    path: Path
    problem: str
    rows: dict[str, int]
    lost: str
    saved: Path | None


def examine_run(path: str | Path, *, save: bool = True) -> Examined:
    """Check a run; save the rows of a damaged one.

    The run itself is not changed. The new run is the directory beside it whose name ends in
    ``-recovered``, or ``-recovered-2`` and so on.

    Args:
        path: The run directory.
        save: Whether to write a new run where this one is damaged.

    Raises:
        StoreError: There is no run, it cannot be read, or the new one cannot be written.
    """
    folder = Path(path)
    if not (folder / RUN_FILE).is_file():
        raise StoreError(f"{path}: no run here ({RUN_FILE} is missing)")
    try:
        with closing(open_run(folder)) as run:
            rows, missing = run.database.check(), run.missing()
        return Examined(folder, "", rows, missing, None)
    except DamagedError as error:
        problem = str(error).removeprefix(f"{folder / RUN_FILE}: ").split("; 'symact doctor")[0]
    found = whole_rows(folder / RUN_FILE)
    rows = {table: len(own) for table, own in found.items()}
    documents = _documents(found)
    if CONFIG not in documents:
        documents[CONFIG] = _written_config(folder)
    lost = _lost(found, documents)
    saved = _free_name(folder) if save and any(rows.values()) else None
    if saved is not None:
        _write(saved, found, documents, lost)
    return Examined(folder, problem, rows, lost, saved)


def _documents(found: Rows) -> dict[str, Any]:
    """Return the newest value of each key of the table ``meta``."""
    rows = sorted(found["meta"].values(), key=lambda row: int(row[2]))
    values = {str(key): json.loads(value) for key, value, _ in rows}
    values.pop("schema", None)
    return values


def _written_config(folder: Path) -> dict[str, Any]:
    """Return the configuration from the file for people, which lacks the grammar's text."""
    try:
        return tomllib.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _lost(found: Rows, documents: dict[str, Any]) -> str:
    """Name the missing parts without which a search cannot be continued."""
    if "grammar_text" not in documents[CONFIG]:
        return "the grammar" if documents[CONFIG] else "the configuration"
    if documents.get(MISSING):
        return str(documents[MISSING])
    if STATE not in documents:
        return "the state of the search"
    # The state does not count the scores of finalists: one without a score is evaluated again.
    scores = {(row[0], row[1]) for row in found["scores"].values() if row[1] != SELECTION}
    known = {"candidates": len(found["candidates"]), "scores": len(scores)}
    whole = documents[STATE].get("rows") or [max(found["candidates"], default=0), 0]
    missing = {table: count - known[table] for table, count in zip(known, whole, strict=True)}
    return ", ".join(f"{count} {table}" for table, count in missing.items() if count > 0)


def _free_name(folder: Path) -> Path:
    """Return a directory beside another that does not exist."""
    folder, number = folder.resolve(), 1
    while True:
        suffix = "-recovered" if number == 1 else f"-recovered-{number}"
        beside = folder.with_name(f"{folder.name}{suffix}")
        if not beside.exists():
            return beside
        number += 1


def _write(saved: Path, found: Rows, documents: dict[str, Any], lost: str) -> None:
    """Write the consistent rows and the list of missing ones."""
    known = found["candidates"]
    scores = {n: row for n, row in found["scores"].items() if row[0] in known}
    if not _is_selection_whole(documents, found, scores):
        del documents[SELECTED]
    first = documents | ({MISSING: lost} if lost else {})
    with closing(create_with(saved, first)) as run, run.transaction():
        for table, rows in (found | {"scores": scores}).items():
            if table != "meta":
                run.database.write_at(table, rows)


def _is_selection_whole(
    documents: dict[str, Any], found: Rows, scores: dict[int, Sequence[Any]]
) -> bool:
    """Whether every finalist has its score and its simplified formula."""
    evaluated = {row[0] for row in scores.values() if row[1] == SELECTION}
    chosen = (documents.get(SELECTED) or {"ids": []})["ids"]
    return all(number in evaluated and number in found["simplified"] for number in chosen)
