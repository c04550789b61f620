"""Candidates a second by threads, by processes, and by Ray tasks on the cores of this machine.

All train the same candidates on the same draws, after each has done so once: what starting and
compiling cost is a row of its own. Ray needs the extra ``symact[cluster]``.
"""

from __future__ import annotations

import importlib.util
import os
import time

from symact import zoo
from symact.cli.benchmark import Bench
from symact.evaluation import ActivationProblem, Ladder, Plan
from symact.tasks import task

#: What others may cost beside threads, in candidates a second.
GOALS = {"processes": 0.8, "ray": 0.8, "ray, 2x the cores": 0.8}


def measure(bench: Bench) -> None:
    """Measure each kind of worker."""
    cores = os.cpu_count() or 1
    ways = {"threads": ("threads", cores), "processes": ("processes", cores)}
    if importlib.util.find_spec("ray") is not None:
        ways |= {"ray": ("ray", cores), "ray, 2x the cores": ("ray", 2 * cores)}
    fixed = [known.expr for known in zoo.known() if known.kind == "pointwise"]
    plan = Plan()
    each = {"mini": 16, "full": 2} if bench.quick else {"mini": 48, "full": 8}
    counts = {fidelity: cores * count for fidelity, count in each.items()}
    rates: dict[str, dict[str, float]] = {}
    for name, (executor, count) in ways.items():
        started = time.perf_counter()
        problem = ActivationProblem(task("ood-suite"))
        ladder = Ladder(problem, 7, plan, threads=count, executor=executor, device="cpu")
        try:
            ladder.train("mini", fixed[: 4 * count])
            ladder.train("full", fixed[:count])
            ready = time.perf_counter() - started
            rates[name] = {}
            for fidelity in ("mini", "full"):
                exprs = (fixed * counts[fidelity])[: counts[fidelity]]
                began = time.perf_counter()
                ladder.train(fidelity, exprs)
                rates[name][fidelity] = len(exprs) / (time.perf_counter() - began)
        finally:
            ladder.close()
        bench.row(
            name,
            workers=count,
            **{"ready after s": ready},
            **{f"{fidelity} a second": rate for fidelity, rate in rates[name].items()},
        )
    for name, goal in GOALS.items():
        for fidelity in counts:
            own = rates.get(name)
            value = None if own is None else own[fidelity] / rates["threads"][fidelity]
            bench.ratio(f"{fidelity}: {name} over threads", value, least=goal)
