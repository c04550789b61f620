"""The run directory: one SQLite database with a write-ahead log, one configuration file.

A generation is one transaction: its candidates, its scores and the proposer's state. So what a
crash leaves behind is the end of some generation, and a resumed search goes on from there. Texts
and numbers only; opening a run that someone sent runs nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact.errors import StoreError

SCHEMA_VERSION = 2
#: What makes the next schema of an earlier one; nothing of a run is lost.
_MIGRATIONS = {1: "ALTER TABLE candidates ADD COLUMN tag TEXT NOT NULL DEFAULT '[]'"}

#: How every SQLite database begins; anything else is not opened, so that it stays as it is.
_MAGIC = b"SQLite format 3\0"

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE candidates (
    id INTEGER PRIMARY KEY,
    formula TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    origin TEXT NOT NULL,
    parents TEXT NOT NULL,
    generation INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    flops INTEGER NOT NULL,
    nodes INTEGER NOT NULL,
    tag TEXT NOT NULL
);
CREATE INDEX candidates_fingerprint ON candidates (fingerprint);
CREATE TABLE scores (
    candidate INTEGER NOT NULL REFERENCES candidates (id),
    rung TEXT NOT NULL,
    ood REAL NOT NULL,
    id_error REAL NOT NULL,
    errors TEXT NOT NULL,
    protocol TEXT NOT NULL,
    PRIMARY KEY (candidate, rung)
);
CREATE TABLE simplified (candidate INTEGER PRIMARY KEY, formula TEXT NOT NULL);
CREATE TABLE judged (
    formula TEXT NOT NULL,
    protocol TEXT NOT NULL,
    instance TEXT NOT NULL,
    seed INTEGER NOT NULL,
    errors TEXT NOT NULL,
    PRIMARY KEY (formula, protocol, instance, seed)
);
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One proposal as it is stored.

    ``id`` counts from 1 in the order of proposal; ``tag`` is what its proposer is reminded of.
    """

    id: int
    formula: str
    fingerprint: str
    origin: str
    parents: tuple[str, ...]
    generation: int
    outcome: str
    flops: int
    nodes: int
    tag: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """A candidate's result on one rung; errors [instance, seed, 4], ood and id_error in log10."""

    candidate: int
    rung: str
    ood: float
    id_error: float
    errors: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """What the judge says of a function.

    Attributes:
        errors: On the test draws, [instance, size, seed, 4].
        rates: The learning rate that each size was trained at.
    """

    errors: NDArray[np.float64]
    rates: tuple[float, ...]


