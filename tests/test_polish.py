"""Constants are tuned against what a function will be judged by, on draws of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from strategies import exprs
from symact.engine import resume, search
from symact.expr import literals, parse, with_literals
from symact.grammar import Grammar
from symact.lower import evaluate
from symact.polish import MOST_LITERALS, VARIANTS, Polisher, loosened
from symact.protocol import QUICK_FORM
from symact.score import Ladder, Plan
from symact.score._judge import Judge
from symact.score._rungs import Draws
from symact.tasks import task
from test_engine import SMALL, TINY

X = np.linspace(-6, 6, 101)
POINTWISE = Grammar.load("pointwise")


def test_constants_move_to_where_errors_are_low_and_keep_their_signs():
    target = np.log([2.0, 0.7, 0.3])
    polisher = Polisher(parse("-1.3*silu(x - 0.4) + 0.5*x"), 3)
    for _ in range(40):
        asked = polisher.ask()
        assert len(asked) == VARIANTS
        apart = [np.log(np.abs(literals(expr))) - target for expr in asked]
        polisher.tell([float(own @ own) for own in apart])
    found = literals(polisher.mean)
    assert (
        np.sign(found).tolist() == np.sign(literals(parse("-1.3*silu(x - 0.4) + 0.5*x"))).tolist()
    )
    np.testing.assert_allclose(np.abs(found), np.exp(target), rtol=0.05)


def test_what_is_asked_depends_on_seed_and_answers_alone():
    def history(seed):
        polisher, asked = Polisher(parse("silu(1.5*x - 0.3)"), seed), []
        for turn in range(3):
            asked += polisher.ask()
            polisher.tell([float((place * 7 + turn) % 5) for place in range(VARIANTS)])
        return asked

    np.random.seed(1)  # noqa: NPY002
    first = history(5)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert history(5) == first
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, before)  # the global stream is as it was
    assert history(6) != first


@pytest.mark.parametrize(
    "text", ["silu(x)", "1.2*silu(0.9*x - 0.3) - silu(x - 6)", "x*sigmoid(x)", "silu(silu(x))"]
)
def test_gates_get_a_width_of_their_own_and_values_hardly_change(text):
    before = parse(text)
    after = loosened(before, POINTWISE)
    assert POINTWISE.derive(after) is not None
    assert len(literals(before)) <= len(literals(after)) <= MOST_LITERALS
    assert ("silu" in text) == (after != before)
    difference = np.abs(evaluate(after, X) - evaluate(before, X))
    assert difference.max() < 0.05 * np.abs(evaluate(before, X)).max()


@settings(max_examples=60, deadline=None)
@given(exprs(max_depth=4))
def test_literals_are_read_and_replaced_in_one_order(expr):
    values = literals(expr)
    assert with_literals(expr, values) == expr
    assert len(set(values)) == len(values)
    new = [value + 100.0 for value in values]
    assert set(literals(with_literals(expr, new))) == set(new)


def test_rehearsal_draws_serve_for_nothing_else():
    plan = Plan(mini_instances=2, mini_draws=2, full_instances=2, full_draws=2)
    draws = Draws.of(task("ood-suite"), 4, plan)
    used = [part.data.y for drawn in draws.rungs.values() for draw in drawn for part in draw]
    seen = {y.tobytes() for stack in used for y in stack[..., :64]}
    judge = Judge(task("ood-suite"), QUICK_FORM, 3, split="search", seed=4, skip=8)
    tuning = [judge._tuning_data] if QUICK_FORM.tuning else []
    for data in (judge.data, *tuning):
        assert not seen & {y.tobytes() for y in data.y[..., :64]}
    assert len(judge.instances) == 9
    plain = Judge(task("ood-suite"), QUICK_FORM, 3, split="test")
    assert plain.instances[0].name == task("ood-suite").draw("test", per_family=3)[0].name


ARGUMENTS = {
    "grammar": "pointwise",
    "task": "polynomial",
    "budget": 24,
    "seed": 3,
    "plan": replace(TINY, polish=14),
    "evolution": SMALL,
}


def test_a_search_polishes_its_best_finalist_and_goes_on_where_it_was_interrupted(tmp_path):
    whole = search(**ARGUMENTS)
    frame = whole.to_frame()
    polished = frame[frame["origin"] == "polished"]
    assert len(polished) == 3 * VARIANTS + 1  # whole generations, and the middle of the last one
    assert whole.outcomes["polished"] == len(polished)
    assert whole.counts["mini"] == 24
    assert {found.id for found in whole.front} & set(polished["id"])

    def stop(progress):
        if progress.phase == "polish" and progress.fraction > 0.8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(**ARGUMENTS, out=tmp_path / "run", on_progress=stop)
    found = resume(tmp_path / "run")
    assert found.front == whole.front
    assert found.to_frame().equals(frame)


def test_what_has_no_constants_is_not_polished():
    plan = replace(TINY, polish=6, finalists=1)
    one = Grammar.parse('name = "one"\n[productions]\ntanh = 1\n[limits]\nnodes = 2')
    found = search(one, "polynomial", budget=4, plan=plan, evolution=SMALL)
    assert "polished" not in found.outcomes
    assert found.best.formula == "tanh(x)"


def test_a_ladder_makes_the_draws_of_the_rehearsal_once():
    ladder = Ladder(task("polynomial"), 2, replace(TINY, polish=6), threads=1, device="cpu")
    try:
        data, errors = ladder.rehearsal([parse("silu(x)")])
        again, same = ladder.rehearsal([parse("silu(x)")])
        assert data is again
        np.testing.assert_array_equal(errors[0], same[0])
    finally:
        ladder.close()
