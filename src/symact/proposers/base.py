"""The interface of a proposer: ``ask`` returns candidates, ``tell`` receives their scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from symact.expr import Expr

#: OOD error (log10), ID error (log10) and FLOPs. All are minimised.
Objectives = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate and its origin.

    Attributes:
        expr: The candidate; a placeholder if the proposal is refused.
        origin: How the candidate was made: ``"seed"``, ``"random"``, ``"crossover"``, ...
        parents: Formulas of the parents.
        refused: Reason if this is not a valid candidate; ``""`` for a valid one.
        text: The text of a refused proposal.
        tag: JSON integers that are returned to the proposer with the result.

    Example:
        >>> from symact import parse
        >>> Proposal(parse("x*tanh(x)"), "manual").refused
        ''
    """

    expr: Expr
    origin: str
    parents: tuple[str, ...] = ()
    refused: str = ""
    text: str = ""
    tag: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluatedProposal:
    """The result of a proposal.

    Attributes:
        expr: The proposed expression.
        objectives: The objectives; None if the candidate was not trained.
        outcome: Outcome of the screen: ``"passed"``, ``"duplicate"``, ``"refused"``, ...
        error: The error that ranks functions, in log10, lower is better; None if unknown.
        cases: OOD error of each task family, in log10, sorted by the family's name.
        tag: The tag of the proposal. Empty if the proposer did not propose the candidate.
    """

    expr: Expr
    objectives: Objectives | None
    outcome: str = "passed"
    error: float | None = None
    cases: tuple[float, ...] = ()
    tag: tuple[int, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the proposal was refused."""
        return self.outcome == REFUSED


#: Function that returns the OOD error, ID error and ranking error of each function, in log10. They
#: are predictions of a model of all measurements, with less noise than single measurements.
Estimate = Callable[[Sequence[Expr]], Sequence[tuple[float, float, float]]]

#: Outcome of a refused proposal.
REFUSED = "refused"


class Proposer(Protocol):
    """The methods that a search needs of a proposer object.

    Optional methods are used if they exist. ``state`` and ``restore`` let a resumed search continue
    exactly; without them the proposer starts anew. ``finished`` ends the search, and ``close``
    releases resources.
    """

    def ask(self, count: int) -> Iterable[Proposal | Expr | str]:
        """Return at most ``count`` candidates: proposals, expressions or formulas."""

    def tell(self, results: Sequence[EvaluatedProposal]) -> None:
        """Receive the results of the last candidates, in the order of the proposals."""


class AbstractProposer(ABC):
    """Base class of the proposers of this package.

    A proposer uses no global random state. Proposers in different threads do not influence each
    other.
    """

    @abstractmethod
    def ask(self, count: int) -> list[Proposal]:
        """Return at most ``count`` candidates; fewer, or none, if there are no more."""

    @abstractmethod
    def tell(self, results: Sequence[EvaluatedProposal]) -> None:
        """Receive the results of the last proposals, in the order of the proposals.

        A budget may end within a generation. Then only the first proposals have results.
        """

    def revalue(self, estimate: Estimate) -> None:
        """Replace the stored errors of known functions by new estimates. The default ignores them.

        Args:
            estimate: Returns the current estimates of functions.
        """
        return None

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the complete state as JSON values; see :meth:`restore`."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that :meth:`state` returned, with the same next proposals."""

    @property
    def finished(self) -> bool:
        """Whether there are no more proposals; the search then ends."""
        return False

    @property
    def looks_ahead(self) -> bool:
        """Whether ``ask`` may be called before the results of the last proposals are known.

        The search then prepares the next candidates while the last ones train. It may also ask for
        more candidates than it trains. Results come later, only for trained candidates, in the
        order of the proposals.
        """
        return False

    @property
    def trouble(self) -> list[str]:
        """Failures of the proposer as messages for users, the latest first."""
        return []

    def close(self) -> None:
        """Release all resources. Further calls have no effect."""
        return None