class Store:
    """An open run. Use :func:`create`, :func:`open_run` or :func:`in_memory`."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self._db = connection
        self.path = path

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside appear at once or, after an exception, not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def get(self, key: str) -> Any:
        """Return a stored JSON value, None if there is none."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        try:
            return None if row is None else json.loads(row[0])
        except ValueError:
            raise StoreError(f"{self.path}: the run's '{key}' is damaged") from None

    def put(self, key: str, value: Any) -> None:
        """Store a JSON value."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def add_candidates(self, candidates: Iterable[Candidate]) -> None:
        rows = (
            (
                c.id,
                c.formula,
                c.fingerprint,
                c.origin,
                json.dumps(c.parents),
                c.generation,
                c.outcome,
                c.flops,
                c.nodes,
                json.dumps(c.tag),
            )
            for c in candidates
        )
        self._db.executemany("INSERT INTO candidates VALUES (?,?,?,?,?,?,?,?,?,?)", rows)

    def add_scores(self, scores: Iterable[Scored], protocol: str) -> None:
        rows = ((s.candidate, s.rung, s.ood, s.id_error, _pack(s.errors), protocol) for s in scores)
        self._db.executemany("INSERT OR REPLACE INTO scores VALUES (?,?,?,?,?,?)", rows)

    def add_simplified(self, formulas: Mapping[int, str]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO simplified VALUES (?,?)", formulas.items())

    def candidates(self) -> list[Candidate]:
        """Return every proposal in order."""
        rows = self._db.execute("SELECT * FROM candidates ORDER BY id")
        return [
            Candidate(
                id=row[0],
                formula=row[1],
                fingerprint=row[2],
                origin=row[3],
                parents=tuple(json.loads(row[4])),
                generation=row[5],
                outcome=row[6],
                flops=row[7],
                nodes=row[8],
                tag=tuple(json.loads(row[9])),
            )
            for row in rows
        ]

    def scores(self, rung: str) -> list[Scored]:
        """Return the scores of one rung in the order in which they were measured."""
        rows = self._db.execute(
            "SELECT candidate, rung, ood, id_error, errors FROM scores WHERE rung = ? "
            "ORDER BY rowid",
            (rung,),
        )
        return [Scored(r[0], r[1], r[2], r[3], _unpack(r[4])) for r in rows]

    def progress(self) -> list[tuple[int, Scored]]:
        """Return the full trainings in their order, each with how many were judged by then.

        Scores of a generation are written after one another, those of mini-training first. In a
        search without it a candidate is judged by its full training.
        """
        rows = self._db.execute(
            "SELECT candidate, rung, ood, id_error, errors FROM scores "
            "WHERE rung IN ('mini', 'full') ORDER BY rowid"
        )
        found, judged = [], set()
        for row in rows:
            judged.add(row[0])
            if row[1] == "full":
                scored = Scored(row[0], row[1], row[2], row[3], _unpack(row[4]))
                found.append((len(judged), scored))
        return found

    def simplified(self) -> dict[int, str]:
        """Return the simplified formulas of promoted candidates."""
        rows = self._db.execute("SELECT candidate, formula FROM simplified ORDER BY candidate")
        return {int(r[0]): str(r[1]) for r in rows}

    def counts(self) -> dict[str, int]:
        """Return how many candidates were proposed, came through the screen, and were judged."""
        one = "SELECT COUNT(*) FROM "
        query = self._db.execute
        counts = {
            "seen": query(one + "candidates").fetchone()[0],
            "screened": query(one + "candidates WHERE outcome = 'passed'").fetchone()[0],
        }
        for rung in ("mini", "full"):
            row = query(one + "scores WHERE rung = ?", (rung,)).fetchone()
            counts[rung] = row[0]
        return counts

    def outcomes(self) -> dict[str, int]:
        """Return how many candidates met each outcome of the screen, the most frequent first."""
        rows = self._db.execute(
            "SELECT outcome, COUNT(*) AS n FROM candidates GROUP BY outcome "
            "ORDER BY n DESC, outcome"
        )
        return {str(r[0]): int(r[1]) for r in rows}

    def add_judged(
        self,
        formula: str,
        protocol: str,
        instances: Iterable[str],
        errors: NDArray[np.float64],
        rates: Sequence[float],
    ) -> Judged:
        """Remember test errors [instance, size, seed, 4] of a function; seeds count from 0.

        Args:
            formula: Or another text that is this function and no other.
            protocol: The version it was judged under.
            instances: Their names, unique over tasks.
            errors: What training gave.
            rates: The learning rate of each size.

        Returns:
            What is stored: errors have nine digits.
        """
        rows = [
            (formula, protocol, name, seed, _pack(errors[place, :, seed], rates=list(rates)))
            for place, name in enumerate(instances)
            for seed in range(errors.shape[2])
        ]
        with self.transaction():
            self._db.executemany("INSERT OR REPLACE INTO judged VALUES (?,?,?,?,?)", rows)
        return Judged(_unpack(_pack(errors)), tuple(rates))

    def judged(
        self, formula: str, protocol: str, instances: Sequence[str], seeds: int
    ) -> Judged | None:
        """Return what is remembered of a function, None unless all of it is there."""
        rows = self._db.execute(
            "SELECT instance, seed, errors FROM judged WHERE formula = ? AND protocol = ?",
            (formula, protocol),
        )
        texts = {(r[0], r[1]): str(r[2]) for r in rows}
        wanted = [(name, seed) for name in instances for seed in range(seeds)]
        if not all(key in texts for key in wanted):
            return None
        errors = np.array([_unpack(texts[key]) for key in wanted])  # [instance x seed, size, 4]
        shaped = errors.reshape(len(instances), seeds, *errors.shape[1:]).swapaxes(1, 2)
        return Judged(shaped, tuple(json.loads(texts[wanted[0]])["rates"]))


def as_stored(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return errors as they come back from the database: with nine digits."""
    return from_text(to_text(errors))


