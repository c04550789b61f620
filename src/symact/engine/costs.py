"""What each part of a search costs: candidates and seconds, for reports only."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Costs:
    """Candidates and seconds of each part of the work.

    Args:
        before: Of earlier sessions.
    """

    def __init__(self, before: Mapping[str, tuple[int, float]]) -> None:
        self.by_part = dict(before)

    @contextmanager
    def timed(self, part: str, candidates: int = 0) -> Iterator[None]:
        """Add the seconds that are spent inside, and so many candidates, to a part."""
        start = time.monotonic()
        yield
        count, seconds = self.by_part.get(part, (0, 0.0))
        self.by_part[part] = (count + candidates, seconds + time.monotonic() - start)
