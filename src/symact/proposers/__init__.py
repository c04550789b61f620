"""Proposers: sources of candidates with the methods ``ask`` and ``tell``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from symact.errors import SymactError, choices
from symact.expr import Expr
from symact.proposers.base import (
    REFUSED,
    AbstractProposer,
    EvaluatedProposal,
    Proposal,
    Proposer,
)
from symact.proposers.evolution import Evolution

if TYPE_CHECKING:
    from symact.grammar import Grammar
    from symact.proposers.enumeration import EnumerationProposer
    from symact.proposers.genetic import GeneticProposer
    from symact.proposers.process import ProcessProposer
    from symact.proposers.random import RandomProposer
    from symact.proposers.replay import ReplayProposer

__all__ = [
    "REFUSED",
    "AbstractProposer",
    "EnumerationProposer",
    "EvaluatedProposal",
    "Evolution",
    "GeneticProposer",
    "ProcessProposer",
    "Proposal",
    "Proposer",
    "RandomProposer",
    "ReplayProposer",
    "adapt",
    "make_proposer",
]

#: Forms of the texts that :func:`make_proposer` accepts. A file or a command follows the colon.
PROPOSERS = ("gp", "random", "enumerate", "replay:", "exec:")

#: Modules of the classes. They are imported on first use.
_HOMES = {
    "EnumerationProposer": "symact.proposers.enumeration",
    "GeneticProposer": "symact.proposers.genetic",
    "ProcessProposer": "symact.proposers.process",
    "RandomProposer": "symact.proposers.random",
    "ReplayProposer": "symact.proposers.replay",
}
#: Deprecated names and their replacements.
_RENAMED = {
    "Told": "EvaluatedProposal",
    "enumerate_all": "EnumerationProposer",
    "gp": "GeneticProposer",
    "make": "make_proposer",
}


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        new = _RENAMED[name]
        warnings.warn(
            f"symact.proposers.{name} is deprecated; use symact.proposers.{new}",
            DeprecationWarning,
            stacklevel=2,
        )
        return globals()[new] if new in globals() else __getattr__(new)
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'symact.proposers' has no attribute '{name}'")


def is_known(text: str) -> bool:
    """Return whether a text names a proposer. Its file or command need not exist.

    Example:
        >>> is_known("replay:proposals.jsonl"), is_known("gpp")
        (True, False)
    """
    return any(text == name or (name[-1] == ":" and text.startswith(name)) for name in PROPOSERS)


def adapt(proposer: Proposer, grammar: Grammar) -> AbstractProposer:
    """Adapt an object with ``ask`` and ``tell`` to a proposer of a search.

    Args:
        proposer: The object. An :class:`AbstractProposer` is returned unchanged.
        grammar: Grammar whose limits apply.
    """
    from symact.proposers.foreign import AdaptedProposer

    return (
        proposer if isinstance(proposer, AbstractProposer) else AdaptedProposer(proposer, grammar)
    )


def make_proposer(
    text: str,
    grammar: Grammar,
    *,
    seed: int = 0,
    evolution: Evolution | None = None,
    seeds: Sequence[Expr] = (),
) -> AbstractProposer:
    """Return the proposer that a text names.

    Args:
        text: ``"gp"``, ``"random"``, ``"enumerate"``, ``"replay:FILE"`` or ``"exec:COMMAND"``.
        grammar: Grammar of the proposals. ``replay`` and ``exec`` use only its limits.
        seed: Seed of the random numbers of ``gp`` and ``random``.
        evolution: Settings of ``gp``; None for the default.
        seeds: Functions that ``gp`` and ``random`` propose first.

    Raises:
        SymactError: There is no such proposer, file or command.

    Example:
        >>> from symact import Grammar
        >>> proposer = make_proposer("enumerate", Grammar.load("swish"))
        >>> [str(proposal.expr) for proposal in proposer.ask(3)]
        ['x*x', 'x + x', 'x - x']
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "replay":
        from symact.proposers.replay import ReplayProposer

        return ReplayProposer(grammar, rest)
    if colon and kind == "exec":
        from symact.proposers.process import ProcessProposer

        return ProcessProposer(grammar, rest)
    if text == "gp":
        from symact.proposers.genetic import GeneticProposer

        return GeneticProposer(grammar, seed=seed, evolution=evolution, seeds=seeds)
    if text == "random":
        from symact.proposers.random import RandomProposer

        return RandomProposer(grammar, seed=seed, seeds=seeds)
    if text == "enumerate":
        from symact.proposers.enumeration import EnumerationProposer

        return EnumerationProposer(grammar)
    raise SymactError(f"unknown proposer '{text}'; {choices(text, PROPOSERS)}")
