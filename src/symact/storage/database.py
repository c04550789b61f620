"""One SQLite database with a write-ahead log: connections, transactions, checksums, errors.

Every row ends with a checksum of its values. A row is either what was written, or it is known to
be damaged. The database holds texts and numbers only: opening the run of another person runs no
code. :mod:`symact.storage.repository` says what the rows mean.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from symact.errors import DamagedError, StoreError
from symact.files import beside
from symact.storage.migrations import MIGRATIONS
from symact.storage.schema import (
    INDEX,
    LOCK_FILE,
    MAGIC,
    RUN_FILE,
    SCHEMA_VERSION,
    TABLES,
    checksum,
    create_table,
)

#: The exceptions that reading malformed values can raise.
_MALFORMED = (
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError),
    MemoryError,
)

#: At most so many characters of a message from SQLite or Python are shown.
_LONG = 160

#: The default for the seconds that a process waits for another one that writes.
BUSY_SECONDS = 30


class Database:
    """An open database. Errors of SQLite become a :class:`StoreError` that says what to do.

    Args:
        connection: To the file, or to memory.
        path: The directory of the file; None for a database in memory.
        name: The name of the file.
        wait: Seconds that the connection waits for another process that writes.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path | None,
        name: str = "",
        wait: float = BUSY_SECONDS,
    ) -> None:
        self._db = connection
        self.path = path
        self._name = name
        self._wait = wait

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Lock the directory for one search. The system releases the lock of a dead process.

        Raises:
            StoreError: Another search has the lock.
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
        """Commit all writes inside the block; after an exception, none."""
        with self._guard():
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._guard():
                self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite rolls back by itself where the disk is full
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one consistent state inside the block, while other processes write."""
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
            raise _failure(self._file, error, wait=self._wait) from None

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Turn errors from malformed values that are read inside into one line.

        Raises:
            DamagedError: A value is not of the kind that it has to be.
        """
        try:
            yield
        except _MALFORMED as error:
            what = f"holds what symact does not write ({type(error).__name__}: {error})"
            raise _damaged(self._file, what) from None

    @property
    def _file(self) -> Path:
        return (self.path or Path()) / self._name

    def read(self, table: str, which: str = "", values: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield rows without their checksums.

        After the last row, their number is compared with that of the table's index.

        Args:
            table: Its name.
            which: SQL that follows the name, such as ``"WHERE key = ? ORDER BY rowid"``.
            values: The parameters of ``which``.

        Raises:
            DamagedError: A row does not have its checksum, or rows are missing.
        """
        count = f"SELECT COUNT(*) FROM {table} {which}"  # SQLite takes an index where there is one
        sql, seen, total = f"SELECT *, ({count}) FROM {table} {which}", 0, 0
        with self._guard():
            for *row, stored, number in self._db.execute(sql, (*values, *values)):
                if checksum(row) != stored:
                    said = f"damaged: a row of '{table}' is not what was written"
                    raise _damaged(self._file, said)
                seen, total = seen + 1, number
                yield row
        if seen != total:
            raise _damaged(self._file, f"damaged: '{table}' has {seen} rows, its index {total}")

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query that computes, such as a count. No checksum is compared."""
        with self._guard():
            return self._db.execute(sql, values).fetchall()

    def write(self, table: str, rows: Iterable[Sequence[Any]], *, replace: bool = True) -> None:
        """Write rows, given without their checksums."""
        verb = "INSERT OR REPLACE" if replace else "INSERT"
        marks = ",".join("?" * (len(TABLES[table]) + 1))
        with self._guard():
            self._db.executemany(
                f"{verb} INTO {table} VALUES ({marks})", ((*row, checksum(row)) for row in rows)
            )

    def write_at(self, table: str, rows: Mapping[int, Sequence[Any]]) -> None:
        """Write rows, given without their checksums, under their row numbers."""
        names = ["rowid", *TABLES[table], "sum"]
        marks = ",".join("?" * len(names))
        with self._guard():
            self._db.executemany(
                f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({marks})",
                ((number, *rows[number], checksum(rows[number])) for number in sorted(rows)),
            )

    def get(self, key: str) -> Any:
        """Return a stored JSON value; None if there is none."""
        found = next(self.read("meta", "WHERE key = ?", (key,)), None)
        return None if found is None else json.loads(found[1])

    def put(self, key: str, value: Any) -> None:
        """Store a JSON value."""
        ((last,),) = self.query("SELECT MAX(revision) FROM meta")
        self.write("meta", [(key, json.dumps(value), (last or 0) + 1)])

    def check(self) -> dict[str, int]:
        """Read everything; return how many rows each table has.

        Raises:
            DamagedError: A row or the structure of the file is damaged.
        """
        with self._guard():
            _run_check(self._db, "integrity_check", self._file)
        return {table: sum(1 for _ in self.read(table)) for table in TABLES}

    def initialise(self, first: Mapping[str, Any]) -> None:
        """Create the tables and store the first JSON values."""
        with self.transaction():
            for table in TABLES:
                self._db.execute(create_table(table))
            self._db.execute(INDEX)
            for key, value in {"schema": SCHEMA_VERSION, **first}.items():
                self.put(key, value)

    def migrate(self) -> None:
        """Bring an earlier schema up to this one; of several processes one does it."""
        query = "SELECT value FROM meta WHERE key = 'schema'"
        if json.loads(self.query(query)[0][0]) == SCHEMA_VERSION:
            return
        with self.transaction():
            version = json.loads(self.query(query)[0][0])
            while version in MIGRATIONS:
                MIGRATIONS[version](self._db)
                version += 1
            self.put("schema", version)


def in_memory(first: Mapping[str, Any] | None = None) -> Database:
    """Return a database that lives as long as the process; ``first`` as in :func:`make_file`."""
    database = Database(sqlite3.connect(":memory:", isolation_level=None), None)
    database.initialise(first or {})
    return database


def make_file(file: Path, first: Mapping[str, Any]) -> bool:
    """Make a database, whole or not at all.

    Args:
        file: Its path.
        first: JSON values that it has from the moment that it exists.

    Returns:
        Whether it was made; False where the file exists by now.
    """
    new = beside(file)
    try:
        with closing(_connect(new)) as connection:
            Database(connection, file.parent, file.name).initialise(first)
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


def open_file(file: Path, wait: float = BUSY_SECONDS) -> Database:
    """Open a database; one on a read-only medium is opened to be read.

    Args:
        file: Its path.
        wait: Seconds to wait for another process that writes.

    Raises:
        DamagedError: It is damaged, or no database of symact.
        StoreError: It has another schema, or cannot be read.
    """
    folder = file.parent
    try:
        with file.open("rb") as handle:
            if handle.read(len(MAGIC)) != MAGIC:
                raise _damaged(file, "not a readable run: it is no SQLite database")
        is_writable = os.access(folder, os.W_OK) and os.access(file, os.W_OK)
        if not is_writable and _has_log(file):
            return _open_copy(file, wait)
        # Read-only at first: the database of another program stays as it is.
        mode = "ro" if is_writable else "ro&immutable=1"
        uri = f"{file.resolve().as_uri()}?mode={mode}"
        try:
            _check(file, uri, wait, is_writable=is_writable)
        except sqlite3.Error as error:
            # A killed process left changes to roll back, which takes writing.
            if not is_writable or not _name_of(error).startswith("SQLITE_READONLY"):
                raise
            _check(file, f"{file.resolve().as_uri()}?mode=rw", wait, is_writable=True)
        if not is_writable:
            return Database(sqlite3.connect(uri, uri=True, isolation_level=None), folder, file.name)
        database = Database(_connect(file, wait), folder, file.name, wait)
        database.migrate()
        return database
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror}") from None
    except sqlite3.Error as error:
        raise _failure(file, error, "not a readable run", wait) from None
    except _MALFORMED as error:
        raise _damaged(file, f"not a readable run: {error}") from None


