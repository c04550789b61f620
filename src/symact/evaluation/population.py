"""The search for a generalist: candidates train in mixed cells of a population of families."""

from __future__ import annotations

from itertools import product

from symact.evaluation.activation import ActivationProblem
from symact.evaluation.fidelity import FINAL_TIMEOUT, Fidelity
from symact.evaluation.plan import Plan
from symact.storage.schema import FIDELITIES, SELECTION
from symact.tasks import GENERALIST, Task
from symact.tasks.protocol import Training
from symact.tasks.protocol2 import ARCHITECTURES, INITIALISATIONS, QUICK

#: Instances of a family in the plan for each instance of a stratum. The default plan is made for
#: three families; a population has twelve strata.
_SHARE = 4


def _cells(rates: tuple[float, ...]) -> tuple[Training, ...]:
    """Return the trainings of all settings of protocol 2.0, at all rates."""
    return tuple(
        Training(
            QUICK.width,
            architecture.depth,
            QUICK.steps,
            QUICK.points,
            rate,
            initialisation=initialisation,
            residual=architecture.residual,
        )
        for rate, initialisation, architecture in product(rates, INITIALISATIONS, ARCHITECTURES)
    )


#: The networks of the search: every setting at two rates. Full training has eight times as many
#: of them as mini-training (docs/search.md has the rank correlations).
NETWORKS = _cells((1e-2, 3e-2))
_FULL_SHARE = 8
#: The networks of finalists: every setting. The rates of the protocol are weighted by ID error.
JUDGED = _cells((1e-2,))


class PopulationProblem(ActivationProblem):
    """Search one activation function for many kinds of targets and networks.

    A network has a target, an initialisation, an architecture and a learning rate. Each draw
    combines them anew. Finalists are judged on families of the split ``selection``. The settings
    ``as_judged`` and ``final_form`` have no effect.

    Example:
        >>> from symact.tasks import GENERALIST, task
        >>> problem = PopulationProblem(task(GENERALIST))
        >>> [own.instances for own in problem.fidelities(Plan())]
        [2, 16]
    """

    def fidelities(self, plan: Plan) -> tuple[Fidelity, ...]:
        return (
            Fidelity(
                FIDELITIES[0],
                _of_stratum(plan.mini_instances),
                NETWORKS,
                mixed=True,
                draws=plan.mini_draws,
                entropy=1,
            ),
            Fidelity(
                FIDELITIES[1],
                _FULL_SHARE * _of_stratum(plan.full_instances),
                NETWORKS,
                mixed=True,
                draws=plan.full_draws,
                share=plan.full_share,
                entropy=501,
                uses_gpu=True,
            ),
        )

    def final_fidelity(self, plan: Plan) -> Fidelity:
        return Fidelity(
            SELECTION,
            plan.selection_instances,
            JUDGED,
            mixed=True,
            split="selection",
            rates=QUICK.rates,
            entropy=901,
            uses_gpu=True,
            timeout=FINAL_TIMEOUT,
        )


def problem_of(task: Task) -> ActivationProblem:
    """Return the problem of a task of activation functions."""
    return (PopulationProblem if task.name == GENERALIST else ActivationProblem)(task)


def _of_stratum(instances: int) -> int:
    return max(1, instances // _SHARE)
