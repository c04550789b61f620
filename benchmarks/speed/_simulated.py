"""Workers that train nothing, for benchmarks of what is around them."""

from __future__ import annotations

import hashlib

import numpy as np

from symact.engine import search
from symact.evaluation import InlineExecutor, Plan
from symact.evaluation.jobs import TUNING
from symact.expr import show
from symact.proposers import Evolution

#: One generation of many: what a large cluster works on at a time.
GENERATION = 1024


def errors(draws, job):
    """Return errors between 0.06 and 16, by the hash of the formula; nothing is trained."""
    if job.fidelity == TUNING:
        return None
    text = f"{job.fidelity} {job.draw} {show(job.expr)}"
    mark = hashlib.blake2b(text.encode(), digest_size=8).digest()
    level = int.from_bytes(mark[:4], "little") / 2**32
    # Multiples of an irrational step are spread evenly: cheap, and the same each time.
    step = (1 + int.from_bytes(mark[4:], "little")) / 2**32 * 0.6180339887
    shape = draws.error_shape(job.fidelity)
    noise = np.arange(float(np.prod(shape))) * step % 1.0
    return 10.0 ** (2 * level - 1 + 0.2 * noise.reshape(shape))


def plan(**changes):
    """Return a plan of many candidates a generation, without what only costs training time."""
    values = {"generation": GENERATION, "pool": 1, "finalists": 1, "selection_networks": 1}
    return Plan(**{**values, **changes})


def timed(count, proposer, out=None, on_progress=None, executor=None, **changes):
    """Search until so many are judged; return the result."""
    return search(
        "pointwise", "ood-suite", budget=count, seed=1, proposer=proposer, out=out,
        plan=plan(**changes), evolution=Evolution(), on_progress=on_progress,
        executor=executor or InlineExecutor(errors),
    )  # fmt: skip
