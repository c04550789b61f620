"""The exhaustive baseline: all sentences of a grammar, smallest first, each function once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symact.expr import Expr
from symact.expr.cost import flops
from symact.grammar import Grammar
from symact.grammar.enumeration import Enumeration
from symact.proposers.base import AbstractProposer, Proposal, Told


class Enumerator(AbstractProposer):
    """Proposes what an enumeration finds, in its order; learns nothing.

    Sentences above the grammar's limits are left out. Where the enumeration ends, because the
    grammar does or for its own limit, it proposes nothing more.

    Args:
        grammar: What may be proposed; its literals are those of
            :func:`symact.grammar.default_constants`.
    """

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._found = Enumeration(grammar)
        self._place = 0

    def ask(self, count: int) -> list[Proposal]:
        proposals: list[Proposal] = []
        while len(proposals) < count:
            if self._place >= len(self._found):
                self._found.extend(nodes=self._grammar.limits.nodes, sentences=self._place + count)
                if self._place >= len(self._found):
                    break
            self._place += 1
            expr = self._found.sentence(self._place).expr
            if self._fits(expr):
                proposals.append(Proposal(expr, "enumerated"))
        return proposals

    def _fits(self, expr: Expr) -> bool:
        limits = self._grammar.limits
        return (
            expr.size <= limits.nodes and expr.depth <= limits.depth and flops(expr) <= limits.flops
        )

    @property
    def looks_ahead(self) -> bool:
        return True

    def tell(self, results: Sequence[Told]) -> None:
        """Take no notice."""

    def state(self) -> dict[str, Any]:
        return {"place": self._place}

    def restore(self, state: dict[str, Any]) -> None:
        self._place = state["place"]
        self._found.extend(sentences=self._place)
