"""Mini-training of one candidate beside the same work in stacked eager torch, and its limit.

24 networks of two hidden layers of 16 units take 200 steps on 128 points with GELU, on all cores.
The limit is what the arithmetic needs: the matrix products at the rate of ``torch.bmm`` on the same
shapes, the activations at the interpreter's rate, both measured in the same run on one core and
divided by the number of cores. The second row is the rung's own size (``protocol.MINI``).
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from symact.bench import Bench
from symact.expr import Expr, parse
from symact.lower._tape import to_batch
from symact.protocol import MINI, Training
from symact.score._mini import MiniTrainer
from symact.score._networks import pack
from symact.tasks import task

sys.path.insert(0, str(Path(__file__).parent))
import _eager

SMALL = Training(width=16, depth=2, steps=200, points=128, learning_rate=1e-2)
NETWORKS = 24


def measure(bench: Bench) -> None:
    cores = os.cpu_count() or 1
    instances = task("ood-suite").draw("search", seed=0, per_family=NETWORKS // 3)
    gelu = parse("gelu(x)")
    for name, training in (("24 networks", SMALL), ("24 networks", replace(MINI))):
        data = pack(instances, training.points)
        trainer = MiniTrainer(data, training, [0], 1)
        inputs = data.x.shape[1]
        sizes = (NETWORKS, inputs, training.width, training.points)
        values = NETWORKS * 2 * training.width * training.points
        batch, x, out = _activations(gelu, training.width * training.points)
        taken = bench.times(
            {
                "symact": partial(trainer.judge_all, [gelu], cores),
                "symact, one thread": partial(trainer.judge_all, [gelu], 1),
                "stacked eager torch": _eager.stacked(
                    *sizes, training.steps, torch.nn.functional.gelu
                ),
                "products of a step": _eager.products(*sizes),
                "activations": partial(batch.evaluate, x, slopes=True, threads=1, out=out),
            },
            rounds=15,
            quick_rounds=3,
        )
        per_value = taken["activations"] / (len(batch.spans) * x.size)
        limit = training.steps * (taken["products of a step"] + values * per_value) / cores
        size = f"width {training.width}, {training.steps} steps, {training.points} points"
        for key in ("symact", "symact, one thread", "stacked eager torch"):
            bench.row(f"{key}, {name}, {size}", ms=taken[key] * 1e3)
        bench.row(f"limit of the arithmetic, {name}, {size}", ms=limit * 1e3)
        rate = _eager.flops(*sizes) / taken["products of a step"] / 1e9
        bench.row(f"products alone, one core, width {training.width}", **{"GFLOP/s": rate})
        bench.row(
            f"GELU, value and slope, one core, width {training.width}",
            **{"Gvalue/s": 1e-9 / per_value},
        )
        suffix = f"width_{training.width}"
        bench.ratio(
            f"over_stacked_eager_{suffix}",
            taken["stacked eager torch"] / taken["symact"],
            least=5.0,
        )
        bench.ratio(f"share_of_limit_{suffix}", limit / taken["symact"], least=0.4)


def _activations(expr: Expr, points: int) -> tuple:
    batch = to_batch([expr] * 16)
    x = np.random.default_rng(0).standard_normal(points).astype(np.float32)
    return batch, x, batch.evaluate(x, slopes=True)


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
