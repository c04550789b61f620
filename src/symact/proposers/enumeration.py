"""The exhaustive baseline: all sentences of a grammar, smallest first, each function once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symact.expr import Expr
from symact.expr.cost import flops
from symact.grammar import Grammar
from symact.grammar.enumeration import Enumeration
from symact.proposers.base import AbstractProposer, EvaluatedProposal, Proposal


class EnumerationProposer(AbstractProposer):
    """Propose the sentences of an enumeration in its order. Results are ignored.

    Sentences above the grammar's limits are skipped. ``ask`` returns an empty list when the
    enumeration ends.

    Args:
        grammar: Grammar of the proposals. Literals are those of
            :func:`symact.grammar.default_constants`.

    Example:
        >>> from symact import Grammar
        >>> proposer = EnumerationProposer(Grammar.load("swish"))
        >>> [str(proposal.expr) for proposal in proposer.ask(3)]
        ['x*x', 'x + x', 'x - x']
    """

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._enumeration = Enumeration(grammar)
        self._index = 0

    def ask(self, count: int) -> list[Proposal]:
        proposals: list[Proposal] = []
        while len(proposals) < count and self._has_next(count):
            self._index += 1
            expr = self._enumeration.sentence(self._index).expr
            if self._fits(expr):
                proposals.append(Proposal(expr, "enumerated"))
        return proposals

    def _has_next(self, count: int) -> bool:
        """Extend the enumeration by ``count`` sentences if all known ones were proposed."""
        if self._index >= len(self._enumeration):
            nodes = self._grammar.limits.nodes
            self._enumeration.extend(nodes=nodes, sentences=self._index + count)
        return self._index < len(self._enumeration)

    def _fits(self, expr: Expr) -> bool:
        limits = self._grammar.limits
        return (
            expr.size <= limits.nodes and expr.depth <= limits.depth and flops(expr) <= limits.flops
        )

    @property
    def looks_ahead(self) -> bool:
        return True

    def tell(self, results: Sequence[EvaluatedProposal]) -> None:
        """Ignore the results."""

    def state(self) -> dict[str, Any]:
        return {"place": self._index}

    def restore(self, state: dict[str, Any]) -> None:
        self._index = state["place"]
        self._enumeration.extend(sentences=self._index)
