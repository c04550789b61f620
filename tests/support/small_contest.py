"""Problems of a second for tests of the comparisons at equal time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from symact import zoo
from symact.backends import evaluate
from symact.evaluation import ActivationProblem, InlineExecutor
from symact.evaluation.jobs import TUNING
from symact.expr import parse
from symact.tasks import GENERALIST, task

X = np.linspace(-3, 3, 61)


class Short(ActivationProblem):
    """The usual problem with few networks of eight units that train for ten steps."""

    def fidelities(self, plan):
        return tuple(_short(own) for own in super().fidelities(plan))

    def final_fidelity(self, plan):
        return _short(super().final_fidelity(plan))


class Target(Short):
    """Errors are the distance of a function from a target; nothing is trained.

    Args:
        formula: The target.
        id_error: Returns the ID error of the values of a function.
    """

    def __init__(self, formula, id_error=lambda values: 0.01):
        super().__init__(task("polynomial"))
        self.values, self.id_error = evaluate(parse(formula), X), id_error
        self.jobs = []

    def executor(self, executor, threads):
        return InlineExecutor(self._errors)

    def distance(self, expr):
        """Return the mean distance of a function from the target."""
        return float(np.abs(evaluate(expr, X) - self.values).mean())

    def _errors(self, draws, job):
        self.jobs.append(job)
        if job.fidelity == TUNING:
            return None
        errors = np.full(draws.error_shape(job.fidelity), 0.01 + self.distance(job.expr))
        errors[..., 0] = self.id_error(evaluate(job.expr, X))
        return errors


def _short(fidelity):
    networks = tuple(
        replace(own, width=8, steps=10, points=32)
        for own in fidelity.networks
        if own.depth == 2  # of all initialisations, plain and residual
    )
    draws = min(fidelity.draws, 2)
    return replace(fidelity, networks=networks[:8], instances=1, draws=draws)


def short():
    """Return the problem whose networks are short."""
    return Short(task(GENERALIST))


def silu():
    """Return the problem whose best function is SiLU."""
    return Target("silu(x)")


def two():
    """Return two known functions."""
    return {name: zoo.find(name).expr for name in ("GELU", "SiLU")}
