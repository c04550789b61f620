"""A regression of two variables, as a problem that is no activation search."""

from __future__ import annotations

import numpy as np

from symact.backends import evaluate
from symact.evaluation import Draws, Fidelity, InlineExecutor, Problem
from symact.evaluation.jobs import TUNING
from symact.evaluation.training.networks import pack
from symact.tasks import Instance


def instance(family, scale, seed):
    """Points of y = x0*x1 + sin(x0): one instance whose shells are squares of several sizes."""
    rng = np.random.default_rng(seed)

    def points(size):
        x = rng.uniform(-size, size, (64, 2)).astype(np.float32)
        return x, (x[:, :1] * x[:, 1:] + np.sin(x[:, :1])).astype(np.float32)

    (x, y), (held_out, held_out_y) = points(scale), points(scale)
    shells = [points(scale * factor) for factor in (1.5, 2.0, 3.0)]
    return Instance(
        family, family, x, y, held_out, held_out_y,
        np.stack([x for x, _ in shells]), np.stack([y for _, y in shells]),
    )  # fmt: skip


class RegressionProblem(Problem):
    """Fits y = x0*x1 + sin(x0): the errors are those of the candidate, nothing is trained."""

    name = "product-and-sine"
    description = "this regression"
    variables = ("x0", "x1")
    reference = "sum"
    clip = 8.0
    objectives = ("error_outside", "error_inside", "flops")

    def __init__(self):
        self.baselines = {
            name: self.parse(text) for name, text in {"sum": "x0 + x1", "sine": "sin(x0)"}.items()
        }

    def fidelities(self, plan):
        return (Fidelity("few", 2, draws=2), Fidelity("all", 4, draws=2, share=plan.full_share))

    def final_fidelity(self, plan):
        return Fidelity("selection", 4)

    def draws(self, seed, fidelities):
        data = {
            f"{own.name}/evaluation": pack(
                [
                    instance("small" if i % 2 else "large", 1.0 + i % 2, i)
                    for i in range(own.instances)
                ],
                64,
            )
            for own in fidelities
        }
        return Draws(tuple(fidelities), data, seed)

    def executor(self, executor, threads):
        return InlineExecutor(errors) if executor == "threads" else executor


def errors(draws, job):
    """Mean squared errors over the variance of the targets, ``[instance, 1, 4]``."""
    assert job.fidelity != TUNING
    data = draws.data[f"{job.fidelity}/evaluation"]
    x = data.x_judged.astype(np.float64)
    inputs = (x[:, :, 0].ravel(), x[:, :, 1].ravel())
    value = evaluate(job.expr, *inputs, inputs=RegressionProblem.variables).reshape(
        data.y_judged[:, :, 0].shape
    )
    return (np.square(value - data.y_judged[:, :, 0]).mean(axis=-1) / data.variance)[:, None]
