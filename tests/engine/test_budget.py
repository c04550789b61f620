"""Budgets: what a search may spend, in words of one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symact.engine.budget import Budget, parse_budget
from symact.errors import BudgetError


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("5m", Budget(seconds=300)),
        ("90s", Budget(seconds=90)),
        ("1.5h", Budget(seconds=5400)),
        ("2d", Budget(seconds=172_800)),
        (" 2 M ", Budget(seconds=120)),
        ("500", Budget(candidates=500)),
        ("500.0", Budget(candidates=500)),
        (500, Budget(candidates=500)),
    ],
)
def test_budgets_are_times_or_numbers_of_candidates(text, budget):
    assert parse_budget(text) == budget
    assert parse_budget(budget) is budget
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize(
    "text", ["", "soon", "0", "0m", "-5", -5, "1.5", "5x", "m", "nan", "inf", "5m5s", "1e3", "5,5s"]
)
def test_other_budgets_are_refused_in_one_line(text):
    with pytest.raises(BudgetError, match="expected a time such as 5m") as caught:
        parse_budget(text)
    assert f"budget '{text}'" in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=12))
def test_any_text_is_a_budget_or_refused(text):
    try:
        budget = parse_budget(text)
    except BudgetError:
        return
    assert (budget.seconds is None) != (budget.candidates is None)
    assert (budget.seconds or budget.candidates or 0) > 0


@given(st.integers(1, 10**15))
def test_a_number_of_candidates_survives_its_text(count):
    budget = parse_budget(count)
    assert budget == Budget(candidates=count)
    assert parse_budget(str(budget)) == budget


@given(st.integers(1, 999_999), st.sampled_from(["s", "S", " s "]))
def test_a_time_of_whole_seconds_survives_its_text(seconds, unit):
    budget = parse_budget(f"{seconds}{unit}")
    assert budget == Budget(seconds=seconds)
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize("text", ["12d", "1000000s", "0.00001s", "1234.5678s"])
def test_long_short_and_odd_times_survive_their_text(text):
    budget = parse_budget(text)
    assert parse_budget(str(budget)) == budget


@given(
    budget=st.builds(Budget, seconds=st.floats(1e-3, 1e9))
    | st.builds(Budget, candidates=st.integers(1, 10**9)),
    seconds=st.floats(0, 1e12),
    candidates=st.integers(0, 10**12),
)
def test_what_is_used_up_is_a_share_that_is_whole_exactly_when_all_is_spent(
    budget, seconds, candidates
):
    used = budget.fraction(seconds, candidates)
    assert 0 <= used <= 1
    if budget.seconds is not None:
        assert (used == 1) == (seconds / budget.seconds >= 1)
    else:
        assert (used == 1) == (candidates >= budget.candidates)
