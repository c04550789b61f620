"""The fidelities of a search: which network learns which task, and in which order."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from symact.errors import SymactError
from symact.evaluation import ActivationProblem, Draws, Failed, Fidelity, Ladder, Plan
from symact.evaluation.draws import by_family
from symact.evaluation.training.mixed_sizes import (
    MixedSizeTrainer,
    TrainingSet,
    expected_errors,
    shuffled_networks,
)
from symact.evaluation.training.networks import Data
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.expr import parse
from symact.tasks import task
from symact.tasks.protocol import RATE_DOUBT, Training

SIZES = tuple(
    Training(width=6, depth=d, steps=12, points=32, learning_rate=1e-2) for d in (1, 2, 3)
)
EXPRS = [parse(text) for text in ("gelu(x)", "x*tanh(2*x)", "sin(x)")]
PLAN = Plan(mini_networks=2, mini_draws=2, full_networks=1, full_draws=2)
PROBLEM = ActivationProblem(task("polynomial"))


@pytest.fixture(scope="module")
def families():
    return by_family(task("ood-suite").draw("search", seed=3, per_family=5))


def sets_of(shuffled, networks) -> list[TrainingSet]:
    return [
        TrainingSet(data, networks[index], (networks[index].learning_rate,))
        for index, data in shuffled.items()
    ]


def trainer(data: Data, training: Training) -> NumbaMLPTrainer:
    return NumbaMLPTrainer(data, training, [0], 7)


@pytest.mark.parametrize("sizes", [SIZES[:1], SIZES[:2], SIZES])
def test_errors_are_those_of_each_network_sorted_by_family(families, sizes):
    shuffled = shuffled_networks(families, sizes, (3, 4))
    counts = [len(own.families) for own in shuffled.values()]
    assert sum(counts) == 5 * len(families)
    assert max(counts) - min(counts) <= 1
    mixed = MixedSizeTrainer(sets_of(shuffled, sizes), trainer)
    with ThreadPoolExecutor(2) as pool:
        found = [future.result() for future in mixed.start(pool, EXPRS)]
    names = [name for own in shuffled.values() for name in own.families]
    order = np.argsort(names, kind="stable")
    assert mixed.families == tuple(sorted(names))
    for expr, errors in zip(EXPRS, found, strict=True):
        parts = [trainer(data, sizes[index]).judge(expr) for index, data in shuffled.items()]
        np.testing.assert_array_equal(errors, np.concatenate(parts)[order])


def test_every_lap_over_the_networks_has_an_order_of_its_own(families):
    """No family meets the same networks in every lap."""
    networks = tuple(
        replace(SIZES[0], learning_rate=rate) for rate in (1e-3, 2e-3, 3e-3, 4e-3, 5e-3)
    )
    met = shuffled_networks(families, networks, (1,))
    assert {len(own.families) for own in met.values()} == {len(families)}
    orders = set()
    for family in families:
        place = {instance.y_train.ravel()[:3].tobytes(): i for i, instance in enumerate(family)}
        orders.add(
            tuple(
                place[y.ravel()[:3].tobytes()]
                for own in met.values()
                for y, name in zip(own.y, own.families, strict=True)
                if name == family[0].family
            )
        )
    assert len(orders) == len(families)


def test_a_network_that_no_instance_is_left_for_trains_nothing(families):
    few = [own[:1] for own in families]
    more = (*SIZES, replace(SIZES[0], steps=10))
    shuffled = shuffled_networks(few, more, (3,))
    assert len(shuffled) == len(families)
    mixed = MixedSizeTrainer(sets_of(shuffled, more), trainer)
    with ThreadPoolExecutor(1) as pool:
        (future,) = mixed.start(pool, EXPRS[:1])
        errors = future.result()
    assert errors.shape == (len(families), 1, 4)


def test_of_several_rates_each_counts_as_likely_as_a_judge_would_choose_it(families):
    rates = (1e-2, 3e-2)
    (data,) = shuffled_networks(families, SIZES[:1], (1,)).values()
    both = MixedSizeTrainer([TrainingSet(data, SIZES[0], rates)], trainer)
    with ThreadPoolExecutor(2) as pool:
        found = [future.result() for future in both.start(pool, EXPRS)]
    for expr, errors in zip(EXPRS, found, strict=True):
        tried = [trainer(data, replace(SIZES[0], learning_rate=r)).judge(expr) for r in rates]
        expected = expected_errors(tried, data.families)[np.argsort(data.families, kind="stable")]
        np.testing.assert_array_equal(errors, expected)


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
        sets = sets_of(shuffled_networks(families, SIZES, (1,)), SIZES)
        found = MixedSizeTrainer(sets, make).start(pool, EXPRS)
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
        Ladder(PROBLEM, 1, PLAN, fidelities=(*PROBLEM.fidelities(PLAN), *more), threads=2)
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


def test_draws_for_training_need_networks():
    with pytest.raises(SymactError, match="fidelity 'own' has no networks; give at least one"):
        Draws.of(task("polynomial"), 0, [Fidelity("own", 2)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mini_networks": 0}, "mini_networks: expected at least 1, got 0"),
        ({"full_share": 1.5}, "full_share: expected 0 to 1, got 1.5"),
        ({"refine_share": -0.1}, "refine_share: expected 0 to 1, got -0.1"),
        ({"generation": 0}, "generation: expected at least 1, got 0"),
        ({"finalists": 0}, "finalists: expected at least 1, got 0"),
    ],
)
def test_what_makes_no_plan_is_refused_in_one_line(changes, message):
    with pytest.raises(SymactError, match=f"^plan, {message}$"):
        Plan(**changes)
