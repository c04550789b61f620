"""Full training beside eager torch: one network at a time, and stacked.

A candidate is 24 networks of two hidden layers of 64 units, 256 points, 1,000 steps, with GELU and
with a candidate of three transcendental nodes. Fewer steps are run and the time scaled: every step
costs the same. One network at a time takes the better of one thread and all. The share of the
matrix products is their time alone, on the shapes of a stack and one thread, over a step of that
stack on one thread.

Where there is a CUDA device, candidates with 512 points are trained on it too, beside the least
time that its products and its traffic allow; elsewhere that ratio says "not measured".
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from symact.cli.benchmark import Bench
from symact.evaluation.training import torch_mlp
from symact.evaluation.training.networks import GPU_NETWORKS
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import parse

sys.path.insert(0, str(Path(__file__).parent))
import _candidates
import _eager
from _candidates import NETWORKS, POINTS, SIZE


def _three(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(x) * torch.exp(-x * x) + torch.tanh(x)


CANDIDATES = {
    "gelu": ("gelu(x)", torch.nn.functional.gelu),
    "three": ("sin(x)*exp(-x*x) + tanh(x)", _three),
}


def measure(bench: Bench) -> None:
    steps, cores = (2 if bench.quick else 100), os.cpu_count() or 1
    training = replace(SIZE, steps=steps)
    data = _candidates.data()
    inputs = data.x.shape[1]
    scale = SIZE.steps / steps
    trainer = TorchMLPTrainer(data, training, [0], 2, "cpu")
    for name, (text, function) in CANDIDATES.items():
        # As many candidates at once as keep every core busy.
        exprs = [parse(text)] * cores
        sizes = (inputs, SIZE.width, SIZE.points)

        def alone(exprs: list = exprs) -> None:
            torch.set_num_threads(1)
            trainer.judge(exprs[:1])

        def together(exprs: list = exprs) -> None:
            torch.set_num_threads(cores)
            trainer.judge(exprs)

        taken = bench.times(
            {
                "symact": together,
                "symact, one thread": alone,
                "stacked eager torch": _eager.stacked(NETWORKS, *sizes, steps, function),
                "one network at a time, one thread": _eager.single(*sizes, steps, function, 1),
                "one network at a time, all threads": _eager.single(*sizes, steps, function, cores),
                "products of a step": _eager.products(torch_mlp.CPU_NETWORKS, *sizes),
            },
            rounds=9,
            quick_rounds=1,
        )
        products = taken.pop("products of a step") * NETWORKS / torch_mlp.CPU_NETWORKS * steps
        taken["symact"] /= len(exprs)
        for key in taken:
            if key.startswith("one network"):
                taken[key] *= NETWORKS
        taken["products alone, one thread"] = products
        for key, seconds in taken.items():
            bench.row(f"{key}, {name}", **{"s/candidate": seconds * scale})
        one = min(taken[key] for key in taken if key.startswith("one network"))
        bench.ratio(f"over_one_at_a_time_{name}", one / taken["symact"], least=10.0)
        over = taken["stacked eager torch"] / taken["symact"]
        bench.ratio(f"over_stacked_eager_{name}", over, least=2.0 if name == "three" else 1.0)
        bench.ratio(f"share_of_products_{name}", products / taken["symact, one thread"], least=0.5)
    torch.set_num_threads(cores)
    _on_cuda(bench)


def _on_cuda(bench: Bench) -> None:
    """Candidates a second on a GPU: 24 networks, 512 points, 1,000 steps."""
    if not torch_mlp.has_cuda():
        bench.ratio("cuda_candidates_a_second", None, least=100.0)
        return
    trainer = _candidates.trainer("cuda", 200 if bench.quick else SIZE.steps)
    for name, (text, _) in CANDIDATES.items():
        seconds = _candidates.seconds(trainer, parse(text), GPU_NETWORKS // NETWORKS)
        sizes = (NETWORKS, trainer.data.x.shape[1], SIZE.width, POINTS)
        operations = _eager.flops(*sizes) * SIZE.steps
        # Each hidden layer writes and reads sums, values, slopes and gradients once or twice.
        traffic = NETWORKS * 2 * SIZE.width * POINTS * 4 * 12 * SIZE.steps
        # Peaks of an H200: float32 products without tensor cores, and its memory.
        least = max(operations / 67e12, traffic / 4.8e12)
        bench.row(f"CUDA, 512 points, {name}, roofline of an H200", **{"least s/candidate": least})
        bench.row(
            f"CUDA, 512 points, {name}",
            **{
                "candidates/s": 1 / seconds,
                "TFLOP/s": operations / seconds / 1e12,
                "TB/s": traffic / seconds / 1e12,
            },
        )
        if name == "gelu":
            bench.ratio("cuda_candidates_a_second", 1 / seconds, least=100.0)


if __name__ == "__main__":
    report = Bench(quick=False)
    measure(report)
    print(report.to_text(), end="")
