"""What each fidelity costs, how well it ranks, and where the time of a search goes.

A real search runs first, with the default grammar and task and its own seed. Full training then
judges 64 of its mini-trained candidates, evenly spaced in their order, on 24 search draws. A second
full training starts from other initial weights. Its agreement with the first one is the ceiling for
every fidelity. Mini-training sees the first of these draws, as many as the plan gives it and more.
In a search the two fidelities see different draws, which lowers their agreement; a row states by
how much. Errors count as in a search: relative to those of the reference, within
``protocol.CLIP``. Intervals are 95% bootstrap intervals over candidates. The last table shows where
the time of that search went.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from symact import zoo
from symact.cli.benchmark import Bench
from symact.engine import Progress, search
from symact.engine.result import Result, load
from symact.evaluation import Plan, statistics
from symact.evaluation.draws import by_family
from symact.evaluation.training.mixed_sizes import MixedSizeTrainer, assign_network_sizes
from symact.evaluation.training.networks import Data
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import Expr, parse
from symact.tasks import Instance, task
from symact.tasks import scores as stats
from symact.tasks.protocol import CLIP, FULL, MINI, REFERENCE, Training

SEED = 11
#: A quick run takes this share of the steps of each training.
QUICK_SHARE = 0.1
Errors = NDArray[np.float64]
Families = Sequence[Sequence[Instance]]


@dataclass(frozen=True)
class Judged:
    """What one way of judging says of the candidates: log10 of their errors, and its cost."""

    ood: NDArray[np.float64]
    id_error: NDArray[np.float64]
    seconds: float


def measure(bench: Bench) -> None:
    count, judged, per_family = (6, 12, 1) if bench.quick else (64, 500, 8)
    judge = partial(_judge, share=QUICK_SHARE if bench.quick else 1.0)
    small = Plan(mini_instances=2, mini_draws=2, full_instances=1, full_draws=1)
    plan = small if bench.quick else Plan()
    found = _searched(judged, plan)
    frame = found.to_frame()
    trained = frame[frame["mini_ood"].notna()].sort_values("mini_ood")
    places = np.linspace(0, len(trained) - 1, count).astype(int)
    exprs = [parse(formula) for formula in trained["formula"].iloc[places]]
    drawn = max(per_family, 2 * plan.mini_instances) + plan.mini_instances
    families = by_family(task("ood-suite").draw("search", seed=SEED, per_family=drawn))
    bench.say(f"{count} candidates of a search of {len(frame)}")

    same = [own[:per_family] for own in families]
    truth = judge(exprs, same, FULL, _full)
    again = judge(exprs, same, FULL, partial(_full, entropy=99))
    ceiling = _agreement(bench, "full, other weights", again, truth)
    agreement, minis = {}, {}
    for name, own, trainings in _minis(plan, families):
        minis[name] = judge(exprs, own, trainings, _mini)
        agreement[name] = _agreement(bench, name, minis[name], truth)
    bench.ratio("mini_over_ceiling", agreement["mini"] / ceiling, least=0.95)
    cost = truth.seconds * plan.full_instances / per_family
    bench.ratio("full_cost_over_mini", cost / minis["mini"].seconds, least=10.0)

    whole = sum(cost["seconds"] for cost in found.costs.values())
    for part, own_cost in found.costs.items():
        bench.row(
            f"search: {part}",
            candidates=int(own_cost["candidates"]),
            **{"ms each": 1e3 * own_cost["seconds"] / max(1, own_cost["candidates"])},
            share=own_cost["seconds"] / whole,
        )
    bench.ratio("screen_share_of_time", found.costs["screen"]["seconds"] / whole, most=0.2)


class _EnoughError(Exception):
    """The search is over; what it would select is not wanted here."""


def _searched(budget: int, plan: Plan) -> Result:
    def stop(progress: Progress) -> None:
        if progress.phase == "select":
            raise _EnoughError

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        try:
            search(budget=budget, seed=SEED, plan=plan, out=out, on_progress=stop)
        except _EnoughError:
            return load(out)
    raise AssertionError("a search selects in the end")


def _minis(plan: Plan, families: Families) -> list[tuple[str, Families, tuple[Training, ...]]]:
    """Mini-training as it is, and others that were or may be considered."""
    number = plan.mini_instances
    own = [instances[:number] for instances in families]
    return [
        ("mini", own, MINI),
        ("mini, on other tasks", [instances[-number:] for instances in families], MINI),
        ("mini, twice the instances", [instances[: 2 * number] for instances in families], MINI),
        *((f"mini, depth {training.depth} alone", own, (training,)) for training in MINI),
        (
            "mini of protocol 0.1",
            [instances[:8] for instances in families],
            (Training(24, 2, 300, 128, 2e-2),),
        ),
        (
            "mini of ladder 2",
            [instances[:4] for instances in families],
            (Training(16, 2, 600, 64, 1.5e-2),),
        ),
    ]


def _full(data: Data, training: Training, entropy: int = 2) -> TorchMLPTrainer:
    return TorchMLPTrainer(data, training, [0], entropy)


def _mini(data: Data, training: Training) -> NumbaMLPTrainer:
    return NumbaMLPTrainer(data, training, [0], 1)


def _judge(
    exprs: list[Expr],
    families: Families,
    trainings: tuple[Training, ...],
    make: Callable[[Data, Training], TorchMLPTrainer | NumbaMLPTrainer],
    share: float,
) -> Judged:
    """Train the candidates for a share of the steps of each training."""
    shorter = [replace(training, steps=round(share * training.steps)) for training in trainings]
    trainer = MixedSizeTrainer(assign_network_sizes(families, shorter), make)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        (first,) = trainer.start(pool, [zoo.find(REFERENCE).expr])
        reference = first.result()  # it also warms up
        start = time.perf_counter()
        errors = [future.result() for future in trainer.start(pool, exprs)]
        seconds = (time.perf_counter() - start) / len(exprs)
    paired = stats.PairedComparison(reference, trainer.families, CLIP)
    above = [paired.above(own) for own in errors]
    return Judged(np.array([a[0] for a in above]), np.array([a[1] for a in above]), seconds)


def _agreement(bench: Bench, name: str, found: Judged, truth: Judged) -> float:
    """Add a row and return the Spearman correlation in OOD error."""
    value = statistics.spearman(found.ood, truth.ood) or 0.0
    stream = np.random.default_rng(0)
    draws = []
    for _ in range(100 if bench.quick else 1000):
        sample = stream.integers(0, len(found.ood), len(found.ood))
        draws.append(statistics.spearman(found.ood[sample], truth.ood[sample]) or 0.0)
    bench.row(
        name,
        **{
            "ms each": found.seconds * 1e3,
            "Spearman OOD": value,
            "low": float(np.quantile(draws, 0.025)),
            "high": float(np.quantile(draws, 0.975)),
            "Spearman ID": statistics.spearman(found.id_error, truth.id_error),
        },
    )
    return value


if __name__ == "__main__":
    report = Bench(quick=False, say=print)
    measure(report)
    print(report.to_text(), end="")
