"""Promotion chooses the best and the best of rare kinds; no trial twice, none is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from symact.engine.promotion import SHORTLIST, PromotionQueue
from symact.engine.trial import Trial
from symact.evaluation import ActivationProblem
from symact.tasks import task

FORMULAS = {1: "silu(x)", 2: "silu(x - 0.1)", 3: "silu(x - 0.2)", 4: "sin(x)", 5: "tanh(x)"}
PROBLEM = ActivationProblem(task("polynomial"))
SCORES = {1: 0.0, 2: 0.1, 3: 0.2, 4: 0.3, 5: 0.4}


def queue(scores=SCORES, formulas=FORMULAS):
    made = PromotionQueue()
    for number, score in scores.items():
        made.add(Trial(PROBLEM, formulas[number], id=number), score)
    return made


def take(made, *arguments):
    return [trial.id for trial in made.take(*arguments)]


def test_the_best_and_the_best_of_a_rare_kind_take_turns():
    assert take(queue(), 5.0) == [1, 4, 2, 5, 3]


def test_parts_of_a_promotion_add_up():
    made = queue()
    assert [take(made, 0.4) for _ in range(5)] == [[], [], [1], [], [4]]
    assert take(made, 0.0) == []
    assert len(made) == 3


def test_a_large_generation_promotes_more_than_the_shortlist_holds():
    count = 4 * SHORTLIST
    made = queue({n: float(n) for n in range(count)}, dict.fromkeys(range(count), "sin(x)"))
    assert take(made, 2.0 * SHORTLIST) == list(range(2 * SHORTLIST))


def test_measured_and_predicted_scores_count_alike():
    predicted = {1: 1.0, 2: 0.0, 3: 0.0, 4: 0.0, 5: -1.0}
    made = queue()
    assert take(made, 1.0, lambda trials: np.array([predicted[t.id] for t in trials])) == [5]
    assert take(made, 1.0) == [1]  # the others wait with what was measured


def test_what_was_promoted_before_is_left_out_and_its_kind_remembered():
    made = queue()
    made.leave_out([Trial(PROBLEM, FORMULAS[1], id=1)])
    assert take(made, 2.0) == [4, 2]  # the second turn of all is one of rare kinds


@given(st.lists(st.floats(-1, 1), max_size=2 * SHORTLIST), st.lists(st.floats(0, 40), max_size=12))
def test_no_trial_is_promoted_twice_and_none_is_lost(scores, earned):
    numbered = dict(enumerate(scores))
    made = queue(numbered, dict.fromkeys(numbered, "silu(x)"))
    taken = [candidate for part in earned for candidate in take(made, part)]
    due = sum(earned)
    assert min(due - 1 - 1e-6, len(scores)) <= len(taken) <= due + 1e-6
    rest = take(made, float(len(scores)) + 1.0)
    assert sorted(taken + rest) == list(numbered)