def to_text(errors: NDArray[np.float64]) -> str:
    """Return errors as a JSON text."""
    return _pack(errors)


def from_text(text: str) -> NDArray[np.float64]:
    """Return the errors of a text."""
    return _unpack(text)


def _pack(errors: NDArray[np.float64], **more: object) -> str:
    """JSON with null for what is not finite (JSON has no NaN)."""
    flat = [float(f"{v:.9g}") if np.isfinite(v) else None for v in errors.reshape(-1)]
    return json.dumps({"shape": list(errors.shape), "values": flat, **more})


def _unpack(text: str) -> NDArray[np.float64]:
    stored = json.loads(text)
    values = np.array([np.nan if v is None else v for v in stored["values"]], dtype=np.float64)
    return values.reshape(stored["shape"])


def in_memory() -> Store:
    """Return a store that lives as long as the process."""
    return _initialise(sqlite3.connect(":memory:", isolation_level=None), None)


def create(path: str | Path) -> Store:
    """Make a new run directory.

    Raises:
        StoreError: It holds a run already, or cannot be written.
    """
    folder = Path(path)
    if (folder / "run.db").exists():
        raise StoreError(
            f"{folder}: holds a run already; choose another --out, or go on with "
            f"'symact resume {folder}'"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        connection = _connect(folder / "run.db")
        return _initialise(connection, folder)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{folder}: cannot make a run here: {error}") from None


def open_judged(path: str | Path) -> Store:
    """Open the database of a folder of comparisons, ``judged.db``; make it where there is none.

    Raises:
        StoreError: It cannot be written, or something else has that name.
    """
    folder = Path(path)
    file = folder / "judged.db"
    try:
        if file.exists():
            return _open(file, folder)
        folder.mkdir(parents=True, exist_ok=True)
        return _initialise(_connect(file), folder)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{folder}: cannot keep comparisons here: {error}") from None


def is_run(path: str | Path) -> bool:
    """Whether a directory holds a run."""
    return (Path(path) / "run.db").is_file()


def open_run(path: str | Path) -> Store:
    """Open an existing run directory.

    Raises:
        StoreError: There is no run, it is damaged, or a newer version wrote it.
    """
    folder = Path(path)
    file = folder / "run.db"
    if not file.is_file():
        raise StoreError(f"{folder}: no run here (run.db is missing)")
    return _open(file, folder)


def _open(file: Path, folder: Path) -> Store:
    with file.open("rb") as handle:
        if handle.read(len(_MAGIC)) != _MAGIC:
            raise StoreError(f"{file}: not a readable run: it is no SQLite database")
    # Read-only at first: a database of another program stays as it is.
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as reader:
            version = Store(reader, folder).get("schema")
        if version not in (SCHEMA_VERSION, *_MIGRATIONS):
            raise StoreError(f"{file}: schema {version}, this symact reads {SCHEMA_VERSION}")
        store = Store(_connect(file), folder)
        _migrate(store)
        return store
    except sqlite3.Error as error:
        raise StoreError(f"{file}: not a readable run: {error}") from None


def _migrate(store: Store) -> None:
    """Bring an earlier schema up to this one; of several that try at once one does it."""
    if store.get("schema") == SCHEMA_VERSION:
        return
    with store.transaction():
        version = store.get("schema")
        while version in _MIGRATIONS:
            store._db.execute(_MIGRATIONS[version])
            version += 1
        store.put("schema", version)


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _initialise(connection: sqlite3.Connection, path: Path | None) -> Store:
    store = Store(connection, path)
    with store.transaction():
        for statement in _SCHEMA.split(";"):
            if statement.strip():
                connection.execute(statement)
        store.put("schema", SCHEMA_VERSION)
    return store