def _open_copy(file: Path, wait: float) -> Database:
    """Return a copy in memory, to read, of a database whose log cannot be merged where it is."""
    with tempfile.TemporaryDirectory(prefix="symact-") as folder:
        copy = Path(folder) / file.name
        for own in (file, *_logs(file)):
            if own.exists():
                shutil.copyfile(own, copy.with_name(own.name))
        _check(file, f"{copy.as_uri()}?mode=rw", wait, is_writable=False)
        memory = sqlite3.connect(":memory:", isolation_level=None)
        with closing(sqlite3.connect(copy)) as merged:
            merged.backup(memory)
    memory.execute("PRAGMA query_only = ON")
    return Database(memory, file.parent, file.name)


def _check(file: Path, uri: str, wait: float, *, is_writable: bool) -> None:
    """Refuse a damaged database and an unsupported version."""
    with closing(sqlite3.connect(uri, uri=True, timeout=wait)) as reader:
        row = reader.execute("SELECT * FROM meta WHERE key = 'schema'").fetchone()
        version = None if row is None else json.loads(row[1])
        if row is not None and row[3:] and checksum(row[:3]) != row[3]:
            raise _damaged(file, "damaged: its schema is not what was written")
        if version != SCHEMA_VERSION and (version not in MIGRATIONS or not is_writable):
            raise StoreError(f"{file}: schema {version}, this symact reads {SCHEMA_VERSION}")
        _run_check(reader, "quick_check", file)


