"""The run directory keeps what was committed and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symact.budget import Budget, parse_budget
from symact.errors import BudgetError, StoreError
from symact.store import Candidate, Scored, create, in_memory, open_run


def candidate(number: int) -> Candidate:
    return Candidate(number, "tanh(x)", f"f{number}", "random", ("x",), 0, "passed", 10, 2)


def test_what_is_written_is_read_back_also_by_another_reader(tmp_path):
    store = create(tmp_path / "run")
    errors = np.array([[[0.5, np.nan, np.inf, 1e-300]]])
    with store.transaction():
        store.add_candidates([candidate(1), candidate(2)])
        store.add_scores([Scored(1, "mini", 0.25, -1.5, errors)], "0.1")
        store.add_simplified({1: "tanh(x)"})
        store.put("state", {"generation": 1})
    reader = open_run(tmp_path / "run")
    assert reader.candidates() == [candidate(1), candidate(2)]
    (scored,) = reader.scores("mini")
    assert (scored.candidate, scored.ood, scored.id_error) == (1, 0.25, -1.5)
    np.testing.assert_array_equal(scored.errors, [[[0.5, np.nan, np.nan, 1e-300]]])
    assert reader.get("state") == {"generation": 1}
    assert reader.counts() == {"seen": 2, "screened": 2, "ridge": 0, "mini": 1, "full": 0}
    assert reader.outcomes() == {"passed": 2}


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    store = create(tmp_path / "run")

    def interrupted() -> None:
        with store.transaction():
            store.add_candidates([candidate(1)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.candidates() == []
    with store.transaction():
        store.add_candidates([candidate(1)])
    assert len(open_run(tmp_path / "run").candidates()) == 1


def test_a_reader_is_not_blocked_by_a_writer(tmp_path):
    store = create(tmp_path / "run")
    reader = open_run(tmp_path / "run")
    with store.transaction():
        store.add_candidates([candidate(1)])
        assert reader.candidates() == []
    assert len(reader.candidates()) == 1


def test_remembered_errors_are_given_only_if_all_are_there():
    store = in_memory()
    errors = np.arange(12, dtype=float).reshape(3, 1, 4)
    store.add_judged("x", "0.1", ["a", "b", "c"], errors)
    np.testing.assert_array_equal(store.judged("x", "0.1", ["c", "a"], 1), errors[[2, 0]])
    assert store.judged("x", "0.1", ["a", "d"], 1) is None
    assert store.judged("x", "0.1", ["a"], 2) is None
    assert store.judged("x", "0.2", ["a"], 1) is None
    assert store.judged("y", "0.1", ["a"], 1) is None


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_what_is_no_run_is_refused_in_one_line_and_left_alone(content, tmp_path):
    (tmp_path / "run.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"run\.db") as caught:
        open_run(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run.db").read_bytes() == content
    with pytest.raises(StoreError, match="holds a run already"):
        create(tmp_path)


def test_a_file_where_the_directory_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="cannot make a run here"):
        create(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5m", Budget(seconds=300)),
        ("90s", Budget(seconds=90)),
        ("1.5h", Budget(seconds=5400)),
        (" 2 M ", Budget(seconds=120)),
        ("500", Budget(candidates=500)),
        (500, Budget(candidates=500)),
    ],
)
def test_budgets_are_times_or_numbers_of_candidates(text, budget):
    assert parse_budget(text) == budget
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize("text", ["", "soon", "0", "0m", "-5", "1.5", "5x", "m", "nan", "5m5s"])
def test_other_budgets_are_refused(text):
    with pytest.raises(BudgetError, match="expected a time such as 5m"):
        parse_budget(text)


@given(st.text(max_size=12))
def test_any_text_is_a_budget_or_refused(text):
    try:
        budget = parse_budget(text)
    except BudgetError:
        return
    assert (budget.seconds is None) != (budget.candidates is None)
    assert (budget.seconds or budget.candidates or 0) > 0
