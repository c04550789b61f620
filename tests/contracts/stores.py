"""What every store of a run promises, as tests; a subclass makes the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from symact.errors import DamagedError
from symact.evaluation import as_stored
from symact.storage.records import (
    Candidate,
    Reference,
    RunConfig,
    Scored,
    SearchRecord,
    Selected,
)
from symact.storage.repository import Repository

CONFIG = {
    "protocol": "1.0", "grammar": "pointwise", "task": "polynomial", "budget": "40", "seed": 3,
    "proposer": "gp", "plan": {"order": "asked"}, "evolution": {}, "versions": {},
}  # fmt: skip


def candidate(number: int, outcome: str = "passed") -> Candidate:
    return Candidate(number, "tanh(x)", f"f{number}", "random", ("x",), 0, outcome, 10, 2)


class StoreContract:
    """Tests of an empty store; a subclass makes it and may read it through another connection."""

    def make(self, folder: Path) -> Repository:
        """Return a new store."""
        raise NotImplementedError

    def reopen(self, store: Repository) -> Repository:
        """Return the store as another reader sees it."""
        return store

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Repository]:
        with closing(self.make(tmp_path)) as made:
            yield made

    @pytest.fixture
    def reader(self, store: Repository) -> Iterator[Repository]:
        with closing(self.reopen(store)) as opened:
            yield opened

    def test_what_is_written_is_read_back_also_by_another_reader(self, store, reader):
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

    def test_documents_are_read_as_they_were_written(self, store, reader):
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

    def test_the_state_is_stored_under_the_names_of_the_first_release(self, store, reader):
        record = SearchRecord(
            generation=2,
            fitted=(30, 4),
            promoted={"full": [3]},
            costs={"surrogate": (5, 0.5), "mini": (7, 1.5)},
        )
        with store.transaction():
            store.put_search(record)
        found = reader.search()
        assert (found.fitted, found.promoted, found.costs) == (
            record.fitted,
            record.promoted,
            record.costs,
        )
        stored = reader.database.get("state")
        assert (stored["forecast"], stored["climbing"]) == ([30, 4], {"full": [3]})
        assert stored["costs"] == {"forecast": [5, 0.5], "mini": [7, 1.5]}

    def test_a_configuration_of_another_release_keeps_all_its_values(self, store, reader):
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
    def test_a_malformed_configuration_is_damage(self, change, message, store):
        with store.transaction():
            store.database.put("config", CONFIG | change)
        with pytest.raises(DamagedError, match=message) as caught:
            store.config()
        assert "\n" not in str(caught.value)

    def test_errors_keep_their_shape_and_nine_digits_also_where_all_are_nan(self, store, reader):
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

    def test_candidates_come_in_order_scores_as_measured_and_outcomes_most_frequent_first(
        self, store
    ):
        with store.transaction():
            store.add_candidates([candidate(3, "flat"), candidate(1, "flat"), candidate(2)])
            for number in (3, 1):
                store.add_scores([Scored(number, "mini", 0.0, 0.0, np.ones((1, 1, 4)))], "0.1")
        assert [c.id for c in store.candidates()] == [1, 2, 3]
        assert [s.candidate for s in store.scores("mini")] == [3, 1]
        assert list(store.outcomes().items()) == [("flat", 2), ("passed", 1)]
        assert store.counts()["screened"] == 1

    def test_errors_in_memory_are_those_that_a_resumed_search_reads(self, store, reader):
        errors = np.random.default_rng(0).lognormal(0, 20, (2, 1, 4))
        errors[1, 0] = [np.inf, -np.inf, np.nan, 1e-300]
        kept = as_stored(errors)
        with store.transaction():
            store.add_candidates([candidate(1)])
            store.add_scores([Scored(1, "full", 0.0, 0.0, errors)], "0.1")
        np.testing.assert_array_equal(reader.scores("full")[0].errors, kept)
        np.testing.assert_array_equal(as_stored(kept), kept)
        assert np.isnan(kept[1, 0, :3]).all()

    def test_progress_counts_each_candidate_once_on_whichever_fidelity(self, store):
        errors = np.ones((1, 1, 4))
        with store.transaction():
            store.add_candidates([candidate(number) for number in range(1, 6)])
            for number, name in ((2, "mini"), (1, "mini"), (1, "full"), (4, "mini"), (2, "full")):
                store.add_scores([Scored(number, name, 0.0, 0.0, errors)], "0.1")
            store.add_scores([Scored(5, "full", 0.0, 0.0, errors)], "0.1")  # without the lower one
        found = [(judged, scored.candidate) for judged, scored in store.progress()]
        assert found == [(2, 1), (3, 2), (4, 5)]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
    def test_a_transaction_that_fails_leaves_nothing(self, error, store, reader):
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

    def test_a_generation_that_breaks_in_the_middle_of_its_rows_leaves_nothing(self, store):
        def twice() -> None:
            with store.transaction():
                store.add_candidates([candidate(1), candidate(2), candidate(1)])

        with pytest.raises(sqlite3.IntegrityError):
            twice()
        assert store.candidates() == []

    def test_remembered_errors_are_given_only_if_all_are_there(self, store):
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

    def test_what_is_remembered_is_what_was_returned_and_the_latest_counts(self, store, reader):
        errors = np.array([[[[np.pi, np.nan, 1e6 / 3, 2.0], [1.0, 2.0, 3.0, 4.0]]]])
        kept = store.add_judged("x", "1", ["a"], errors, [0.1])
        np.testing.assert_array_equal(reader.judged("x", "1", ["a"], 2).errors, kept.errors)
        np.testing.assert_array_equal(
            reader.judged("x", "1", ["a"], 1).errors, kept.errors[:, :, :1]
        )
        store.add_judged("x", "1", ["a"], np.ones((1, 1, 1, 4)), [0.2])
        again = reader.judged("x", "1", ["a"], 1)
        np.testing.assert_array_equal(again.errors, np.ones((1, 1, 1, 4)))
        assert again.rates == (0.2,)