def _run_check(connection: sqlite3.Connection, check: str, file: Path) -> None:
    """Let SQLite check the whole database."""
    (found,) = connection.execute(f"PRAGMA {check}(1)").fetchone()
    if found != "ok":
        raise _damaged(file, f"damaged: {found.replace('*** in database main ***', '')}")


def _logs(file: Path) -> list[Path]:
    """Return the names under which SQLite keeps changes beside a database."""
    return [file.with_name(f"{file.name}-{kind}") for kind in ("wal", "journal")]


def _has_log(file: Path) -> bool:
    """Whether there are changes that SQLite would have to merge or roll back."""
    return any(log.exists() and log.stat().st_size > 0 for log in _logs(file))


def _connect(file: Path, wait: float = BUSY_SECONDS) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, timeout=wait)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _name_of(error: sqlite3.Error) -> str:
    return str(getattr(error, "sqlite_errorname", ""))


def _failure(
    file: Path, error: sqlite3.Error, damaged: str = "damaged", wait: float = BUSY_SECONDS
) -> StoreError:
    """Return the message for a user: the fault and the remedy."""
    kind = _name_of(error)
    then = f"go on with 'symact resume {file.parent}'" if file.name == RUN_FILE else "try again"
    if kind.startswith("SQLITE_FULL"):
        return StoreError(f"{file}: the disk is full; free some space, then {then}")
    if kind == "SQLITE_IOERR_SHORT_READ":
        return _damaged(file, f"{damaged}: it ends too early")
    if kind.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_IOERR")):
        return StoreError(f"{file}: cannot be read and written ({error}); once it can, {then}")
    if kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        waited = f"another process has been writing for {wait:g} s"
        return StoreError(f"{file}: {waited}; try again later")
    # The queries are valid, so an error of SQLite means that the database is damaged.
    return _damaged(file, f"{damaged}: {error}")


def _damaged(file: Path, what: str) -> DamagedError:
    """Return the error in one line of limited length."""
    what = " ".join(what.split())
    what = what if len(what) <= _LONG else f"{what[:_LONG]} ..."
    if file.name == RUN_FILE:
        return DamagedError(f"{file}: {what}; 'symact doctor {file.parent}' saves what can be read")
    return DamagedError(f"{file}: {what}; move it away to judge all functions again")
