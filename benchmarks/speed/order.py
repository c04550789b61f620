"""What the order of results costs: how busy workers are, by their number and the generation.

First a simulation of the order of asking (one generation ahead, promotions waited for) with
measured times of training and a driver that takes none. Then searches in both orders whose workers
sleep for such times, a quarter as long: ``symact bench order``.
"""

from __future__ import annotations

import heapq
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from symact.cli.benchmark import Bench
from symact.evaluation import Executor
from symact.evaluation.futures import done, then

sys.path.insert(0, str(Path(__file__).parent))
from _simulated import errors, timed

#: Core-seconds of a candidate at each fidelity, measured with ladder 6, and share of full training.
#: A candidate is one job, as for processes and Ray.
MINI, FULL, SHARE = 0.33, 4.7, 0.06
#: Standard deviation of the logarithm of a time.
SPREAD = 0.3
WORKERS = (2, 16, 128, 1024)
#: Candidates of a generation for each worker.
EACH = (1, 4, 16, 64)
#: What the times are multiplied by in a search whose workers sleep, and how many sleep.
FASTER, SLEEPERS = 0.25, 16


class Sleepers(Executor):
    """Workers that sleep for as long as training would take; they note who slept when."""

    def __init__(self):
        self.workers = os.cpu_count() or 1  # of this machine: how much is prepared ahead
        self.slept = []
        self._rng = np.random.default_rng(0)

    def open(self, draws, device=None):
        self._draws, self._pool = draws, ThreadPoolExecutor(SLEEPERS)

    def submit(self, job):
        result = errors(self._draws, job)
        if job.fidelity not in ("mini", "full"):
            return done(result)
        mean = MINI if job.fidelity == "mini" else FULL
        seconds = FASTER * mean * self._rng.lognormal(-(SPREAD**2) / 2, SPREAD)
        return then(self._pool.submit(self._sleep, seconds), lambda _: result)

    def _sleep(self, seconds):
        begun = time.monotonic()
        time.sleep(seconds)
        self.slept.append((begun, time.monotonic()))

    def close(self):
        self._pool.shutdown(cancel_futures=True)


def asleep(order, generation, count, pool=1):
    """Search for real; return the share of their time that workers sleep, without begin and end."""
    executor = Sleepers()
    # No refining: here it takes no time.
    changes = {"generation": generation, "order": order, "refine_share": 0.0, "pool": pool}
    timed(count, "gp", executor=executor, **changes)
    slept = sorted(executor.slept)
    # Baselines come first; what follows the last mini-training is not missed either.
    first, last = slept[len(slept) // 5][0], slept[len(slept) * 4 // 5][1]
    inside = sum(max(0.0, min(b, last) - max(a, first)) for a, b in slept)
    return inside / (SLEEPERS * (last - first))


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
        now = max(now, end_of(times(FULL, promoted), now))
    return work / (workers * max(now, *free))


def measure(bench: Bench) -> None:
    """Simulate each number of workers with generations of several sizes."""
    for workers in WORKERS[:2] if bench.quick else WORKERS:
        shares = {f"{each} a worker": busy(workers, max(16, each * workers)) for each in EACH}
        bench.row(f"{workers} workers, simulated", **shares)
    for each in EACH[:2] if bench.quick else EACH[:3]:
        count = max(400 if bench.quick else 800, 8 * SLEEPERS * each)
        shares = {order: asleep(order, SLEEPERS * each, count) for order in ("asked", "arrival")}
        bench.row(f"{SLEEPERS} workers that sleep, generation {SLEEPERS * each}", **shares)
    if not bench.quick:
        # What one process can propose and predict is less than so many workers train.
        shares = {o: asleep(o, 4 * SLEEPERS, 1200, pool=48) for o in ("asked", "arrival")}
        bench.row(f"the same with a surrogate among 48, generation {4 * SLEEPERS}", **shares)


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
