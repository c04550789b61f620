"""A trial: one candidate of a search, from its proposal to its results."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from symact.errors import SymactError
from symact.evaluation import Outcome, Problem, failure
from symact.expr import Expr, show, var, variables
from symact.expr.cost import flops
from symact.proposers import REFUSED, Proposal
from symact.storage.records import Candidate, PendingTrial

#: Maximum number of stored characters of a malformed proposal.
_KEPT = 300
#: The parser reads all expressions of this depth.
_SURELY_READABLE = 50


class TrialState(enum.Enum):
    """The state of a trial."""

    PROPOSED = "proposed"
    #: It was refused or screened out; ``Trial.outcome`` is the reason.
    REJECTED = "rejected"
    #: It passed the screen.
    SCREENED = "screened"
    #: It trains at the lowest fidelity.
    RUNNING = "running"
    #: It has a result and waits for a promotion.
    EVALUATED = "evaluated"
    #: It was chosen for a higher fidelity.
    PROMOTED = "promoted"
    #: Its training failed; it counts as diverged.
    FAILED = "failed"


class Evaluation(NamedTuple):
    """The result of a trial at one fidelity.

    Attributes:
        fidelity: The name of the fidelity.
        ood: OOD error, in log10.
        id_error: ID error, in log10.
        cases: OOD error of each task family relative to the baselines, in log10, in the order of
            the family names.
    """

    fidelity: str
    ood: float
    id_error: float
    cases: tuple[float, ...]


@dataclass(slots=True, eq=False)
class Trial:
    """A candidate with its origin, its state and its results.

    A search keeps a million of them. Therefore :meth:`settle` drops what a stored trial rarely
    needs again, and :attr:`expr` is read from the formula where it was dropped.

    Attributes:
        problem: It reads formulas and tells behaviours.
        formula: The text of the expression; of a refused proposal, the text that was proposed.
        outcome: Of the screen.
        fingerprint: Of its values; empty where they are not finite.
        flops: Operations of one evaluation.
        nodes: Nodes of the expression.
        tag: JSON values that its proposer gets back with the result.
        id: Counts from 1 in the order of proposal; 0 until its generation is closed.
        generation: The number of its generation.
        state: How far it has come.
        results: By fidelity, the lowest first.
        proposal: The expression as it was proposed, its origin and parents; None once settled.
        failure: Why screening or simplifying failed; empty where it did not.
    """

    problem: Problem
    formula: str = ""
    outcome: str = ""
    fingerprint: str = ""
    flops: int = 0
    nodes: int = 0
    tag: tuple[int, ...] = ()
    id: int = 0
    generation: int = 0
    state: TrialState = TrialState.PROPOSED
    results: tuple[Evaluation, ...] = ()
    proposal: Proposal | None = None
    failure: str = ""
    _expr: Expr | None = None
    _behaviour: str | None = None

    @classmethod
    def of(cls, problem: Problem, proposal: Proposal) -> Trial:
        """Return the trial of a proposal that is not screened yet."""
        if proposal.refused:
            trial = cls(problem, proposal.text, REFUSED, tag=proposal.tag, proposal=proposal)
            trial.state = TrialState.REJECTED
            return trial
        return cls(problem, tag=proposal.tag, proposal=proposal)

    @classmethod
    def stored(cls, problem: Problem, row: Candidate) -> Trial:
        """Return the settled trial of a row that passed the screen."""
        return cls(
            problem,
            row.formula,
            row.outcome,
            row.fingerprint,
            row.flops,
            row.nodes,
            row.tag,
            row.id,
            row.generation,
            TrialState.SCREENED,
        )

    @classmethod
    def pending(cls, problem: Problem, row: PendingTrial) -> Trial:
        """Return a trial whose generation was under way when it was stored."""
        tag = tuple(row.tag)
        expr = _readable(problem, row.proposed)
        proposal = Proposal(expr, row.origin, tuple(row.parents), row.refused, row.text, tag)
        trial = cls(problem, row.formula, row.outcome, row.fingerprint, row.flops, row.nodes, tag)
        trial.proposal = proposal
        is_passed = row.outcome == Outcome.PASSED
        trial.state = TrialState.SCREENED if is_passed else TrialState.REJECTED
        trial.failure = row.failure
        return trial

    @property
    def passed(self) -> bool:
        """Whether it passed the screen."""
        return self.outcome == Outcome.PASSED

    @property
    def expr(self) -> Expr:
        """The expression in its short form, which is trained."""
        if self._expr is None:
            self._expr = self.problem.parse(self.formula)
        return self._expr

    @property
    def behaviour(self) -> str:
        """The key of its behaviour, for diversity; empty where it cannot be computed."""
        if self._behaviour is None:
            try:
                self._behaviour = self.problem.kind(self.expr)
            except Exception:  # a candidate may not end a search
                self._behaviour = ""
        return self._behaviour

    def screened(self, outcome: Outcome, fingerprint: str, failure: str = "") -> None:
        """Note the outcome of the screen."""
        self.outcome, self.fingerprint, self.failure = outcome.value, fingerprint, failure
        self.state = TrialState.SCREENED if self.passed else TrialState.REJECTED

    def write(self, expr: Expr) -> None:
        """Set the expression that it is trained and known as.

        A trial whose expression has no text, or none that can be read, is rejected: it could not
        be stored.
        """
        try:
            self.formula, self.flops, self.nodes = show(expr), flops(expr), expr.size
            if expr.depth > _SURELY_READABLE or variables(expr) != self.problem.variables:
                self.problem.parse(self.formula)
        except Exception as error:  # a proposer's object may be no expression at all
            self.formula = _text(expr)
            self.screened(Outcome.FAILED, "", failure(error).reason)
        else:
            self._expr = expr

    def result(self, fidelity: str) -> Evaluation | None:
        """Return its result on a fidelity; None where it has none."""
        return next((own for own in self.results if own.fidelity == fidelity), None)

    def settle(self) -> None:
        """Drop the proposal and the tree of the expression, once both are stored as text."""
        self.proposal = self._expr = None

    def candidate(self) -> Candidate:
        """Return the row that is stored of a trial that has its id."""
        proposal = self._proposed()
        refused = proposal.refused
        return Candidate(
            id=self.id,
            formula=self.formula,
            fingerprint=self.fingerprint,
            origin=f"{proposal.origin}: {refused}" if refused else proposal.origin,
            parents=proposal.parents,
            generation=self.generation,
            outcome=self.outcome,
            flops=self.flops,
            nodes=self.nodes,
            tag=self.tag,
        )

    def pending_row(self) -> PendingTrial:
        """Return the stored record of a trial of a pending generation."""
        proposal = self._proposed()
        return PendingTrial(
            _text(proposal.expr),
            proposal.origin,
            list(proposal.parents),
            proposal.refused,
            proposal.text,
            list(self.tag),
            self.formula,
            self.fingerprint,
            self.outcome,
            self.flops,
            self.nodes,
            self.failure,
        )

    def _proposed(self) -> Proposal:
        assert self.proposal is not None, "settled trials are stored already"
        return self.proposal


def _text(expr: Expr) -> str:
    """Return the text of a proposal, which may be no expression."""
    for write in (show, repr):
        try:
            text = write(expr)[:_KEPT] if write is repr else write(expr)
        except Exception:
            continue
        return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    return f"<{type(expr).__name__}>"


def _readable(problem: Problem, formula: str) -> Expr:
    """Return the expression of a text; a variable where a proposer gave no expression."""
    try:
        return problem.parse(formula)
    except SymactError:
        return var(problem.variables[0])


def passed(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that passed the screen."""
    return [trial for trial in trials if trial.passed]
