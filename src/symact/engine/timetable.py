"""The phases of a run with a budget of time: when the search ends, and how many finalists fit.

The budget covers the whole run: data, baselines, search and finalists. The durations of a training
are measured on the baselines. A run with a budget of candidates reads no clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from symact.engine.budget import Budget, in_words
from symact.engine.costs import Costs, baselines_of
from symact.evaluation import Fidelity, Plan

T = TypeVar("T")

#: Trials that are trained on every draw at the end, for each finalist.
SEMIFINALISTS = 2
#: Largest share of a budget that is kept for what follows the search.
MOST_RESERVED = 0.15
#: Largest share of the time after the baselines that the finalists get.
FINALS_SHARE = 1 / 3
#: Time of the finals over their measured costs: the last step of a search is not cut off.
MARGIN = 1.2
#: A budget of fewer seconds has fewer draws and shorter finals, or baselines would take most of it.
SHORT = 180.0
#: The settings of a short budget.
SHORT_SETTINGS: dict[str, Any] = {"mini_draws": 4, "full_draws": 1, "start": "seeds"}
#: With a budget of fewer candidates, known functions would take too large a part of it.
FEW = 500
FEW_SETTINGS: dict[str, Any] = {"start": "seeds"}


def plan_for(budget: Budget, plan: Plan) -> Plan:
    """Return the plan of a run: with a short budget, some default settings are replaced.

    Args:
        budget: The budget at the start of the run.
        plan: The plan of the user. Settings that differ from the defaults stay.
    """
    settings: dict[str, Any] = {}
    if budget.seconds is not None and budget.seconds < SHORT:
        settings = SHORT_SETTINGS
    elif budget.candidates is not None and budget.candidates < FEW:
        settings = FEW_SETTINGS
    usual = Plan()
    changes = {
        name: value
        for name, value in settings.items()
        if getattr(plan, name) == getattr(usual, name)
    }
    return replace(plan, **changes)


@dataclass(frozen=True, slots=True)
class FinalCosts:
    """What the finals cost.

    Attributes:
        semifinalist: Seconds of a trial on the draws of the highest fidelity.
        finalist: Seconds of a trial on the validation draws.
        most: Number of finalists in the plan.
    """

    semifinalist: float = 0.0
    finalist: float = 0.0
    most: int = 1

    @classmethod
    def measured(cls, costs: Costs, highest: Fidelity, final: Fidelity, plan: Plan) -> FinalCosts:
        """Return the costs by the trainings so far. One draw of a semifinalist is known."""
        each = costs.each(baselines_of(highest)) or costs.each(highest.name)
        return cls((highest.draws - 1) * each, costs.each(final.name), plan.finalists)

    @property
    def all(self) -> float:
        """Seconds of all finalists of the plan."""
        return self.most * self._each

    def fit(self, seconds: float) -> int:
        """Return how many finalists fit a time, at least 1."""
        fitting = seconds / self._each if self._each > 0 else self.most
        return max(1, int(min(fitting, self.most)))

    @property
    def _each(self) -> float:
        return SEMIFINALISTS * self.semifinalist + self.finalist


class Timetable:
    """The time of a run.

    Args:
        budget: The budget of the run.
        reserve: Seconds of a budget of time that are kept for what follows the run, at most
            :data:`MOST_RESERVED` of the budget.
        before: Seconds of earlier sessions.
        clock: Returns seconds.
        started: Reading of the clock at the start of the session; None for now.

    Example:
        >>> table = Timetable(Budget(seconds=300), clock=lambda: 0.0)
        >>> table.plan(FinalCosts(semifinalist=1.5, finalist=3.0, most=10))
        >>> table.line
        '5 min: 3 min 48 s search, 1 min 12 s finalists'
    """

    def __init__(
        self,
        budget: Budget,
        *,
        reserve: float = 0.0,
        before: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        started: float | None = None,
    ) -> None:
        self.budget, self.clock, self._before = budget, clock, before
        self._started = clock() if started is None else started
        self._reserve = min(reserve, MOST_RESERVED * (budget.seconds or 0.0))
        self._end = float("inf") if budget.seconds is None else budget.seconds - self._reserve
        self._search_end, self._finals, self._looked = self._end, FinalCosts(), before

    @property
    def is_timed(self) -> bool:
        """Whether the budget is a time."""
        return self.budget.seconds is not None

    @property
    def spent(self) -> float:
        """Seconds of the run so far, over all sessions."""
        return self._before + self.clock() - self._started

    def plan(self, costs: FinalCosts) -> None:
        """Divide the time that is left between search and finals."""
        self._finals = costs
        self._looked = self.spent
        left = max(self._end - self._looked, 0.0)
        self._search_end = self._end - min(MARGIN * costs.all or left, FINALS_SHARE * left)

    @property
    def line(self) -> str:
        """The plan of the session, for people to read."""
        left = max((self.budget.seconds or 0.0) - self._before, 0.0)
        parts = {
            "search": max(self._search_end - self._before, 0.0),
            "finalists": self._end - self._search_end,
            "comparison": self._reserve,
        }
        shown = [
            f"{in_words(own)} {name}"
            for name, own in parts.items()
            if own >= 0.5 or name == "search"
        ]
        return f"{in_words(left)}: {', '.join(shown)}"

    def searched(self, candidates: int) -> float:
        """Return how much of the search is done, in [0, 1]; call it after each step.

        A search is over when less than half a step is left.

        Args:
            candidates: Number of candidates that were trained.
        """
        if not self.is_timed:
            return self.budget.fraction(0.0, candidates)
        now = self.spent
        step, self._looked = now - self._looked, now
        return min((now + step / 2) / self._search_end, 1.0) if self._search_end > 0 else 1.0

    @property
    def finalists(self) -> int | None:
        """How many finalists fit the time that is left; None if all of the plan do."""
        return self._finals.fit(self._end - self.spent) if self.is_timed else None

    def semifinals(self, trials: Sequence[T], together: int) -> Iterator[Sequence[T]]:
        """Yield trials to train on all draws, in groups, as many as leave time for finalists."""
        fitting = self.finalists
        if fitting is None:
            yield trials
            return
        end = self._end - fitting * self._finals.finalist
        chosen = trials[: SEMIFINALISTS * fitting]
        yield from self._groups(chosen, together, self._finals.semifinalist, end)

    def finals(self, trials: Sequence[T], together: int, least: int) -> Iterator[Sequence[T]]:
        """Yield trials to judge, in groups, as many as fit the time.

        Args:
            trials: The best first.
            together: Number of trials that train at the same time.
            least: Number of trials to judge whatever the time.
        """
        if self.is_timed:
            yield from self._groups(trials, together, self._finals.finalist, self._end, least)
        else:
            yield trials

    def _groups(
        self, trials: Sequence[T], together: int, each: float, end: float, least: int = 0
    ) -> Iterator[Sequence[T]]:
        """Yield groups; the last group tells how long the next one takes."""
        done = 0
        while done < len(trials):
            fitting = (end - self.spent) / max(each, 1e-9)
            count = int(max(min(fitting, together), least - done, 0))
            if count == 0:
                return
            began, group = self.spent, trials[done : done + count]
            yield group
            each, done = (self.spent - began) / len(group), done + len(group)
