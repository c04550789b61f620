"""What is under way: proposals that were screened, and the training of those that passed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from symact.evaluation import Outcome, Trained
from symact.expr import Expr, parse, show
from symact.expr.cost import flops
from symact.proposers import Proposal
from symact.storage.database import Candidate


@dataclass(frozen=True, slots=True)
class Opened:
    """A proposal that was screened; it gets its number when its generation is complete."""

    proposal: Proposal
    formula: str
    fingerprint: str
    outcome: str
    flops: int
    nodes: int
    #: Why it failed in the screen, "" where it did not.
    failure: str = ""
    #: What the formula says; None where it was read.
    _expr: Expr | None = field(default=None, repr=False, compare=False)

    def written(self, expr: Expr) -> Opened:
        """Return it with the expression that it will be trained and known as."""
        return replace(self, formula=show(expr), flops=flops(expr), nodes=expr.size, _expr=expr)

    @property
    def trained(self) -> Expr:
        """What is trained of it."""
        return self._expr if self._expr is not None else parse(self.formula)

    def dump(self) -> list[Any]:
        p = self.proposal
        own = [show(p.expr), p.origin, list(p.parents), p.refused, p.text, list(p.tag)]
        mark = [self.formula, self.fingerprint, self.outcome, self.flops, self.nodes]
        return [*own, *mark, self.failure]

    @classmethod
    def load(cls, stored: Sequence[Any]) -> Opened:
        formula, origin, parents, refused, text, tag, *rest = stored
        proposal = Proposal(parse(formula), origin, tuple(parents), refused, text, tuple(tag))
        return cls(proposal, *rest)

    def numbered(self, number: int, generation: int) -> Candidate:
        refused = self.proposal.refused
        return Candidate(
            id=number,
            formula=self.formula,
            fingerprint=self.fingerprint,
            origin=f"{self.proposal.origin}: {refused}" if refused else self.proposal.origin,
            parents=self.proposal.parents,
            generation=generation,
            outcome=self.outcome,
            flops=self.flops,
            nodes=self.nodes,
            tag=self.proposal.tag,
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """Proposals under way: those that passed the screen train on the lowest rung.

    Attributes:
        number: Of the generation; it says which draw of tasks is trained on.
        opened: The proposals.
        futures: The training of those that passed.
        is_refined: Whether they are variants of others and not asked for.
    """

    number: int
    opened: tuple[Opened, ...]
    futures: tuple[Future[Trained], ...]
    is_refined: bool = False

    def trained(self) -> list[Trained]:
        """Wait for the results of those that passed."""
        return [future.result() for future in self.futures]

    @property
    def passed(self) -> list[Opened]:
        return [one for one in self.opened if one.outcome == Outcome.PASSED]

    def cut(self, room: int | None) -> Generation:
        """Leave out what a budget, which a resumed run may have anew, has no room for."""
        places = [p for p, one in enumerate(self.opened) if one.outcome == Outcome.PASSED]
        if room is None or len(places) <= room:
            return self
        return replace(self, opened=self.opened[: places[room]], futures=self.futures[:room])
