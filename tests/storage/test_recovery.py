"""A damaged run is known to be damaged, and what is whole in it is saved."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from profiles import examples

from symact.errors import StoreError
from symact.storage.records import Candidate, RunConfig, Scored, SearchRecord
from symact.storage.recovery import examine_run
from symact.storage.repository import create, open_run
from symact.storage.schema import RUN_FILE, TABLES

PAGE = 4096
COUNT = 240


def fill(folder, *, checkpoint=True):
    """A run of some hundred pages; one value is too large for a page."""
    config = RunConfig(
        protocol="1.0", grammar="pointwise", grammar_text="all of it", task="ood-suite",
        budget="1m", seed=0, proposer="gp", plan={}, evolution={}, versions={},
    )  # fmt: skip
    with closing(create(folder, config)) as store:
        (folder / "config.toml").write_text('grammar = "pointwise"\n')
        rng = np.random.default_rng(0)
        for start in range(1, COUNT + 1, 16):
            numbers = range(start, start + 16)
            with store.transaction():
                store.add_candidates(
                    Candidate(n, f"tanh({n}*x)", f"f{n}", "random", ("x",), start, "passed", 10, 4)
                    for n in numbers
                )
                store.add_scores(
                    [
                        Scored(n, "mini", 1.0, -float(n), rng.lognormal(size=(9, 1, 4)))
                        for n in numbers
                    ],
                    "1.0",
                )
                store.add_simplified({n: f"tanh({n}*x)" for n in numbers})
                store.add_quarantined([(start, "screen", f"too hot, {start}")])
                last = start + 15
                population = {"population": [f"x + {n}" for n in range(40 * last)]}
                store.put_search(SearchRecord(candidates=last, scores=last, proposer=population))
        if checkpoint:
            return
        # Another reader keeps what was written in the log.
        with closing(sqlite3.connect(folder / RUN_FILE)) as reader:
            reader.execute("SELECT COUNT(*) FROM meta").fetchone()
            for name in (RUN_FILE, f"{RUN_FILE}-wal"):
                shutil.copy(folder / name, folder / f"kept-{name}")
    for name in (RUN_FILE, f"{RUN_FILE}-wal"):
        (folder / f"kept-{name}").rename(folder / name)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "a"
    fill(folder)
    return folder


def rows_of(folder):
    with closing(sqlite3.connect(folder / RUN_FILE)) as database:
        return {
            table: {row[0]: row[1:] for row in database.execute(f"SELECT rowid, * FROM {table}")}
            for table in TABLES
        }


def damaged(sound, tmp_path, change):
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    for old in tmp_path.glob("damaged-*"):
        shutil.rmtree(old)
    shutil.copytree(sound, folder)
    data = bytearray((folder / RUN_FILE).read_bytes())
    (folder / RUN_FILE).write_bytes(bytes(change(data)))
    return folder


def overwrite(data, page):
    data[(page - 1) * PAGE : page * PAGE] = b"\xa5" * PAGE
    return data


def test_a_sound_run_is_called_sound_and_nothing_is_written(sound):
    before = sorted(sound.parent.rglob("*"))
    found = examine_run(sound)
    assert (found.problem, found.lost, found.saved) == ("", "", None)
    assert found.rows == {
        "meta": 3, "candidates": COUNT, "scores": COUNT, "simplified": COUNT, "judged": 0,
        "quarantined": COUNT // 16,
    }  # fmt: skip
    assert {p for p in sorted(sound.parent.rglob("*")) if "run.db-" not in p.name} == {
        p for p in before if "run.db-" not in p.name
    }


def test_every_page_in_turn_is_noticed_or_needless_and_all_others_are_saved(sound, tmp_path):
    original = rows_of(sound)
    pages = (sound / RUN_FILE).stat().st_size // PAGE
    assert pages > 60
    noticed = 0
    for page in range(1, pages + 1):
        folder = damaged(sound, tmp_path, lambda data, page=page: overwrite(data, page))
        before = (folder / RUN_FILE).read_bytes()
        found = examine_run(folder)
        assert (folder / RUN_FILE).read_bytes() == before
        if not found.problem:
            assert rows_of(folder) == original  # it was a free page
            continue
        noticed += 1
        assert "\n" not in found.problem
        saved = rows_of(found.saved)
        lost = {}
        for table in ("candidates", "scores", "simplified", "quarantined"):
            assert set(saved[table].items()) <= set(original[table].items())
            lost[table] = len(original[table]) - len(saved[table])
        assert sum(lost.values()) < PAGE / 20  # the rows of one page
        kept = {row[0] for row in saved["meta"].values()}
        assert kept >= {"schema", "config"}
        whole = "state" in kept and not lost["candidates"] + lost["scores"]
        assert bool(found.lost) != whole or found.lost == "the grammar"
    assert noticed > pages / 2


def read_refused(folder, original):
    """Read all; return why that was refused, nothing if what was written was read."""
    try:
        store = open_run(folder)
    except StoreError as error:
        return str(error)
    with closing(store):
        try:
            formulas = [c.formula for c in store.candidates()]
            inside = [s.id_error for s in store.scores("mini")]
            state = store.search()
        except StoreError as error:
            return str(error)
    assert formulas == [row[1] for row in original["candidates"].values()]
    assert inside == [-float(n) for n in range(1, COUNT + 1)]
    assert (state.candidates, state.scores) == (COUNT, COUNT)
    return ""


@given(
    places=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=24)), max_size=8),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
@example(places=[(0.9553126045711884, b"\0" * 13)], kept=1.0)  # a page lost its last row
@settings(max_examples=examples(60))
def test_whatever_is_changed_no_false_row_is_read_and_none_is_saved(
    sound, tmp_path_factory, places, kept
):
    original = rows_of(sound)

    def change(data):
        for place, new in places:
            at = int(place * (len(data) - len(new)))
            data[at : at + len(new)] = new
        return data[: int(kept * len(data))]

    folder = damaged(sound, tmp_path_factory.getbasetemp(), change)
    refused = read_refused(folder, original)
    assert "\n" not in refused
    assert not refused or "symact doctor" in refused
    found = examine_run(folder)
    if found.saved is not None:
        saved = rows_of(found.saved)
        for table in ("candidates", "scores", "simplified", "quarantined"):
            assert set(saved[table].items()) <= set(original[table].items())
        if not found.lost:
            assert saved["candidates"] == original["candidates"]
            assert saved["scores"] == original["scores"]
        with closing(open_run(found.saved)) as store:
            store.database.check()


def test_what_is_only_in_the_log_is_saved_too_but_not_what_was_never_finished(tmp_path):
    folder = tmp_path / "run"
    fill(folder, checkpoint=False)
    log = folder / f"{RUN_FILE}-wal"
    assert log.stat().st_size > 20 * PAGE
    (folder / RUN_FILE).write_bytes(b"\0" * PAGE + (folder / RUN_FILE).read_bytes()[PAGE:])
    found = examine_run(folder)
    assert found.problem == "not a readable run: it is no SQLite database"
    assert found.lost == ""
    assert found.rows["candidates"] == found.rows["scores"] == COUNT
    with log.open("r+b") as handle:
        handle.truncate(log.stat().st_size - 3 * PAGE)  # in the middle of the last transaction
    found = examine_run(folder)
    assert found.rows["candidates"] == found.rows["scores"] == COUNT - 16
    assert found.lost == ""  # the state is that of the transaction before


def test_a_run_with_gaps_says_what_it_lacks_and_is_shown_but_not_continued(sound, tmp_path):
    page = page_of_scores(sound)
    found = examine_run(damaged(sound, tmp_path, lambda data: overwrite(data, page)))
    count = COUNT - found.rows["scores"]
    assert count > 0
    assert found.lost == f"{count} scores"
    from symact.engine import resume

    with pytest.raises(StoreError, match=f"lacks {count} scores; it can be shown, not continued"):
        resume(found.saved)
    again = examine_run(found.saved)
    assert (again.problem, again.lost, again.saved) == ("", f"{count} scores", None)


def page_of_scores(folder):
    """Return the number of a leaf that holds scores."""
    data = (folder / RUN_FILE).read_bytes()
    pages = {n: data[(n - 1) * PAGE : n * PAGE] for n in range(2, len(data) // PAGE + 1)}
    return next(n for n, page in pages.items() if page[0] == 0x0D and b'"shape"' in page)


def test_nothing_that_was_saved_before_is_overwritten(sound, tmp_path):
    folder = damaged(sound, tmp_path, lambda data: overwrite(data, page_of_scores(sound)))
    names = [examine_run(folder).saved.name for _ in range(3)]
    assert names == ["damaged-recovered", "damaged-recovered-2", "damaged-recovered-3"]
    assert examine_run(folder, save=False).saved is None


def test_where_there_is_no_run_there_is_nothing_to_examine(tmp_path):
    with pytest.raises(StoreError, match="no run here"):
        examine_run(tmp_path)


def test_scores_of_finalists_are_no_part_of_what_the_state_counts(sound, tmp_path):
    folder = tmp_path / "extended"
    shutil.copytree(sound, folder)
    with closing(open_run(folder)) as store, store.transaction():
        errors = np.ones((9, 1, 4))
        for _ in range(2):  # the second time they are replaced, under other numbers
            store.add_scores([Scored(n, "selection", 1.0, 1.0, errors) for n in (1, 2)], "1.0")
    data = bytearray((folder / RUN_FILE).read_bytes())
    data[:16] = bytes(16)
    (folder / RUN_FILE).write_bytes(data)
    found = examine_run(folder)
    assert found.problem
    assert found.lost == ""
    assert found.rows["scores"] == COUNT + 2
