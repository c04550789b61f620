"""A run as typed records, in memory and in a directory."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from contracts.stores import StoreContract, candidate
from symact.errors import StoreError
from symact.storage.repository import (
    create,
    in_memory,
    is_run,
    open_judged,
    open_run,
)


class TestRunInMemory(StoreContract):
    def make(self, folder):
        return in_memory()


class TestRunDirectory(StoreContract):
    """Another connection reads what one connection writes."""

    def make(self, folder):
        return create(folder / "run")

    def reopen(self, store):
        return open_run(store.path)


class TestComparisons(StoreContract):
    """Comparisons have a database of their own, which is a store too."""

    def make(self, folder):
        return open_judged(folder)

    def reopen(self, store):
        return open_judged(store.path)


@pytest.fixture
def store(tmp_path):
    with closing(create(tmp_path / "run")) as opened:
        yield opened


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


@pytest.mark.parametrize("made", [True, False])
def test_a_directory_without_a_run_is_refused_and_left_alone(made, tmp_path):
    folder = tmp_path / "empty"
    if made:
        folder.mkdir()
    with pytest.raises(StoreError, match=r"no run here \(run\.db is missing\)"):
        open_run(folder)
    assert list(tmp_path.rglob("*")) == ([folder] if made else [])


def test_a_file_where_the_directory_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="cannot make a run here"):
        create(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
