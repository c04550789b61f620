"""Proposers: anything with ``ask`` and ``tell``; the engine does not care how they think."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symact.expr import Expr
from symact.propose._base import AbstractProposer, Proposal, Told

if TYPE_CHECKING:
    from symact.grammar import Grammar

__all__ = ["AbstractProposer", "Proposal", "Told", "enumerate_all", "gp", "random"]


def gp(
    grammar: Grammar, *, seed: int, population: int = 80, seeds: Sequence[Expr] = ()
) -> AbstractProposer:
    """Return typed genetic programming over a grammar.

    Args:
        grammar: What may be proposed.
        seed: The same seed and the same answers give the same proposals.
        population: Individuals that survive a generation.
        seeds: Functions to start from; those that are no sentences are left out.
    """
    from symact.propose._gp import GeneticProposer

    return GeneticProposer(grammar, seed, population, tuple(seeds))


def random(grammar: Grammar, *, seed: int) -> AbstractProposer:
    """Return the baseline: independent random sentences of a grammar."""
    from symact.propose._gp import RandomProposer

    return RandomProposer(grammar, seed)


def enumerate_all(grammar: Grammar) -> AbstractProposer:
    """Return the exhaustive baseline: all sentences, smallest first, each function once."""
    from symact.propose._enumerate import Enumerator

    return Enumerator(grammar)
