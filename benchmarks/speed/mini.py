"""Mini-training of one candidate beside the same work in stacked eager torch, and its limit.

24 networks of two hidden layers of 16 units take 200 steps on 128 points with GELU, on all cores.
The second part has the size of the fidelity: two-layer networks of mini-training. The limit is
the time of the arithmetic: matrix products at the rate of a large ``torch.mm``, activations at the
interpreter's rate on rows in the L1 cache. Both are measured in the same run on one core and
divided by the number of cores. The rate of ``torch.bmm`` on the small shapes themselves stands
beside it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from symact.backends.numba.tape import BLOCK, Spans
from symact.cli.benchmark import Bench
from symact.evaluation.training.networks import pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.expr import parse
from symact.tasks import task
from symact.tasks.protocol import Training

sys.path.insert(0, str(Path(__file__).parent))
import _eager

SMALL = Training(width=16, depth=2, steps=200, points=128, learning_rate=1e-2)
MINI = Training(width=24, depth=2, steps=400, points=64, learning_rate=1e-2)
NETWORKS, CALLS = 24, 32


def measure(bench: Bench) -> None:
    cores = os.cpu_count() or 1
    instances = task("ood-suite").draw("search", seed=0, per_family=NETWORKS // 3)
    gelu = parse("gelu(x)")
    square = torch.randn(512, 512)
    for training in (replace(MINI, steps=10),) if bench.quick else (SMALL, MINI):
        data = pack(instances, training.points)
        trainer = NumbaMLPTrainer(data, training, [0], 1)
        inputs = data.x.shape[1]
        sizes = (NETWORKS, inputs, training.width, training.points)
        values = NETWORKS * 2 * training.width * training.points
        rows = -(-training.width * training.points // BLOCK)
        # The same rows many times, so that what a call costs is spread.
        spans = Spans([(gelu, 0, rows)] * CALLS, 3 * rows, np.dtype(np.float32))
        tensors = [spans.tensor(rows) for _ in range(3)]
        taken = bench.times(
            {
                "symact": partial(trainer.judge_all, [gelu], cores),
                "symact, one thread": partial(trainer.judge_all, [gelu], 1),
                "stacked eager torch": _eager.stacked(
                    *sizes, training.steps, torch.nn.functional.gelu
                ),
                "products of a step": _eager.products(*sizes),
                "activations": partial(spans.apply, *tensors),
                "large product": partial(torch.mm, square, square),
            },
            rounds=15,
            quick_rounds=1,
        )
        per_value = taken["activations"] / (CALLS * rows * BLOCK)
        # After the products of a step, which work on one thread, torch has only one.
        peak = 2 * 512**3 / taken["large product"]
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
        bench.ratio(
            f"over_stacked_eager_{suffix}",
            taken["stacked eager torch"] / taken["symact"],
            least=5.0,
        )
        bench.ratio(f"share_of_limit_{suffix}", limit / taken["symact"], least=0.4)


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
