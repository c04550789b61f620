"""What a proposer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symact.expr import Expr

#: (OOD error in log10, ID error in log10, FLOPs), all minimised.
Objectives = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate and where it came from.

    Attributes:
        expr: The candidate.
        origin: ``"seed"``, ``"random"``, ``"crossover"``, ``"uniform"`` and so on.
        parents: The formulas it was made from.
    """

    expr: Expr
    origin: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a proposal; objectives are None where it was rejected on the way."""

    expr: Expr
    objectives: Objectives | None


class AbstractProposer(ABC):
    """Proposes candidates and learns from their scores."""

    @abstractmethod
    def ask(self, count: int) -> list[Proposal]:
        """Return ``count`` candidates."""

    @abstractmethod
    def tell(self, results: Sequence[Told]) -> None:
        """Take the scores of what the last ``ask`` returned, in its order."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs to go on as if nothing had happened, as JSON values."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take up a stored state."""
