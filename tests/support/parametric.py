"""Activation functions with trained parameters, as a problem of one file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from symact.backends.torch import lower_in_dtype
from symact.evaluation import ActivationProblem, Fidelity, InlineExecutor, Trainable
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import show, variables
from symact.tasks.protocol import Training

#: The initial value of each parameter.
START = {"p": 1.0, "q": 0.1}
NETWORK = Training(8, 2, steps=20, points=32, learning_rate=0.03)


class Parametric(torch.nn.Module):
    """A formula of x and parameters, one of each for each network of a stack."""

    def __init__(self, expr, names, networks):
        super().__init__()
        self.expr = expr
        for name in names:
            value = torch.full((networks, 1, 1), START[name])
            self.register_parameter(name, torch.nn.Parameter(value))

    def forward(self, x):
        return lower_in_dtype(self.expr, x, bound=dict(self.named_parameters()))


def trainable(expr):
    """The function that networks train with: an expression of x alone needs no parameters."""
    names = [name for name in variables(expr) if name in START]
    if not names:
        return expr
    return Trainable(show(expr), lambda networks, layer: Parametric(expr, names, networks))


class ParametricProblem(ActivationProblem):
    """Searches functions of x and of parameters that are trained with the networks."""

    variables = ("x", *START)

    def fidelities(self, plan):
        return (
            Fidelity("short", 2, (NETWORK,)),
            Fidelity("long", 2, (replace(NETWORK, steps=40),), share=plan.full_share),
        )

    def final_fidelity(self, plan):
        return Fidelity("selection", 2, (NETWORK,))

    def executor(self, executor, threads):
        return InlineExecutor(errors) if executor == "threads" else executor

    def warnings(self, ladder):
        return ()


def errors(draws, job):
    """Errors of trained networks, ``[instance, 1, 4]``."""
    found = [
        TorchMLPTrainer(own.data, own.training, [0], draws.entropy, "cpu").judge(
            [trainable(job.expr)]
        )[0]
        for own in draws.sets(job.fidelity, job.draw % draws.fidelity(job.fidelity).draws)
    ]
    return np.concatenate(found)
