"""What a proposer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
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
        tag: What its proposer wants to be reminded of when it is told; JSON values.
    """

    expr: Expr
    origin: str
    parents: tuple[str, ...] = ()
    refused: str = ""
    text: str = ""
    tag: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a proposal.

    Attributes:
        expr: What was proposed.
        objectives: None where it was rejected on the way.
        outcome: Of the screen: ``"passed"``, ``"duplicate"``, ``"refused"`` and so on.
        error: What functions are chosen by, in log10, low is best; None where nobody says.
        cases: OOD error of each task family, in log10, names sorted.
        tag: That of the proposal; empty for what was not asked.
    """

    expr: Expr
    objectives: Objectives | None
    outcome: str = "passed"
    error: float | None = None
    cases: tuple[float, ...] = ()
    tag: tuple[int, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether it was no proposal at all."""
        return self.outcome == REFUSED


#: Functions to (OOD error, ID error, what they are chosen by), in log10: measured values have luck
#: in them, which a model of all measurements smooths.
Estimate = Callable[[Sequence[Expr]], Sequence[tuple[float, float, float]]]

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

    def revalue(self, estimate: Estimate) -> None:
        """Take what is known by now of functions it was told of, if it keeps any."""
        return None

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
    def looks_ahead(self) -> bool:
        """Whether it may be asked for more than is judged, and before it was told of the last ones.

        That keeps all cores busy: the next candidates are ready while the last ones train. It is
        then told later, only of what was judged, but always in the order in which it was asked.
        """
        return False

    @property
    def trouble(self) -> list[str]:
        """What went wrong in the proposer, the latest first, for people to read."""
        return []

    def close(self) -> None:
        """Give back what it holds; the search has ended or was interrupted."""
        return None
