"""The run directory: one SQLite database with a write-ahead log, one configuration file.

A generation is one transaction: its candidates, its scores and the proposer's state. So what a
crash leaves behind is the end of some generation, and a resumed search goes on from there. Every
row ends with a checksum of itself, so that a row is either what was written or known to be damaged.
Texts and numbers only; opening a run that someone sent runs nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from symact._files import beside
from symact.errors import DamagedError, StoreError
from symact.storage.codec import from_text, to_text

SCHEMA_VERSION = 4

RUN_FILE, JUDGED_FILE, LOCK_FILE = "run.db", "judged.db", "run.lock"
#: What a run was asked for, for people to read.
CONFIG_FILE = "config.toml"

#: How every SQLite database begins; anything else is not opened, so that it stays as it is.
MAGIC = b"SQLite format 3\0"

#: The columns of each table; a checksum of them follows, which makes the last column of all.
TABLES = {
    # Of several rows of one key, which only a damaged database has, the highest revision counts.
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
        "rung": "TEXT NOT NULL",
        "ood": "REAL NOT NULL",
        "id_error": "REAL NOT NULL",
        "errors": "TEXT NOT NULL",
        "protocol": "TEXT NOT NULL",
    },
    "simplified": {"candidate": "INTEGER PRIMARY KEY", "formula": "TEXT NOT NULL"},
    # What could not be trained, where, and why: an exception, too much time, a lost process.
    "quarantined": {
        "candidate": "INTEGER NOT NULL REFERENCES candidates (id)",
        "rung": "TEXT NOT NULL",
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
_SUM = "sum INTEGER NOT NULL"
_KEYS = {
    "scores": "PRIMARY KEY (candidate, rung)",
    "quarantined": "PRIMARY KEY (candidate, rung)",
    "judged": "PRIMARY KEY (formula, protocol, instance, seed)",
}
_INDEX = "CREATE INDEX candidates_fingerprint ON candidates (fingerprint)"

#: The key under which a salvaged run says what it lacks.
GAPS = "gaps"

#: What reading nonsense may end in.
_MISUNDERSTOOD = (
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError),
    MemoryError,
)

#: Characters of what SQLite or Python says of a damaged file, at most.
_LONG = 160

#: Seconds that a process waits for another one that writes.
BUSY_SECONDS = 30


def checksum(row: Sequence[Any]) -> int:
    """Return the checksum of a row: CRC-32 of its values as a JSON list."""
    return zlib.crc32(json.dumps(list(row)).encode())


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
    """An open run. Use :func:`create`, :func:`open_run` or :func:`in_memory`.

    Whatever SQLite has to complain about when a run is read or written is a :class:`StoreError`
    that says what to do; a transaction that fails leaves the run as it was.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None, name: str = "") -> None:
        self._db = connection
        self.path = path
        self._name = name

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Search a run for as long as this lasts; a process that dies gives it back.

        Raises:
            StoreError: Another process, or another search of this one, has it.
        """
        if self.path is None:
            yield
            return
        lock = FileLock(self.path / LOCK_FILE, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise StoreError(f"{self.path}: is being searched by another process") from None
        except OSError as error:
            raise StoreError(f"{lock.lock_file}: cannot be written: {error.strerror}") from None
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside appear at once or, after an exception, not at all."""
        with self._guard():
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._guard():
                self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself where the disk is full
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the run inside, whatever another process writes meanwhile."""
        with self._guard():
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise _failure(self._file, error) from None

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Say in one line that a run holds what symact never wrote, whoever wrote it.

        Raises:
            DamagedError: What is read inside is not of the kind that it has to be.
        """
        try:
            yield
        except _MISUNDERSTOOD as error:
            what = f"holds what symact does not write ({type(error).__name__}: {error})"
            raise _damaged(self._file, what) from None

    @property
    def _file(self) -> Path:
        return (self.path or Path()) / self._name

    def _read(self, table: str, which: str = "", values: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield rows without their checksums.

        Raises:
            DamagedError: One is not what was written.
        """
        with self._guard():
            for *row, stored in self._db.execute(f"SELECT * FROM {table} {which}", values):
                if checksum(row) != stored:
                    said = f"damaged: a row of '{table}' is not what was written"
                    raise _damaged(self._file, said)
                yield row

    def _count(self, what: str, values: Sequence[Any] = ()) -> int:
        with self._guard():
            return int(self._db.execute(f"SELECT COUNT(*) FROM {what}", values).fetchone()[0])

    def _write(self, table: str, rows: Iterable[Sequence[Any]], *, replace: bool = True) -> None:
        verb = "INSERT OR REPLACE" if replace else "INSERT"
        marks = ",".join("?" * (len(TABLES[table]) + 1))
        with self._guard():
            self._db.executemany(
                f"{verb} INTO {table} VALUES ({marks})", ((*row, checksum(row)) for row in rows)
            )

    def check(self) -> dict[str, int]:
        """Read everything; return how many rows each table has.

        Raises:
            DamagedError: Something is not what was written.
        """
        with self._guard():
            _ask(self._db, "integrity_check", self._file)
        return {table: sum(1 for _ in self._read(table)) for table in TABLES}

    def put_rows(self, table: str, rows: Mapping[int, Sequence[Any]]) -> None:
        """Write rows of a table, without their checksums, under the numbers they had."""
        names = ["rowid", *TABLES[table], "sum"]
        marks = ",".join("?" * len(names))
        with self._guard():
            self._db.executemany(
                f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({marks})",
                ((number, *rows[number], checksum(rows[number])) for number in sorted(rows)),
            )

    def get(self, key: str) -> Any:
        """Return a stored JSON value, None if there is none."""
        found = next(self._read("meta", "WHERE key = ?", (key,)), None)
        return None if found is None else json.loads(found[1])

    def put(self, key: str, value: Any) -> None:
        """Store a JSON value."""
        with self._guard():
            (last,) = self._db.execute("SELECT MAX(revision) FROM meta").fetchone()
        self._write("meta", [(key, json.dumps(value), (last or 0) + 1)])

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
        self._write("candidates", rows, replace=False)

    def add_scores(self, scores: Iterable[Scored], protocol: str) -> None:
        rows = (
            (s.candidate, s.rung, s.ood, s.id_error, to_text(s.errors), protocol) for s in scores
        )
        self._write("scores", rows)

    def add_simplified(self, formulas: Mapping[int, str]) -> None:
        self._write("simplified", formulas.items())

    def add_quarantined(self, failures: Iterable[tuple[int, str, str]]) -> None:
        """Remember candidates that failed: which, on what rung, and why."""
        self._write("quarantined", failures)

    def quarantined(self) -> list[tuple[int, str, str]]:
        """Return which candidates failed, on what rung, and why, in the order of candidates."""
        return [(r[0], r[1], r[2]) for r in self._read("quarantined", "ORDER BY candidate, rung")]

    def candidates(self) -> list[Candidate]:
        """Return every proposal in order."""
        rows = self._read("candidates", "ORDER BY id")
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
        rows = self._read("scores", "WHERE rung = ? ORDER BY rowid", (rung,))
        return [Scored(r[0], r[1], r[2], r[3], from_text(r[4])) for r in rows]

    def progress(self) -> list[tuple[int, Scored]]:
        """Return the full trainings in their order, each with how many were judged by then.

        Scores of a generation are written after one another, those of mini-training first. In a
        search without it a candidate is judged by its full training.
        """
        rows = self._read("scores", "WHERE rung IN ('mini', 'full') ORDER BY rowid")
        found, judged = [], set()
        for row in rows:
            judged.add(row[0])
            if row[1] == "full":
                scored = Scored(row[0], row[1], row[2], row[3], from_text(row[4]))
                found.append((len(judged), scored))
        return found

    def simplified(self) -> dict[int, str]:
        """Return the simplified formulas of promoted candidates."""
        rows = self._read("simplified", "ORDER BY candidate")
        return {int(r[0]): str(r[1]) for r in rows}

    def counts(self) -> dict[str, int]:
        """Return how many candidates were proposed, came through the screen, and were judged."""
        return {
            "seen": self._count("candidates"),
            "screened": self._count("candidates WHERE outcome = 'passed'"),
            **{rung: self._count("scores WHERE rung = ?", (rung,)) for rung in ("mini", "full")},
        }

    def outcomes(self) -> dict[str, int]:
        """Return how many candidates met each outcome of the screen, the most frequent first."""
        query = (
            "SELECT outcome, COUNT(*) AS n FROM candidates GROUP BY outcome "
            "ORDER BY n DESC, outcome"
        )
        with self._guard():
            return {str(r[0]): int(r[1]) for r in self._db.execute(query)}

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
            (formula, protocol, name, seed, to_text(errors[place, :, seed], rates=list(rates)))
            for place, name in enumerate(instances)
            for seed in range(errors.shape[2])
        ]
        with self.transaction():
            self._write("judged", rows)
        return Judged(from_text(to_text(errors)), tuple(rates))

    def judged(
        self, formula: str, protocol: str, instances: Sequence[str], seeds: int
    ) -> Judged | None:
        """Return what is remembered of a function, None unless all of it is there."""
        rows = self._read("judged", "WHERE formula = ? AND protocol = ?", (formula, protocol))
        texts = {(r[2], r[3]): str(r[4]) for r in rows}
        wanted = [(name, seed) for name in instances for seed in range(seeds)]
        if not all(key in texts for key in wanted):
            return None
        errors = np.array([from_text(texts[key]) for key in wanted])  # [instance x seed, size, 4]
        shaped = errors.reshape(len(instances), seeds, *errors.shape[1:]).swapaxes(1, 2)
        return Judged(shaped, tuple(json.loads(texts[wanted[0]])["rates"]))


def in_memory(first: Mapping[str, Any] | None = None) -> Store:
    """Return a store that lives as long as the process; ``first`` as in :func:`create`."""
    store = Store(sqlite3.connect(":memory:", isolation_level=None), None)
    _initialise(store, first or {})
    return store


def create(path: str | Path, first: Mapping[str, Any] | None = None) -> Store:
    """Make a new run directory; of several at once one makes it.

    Args:
        path: The directory.
        first: JSON values that the run has from the moment that it exists.

    Raises:
        StoreError: It holds a run already, or cannot be written.
    """
    folder = Path(path)
    file = folder / RUN_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_made = not file.exists() and _make(file, first or {})
    except (OSError, sqlite3.Error, StoreError) as error:
        raise StoreError(f"{folder}: cannot make a run here: {error}") from None
    if not is_made:
        raise StoreError(
            f"{folder}: holds a run already; choose another --out, or go on with "
            f"'symact resume {folder}'"
        )
    return open_run(folder)


def open_judged(path: str | Path) -> Store:
    """Open the database of a folder of comparisons, ``judged.db``; make it where there is none.

    Raises:
        StoreError: It cannot be written, or something else has that name.
    """
    folder = Path(path)
    file = folder / JUDGED_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            _make(file, {})
    except (OSError, sqlite3.Error, StoreError) as error:
        raise StoreError(f"{folder}: cannot keep comparisons here: {error}") from None
    return _open(file)


def is_run(path: str | Path) -> bool:
    """Whether a directory holds a run."""
    return (Path(path) / RUN_FILE).is_file()


def open_run(path: str | Path) -> Store:
    """Open an existing run directory; where it cannot be written, to read it.

    Raises:
        DamagedError: It is damaged, or no run.
        StoreError: There is none, a newer version wrote it, or it cannot be read.
    """
    file = Path(path) / RUN_FILE
    if not file.is_file():
        raise StoreError(f"{path}: no run here (run.db is missing)")
    return _open(file)


def _open(file: Path) -> Store:
    folder = file.parent
    try:
        with file.open("rb") as handle:
            if handle.read(len(MAGIC)) != MAGIC:
                raise _damaged(file, "not a readable run: it is no SQLite database")
        is_writable = os.access(folder, os.W_OK) and os.access(file, os.W_OK)
        if not is_writable and _has_log(file):
            return _merged_copy(file)
        # Read-only at first: a database of another program stays as it is.
        mode = "ro" if is_writable else "ro&immutable=1"
        uri = f"{file.resolve().as_uri()}?mode={mode}"
        try:
            _check(file, uri, is_writable)
        except sqlite3.Error as error:
            # A process that was killed has left changes to take back, which takes writing.
            if not is_writable or not _name_of(error).startswith("SQLITE_READONLY"):
                raise
            _check(file, f"{file.resolve().as_uri()}?mode=rw", is_writable)
        if not is_writable:
            return Store(sqlite3.connect(uri, uri=True, isolation_level=None), folder, file.name)
        store = Store(_connect(file), folder, file.name)
        _migrate(store)
        return store
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror}") from None
    except sqlite3.Error as error:
        raise _failure(file, error, "not a readable run") from None
    except _MISUNDERSTOOD as error:
        raise _damaged(file, f"not a readable run: {error}") from None


def _merged_copy(file: Path) -> Store:
    """Return a copy in memory, to read, of a database whose log cannot be merged where it is."""
    with tempfile.TemporaryDirectory(prefix="symact-") as place:
        copy = Path(place) / file.name
        for kind in ("", "-wal", "-journal"):
            part = file.with_name(f"{file.name}{kind}")
            if part.exists():
                shutil.copyfile(part, copy.with_name(f"{copy.name}{kind}"))
        _check(file, f"{copy.as_uri()}?mode=rw", is_writable=False)
        memory = sqlite3.connect(":memory:", isolation_level=None)
        with closing(sqlite3.connect(copy)) as merged:
            merged.backup(memory)
    memory.execute("PRAGMA query_only = ON")
    return Store(memory, file.parent, file.name)


def _check(file: Path, uri: str, is_writable: bool) -> None:
    """Refuse what is damaged, or of a version that cannot be read here."""
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as reader:
        row = reader.execute("SELECT * FROM meta WHERE key = 'schema'").fetchone()
        version = None if row is None else json.loads(row[1])
        if row is not None and row[3:] and checksum(row[:3]) != row[3]:
            raise _damaged(file, "damaged: its schema is not what was written")
        if version != SCHEMA_VERSION and (version not in _MIGRATIONS or not is_writable):
            raise StoreError(f"{file}: schema {version}, this symact reads {SCHEMA_VERSION}")
        _ask(reader, "quick_check", file)


def _ask(connection: sqlite3.Connection, check: str, file: Path) -> None:
    """Let SQLite check the whole database."""
    (found,) = connection.execute(f"PRAGMA {check}(1)").fetchone()
    if found != "ok":
        raise _damaged(file, f"damaged: {found.replace('*** in database main ***', '')}")


def _has_log(file: Path) -> bool:
    """Whether SQLite keeps changes beside the database that it would have to merge or take back."""
    logs = [file.with_name(f"{file.name}-{kind}") for kind in ("wal", "journal")]
    return any(log.exists() and log.stat().st_size > 0 for log in logs)


def _name_of(error: sqlite3.Error) -> str:
    return str(getattr(error, "sqlite_errorname", ""))


def _failure(file: Path, error: sqlite3.Error, damaged: str = "damaged") -> StoreError:
    """Return what to tell a user: what is wrong, and what to do."""
    kind = _name_of(error)
    then = f"go on with 'symact resume {file.parent}'" if file.name == RUN_FILE else "try again"
    if kind.startswith("SQLITE_FULL"):
        return StoreError(f"{file}: the disk is full; free some space, then {then}")
    if kind == "SQLITE_IOERR_SHORT_READ":
        return _damaged(file, f"{damaged}: it ends too early")
    if kind.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_IOERR")):
        return StoreError(f"{file}: cannot be read and written ({error}); once it can, {then}")
    if kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        waited = f"another process has been writing for {BUSY_SECONDS} s"
        return StoreError(f"{file}: {waited}; try again later")
    # Our queries are right; what they cannot find in a database of ours is damaged.
    return _damaged(file, f"{damaged}: {error}")


def _damaged(file: Path, what: str) -> DamagedError:
    """Return what to tell a user on one line, whatever the file made SQLite or Python say."""
    what = " ".join(what.split())
    what = what if len(what) <= _LONG else f"{what[:_LONG]} ..."
    if file.name == RUN_FILE:
        return DamagedError(f"{file}: {what}; 'symact doctor {file.parent}' saves what can be read")
    return DamagedError(f"{file}: {what}; move it away, and all is judged anew")


def _add_tags(store: Store) -> None:
    store._db.execute("ALTER TABLE candidates ADD COLUMN tag TEXT NOT NULL DEFAULT '[]'")


def _add_checksums(store: Store) -> None:
    db = store._db
    db.execute("ALTER TABLE meta ADD COLUMN revision INTEGER NOT NULL DEFAULT 0")
    db.execute("UPDATE meta SET revision = rowid")
    for table in ("meta", "candidates", "scores", "simplified", "judged"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN {_SUM} DEFAULT 0")
        rows = db.execute(f"SELECT rowid, * FROM {table}").fetchall()
        sums = ((checksum(row[1:-1]), row[0]) for row in rows)
        db.executemany(f"UPDATE {table} SET sum = ? WHERE rowid = ?", sums)


def _add_quarantine(store: Store) -> None:
    store._db.execute(_create("quarantined"))


#: What makes the next schema of an earlier one; nothing of a run is lost.
_MIGRATIONS = {1: _add_tags, 2: _add_checksums, 3: _add_quarantine}


def _migrate(store: Store) -> None:
    """Bring an earlier schema up to this one; of several that try at once one does it."""
    query = "SELECT value FROM meta WHERE key = 'schema'"
    if json.loads(store._db.execute(query).fetchone()[0]) == SCHEMA_VERSION:
        return
    with store.transaction():
        version = json.loads(store._db.execute(query).fetchone()[0])
        while version in _MIGRATIONS:
            _MIGRATIONS[version](store)
            version += 1
        store.put("schema", version)


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, timeout=BUSY_SECONDS)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _make(file: Path, first: Mapping[str, Any]) -> bool:
    """Make a database, whole or not at all.

    Returns:
        Whether it was made; it was not where there is one by now.
    """
    new = beside(file)
    try:
        with closing(_connect(new)) as connection:
            _initialise(Store(connection, file.parent, file.name), first)
        if _has_log(new):
            raise StoreError(f"{file}: cannot be written: its log could not be merged")
        try:
            os.link(new, file)  # fails where the name is taken, which a rename does not
        except FileExistsError:
            return False
        return True
    finally:
        for kind in ("", "-wal", "-shm"):
            new.with_name(f"{new.name}{kind}").unlink(missing_ok=True)


def _create(table: str) -> str:
    lines = [*(f"{name} {kind}" for name, kind in TABLES[table].items()), _SUM]
    lines += [_KEYS[table]] if table in _KEYS else []
    return f"CREATE TABLE {table} ({', '.join(lines)})"


def _initialise(store: Store, first: Mapping[str, Any]) -> None:
    with store.transaction():
        for table in TABLES:
            store._db.execute(_create(table))
        store._db.execute(_INDEX)
        for key, value in {"schema": SCHEMA_VERSION, **first}.items():
            store.put(key, value)
