"""Proposers: anything with ``ask`` and ``tell``; the engine does not care how they think."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symact.errors import SymactError, choices
from symact.expr import Expr
from symact.proposers.base import REFUSED, AbstractProposer, Proposal, Proposer, Told
from symact.proposers.evolution import Evolution

if TYPE_CHECKING:
    from symact.grammar import Grammar

__all__ = [
    "REFUSED",
    "AbstractProposer",
    "Evolution",
    "Proposal",
    "Proposer",
    "Told",
    "adapt",
    "enumerate_all",
    "gp",
    "make",
    "process",
    "random",
    "replay",
]

#: What :func:`make` knows; the last two are followed by a file or a command.
PROPOSERS = ("gp", "random", "enumerate", "replay:", "exec:")


def is_known(text: str) -> bool:
    """Whether a text names a proposer, without looking for its file or command."""
    return any(text == name or (name[-1] == ":" and text.startswith(name)) for name in PROPOSERS)


def gp(
    grammar: Grammar,
    *,
    seed: int,
    evolution: Evolution | None = None,
    seeds: Sequence[Expr] = (),
) -> AbstractProposer:
    """Return typed genetic programming over a grammar.

    Args:
        grammar: What may be proposed.
        seed: The same seed and the same answers give the same proposals.
        evolution: Its parts and their sizes; None for the default.
        seeds: Functions to start from; those that are no sentences are left out.
    """
    from symact.proposers.genetic import GeneticProposer

    return GeneticProposer(grammar, seed, evolution or Evolution(), tuple(seeds))


def random(grammar: Grammar, *, seed: int, seeds: Sequence[Expr] = ()) -> AbstractProposer:
    """Return the baseline: independent random sentences of a grammar, after what all begin with."""
    from symact.proposers.genetic import RandomProposer

    return RandomProposer(grammar, seed, tuple(seeds))


def enumerate_all(grammar: Grammar) -> AbstractProposer:
    """Return the exhaustive baseline: all sentences, smallest first, each function once."""
    from symact.proposers.exhaustive import Enumerator

    return Enumerator(grammar)


def replay(grammar: Grammar, path: str) -> AbstractProposer:
    """Return what another mutator proposed, from a JSON-lines file, in order."""
    from symact.proposers.recorded import Replay

    return Replay(grammar, path)


def process(grammar: Grammar, command: str) -> AbstractProposer:
    """Return a proposer behind another process; see ``docs/proposers.md``."""
    from symact.proposers.external import Process

    return Process(grammar, command)


def adapt(proposer: Proposer, grammar: Grammar) -> AbstractProposer:
    """Return an object that has ``ask`` and ``tell`` as a proposer of a search."""
    from symact.proposers.foreign import Adapted

    return proposer if isinstance(proposer, AbstractProposer) else Adapted(proposer, grammar)


def make(
    text: str, grammar: Grammar, *, seed: int, evolution: Evolution, seeds: Sequence[Expr]
) -> AbstractProposer:
    """Return the proposer a user named.

    Args:
        text: ``gp``, ``random``, ``enumerate``, ``replay:FILE`` or ``exec:COMMAND``.
        grammar: What may be proposed.
        seed: Of its random numbers, where it has any.
        evolution: Of genetic programming.
        seeds: What genetic programming and the random baseline propose first.

    Raises:
        SymactError: No such proposer, file or command.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "replay":
        return replay(grammar, rest)
    if colon and kind == "exec":
        return process(grammar, rest)
    if text == "gp":
        return gp(grammar, seed=seed, evolution=evolution, seeds=seeds)
    if text == "random":
        return random(grammar, seed=seed, seeds=seeds)
    if text == "enumerate":
        return enumerate_all(grammar)
    raise SymactError(f"unknown proposer '{text}'; {choices(text, PROPOSERS)}")
