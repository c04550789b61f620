"""The search of activation functions as a problem: networks are trained with each candidate."""

from __future__ import annotations

from collections.abc import Sequence

from symact import zoo
from symact.evaluation.diagnosis import check_task
from symact.evaluation.draws import Draws
from symact.evaluation.fidelity import Fidelity
from symact.evaluation.ladder import Ladder
from symact.evaluation.plan import Plan
from symact.evaluation.problem import OBJECTIVES, Problem
from symact.expr import Expr, show
from symact.storage.records import ProblemRecord
from symact.tasks import Task
from symact.tasks.protocol import BASELINES, CLIP, REFERENCE


class ActivationProblem(Problem):
    """Search activation functions: candidates are functions of ``x`` that networks train with.

    Args:
        task: The task that the networks learn.

    Example:
        >>> from symact.tasks import task
        >>> problem = ActivationProblem(task("polynomial"))
        >>> problem.variables, problem.reference
        (('x',), 'GELU')
    """

    description = "an activation search"
    variables = ("x",)
    reference = REFERENCE
    clip = CLIP

    def __init__(self, task: Task) -> None:
        self.task, self.name = task, task.name
        self.baselines: dict[str, Expr] = {name: zoo.find(name).expr for name in BASELINES}

    def fidelities(self, plan: Plan) -> tuple[Fidelity, ...]:
        return plan.fidelities()

    def final_fidelity(self, plan: Plan) -> Fidelity:
        return plan.final_fidelity()

    def draws(self, seed: int, fidelities: Sequence[Fidelity]) -> Draws:
        return Draws.of(self.task, seed, fidelities)

    def warnings(self, ladder: Ladder) -> tuple[str, ...]:
        return check_task(ladder).warnings


def record_of_earlier_runs() -> ProblemRecord:
    """Return the problem of runs that stored none: all of them searched activation functions."""
    formula = show(zoo.find(REFERENCE).expr)
    return ProblemRecord(ActivationProblem.variables, OBJECTIVES, REFERENCE, formula)
