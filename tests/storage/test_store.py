"""The run directory keeps what was committed and nothing else."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from symact.errors import DamagedError, StoreError
from symact.evaluation import as_stored
from symact.storage.records import (
    Candidate,
    Reference,
    RunConfig,
    Scored,
    SearchRecord,
    Selected,
)
from symact.storage.repository import (
    create,
    in_memory,
    is_run,
    open_judged,
    open_run,
)
from symact.storage.schema import SCHEMA_VERSION, TABLES, checksum


def candidate(number: int, outcome: str = "passed") -> Candidate:
    return Candidate(number, "tanh(x)", f"f{number}", "random", ("x",), 0, outcome, 10, 2)


@pytest.fixture
def store(tmp_path):
    with closing(create(tmp_path / "run")) as opened:
        yield opened


@pytest.fixture
def reader(store):
    with closing(open_run(store.path)) as opened:
        yield opened


def test_what_is_written_is_read_back_also_by_another_reader(store, reader):
    errors = np.array([[[0.5, np.nan, np.inf, 1e-300]]])
    with store.transaction():
        store.add_candidates([candidate(1), candidate(2)])
        store.add_scores([Scored(1, "mini", 0.25, -1.5, errors)], "0.1")
        store.add_simplified({1: "tanh(x)"})
        store.put_search(SearchRecord(generation=1))
    assert reader.candidates() == [candidate(1), candidate(2)]
    (scored,) = reader.scores("mini")
    assert (scored.candidate, scored.ood, scored.id_error) == (1, 0.25, -1.5)
    np.testing.assert_array_equal(scored.errors, [[[0.5, np.nan, np.nan, 1e-300]]])
    assert reader.simplified() == {1: "tanh(x)"}
    assert reader.search().generation == 1
    assert reader.selected() is None
    assert reader.counts() == {"seen": 2, "screened": 2, "mini": 1, "full": 0}
    assert reader.outcomes() == {"passed": 2}


CONFIG = {
    "protocol": "1.0", "grammar": "pointwise", "task": "polynomial", "budget": "40", "seed": 3,
    "proposer": "gp", "plan": {"order": "asked"}, "evolution": {}, "versions": {},
}  # fmt: skip


def test_documents_are_read_as_they_were_written(store, reader):
    reference = Reference(("a", "b"), -0.5, -1.5, {"a": -0.25, "b": -0.75})
    errors = {"mini": [[np.ones((2, 1, 4)), np.full((2, 1, 4), np.nan)]]}
    assert (reader.diagnosis(), reader.reference(), reader.finished_generation()) == (None,) * 3
    assert (reader.baselines(), reader.references(), reader.repeated()) == ({}, {}, {})
    with store.transaction():
        store.put_diagnosis(["a line wins"])
        store.put_baselines(errors)
        store.put_references({"mini": (0.5, -1.0), "late": (0.25, -2.0)})
        store.put_repeated({7: (0.125, -0.5)})
        store.put_reference(reference)
        store.put_selected(Selected((7, 3), reference))
        store.put_finished_generation(5)
        store.put_comparison("digest", {"rows": []})
    assert reader.diagnosis() == ("a line wins",)
    np.testing.assert_array_equal(reader.baselines()["mini"], errors["mini"])
    assert reader.references() == {"mini": (0.5, -1.0), "late": (0.25, -2.0)}
    assert reader.fidelities() == ["mini", "late"]
    assert reader.counts() == {"seen": 0, "screened": 0, "mini": 0, "late": 0}
    assert reader.repeated() == {7: (0.125, -0.5)}
    assert reader.reference() == reference
    assert reader.selected() == Selected((7, 3), reference)
    assert reader.finished_generation() == 5
    assert (reader.comparison("digest"), reader.comparison("other")) == ({"rows": []}, None)


def test_a_configuration_of_another_release_keeps_all_its_values(store, reader):
    later = CONFIG | {"grammar_text": "text", "surprise": [1, 2]}
    for stored in (CONFIG, later):
        with store.transaction():
            store.put_config(RunConfig.load(stored))
        assert reader.config().dump() == stored
    assert reader.config().seed == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [({"seed": "3"}, "its 'seed' is no int"), ({"plan": None}, "its 'plan' is no dict")],
)
def test_a_malformed_configuration_is_damage(change, message, store):
    with store.transaction():
        store.database.put("config", CONFIG | change)
    with pytest.raises(DamagedError, match=message) as caught:
        store.config()
    assert "\n" not in str(caught.value)


def test_errors_keep_their_shape_and_nine_digits_also_where_all_are_nan(store, reader):
    errors = np.full((3, 2, 4), np.nan)
    mixed = np.random.default_rng(0).lognormal(0, 20, (2, 1, 4))
    mixed[1, 0, 2] = np.nan
    with store.transaction():
        store.add_candidates([candidate(1), candidate(2)])
        store.add_scores([Scored(1, "full", 6.0, 6.0, errors)], "0.1")
        store.add_scores([Scored(2, "full", 6.0, 6.0, mixed)], "0.1")
    first, second = reader.scores("full")
    np.testing.assert_array_equal(first.errors, errors)
    np.testing.assert_allclose(second.errors, mixed, rtol=1e-8)
    assert second.errors.dtype == np.float64


def test_candidates_come_in_order_scores_as_measured_and_outcomes_most_frequent_first(store):
    with store.transaction():
        store.add_candidates([candidate(3, "flat"), candidate(1, "flat"), candidate(2)])
        for number in (3, 1):
            store.add_scores([Scored(number, "mini", 0.0, 0.0, np.ones((1, 1, 4)))], "0.1")
    assert [c.id for c in store.candidates()] == [1, 2, 3]
    assert [s.candidate for s in store.scores("mini")] == [3, 1]
    assert list(store.outcomes().items()) == [("flat", 2), ("passed", 1)]
    assert store.counts()["screened"] == 1


def test_errors_in_memory_are_those_that_a_resumed_search_reads(store, reader):
    errors = np.random.default_rng(0).lognormal(0, 20, (2, 1, 4))
    errors[1, 0] = [np.inf, -np.inf, np.nan, 1e-300]
    kept = as_stored(errors)
    with store.transaction():
        store.add_candidates([candidate(1)])
        store.add_scores([Scored(1, "full", 0.0, 0.0, errors)], "0.1")
    np.testing.assert_array_equal(reader.scores("full")[0].errors, kept)
    np.testing.assert_array_equal(as_stored(kept), kept)
    assert np.isnan(kept[1, 0, :3]).all()


def test_progress_counts_each_judged_candidate_once_on_whichever_rung(store):
    errors = np.ones((1, 1, 4))
    with store.transaction():
        store.add_candidates([candidate(number) for number in range(1, 6)])
        for number, rung in ((2, "mini"), (1, "mini"), (1, "full"), (4, "mini"), (2, "full")):
            store.add_scores([Scored(number, rung, 0.0, 0.0, errors)], "0.1")
        store.add_scores([Scored(5, "full", 0.0, 0.0, errors)], "0.1")  # without the lower rung
    found = [(judged, scored.candidate) for judged, scored in store.progress()]
    assert found == [(2, 1), (3, 2), (4, 5)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_transaction_that_fails_leaves_nothing(error, store, reader):
    def interrupted() -> None:
        with store.transaction():
            store.add_candidates([candidate(1)])
            store.put_search(SearchRecord(generation=1))
            raise error

    with pytest.raises(error):
        interrupted()
    assert store.candidates() == reader.candidates() == []
    assert store.search() is None
    with store.transaction():
        store.add_candidates([candidate(1)])
    assert len(reader.candidates()) == 1


def test_a_generation_that_breaks_in_the_middle_of_its_rows_leaves_nothing(store):
    def twice() -> None:
        with store.transaction():
            store.add_candidates([candidate(1), candidate(2), candidate(1)])

    with pytest.raises(sqlite3.IntegrityError):
        twice()
    assert store.candidates() == []


def test_a_writer_waits_for_another_and_says_in_one_line_when_it_has_waited_too_long(
    store, monkeypatch
):
    def put() -> None:
        with closing(open_run(store.path)) as other, other.transaction():
            other.put_search(SearchRecord(generation=7))

    with ThreadPoolExecutor(1) as pool:
        with store.transaction():
            store.add_candidates([candidate(1)])
            waiting = pool.submit(put)
            time.sleep(0.3)
            assert not waiting.done()
        waiting.result()
        assert store.search().generation == 7
        monkeypatch.setattr("symact.storage.database.BUSY_SECONDS", 0.2)
        late = re.escape("has been writing for 0.2 s; try again later")
        with store.transaction(), pytest.raises(StoreError, match=late):
            pool.submit(put).result()


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


def test_remembered_errors_are_given_only_if_all_are_there():
    with closing(in_memory()) as store:
        errors = np.arange(48, dtype=float).reshape(3, 2, 2, 4)  # [instance, size, seed, 4]
        store.add_judged("x", "1", ["a", "b", "c"], errors, [0.1, 0.3])
        known = store.judged("x", "1", ["c", "a"], 2)
        np.testing.assert_array_equal(known.errors, errors[[2, 0]])
        assert known.rates == (0.1, 0.3)
        np.testing.assert_array_equal(store.judged("x", "1", ["b"], 1).errors, errors[[1], :, :1])
        assert store.judged("x", "1", ["a", "d"], 1) is None
        assert store.judged("x", "1", ["a"], 3) is None
        assert store.judged("x", "1-quick", ["a"], 1) is None
        assert store.judged("y", "1", ["a"], 1) is None


def test_what_is_remembered_is_what_was_returned_and_the_latest_counts(store, reader):
    errors = np.array([[[[np.pi, np.nan, 1e6 / 3, 2.0], [1.0, 2.0, 3.0, 4.0]]]])
    kept = store.add_judged("x", "1", ["a"], errors, [0.1])
    np.testing.assert_array_equal(reader.judged("x", "1", ["a"], 2).errors, kept.errors)
    np.testing.assert_array_equal(reader.judged("x", "1", ["a"], 1).errors, kept.errors[:, :, :1])
    store.add_judged("x", "1", ["a"], np.ones((1, 1, 1, 4)), [0.2])
    again = reader.judged("x", "1", ["a"], 1)
    np.testing.assert_array_equal(again.errors, np.ones((1, 1, 1, 4)))
    assert again.rates == (0.2,)


def test_comparisons_without_a_run_have_a_database_of_their_own(tmp_path):
    folder = tmp_path / "compared"
    with closing(open_judged(folder)) as store:
        store.add_judged("x", "1", ["a"], np.ones((1, 1, 1, 4)), [0.2])
    with closing(open_judged(folder)) as store:
        assert store.judged("x", "1", ["a"], 1) is not None
    assert not is_run(folder)
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(StoreError, match="taken"):
        open_judged(tmp_path / "taken")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "judged.db").write_text("mine")
    with pytest.raises(StoreError, match=r"judged\.db: not a readable run"):
        open_judged(tmp_path / "other")
    assert (tmp_path / "other" / "judged.db").read_text() == "mine"


def test_a_directory_that_holds_a_run_is_refused_and_named_with_what_to_do(store):
    with store.transaction():
        store.add_candidates([candidate(1)])
    with pytest.raises(StoreError, match="holds a run already") as caught:
        create(store.path)
    assert f"symact resume {store.path}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert store.candidates() == [candidate(1)]


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


@pytest.mark.parametrize("made", [True, False])
def test_a_directory_without_a_run_is_refused_and_left_alone(made, tmp_path):
    folder = tmp_path / "empty"
    if made:
        folder.mkdir()
    with pytest.raises(StoreError, match=r"no run here \(run\.db is missing\)"):
        open_run(folder)
    assert list(tmp_path.rglob("*")) == ([folder] if made else [])


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


def test_a_file_where_the_directory_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="cannot make a run here"):
        create(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
