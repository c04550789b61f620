"""The search for a generalist: its instances, its networks and their order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from symact.engine import resume, search
from symact.engine.baselines import penalised_score
from symact.evaluation import ActivationProblem, Draws, Fidelity, Job, Plan
from symact.evaluation.evaluator import Evaluator
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.expr import parse, show
from symact.storage.repository import open_run
from symact.tasks import GENERALIST, task
from symact.tasks.families import STRATA, families
from symact.tasks.protocol import Training

NETWORKS = tuple(
    Training(6, depth, steps=8, points=16, learning_rate=1e-2, initialisation=name)
    for name in ("torch", "he")
    for depth in (1, 2)
)
MIXED = Fidelity("mini", 1, NETWORKS, draws=2, entropy=1)
CHOSEN = Fidelity("selection", 1, NETWORKS, split="selection", entropy=901)


@pytest.fixture(scope="module")
def draws():
    return Draws.of(task(GENERALIST), 5, [MIXED, CHOSEN])


def test_the_families_of_the_task_are_the_strata():
    assert task(GENERALIST).families == tuple(STRATA)


@pytest.mark.parametrize("split", ["search", "selection", "test"])
def test_an_instance_belongs_to_a_template_of_its_split(split):
    drawn = task(GENERALIST).draw(split, seed=2, per_family=9)
    linear, again = drawn[1], drawn[8]
    own = families(split, 13)[12].source().draw(split, 2, 1, 0)
    assert linear.x_train.shape[1] == own.x_train.shape[1]
    x = (own.x_train - own.x_train.mean(axis=0)) / own.x_train.std(axis=0)
    np.testing.assert_allclose(linear.x_train, x, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(drawn[0].x_train, again.x_train)  # one template, two instances


def test_every_network_is_used_equally_often_in_an_order_that_each_draw_shuffles(draws):
    orders = []
    for draw in range(2):
        sets = draws.sets("mini", draw)
        assert [len(own.data.families) for own in sets] == [3] * 4
        assert Counter(f for own in sets for f in own.data.families) == dict.fromkeys(STRATA, 1)
        orders.append(tuple(own.data.families for own in sets))
    assert orders[0] != orders[1]


def test_errors_are_sorted_by_family_whatever_networks_they_had(draws):
    assert draws.families("mini") == tuple(sorted(STRATA))
    expr = parse("silu(x)")
    evaluator = Evaluator(draws, "cpu")
    for draw in range(2):
        (found,) = evaluator.run([Job("mini", expr, draw)])
        assert found.shape == draws.error_shape("mini")
        own = {}
        for one in draws.sets("mini", draw):
            trainer = NumbaMLPTrainer(one.data, one.training, [0], draws.entropy + 1 + draw)
            errors = trainer.judge(expr)
            own |= dict(zip(one.data.families, errors, strict=True))
        np.testing.assert_array_equal(found, [own[name] for name in draws.families("mini")])


def test_finalists_are_judged_on_families_that_the_search_never_sees(draws):
    points = {d.data.x.tobytes() for d in draws.sets("selection", 0)}
    other = Draws.of(task(GENERALIST), 6, [MIXED, CHOSEN])
    assert points == {d.data.x.tobytes() for d in other.sets("selection", 0)}
    assert {d.data.x.tobytes() for d in draws.sets("mini", 0)} != {
        d.data.x.tobytes() for d in other.sets("mini", 0)
    }


def test_draws_travel_with_their_order(draws):
    again = Draws.load(draws.dump())
    assert again.fidelities == draws.fidelities
    assert again.families("mini") == draws.families("mini")


def test_all_settings_of_the_protocol_are_searched():
    ladder = ActivationProblem(task(GENERALIST)).fidelities(Plan())
    for fidelity in ladder:
        settings = {(n.initialisation, n.depth, n.residual) for n in fidelity.networks}
        assert len(settings) == 16


class Small(ActivationProblem):
    """The search for a generalist with tiny networks."""

    def fidelities(self, plan):
        few = {"networks": NETWORKS}
        return (
            Fidelity("mini", 1, draws=2, entropy=1, **few),
            Fidelity("full", 3, draws=1, entropy=501, share=0.5, **few),
        )

    def final_fidelity(self, plan):
        return Fidelity("selection", 1, NETWORKS, split="selection", entropy=901)


class Noting:
    """Proposes formulas and notes what it is told."""

    def __init__(self) -> None:
        self.told: dict[str, list[float]] = {}
        self._next = iter(["sin(x)", "x*tanh(x)", "softplus(x)", "x*sigmoid(2*x)"])

    def ask(self, count):
        return [parse(text) for text, _ in zip(self._next, range(count), strict=False)]

    def tell(self, results):
        for own in results:
            if own.error is not None:
                self.told.setdefault(show(own.expr), []).append(own.error)


def test_a_search_pools_the_results_of_a_function_by_their_networks(tmp_path):
    proposer, plan = Noting(), Plan(generation=4, pool=1, finalists=2, tune=False, prune=False)
    problem = Small(task(GENERALIST))
    out = tmp_path / "run"
    result = search("pointwise", problem, budget=4, plan=plan, proposer=proposer, out=out)
    frame = result.to_frame().set_index("formula")
    promoted = frame[frame["full_ood"].notna()]
    assert len(promoted) == 2
    references = open_run(out).references()
    for formula, row in promoted.iterrows():
        parts = []
        for name, weight in (("mini", 1.0), ("full", 3.0)):
            reference = references[name]
            errors = np.log10([row[f"{name}_ood"], row[f"{name}_id"]])
            score = penalised_score(errors, reference)
            parts.append((weight, score - reference[0]))
        pooled = sum(w * above for w, above in parts) / 4.0
        assert proposer.told[formula][-1] == pytest.approx(references["mini"][0] + pooled)
    assert {own.formula for own in result.front} <= set(frame.index)
    assert resume(out, task=problem, proposer=Noting()).best.formula == result.best.formula
