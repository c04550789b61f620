"""The methods that are compared as searches for a generalist.

All have the same contract: ``(problem, seconds, seed) -> Chosen``. All train with one worker for
each core, on the search draws of the problem, and choose on its validation draws.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from contest import Chosen, Method
from former import FormerProblem
from ladder import known_functions
from trainings import Trainings

import symact
from symact.engine.budget import Budget
from symact.evaluation import Plan, Problem
from symact.expr import Expr, parse, show
from symact.grammar import Grammar
from symact.proposers import Evolution

# The textbook baseline is that of the study of the search.
sys.path.append(str(Path(__file__).resolve().parents[1] / "search_study"))
from methods import BY_NAME

#: The published functions of a language model (arXiv 2602.05688), in the language of the grammar.
#: exp(-0.2*x**2) is a Gaussian of a scaled input. Batch statistics are those of a standard normal
#: distribution: mean 0, standard deviation 1.
PUBLISHED = (
    "GELUSine",
    "GELU-Sinc-Perturbation",
    "tanh(1.5*x)*gaussian(0.4472136*x) + 0.1*x",
    "log1p(0.5*relu(x)) - log1p(0.5*relu(-x)) + 0.2*gaussian(0.7071068*x)*sin(2*x)",
    "log1p(relu(x)) - log1p(relu(-x)) + 0.2*gaussian(0.7071068*x)*sin(2*x)",
)

#: The plan of searches that start from the seeds of their grammar alone.
OWN_START = Plan(start="seeds")
#: Number of functions that are judged on the validation draws, as in a search.
FINALISTS = Plan().finalists
#: Initial standard deviation of CMA-ES, and significant digits of constants.
SIGMA, DIGITS = 0.3, 4
#: Share of the time in which known functions are mini-trained.
RANKING_SHARE = 1 / 3


def search(problem: Problem, seconds: float, seed: int, **changes: Any) -> Chosen:
    """Search with symact; the budget is the time."""
    began = time.monotonic()
    result = symact.search(task=problem, budget=Budget(seconds=seconds), seed=seed, **changes)
    trained = {
        name: count for name, count in result.counts.items() if name not in ("seen", "screened")
    }
    final = result.costs.get(result.fidelity, {}).get("candidates", 0)
    evaluations = trained | {result.fidelity: int(final)}
    return Chosen(result.best.formula, evaluations, time.monotonic() - began)


def random_proposals(problem: Problem, seconds: float, seed: int) -> Chosen:
    """Search among random functions without a surrogate, so every proposal is trained."""
    plan = replace(Plan(), pool=1, surrogate_after=sys.maxsize)
    return search(problem, seconds, seed, proposer="random", plan=plan)


def plain_deap(problem: Problem, seconds: float, seed: int) -> Chosen:
    """Search with genetic programming as DEAP has it; every function is fully trained."""
    return search(problem, seconds, **BY_NAME["plain-gp"].arguments(seed, Plan()))


def former(problem: Problem, seconds: float, seed: int) -> Chosen:
    """Search with symact on the former fitness, whatever the problem."""
    return search(FormerProblem(), seconds, seed, plan=OWN_START)


def replay(problem: Problem, seconds: float, seed: int) -> Chosen:
    """Search with symact from the published functions of a language model."""
    grammar = replace(Grammar.load("pointwise"), seeds=PUBLISHED)
    return search(problem, seconds, seed, grammar=grammar, plan=OWN_START)


def evolve_constants(
    template: str, start: Mapping[str, float], problem: Problem, seconds: float, seed: int
) -> Chosen:
    """Tune the constants of a formula with CMA-ES; every function is fully trained.

    The fitness of a generation is measured on one draw. Draws are taken in turn. The finalists are
    the mean of the distribution and the best functions.

    Args:
        template: The formula with the names of constants.
        start: The first mean of each constant.
        problem: What the function is for.
        seconds: The time.
        seed: Of the search draws and of CMA-ES.
    """
    from cma import CMAEvolutionStrategy

    rng = np.random.default_rng(seed)
    options = {
        "verbose": -9,
        "seed": float("nan"),  # not the global generator
        "randn": lambda *shape: rng.standard_normal(shape),
    }
    strategy = CMAEvolutionStrategy(list(start.values()), SIGMA, options)
    formula = partial(_with_constants, template, tuple(start))
    with closing(Trainings(problem, seconds, seed)) as trainings:
        highest = trainings.ladder.fidelities[-1].name
        end, best = trainings.finals_end(FINALISTS), dict[Expr, float]()
        while True:
            began = trainings.seconds
            asked = strategy.ask()
            exprs = [formula(point) for point in asked]
            above = trainings.above(highest, exprs, strategy.countiter)
            strategy.tell(asked, above)
            best |= dict(zip(exprs, above, strict=True))
            # A search is over when less than half a step is left.
            if strategy.stop() or trainings.left(end) < (trainings.seconds - began) / 2:
                break
        order = sorted(best, key=best.__getitem__)
        finalists = dict.fromkeys([formula(strategy.mean), *order])
        return choose(trainings, list(finalists)[:FINALISTS])


def _with_constants(template: str, names: tuple[str, ...], values: Any) -> Expr:
    constants = {
        name: f"({float(value):.{DIGITS}g})" for name, value in zip(names, values, strict=True)
    }
    return parse(template.format(**constants))


def best_known(
    functions: Callable[[], Mapping[str, Expr]], problem: Problem, seconds: float, seed: int
) -> Chosen:
    """Return the best of known functions without a search.

    All are mini-trained, on as many draws as a third of the time allows. They are judged on the
    validation draws as time allows, the best by mini-training first.

    Args:
        functions: Returns the functions.
        problem: What the function is for.
        seconds: The time.
        seed: Of the search draws.
    """
    exprs = list(functions().values())
    with closing(Trainings(problem, seconds, seed)) as trainings:
        lowest = trainings.ladder.fidelities[0]
        end, step = trainings.started + RANKING_SHARE * seconds, 0.0
        total = np.zeros(len(exprs))
        for draw in range(lowest.draws):
            began = trainings.seconds
            if draw and trainings.left(end) < step:
                break
            total += trainings.above(lowest.name, exprs, draw)
            step = trainings.seconds - began
        order = np.argsort(total, kind="stable")
        return choose(trainings, [exprs[place] for place in order])


def choose(trainings: Trainings, exprs: Sequence[Expr]) -> Chosen:
    """Return the best of functions by the validation draws, in its short form."""
    best = trainings.ladder.problem.simplify(trainings.choose(exprs), seconds=0)
    return Chosen(show(best), dict(trainings.counts), trainings.seconds)


METHODS = (
    Method("symact", "the search", search),
    Method(
        "trained",
        "the search with trained parameters",
        partial(search, grammar="pointwise-trained"),
    ),
    Method("random", "random functions, no surrogate", random_proposals),
    Method("plain-deap", "DEAP's eaMuPlusLambda, all fully trained", plain_deap),
    Method("former", "the search on the networks and families of protocol 1.0", former),
    Method(
        "cma-silu",
        "CMA-ES on four constants",
        partial(
            evolve_constants,
            "{a}*silu({b}*x + {c}) + {d}*x",
            {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0},
        ),
    ),
    Method(
        "cma-swish",
        "CMA-ES on two constants",
        partial(evolve_constants, "{a}*x*sigmoid({b}*x)", {"a": 1.0, "b": 1.0}),
    ),
    Method("zoo", "the best of 40 known functions", partial(best_known, known_functions)),
    Method("replay", "the search from published functions of a language model", replay),
)


def _without(name: str, says: str, **changes: dict[str, Any]) -> Method:
    """Return the search with other settings of its plan or of genetic programming."""
    settings = {"plan": Plan, "evolution": Evolution}
    made = {part: settings[part](**values) for part, values in changes.items()}
    return Method(name, says, partial(search, **made))


#: The search without one of its parts.
ABLATIONS = (
    Method("no-evolution", "random proposals, with surrogate", partial(search, proposer="random")),
    _without("no-surrogate", "no model of fitness", plan={"pool": 1}),
    _without("seeds-alone", "known functions are no start", plan={"start": "seeds"}),
    _without("no-refinement", "neither tuning nor pruning", plan={"refine_share": 0.0}),
    _without("no-tuning", "constants are not tuned in training", plan={"tune": False}),
    _without("no-pruning", "branches are not pruned", plan={"prune": False}),
    _without("one-draw", "one draw of mini-training", plan={"mini_draws": 1}),
    _without("mirrors", "mirror images are trained too", plan={"dedupe_mirrors": False}),
    _without("one-island", "one population", evolution={"islands": 1}),
    _without("no-diversity", "no age objective", evolution={"diversity": "none"}),
    _without("no-archive", "no archive of behaviours", evolution={"archive": False}),
    _without("no-reshaping", "no changes of whole functions", evolution={"reshape": False}),
    _without("lexicase", "epsilon-lexicase selection", evolution={"selection": "lexicase"}),
)
