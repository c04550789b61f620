"""What a proposer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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
        refused: Why it is none, "" for a candidate; ``expr`` then means nothing.
        text: Of a refused one, what was proposed.
    """

    expr: Expr
    origin: str
    parents: tuple[str, ...] = ()
    refused: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a proposal.

    Attributes:
        expr: What was proposed.
        objectives: None where it was rejected on the way.
        outcome: Of the screen: ``"passed"``, ``"duplicate"``, ``"refused"`` and so on.
    """

    expr: Expr
    objectives: Objectives | None
    outcome: str = "passed"

    @property
    def refused(self) -> bool:
        """Whether it was no proposal at all."""
        return self.outcome == REFUSED


#: The outcome of a proposal that is none.
REFUSED = "refused"


class Proposer(Protocol):
    """What a search needs of a proposer that is given as an object.

    One that also has ``state`` and ``restore`` can be resumed where it was; any other one begins
    anew. ``finished`` and ``close`` are used where they are.
    """

    def ask(self, count: int) -> Iterable[Proposal | Expr | str]:
        """Return at most ``count`` candidates: proposals, expressions or formulas."""

    def tell(self, results: Sequence[Told]) -> None:
        """Take the scores of the last ones, in their order."""


class AbstractProposer(ABC):
    """Proposes candidates and learns from their scores."""

    @abstractmethod
    def ask(self, count: int) -> list[Proposal]:
        """Return at most ``count`` candidates; fewer, or none, if there are no more."""

    @abstractmethod
    def tell(self, results: Sequence[Told]) -> None:
        """Take the scores of what the last ``ask`` returned, in its order.

        A budget may end within a generation: then only the first ones are told.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs to go on as if nothing had happened, as JSON values."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take up a stored state."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will come; the search ends."""
        return False

    @property
    def trouble(self) -> list[str]:
        """What went wrong in the proposer, the latest first, for people to read."""
        return []

    def close(self) -> None:
        """Give back what it holds; the search has ended or was interrupted."""
        return None
