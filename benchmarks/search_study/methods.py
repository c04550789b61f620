"""What is compared: the search, what it has to beat, and the search without one of its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from plain_gp import LAMBDA, PlainGP

from symact.engine import seed_exprs
from symact.evaluation import Plan
from symact.grammar import Grammar
from symact.proposers import Evolution, Proposer


@dataclass(frozen=True, slots=True)
class Method:
    """One way to search.

    Attributes:
        name: Of its runs and in tables.
        says: What it is, for people.
        grammar: A packaged name.
        proposer: A name that ``symact search`` knows, or what makes an object.
        plan: What differs from the plan of all.
        evolution: What differs from the default.
        seeded: Whether it begins with the seeds of the grammar.
    """

    name: str
    says: str
    grammar: str = "pointwise"
    proposer: str | Callable[[Grammar, int], Proposer] = "gp"
    plan: dict[str, Any] = field(default_factory=dict)
    evolution: dict[str, Any] = field(default_factory=dict)
    seeded: bool = True

    def arguments(self, seed: int, plan: Plan) -> dict[str, Any]:
        """Return what :func:`symact.search` takes.

        Args:
            seed: Of the run.
            plan: What all methods have in common.
        """
        own, grammar = self.proposer, Grammar.load(self.grammar)
        if not self.seeded:
            grammar = replace(grammar, seeds=())
        return {
            "grammar": grammar,
            "proposer": own if isinstance(own, str) else own(grammar, seed),
            "plan": replace(plan, **self.plan),
            "evolution": Evolution(**self.evolution),
            "seed": seed,
        }


def _plain_gp(grammar: Grammar, seed: int) -> Proposer:
    return PlainGP(grammar, seed, seed_exprs(grammar))


#: Nothing but full training tells these baselines what is good.
_DIRECT = {"ladder": False}

METHODS = (
    Method("symact", "this search"),
    Method(
        "random",
        "the seeds, then random sentences, all fully trained",
        proposer="random",
        plan=_DIRECT,
    ),
    Method(
        "plain-gp",
        "DEAP's eaMuPlusLambda, all fully trained",
        proposer=_plain_gp,
        plan=_DIRECT | {"generation": LAMBDA},
    ),
    # Its literals are a choice of a few: reshaping has nothing to work with. It has no seeds.
    Method("swish", "this search, grammar of Ramachandran et al. 2017", grammar="swish"),
)

#: In runs of a few hundred candidates what happens rarely has to happen too.
_SHORT: dict[str, dict[str, Any]] = {
    "plan": {"refine_share": 0.04},
    "evolution": {"migration_every": 75},
}


def _shorter(*methods: Method) -> tuple[Method, ...]:
    return tuple(
        replace(
            method,
            plan=_SHORT["plan"] | method.plan,
            evolution=_SHORT["evolution"] | method.evolution,
        )
        for method in methods
    )


#: Shorter runs than those above, to be compared with each other: the whole, then without a part.
ABLATIONS = _shorter(
    Method("whole", "everything"),
    Method("no-seeds", "nothing to begin with", seeded=False),
    Method("no-evolution", "random proposals, the rest as it is", proposer="random"),
    Method("no-forecast", "no model of fitness", plan={"pool": 1}),
    Method("one-island", "one population", evolution={"islands": 1}),
    Method("nsga3", "NSGA-III", evolution={"selection": "nsga3"}),
    Method("lexicase", "epsilon-lexicase", evolution={"selection": "lexicase"}),
    Method("novelty", "novelty instead of age", evolution={"diversity": "novelty"}),
    Method("no-diversity", "neither age nor novelty", evolution={"diversity": "none"}),
    Method("no-archive", "no quality-diversity archive", evolution={"archive": False}),
    Method("no-reshaping", "no changes of whole functions", evolution={"reshape": False}),
    Method("no-dedupe", "equal functions are trained again", plan={"dedupe": False}),
    Method("no-tuning", "constants are not tuned in training", plan={"tune": False}),
    Method("no-pruning", "branches are not pruned", plan={"prune": False}),
    Method("one-draw", "one draw of tasks", plan={"mini_draws": 1, "full_draws": 1}),
    Method("no-lookahead", "a generation ends before the next begins", plan={"lookahead": False}),
)

BY_NAME = {method.name: method for method in (*METHODS, *ABLATIONS)}
