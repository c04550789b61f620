"""The random baseline: independent random sentences of a grammar."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from symact._shared import paused_collector
from symact.errors import GrammarError
from symact.expr import Expr, parse, show
from symact.grammar import Grammar
from symact.proposers.base import AbstractProposer, EvaluatedProposal, Proposal
from symact.proposers.trees import Trees

#: Draws at one maximal height before :func:`sentence` lowers it, and the number of heights.
_DRAWS, _HEIGHTS = 40, 10
#: Largest height that is drawn first; the grammar's depth limit may be lower.
_TALLEST = 7


class RandomProposer(AbstractProposer):
    """Propose the seeds, then independent random sentences. Results are ignored.

    Args:
        grammar: Grammar of the proposals.
        seed: Seed of the random numbers.
        seeds: Functions to propose first. Those outside the grammar are skipped.

    Example:
        >>> from symact import Grammar
        >>> proposer = RandomProposer(Grammar.load("pointwise"), seed=0)
        >>> [proposal.origin for proposal in proposer.ask(2)]
        ['random', 'random']
    """

    def __init__(self, grammar: Grammar, *, seed: int, seeds: Sequence[Expr] = ()) -> None:
        self._rng = random.Random(seed)
        self._trees = Trees(grammar, self._rng)
        self._inputs = tuple(grammar.terminals)
        self._seeds = sentences_of(grammar, seeds)

    @property
    def looks_ahead(self) -> bool:
        return True

    def ask(self, count: int) -> list[Proposal]:
        first = [Proposal(expr, "seed") for expr in self._seeds[:count]]
        self._seeds = self._seeds[count:]
        missing = range(count - len(first))
        with paused_collector:
            return first + [Proposal(sentence(self._trees), "random") for _ in missing]

    def tell(self, results: Sequence[EvaluatedProposal]) -> None:
        """Ignore the results."""

    def state(self) -> dict[str, Any]:
        return {"random": dump_rng(self._rng), "seeds": [show(expr) for expr in self._seeds]}

    def restore(self, state: dict[str, Any]) -> None:
        load_rng(self._rng, state["random"])
        self._seeds = [parse(text, self._inputs) for text in state["seeds"]]


def dump_rng(rng: random.Random) -> list[Any]:
    """Return the state of a generator as JSON values."""
    version, numbers, gauss = rng.getstate()
    return [version, list(numbers), gauss]


def load_rng(rng: random.Random, stored: Sequence[Any]) -> None:
    """Set a generator to a state from :func:`dump_rng`."""
    version, numbers, gauss = stored
    rng.setstate((version, tuple(numbers), gauss))


def sentences_of(grammar: Grammar, exprs: Sequence[Expr]) -> list[Expr]:
    """Return the expressions that the grammar can derive."""
    return [expr for expr in exprs if grammar.derive(expr) is not None]


def sentence(trees: Trees) -> Expr:
    """Draw a random sentence within the grammar's limits.

    Raises:
        GrammarError: All draws exceeded a limit, even at the smallest height.
    """
    tallest = min(trees.grammar.limits.depth, _TALLEST)
    for attempt in range(_HEIGHTS * _DRAWS):
        # Narrow limits may exclude tall sentences: lower the height step by step.
        height = max(2, trees.rng.randint(2, tallest) - attempt // _DRAWS)
        made = trees.parts(trees.grow(height))[0]
        if trees.fits(made):
            return made.expr
    raise GrammarError(
        f"grammar '{trees.grammar.name}', key 'limits': no sentence found within all three limits; "
        f"the last one drawn was '{show(made.expr)}'"
    )
