"""A run's database keeps what was committed and nothing else."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from contracts.stores import candidate
from symact.errors import StoreError
from symact.storage.records import SearchRecord
from symact.storage.repository import create, open_run
from symact.storage.schema import SCHEMA_VERSION, TABLES, checksum


@pytest.fixture
def store(tmp_path):
    with closing(create(tmp_path / "run")) as opened:
        yield opened


@pytest.fixture
def reader(store):
    with closing(open_run(store.path)) as opened:
        yield opened


def test_a_writer_waits_for_another_and_says_in_one_line_when_it_has_waited_too_long(store):
    def put(**options: float) -> None:
        with closing(open_run(store.path, **options)) as other, other.transaction():
            other.put_search(SearchRecord(generation=7))

    with ThreadPoolExecutor(1) as pool:
        with store.transaction():
            store.add_candidates([candidate(1)])
            waiting = pool.submit(put)
            time.sleep(0.3)
            assert not waiting.done()
        waiting.result()
        assert store.search().generation == 7
        late = re.escape("has been writing for 0.2 s; try again later")
        with store.transaction(), pytest.raises(StoreError, match=late):
            pool.submit(put, wait=0.2).result()


def test_readers_are_not_blocked_by_a_writer_and_see_whole_generations(store, reader):
    with closing(open_run(store.path)) as other:
        with store.transaction():
            store.add_candidates([candidate(1)])
            assert reader.candidates() == other.candidates() == []
            store.add_candidates([candidate(2)])
            assert reader.counts()["seen"] == other.counts()["seen"] == 0
        assert len(reader.candidates()) == len(other.candidates()) == 2


def test_a_snapshot_is_one_state_whatever_is_written_meanwhile(store, reader):
    with reader.snapshot():
        assert reader.candidates() == []
        with store.transaction():
            store.add_candidates([candidate(1)])
        assert reader.candidates() == []
        assert reader.counts()["seen"] == 0
    assert reader.candidates() == [candidate(1)]


@pytest.mark.parametrize(
    "content",
    [b"", b"no database" * 100, b"SQLite format 3\0" + b"junk" * 500],
    ids=["empty", "text", "damaged"],
)
def test_what_is_no_run_is_refused_in_one_line_and_left_alone(content, tmp_path):
    (tmp_path / "run.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"run\.db: not a readable run") as caught:
        open_run(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run.db").read_bytes() == content
    with pytest.raises(StoreError, match="holds a run already"):
        create(tmp_path)


def foreign(folder):
    """A database of another program under the name of a run's."""
    with closing(sqlite3.connect(folder / "run.db")) as database:
        database.execute("CREATE TABLE mine (value TEXT)")
        database.commit()
    return folder / "run.db"


def test_the_database_of_another_program_is_refused_in_one_line(tmp_path):
    foreign(tmp_path)
    with pytest.raises(StoreError, match="not a readable run: no such table"):
        open_run(tmp_path)


def test_the_database_of_another_program_is_left_alone(tmp_path):
    file = foreign(tmp_path)
    before = file.read_bytes()
    with pytest.raises(StoreError):
        open_run(tmp_path)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def set_schema(database, version):
    database.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(version),))
    if version >= 3:
        row = database.execute("SELECT * FROM meta WHERE key = 'schema'").fetchone()
        database.execute("UPDATE meta SET sum = ? WHERE key = 'schema'", (checksum(row[:-1]),))


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_a_run_of_an_earlier_schema_is_brought_up_to_this_one(version, tmp_path):
    with closing(create(tmp_path)) as store, store.transaction():
        store.add_candidates([candidate(1)])
        store.put_search(SearchRecord(generation=1))
    with closing(sqlite3.connect(tmp_path / "run.db")) as earlier, earlier:
        earlier.execute("DROP TABLE quarantined")
        if version < 3:
            for table in TABLES:
                if table != "quarantined":
                    earlier.execute(f"ALTER TABLE {table} DROP COLUMN sum")
            earlier.execute("ALTER TABLE meta DROP COLUMN revision")
        if version == 1:
            earlier.execute("ALTER TABLE candidates DROP COLUMN tag")
        set_schema(earlier, version)
    for _ in range(2):
        with closing(open_run(tmp_path)) as store:
            assert store.candidates() == [candidate(1)]
            assert store.search().generation == 1
            assert store.database.get("schema") == SCHEMA_VERSION
            store.database.check()


def test_what_a_killed_process_left_half_changed_is_taken_back(store, tmp_path):
    with store.transaction():
        store.add_candidates([candidate(n) for n in range(1, 400)])
    store.close()
    file, left = tmp_path / "run" / "run.db", tmp_path / "left"
    left.mkdir()
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA cache_size = 1")  # what is changed goes to the file at once
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE candidates SET formula = 'x + 1'")
        for own in (file, file.with_name("run.db-journal")):
            shutil.copy(own, left)
        database.execute("ROLLBACK")
    with closing(sqlite3.connect(f"file:{left}/run.db?immutable=1", uri=True)) as half:
        assert half.execute("SELECT * FROM candidates WHERE formula = 'x + 1'").fetchone()
    with closing(open_run(left)) as found:
        assert [c.formula for c in found.candidates()] == [candidate(1).formula] * 399


def test_a_run_of_another_schema_is_refused(store):
    with store.transaction():
        store.database.put("schema", 99)
    with pytest.raises(StoreError, match="schema 99, this symact reads 4"):
        open_run(store.path)
