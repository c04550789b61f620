"""Mini-training of one candidate beside the same work in stacked eager torch, and its limit.

24 networks of two hidden layers of 16 units take 200 steps on 128 points with GELU, on all cores.
The second part has the size of the fidelity: two-layer networks of mini-training. The third part is
mini-training itself, with its mixture of initialisations and architectures; in eager torch the
networks of each architecture are a stack. The limit is the time of the arithmetic: matrix products
at the rate of a large ``torch.mm``, activations at the interpreter's rate on rows in the L1 cache.
Both are measured in the same run on one core and divided by the number of cores. The rate of
``torch.bmm`` on the small shapes themselves stands beside it.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from symact.backends.numba.tape import BLOCK, Spans
from symact.cli.benchmark import Bench
from symact.evaluation import ActivationProblem, Ladder, Plan
from symact.evaluation.training.networks import pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.expr import parse
from symact.tasks import Instance, task
from symact.tasks.protocol import Training

sys.path.insert(0, str(Path(__file__).parent))
import _eager

SMALL = Training(width=16, depth=2, steps=200, points=128, learning_rate=1e-2)
MINI = Training(width=24, depth=2, steps=400, points=64, learning_rate=1e-2)
NETWORKS, CALLS = 24, 32


def measure(bench: Bench) -> None:
    instances = task("ood-suite").draw("search", seed=0, per_family=NETWORKS // 3)
    for training in (replace(MINI, steps=10),) if bench.quick else (SMALL, MINI):
        _of_one_kind(bench, instances, training)
    _mixed(bench)


def _of_one_kind(bench: Bench, instances: Sequence[Instance], training: Training) -> None:
    """Measure networks of one size."""
    cores = os.cpu_count() or 1
    data, gelu = pack(instances, training.points), parse("gelu(x)")
    trainer = NumbaMLPTrainer(data, training, [0], 1)
    sizes = (NETWORKS, data.x.shape[1], training.width, training.points)
    taken = bench.times(
        {
            "symact": partial(trainer.judge_all, [gelu], cores),
            "symact, one thread": partial(trainer.judge_all, [gelu], 1),
            "stacked eager torch": _eager.stacked(*sizes, training.steps, torch.nn.functional.gelu),
            "products of a step": _eager.products(*sizes),
            **_arithmetic(training),
        },
        rounds=15,
        quick_rounds=1,
    )
    peak, per_value = _rates(taken, training)
    values = NETWORKS * 2 * training.width * training.points
    needed = _eager.flops(*sizes) / peak + values * per_value
    limit = training.steps * needed / cores
    size = f"width {training.width}, {training.steps} steps, {training.points} points"
    for key in ("symact", "symact, one thread", "stacked eager torch"):
        bench.row(f"{key}, {size}", ms=taken[key] * 1e3)
    bench.row(f"limit of the arithmetic, {size}", ms=limit * 1e3)
    rate = _eager.flops(*sizes) / taken["products of a step"]
    bench.row(f"torch.bmm of these shapes, one core, {size}", **{"GFLOP/s": rate / 1e9})
    bench.row(f"large product, one core, {size}", **{"GFLOP/s": peak / 1e9})
    bench.row(f"GELU, value and slope, one core, {size}", **{"Gvalue/s": 1e-9 / per_value})
    suffix = f"{training.steps}_steps"
    over = taken["stacked eager torch"] / taken["symact"]
    bench.ratio(f"over_stacked_eager_{suffix}", over, least=5.0)
    bench.ratio(f"share_of_limit_{suffix}", limit / taken["symact"], least=0.4)


def _mixed(bench: Bench) -> None:
    """Measure mini-training of a search: networks of all settings of protocol 2.0."""
    cores, gelu = os.cpu_count() or 1, parse("gelu(x)")
    plan = Plan(mini_networks=2 if bench.quick else NETWORKS, mini_draws=1, full_networks=1)
    with closing(Ladder(ActivationProblem(task("ood-suite")), 0, plan)) as ladder:
        sets = ladder.draws.sets("mini", 0)
        met = Counter(
            (own.training.depth, own.training.residual) for own in sets for _ in own.data.x
        )
        training, inputs = sets[0].training, sets[0].data.x.shape[1]
        candidates = 1 if bench.quick else 2 * cores

        def eager() -> None:
            for work in stacks:
                work()

        size = (inputs, training.width, training.points)
        stacks = [
            _eager.stacked(
                count, *size, training.steps, torch.nn.functional.gelu, depth, residual=residual
            )
            for (depth, residual), count in met.items()
        ]
        taken = bench.times(
            {
                "symact": lambda: ladder.train("mini", [gelu] * candidates),
                "stacked eager torch": eager,
                **_arithmetic(training),
            },
            rounds=9,
            quick_rounds=1,
        )
    peak, per_value = _rates(taken, training)
    needed = sum(
        _eager.flops(count, *size, depth, residual=residual) / peak
        + count * depth * training.width * training.points * per_value
        for (depth, residual), count in met.items()
    )
    limit, each = training.steps * needed / cores, taken["symact"] / candidates
    bench.row("symact, mixed networks", ms=each * 1e3)
    bench.row("stacked eager torch, mixed networks", ms=taken["stacked eager torch"] * 1e3)
    bench.row("limit of the arithmetic, mixed networks", ms=limit * 1e3)
    bench.ratio("over_stacked_eager_mixed", taken["stacked eager torch"] / each, least=5.0)
    bench.ratio("share_of_limit_mixed", limit / each, least=0.6)


def _arithmetic(training: Training) -> dict[str, Callable[[], object]]:
    """Return what the limit is made of: activations of many rows, and a large product."""
    rows, square = _rows(training), torch.randn(512, 512)
    # The same rows many times, so that what a call costs is spread.
    spans = Spans([(parse("gelu(x)"), 0, rows)] * CALLS, 3 * rows, np.dtype(np.float32))
    tensors = [spans.tensor(rows) for _ in range(3)]
    return {
        "activations": partial(spans.apply, *tensors),
        "large product": partial(torch.mm, square, square),
    }


def _rates(taken: Mapping[str, float], training: Training) -> tuple[float, float]:
    """Return operations a second of a large product, and seconds of an activation, of one core."""
    # After the products of a step, which work on one thread, torch has only one.
    peak = 2 * 512**3 / taken["large product"]
    return peak, taken["activations"] / (CALLS * _rows(training) * BLOCK)


def _rows(training: Training) -> int:
    return -(-training.width * training.points // BLOCK)


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
