"""The fidelities of a search: which network learns which task, and in which order."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from symact.errors import SymactError
from symact.evaluation import ActivationProblem, Draws, Failed, Fidelity, Job, Ladder, Plan
from symact.evaluation.draws import by_family
from symact.evaluation.evaluator import Evaluator
from symact.evaluation.training.mixed_sizes import (
    MixedSizeTrainer,
    assign_network_sizes,
    expected_errors,
)
from symact.evaluation.training.networks import Data, pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.expr import parse
from symact.tasks import task
from symact.tasks.protocol import FULL, FULL_FORM, FULL_RATES, MINI, RATE_DOUBT, Training

SIZES = tuple(
    Training(width=6, depth=d, steps=12, points=32, learning_rate=1e-2) for d in (1, 2, 3)
)
EXPRS = [parse(text) for text in ("gelu(x)", "x*tanh(2*x)", "sin(x)")]
PLAN = Plan(mini_instances=2, mini_draws=2, full_instances=1, full_draws=2)
PROBLEM = ActivationProblem(task("polynomial"))


@pytest.fixture(scope="module")
def families():
    return by_family(task("ood-suite").draw("search", seed=3, per_family=5))


def trainer(data: Data, training: Training) -> NumbaMLPTrainer:
    return NumbaMLPTrainer(data, training, [0], 7)


@pytest.mark.parametrize("sizes", [SIZES[:1], SIZES[:2], SIZES])
def test_instances_of_a_family_take_the_sizes_in_turn_and_errors_follow_the_families(
    families, sizes
):
    count = len(sizes)
    shares = [[i for own in families for i in own[place::count]] for place in range(count)]
    mixed = MixedSizeTrainer(assign_network_sizes(families, sizes), trainer)
    assert mixed.families == tuple(i.family for own in shares for i in own)
    with ThreadPoolExecutor(2) as pool:
        found = [future.result() for future in mixed.start(pool, EXPRS)]
    for expr, errors in zip(EXPRS, found, strict=True):
        parts = [
            trainer(pack(own, size.points), size).judge(expr)
            for own, size in zip(shares, sizes, strict=True)
        ]
        np.testing.assert_array_equal(errors, np.concatenate(parts))


def test_a_size_that_no_instance_is_left_for_trains_nothing(families):
    few = [own[:1] for own in families]
    mixed = MixedSizeTrainer(assign_network_sizes(few, SIZES), trainer)
    assert mixed.families == tuple(own[0].family for own in families)
    with ThreadPoolExecutor(1) as pool:
        (future,) = mixed.start(pool, EXPRS[:1])
        errors = future.result()
    assert errors.shape == (len(families), 1, 4)


def test_of_several_rates_each_counts_as_likely_as_a_judge_would_choose_it(families):
    rates = (1e-2, 3e-2)
    both = MixedSizeTrainer(assign_network_sizes(families, SIZES[:1], rates), trainer)
    data = pack([i for own in families for i in own], SIZES[0].points)
    with ThreadPoolExecutor(2) as pool:
        found = [future.result() for future in both.start(pool, EXPRS)]
    for expr, errors in zip(EXPRS, found, strict=True):
        tried = [trainer(data, replace(SIZES[0], learning_rate=r)).judge(expr) for r in rates]
        np.testing.assert_array_equal(errors, expected_errors(tried, data.families))


def test_the_rate_with_the_lower_error_inside_counts_whatever_it_does_outside():
    own = ("a", "a", "b")
    good = np.full((3, 1, 4), [1e-3, 10.0, 10.0, 10.0])
    bad = np.full((3, 1, 4), [1e-1, 0.1, 0.1, 0.1])
    for tried in ([good, bad], [bad, good]):
        np.testing.assert_allclose(expected_errors(tried, own), good, rtol=1e-5)
    even = np.full((3, 1, 4), [1e-3, 0.1, 0.1, 0.1])
    np.testing.assert_allclose(
        expected_errors([good, even], own)[..., 1:], 1.0
    )  # the geometric mean
    assert expected_errors([good], own) is good
    # Less certain by one unit of doubt: shares of 1 and 1/e.
    less = np.full((3, 1, 4), [1e-3 * 10**RATE_DOUBT, 0.1, 0.1, 0.1])
    share = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(
        np.log10(expected_errors([good, less], own)[..., 1:]), 2 * share - 1, rtol=1e-6
    )
    # What diverged with a rate that nobody would choose costs nothing; a failure is one.
    lost = np.full((3, 1, 4), np.nan)
    np.testing.assert_allclose(expected_errors([lost, good], own), good, rtol=1e-5)
    assert expected_errors([good, Failed("too hot")], own) == Failed("too hot")


def test_full_training_as_judged_takes_all_sizes_and_rates_and_travels_as_it_is():
    plan = replace(PLAN, full_instances=4, as_judged=True, final_form="tuned")
    draws = Draws.of(task("polynomial"), 1, (*plan.fidelities(), plan.final_fidelity()))
    for own in (draws, Draws.load(draws.dump())):
        full = own.sets("full", 0)
        assert tuple((s.training.width, s.training.depth) for s in full) == FULL_FORM.sizes
        assert {s.rates for s in full} == {FULL_RATES}
        assert {s.rates for s in own.sets("mini", 0)} == {(MINI[0].learning_rate,)}
        assert len(own.data["selection/tuning"].families) == FULL_FORM.tuning
        (errors,) = Evaluator(own, "cpu").run([Job("full", EXPRS[0])])
        assert errors.shape == own.error_shape("full") == (4, 1, 4)
    plain = Draws.of(task("polynomial"), 1, replace(PLAN, full_instances=4).fidelities())
    assert {s.rates for s in plain.sets("full", 0)} == {(FULL[0].learning_rate,)}


@dataclass
class Recorder:
    """A trainer that computes nothing and remembers what it is for."""

    data: Data
    training: Training
    started: list[int] = field(default_factory=list)
    futures: list[Future] = field(default_factory=list)

    def start(self, pool, exprs):
        self.started.append(len(exprs))
        waiting = [Future() for _ in exprs]
        self.futures += waiting
        return waiting


def test_all_sizes_are_under_way_before_any_is_waited_for(families):
    made: list[Recorder] = []

    def make(data: Data, training: Training) -> Recorder:
        made.append(Recorder(data, training))
        return made[-1]

    with ThreadPoolExecutor(1) as pool:
        found = MixedSizeTrainer(assign_network_sizes(families, SIZES), make).start(pool, EXPRS)
        assert [one.started for one in made] == [[3]] * 3
        assert not any(future.done() for future in found)
        for one in made:
            for future in one.futures:
                future.set_result(np.zeros((len(one.data.families), 1, 4)))
        assert [f.result().shape for f in found] == [(5 * len(families), 1, 4)] * 3
    assert [one.training for one in made] == list(SIZES)


STATISTICS = parse("x - mean(x)")


def test_a_ladder_answers_in_order_whatever_the_threads_and_the_kinds_of_functions():
    """Mini-training of batch statistics goes through torch, that of the others does not."""
    asked = [EXPRS[0], STATISTICS, EXPRS[1]]
    found = []
    for threads in (1, 3):
        own = Ladder(PROBLEM, 1, PLAN, threads=threads, device="cpu")
        try:
            full, mini = own.start("full", EXPRS[:2]), own.start("mini", asked)  # at the same time
            found.append([[future.result() for future in futures] for futures in (mini, full)])
            assert own.families("mini") == ("polynomial",) * 2
            assert own.families("full") == ("polynomial",)
            assert own.train("mini", []) == own.start("full", []) == []
            np.testing.assert_array_equal(own.train("mini", asked[::2]), found[-1][0][::2])
        finally:
            own.close()
    (mini, full), others = found
    assert np.isfinite(mini).all()
    np.testing.assert_array_equal(mini, others[0])
    np.testing.assert_array_equal(full, others[1])
    assert not np.isclose(full[0], full[1]).any()


def test_a_fidelity_is_added_by_one_object_and_leaves_the_others_as_they_are():
    medium = Fidelity("medium", 2, SIZES[:2], draws=2, share=0.3, entropy=900)
    ladders = [
        Ladder(PROBLEM, 1, PLAN, fidelities=(*PLAN.fidelities(), *more), threads=2)
        for more in ((), (medium,))
    ]
    try:
        first, second = (ladder.train("full", EXPRS[:1], 1)[0] for ladder in ladders)
        np.testing.assert_array_equal(first, second)
        found = [ladders[1].train("medium", EXPRS[:1], draw)[0] for draw in (0, 1, 2)]
        assert found[0].shape == ladders[1].error_shape("medium") == (2, 1, 4)
        np.testing.assert_array_equal(found[0], found[2])  # draws are taken in turn
        assert not np.isclose(found[0], found[1]).any()
        with pytest.raises(SymactError, match=r"unknown fidelity 'medum'; did you mean 'medium'"):
            ladders[1].start("medum", EXPRS)
    finally:
        for ladder in ladders:
            ladder.close()


@pytest.mark.parametrize("changes", [{}, {"networks": SIZES, "protocol": FULL_FORM}])
def test_a_fidelity_has_either_networks_or_a_protocol(changes):
    with pytest.raises(SymactError, match="fidelity 'own': give either networks or a protocol"):
        Draws.of(task("polynomial"), 0, [Fidelity("own", 2, **changes)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mini_instances": 0}, "mini_instances: expected at least 1, got 0"),
        ({"full_share": 1.5}, "full_share: expected 0 to 1, got 1.5"),
        ({"refine_share": -0.1}, "refine_share: expected 0 to 1, got -0.1"),
        ({"generation": 0}, "generation: expected at least 1, got 0"),
        ({"finalists": 0}, "finalists: expected at least 1, got 0"),
    ],
)
def test_what_makes_no_plan_is_refused_in_one_line(changes, message):
    with pytest.raises(SymactError, match=f"^plan, {message}$"):
        Plan(**changes)
