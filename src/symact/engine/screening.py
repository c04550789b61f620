"""Turn proposals into trials: screen them, choose by the surrogate, simplify the expressions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress

from symact.engine.trial import Trial, passed
from symact.evaluation import Outcome, Problem, Screened, Surrogate, failure
from symact.expr import Expr
from symact.proposers import REFUSED, Proposal

#: Share of a generation that is trained regardless of the prediction.
EXPLORED = 0.1
#: The outcome of a proposal that passed the screen and was not chosen.
PASSED_OVER = "passed over"
#: The distance, in a list of proposals, between the places where generations begin to explore.
_STRIDE = 7919


class Screening:
    """Screens the proposals of one search.

    Args:
        problem: The problem, which screens and simplifies functions.
        max_slope: Maximum slope of a function.
        dedupe: Whether to reject functions with the values of an earlier one.
        mirrors: Whether to reject mirror images of an earlier one too.
    """

    def __init__(self, problem: Problem, max_slope: float, *, dedupe: bool, mirrors: bool) -> None:
        self._problem = problem
        self._max_slope, self._dedupe, self._mirrors = max_slope, dedupe, mirrors
        #: The keys of all trials that were admitted.
        self._seen: set[str] = set()

    def screen(self, proposals: Sequence[Proposal], room: int | None) -> list[Trial]:
        """Screen proposals in order.

        Args:
            proposals: The answer of the proposer.
            room: Maximum number of trials that pass; None for no limit.

        Returns:
            Trials whose expressions are not written yet, see :meth:`admit`.
        """
        trials: list[Trial] = []
        here: set[str] = set()
        count = 0
        for proposal in proposals:
            if room is not None and count >= room:
                break
            trial = Trial.of(self._problem, proposal)
            if trial.outcome != REFUSED:
                self._screen(trial, proposal.expr, here)
            count += trial.passed
            trials.append(trial)
        return trials

    def _screen(self, trial: Trial, expr: Expr, here: set[str]) -> None:
        """Note the outcome of a trial; add the keys of one that passed to those of its list."""
        try:
            checked = self._screened(expr)
        except Exception as error:  # a candidate may not end a search
            trial.screened(Outcome.FAILED, "", failure(error).reason)
            return
        outcome = checked.outcome
        if outcome is Outcome.PASSED:
            is_new = checked.keys.isdisjoint(self._seen) and checked.keys.isdisjoint(here)
            if self._dedupe and not is_new:
                outcome = Outcome.DUPLICATE
            else:
                here |= checked.keys
        trial.screened(outcome, checked.fingerprint)

    def _screened(self, expr: Expr) -> Screened:
        return self._problem.screen(expr, max_slope=self._max_slope, mirrors=self._mirrors)

    def remember(self, trials: Iterable[Trial]) -> None:
        """Reject later duplicates of trials; mirror images are those of their short forms."""
        if not self._dedupe:
            return
        for trial in trials:
            self._seen.add(trial.fingerprint)
            if self._mirrors:
                with suppress(Exception):  # a candidate may not end a search
                    self._seen.add(self._screened(trial.expr).mirror_key)

    def admit(self, trials: Sequence[Trial]) -> list[Trial]:
        """Write the expressions of trials; those that passed in their short form."""
        for trial in trials:
            if trial.outcome == REFUSED:
                continue
            expr = _proposed(trial)
            if trial.passed:
                try:
                    expr = self._problem.simplify(expr, seconds=0)
                except Exception as error:  # it stays as it is
                    trial.failure = failure(error).reason
            trial.write(expr)
            if trial.passed:
                self.remember([trial])
        return list(trials)


def choose(
    trials: Sequence[Trial], surrogate: Surrogate, count: int, number: int
) -> tuple[list[Trial], Counter[str]]:
    """Keep the trials with the best predictions, and some at fixed places to learn from.

    Args:
        trials: Screened.
        surrogate: Predicts their scores.
        count: How many to keep.
        number: Of the generation.

    Returns:
        The trials in their order, and the outcomes of the others, which are forgotten: a proposer
        may propose them again.
    """
    candidates = passed(trials)
    chosen: list[Trial] = []
    if candidates:
        exprs = [_proposed(trial) for trial in candidates]
        # The first value of a tag is the island. Equal shares keep every island alive.
        islands = [trial.tag[0] if trial.tag else -1 for trial in candidates]
        best = surrogate.choose(exprs, count - round(EXPLORED * count), islands)
        # Start at another island each time, so every island has its turn.
        start = number * _STRIDE % len(candidates)
        order = (*range(start, len(candidates)), *range(start))
        others = [index for index in order if index not in best]
        kept = {*best, *others[: count - len(best)]}
        chosen = [trial for index, trial in enumerate(candidates) if index in kept]
    forgotten = Counter(trial.outcome for trial in trials)
    forgotten[PASSED_OVER] = forgotten.pop(Outcome.PASSED.value, 0) - len(chosen)
    return chosen, +forgotten


def _proposed(trial: Trial) -> Expr:
    assert trial.proposal is not None
    return trial.proposal.expr
