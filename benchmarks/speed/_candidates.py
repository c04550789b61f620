"""Candidates of full training with 512 points, as a GPU trains them."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from symact.evaluation.training.networks import Data, pack
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import Expr
from symact.tasks import task
from symact.tasks.protocol import TRAIN_POINTS, Training

NETWORKS = 24
SIZE = Training(width=64, depth=2, steps=1000, points=TRAIN_POINTS, learning_rate=3e-3)
POINTS = 512


def data() -> Data:
    """Return 24 instances with 256 points."""
    instances = task("ood-suite").draw("search", seed=0, per_family=NETWORKS // 3)
    return pack(instances, SIZE.points)


def trainer(device: str, steps: int) -> TorchMLPTrainer:
    """Return a trainer of candidates with 512 points: those of :func:`data`, twice."""
    once = data()
    twice = replace(once, x=once.x.repeat(2, axis=2), y=once.y.repeat(2, axis=2))
    return TorchMLPTrainer(twice, replace(SIZE, points=POINTS, steps=steps), [0], 2, device)


def seconds(own: TorchMLPTrainer, expr: Expr, count: int) -> float:
    """Return the time of one of ``count`` candidates, scaled to 1,000 steps."""
    own.judge([expr] * count)
    start = time.perf_counter()
    own.judge([expr] * count)
    if own.device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count * SIZE.steps / own.training.steps
