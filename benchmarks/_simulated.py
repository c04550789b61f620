"""Workers that train nothing, for benchmarks of what is around them."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager

import numpy as np

from symact.engine import search
from symact.evaluation import Plan
from symact.evaluation import ladder as ladder_module
from symact.evaluation.finals import FINALS
from symact.expr import show
from symact.proposers import Evolution

#: One generation of many: what a large cluster works on at a time.
GENERATION = 1024


class Simulated:
    """Workers that train nothing, finalists included.

    Errors lie between 0.06 and 16, by the hash of the formula.
    """

    device = "cpu"

    def __init__(self, draws):
        sizes = {"selection": len(FINALS[draws.final_form].sizes)}
        self._shape = {
            rung: (len(draws.families(rung)), *([sizes[rung]] if rung in sizes else []), 1, 4)
            for rung in ("mini", "full", "selection")
        }

    def start(self, rung, exprs, draw):
        found = [self._errors(show(expr), rung, draw) for expr in exprs]
        return lambda: found

    def _errors(self, formula, rung, draw):
        mark = hashlib.blake2b(f"{rung} {draw} {formula}".encode(), digest_size=8).digest()
        level = int.from_bytes(mark[:4], "little") / 2**32
        # Multiples of an irrational step are spread evenly: cheap, and the same each time.
        step = (1 + int.from_bytes(mark[4:], "little")) / 2**32 * 0.6180339887
        shape = self._shape[rung]
        noise = np.arange(float(np.prod(shape))) * step % 1.0
        return 10.0 ** (2 * level - 1 + 0.2 * noise.reshape(shape))

    def tune(self, expr):
        return lambda: None

    def close(self):
        pass


def plan(**changes):
    """Return a plan of many candidates a generation, without what only costs training time."""
    values = {"generation": GENERATION, "pool": 1, "finalists": 1, "selection_instances": 1}
    return Plan(**{**values, "final_form": "quick", **changes})


def timed(count, proposer, out=None, on_progress=None, workers=Simulated, **changes):
    """Search until so many are judged; return the result."""
    with training_by(workers):
        return search(
            "pointwise", "ood-suite", budget=count, seed=1, proposer=proposer, out=out,
            plan=plan(**changes), evolution=Evolution(), on_progress=on_progress,
        )  # fmt: skip


@contextmanager
def training_by(workers):
    """Let such workers train, whatever a search asks for."""
    genuine = ladder_module._workers
    ladder_module._workers = lambda executor, draws, *rest: workers(draws)
    try:
        yield
    finally:
        ladder_module._workers = genuine
