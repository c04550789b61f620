"""What each part of a search costs: candidates and seconds, for reports and for timetables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from symact.evaluation import Fidelity


def baselines_of(fidelity: Fidelity) -> str:
    """Return the name of the part that trains the baselines of a fidelity."""
    return f"{fidelity.name} baselines"


class Costs:
    """Candidates and seconds of each part of the work.

    Args:
        before: Of earlier sessions.
        clock: Returns seconds.
    """

    def __init__(
        self,
        before: Mapping[str, tuple[int, float]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.by_part, self._clock = dict(before), clock

    @contextmanager
    def timed(self, part: str, candidates: int = 0) -> Iterator[None]:
        """Add the seconds that are spent inside, and so many candidates, to a part."""
        start = self._clock()
        yield
        count, seconds = self.by_part.get(part, (0, 0.0))
        self.by_part[part] = (count + candidates, seconds + self._clock() - start)

    def each(self, part: str) -> float:
        """Return the seconds of one candidate in a part; 0 before the first."""
        count, seconds = self.by_part.get(part, (0, 0.0))
        return seconds / count if count else 0.0
