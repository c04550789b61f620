"""Small searches and a small comparison that many tests share."""

from __future__ import annotations

from dataclasses import replace

from symact.engine import resume, search
from symact.engine.result import load
from symact.evaluation import ActivationProblem, Plan
from symact.grammar import Grammar
from symact.proposers import Evolution
from symact.reporting.comparison import compare
from symact.reporting.report import write_report
from symact.tasks import task
from symact.tasks.protocol import QUICK_FORM
from symact.tasks.protocol2 import QUICK


class ShortTraining(ActivationProblem):
    """The usual search, whose networks have eight units and train for 40 steps.

    The training takes a tenth of the time. What a test says about the search does not depend on it.
    """

    def fidelities(self, plan):
        return tuple(
            replace(own, networks=tuple(map(shortened, own.networks[:2])))
            for own in super().fidelities(plan)
        )

    def final_fidelity(self, plan):
        own = super().final_fidelity(plan)
        return replace(own, networks=tuple(map(shortened, own.networks[:1])), rates=(1e-2, 3e-2))


def shortened(training):
    return replace(training, width=8, steps=40, points=32)


SHORT = ShortTraining(task("polynomial"))
#: A plan of seconds.
TINY = Plan(
    mini_networks=2,
    mini_draws=2,
    full_networks=1,
    full_draws=2,
    full_share=0.1,
    refine_share=0.05,
    generation=8,
    finalists=2,
    selection_networks=1,
)
#: For runs whose choice of the best does not matter.
BRIEF = replace(TINY, finalists=1)
SMALL = Evolution(population=16, islands=2, migration_every=20)
#: Six functions: tanh, sin, and the four of one in the other.
SIX = Grammar.parse('name = "six"\n[productions]\ntanh = 1\nsin = 1\n[limits]\nnodes = 3')

#: Every fidelity, the surrogate, tuning, pruning and simplification, several times each.
ARGUMENTS = {
    "grammar": "pointwise",
    "task": SHORT,
    "budget": 40,
    "seed": 5,
    "plan": replace(
        TINY, generation=6, full_share=0.2, refine_share=0.08, pool=6, surrogate_after=18
    ),
    "evolution": SMALL,
    "threads": 1,
}


def judge(run):
    """Judge what a run found beside two known functions, on few instances."""
    form = replace(QUICK_FORM, sizes=((8, 2),), steps=200, per_family=2)
    return compare(run, "ReLU", "SiLU", form=form, best=2)


def judge_and_report(run):
    """Do so and write what users read into the run."""
    write_report(load(run), judge(run), run)


def run(out=None, **changes):
    """Search for a second and return the result."""
    arguments = {"grammar": "pointwise", "task": SHORT, "budget": 30, "seed": 3}
    return search(**{**arguments, "out": out, "plan": TINY, "evolution": SMALL, **changes})


def go_on(folder, **changes):
    """Resume what `run` began."""
    return resume(folder, **{"task": SHORT, **changes})


#: A judgement by protocol 2.0 of milliseconds: four families with one tiny network each.
ONE_CELL = replace(
    QUICK,
    name="tiny",
    families=4,
    cells=1,
    width=4,
    steps=4,
    points=32,
    judged_points=32,
    rates=(1e-2,),
)
