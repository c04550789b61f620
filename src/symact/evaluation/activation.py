"""The search of activation functions as a problem: networks are trained with each candidate."""

from __future__ import annotations

from collections.abc import Sequence

from symact import zoo
from symact.evaluation.diagnosis import check_task
from symact.evaluation.draws import Draws
from symact.evaluation.fidelity import FINAL_TIMEOUT, Fidelity
from symact.evaluation.ladder import Ladder
from symact.evaluation.plan import Plan
from symact.evaluation.problem import OBJECTIVES, Problem
from symact.expr import Expr, show
from symact.storage.records import ProblemRecord
from symact.storage.schema import FIDELITIES, SELECTION
from symact.tasks import Task
from symact.tasks.protocol import BASELINES, CLIP, REFERENCE
from symact.tasks.protocol2 import JUDGED, QUICK, SEARCHED


class ActivationProblem(Problem):
    """Search activation functions: candidates are functions of ``x`` that networks train with.

    A network has a target, an initialisation, an architecture and a learning rate. Each draw
    combines them anew. Families share the networks of a plan evenly: the number for each is
    rounded, and at least one.

    Args:
        task: The task that the networks learn.

    Example:
        >>> from symact.tasks import task
        >>> problem = ActivationProblem(task("ood-suite"))
        >>> problem.variables, problem.reference
        (('x',), 'GELU')
        >>> [own.instances for own in problem.fidelities(Plan())]
        [8, 64]
    """

    description = "an activation search"
    variables = ("x",)
    reference = REFERENCE
    clip = CLIP

    def __init__(self, task: Task) -> None:
        self.task, self.name = task, task.name
        self.baselines: dict[str, Expr] = {name: zoo.find(name).expr for name in BASELINES}

    def fidelities(self, plan: Plan) -> tuple[Fidelity, ...]:
        return (
            Fidelity(
                FIDELITIES[0],
                self._of_family(plan.mini_networks),
                SEARCHED,
                draws=plan.mini_draws,
                entropy=1,
            ),
            Fidelity(
                FIDELITIES[1],
                self._of_family(plan.full_networks),
                SEARCHED,
                draws=plan.full_draws,
                share=plan.full_share,
                entropy=501,
                uses_gpu=True,
            ),
        )

    def final_fidelity(self, plan: Plan) -> Fidelity:
        return Fidelity(
            SELECTION,
            self._of_family(plan.selection_networks),
            JUDGED,
            split="selection",
            rates=QUICK.rates,
            entropy=901,
            uses_gpu=True,
            timeout=FINAL_TIMEOUT,
        )

    def draws(self, seed: int, fidelities: Sequence[Fidelity]) -> Draws:
        return Draws.of(self.task, seed, fidelities)

    def warnings(self, ladder: Ladder) -> tuple[str, ...]:
        return check_task(ladder).warnings

    def _of_family(self, networks: int) -> int:
        """Return the number of instances of a family."""
        return max(1, round(networks / len(self.task.families)))


def record_of_earlier_runs() -> ProblemRecord:
    """Return the problem of runs that stored none: all of them searched activation functions."""
    formula = show(zoo.find(REFERENCE).expr)
    return ProblemRecord(ActivationProblem.variables, OBJECTIVES, REFERENCE, formula)
