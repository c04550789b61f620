"""What taking results in the order of asking costs: how busy workers are, by generation and number.

A simulation of the loop's own order (one generation ahead, promotions waited for) with measured
times of training and a driver that takes none: ``symact bench order``, seconds. Without
any order all would be busy, but for the end of a run.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np

from symact.bench import Bench

#: Core-seconds of a candidate on each rung, jobs of a full training, its share (docs/search.md).
MINI, FULL, PARTS, SHARE = 0.33, 4.7, 4, 0.06
#: Standard deviation of the logarithm of a time.
SPREAD = 0.3
WORKERS = (2, 16, 128, 1024)
#: Candidates of a generation for each worker.
EACH = (1, 4, 16, 64)


def busy(workers: int, generation: int, generations: int = 60) -> float:
    """Return the share of their time that workers train."""
    rng = np.random.default_rng(0)
    free, work = [0.0] * workers, 0.0

    def end_of(times: Iterable[float], begin: float) -> float:
        nonlocal work
        end = begin
        for seconds in times:
            started = max(heapq.heappop(free), begin)
            heapq.heappush(free, started + seconds)
            work += seconds
            end = max(end, started + seconds)
        return end

    def times(mean: float, count: int) -> np.ndarray:
        return mean * rng.lognormal(-(SPREAD**2) / 2, SPREAD, count)

    now = earned = 0.0
    ahead = end_of(times(MINI, generation), 0.0)
    for _ in range(generations):
        current, ahead = ahead, end_of(times(MINI, generation), now)
        now = max(now, current)
        earned += SHARE * generation
        promoted, earned = int(earned), earned % 1.0
        jobs = np.repeat(times(FULL / PARTS, promoted), PARTS)
        now = max(now, end_of(jobs, now))
    return work / (workers * max(now, *free))


def measure(bench: Bench) -> None:
    """Simulate each number of workers with generations of several sizes."""
    for workers in WORKERS[:2] if bench.quick else WORKERS:
        shares = {f"{each} a worker": busy(workers, max(16, each * workers)) for each in EACH}
        bench.row(f"{workers} workers", **shares)


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
