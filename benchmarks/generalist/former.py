"""The fitness of our former search, by protocol 1.0.

Networks are plain, with torch's initialisation, and learn the three families of ``ood-suite``.
The numbers are those of the former default plan. Finalists trained each of 24 tasks in all four
sizes. Here they have as many networks, on 96 tasks. They had a rate chosen by ID error, here the
rates are weighted by ID error.
"""

from __future__ import annotations

from dataclasses import replace

from symact.evaluation import ActivationProblem, Fidelity, Plan
from symact.storage.schema import SELECTION
from symact.tasks import OOD_SUITE, task
from symact.tasks.protocol import Training

#: The networks of mini-training, of full training and of finalists, and the rates of finalists.
MINI = tuple(Training(24, depth, steps=400, points=64, learning_rate=5e-2) for depth in (2, 3))
FULL = tuple(
    Training(width, depth, steps=1000, points=128, learning_rate=3e-2)
    for width, depth in ((32, 2), (64, 3))
)
JUDGED = tuple(
    Training(width, depth, steps=1000, points=256, learning_rate=3e-2)
    for depth in (2, 3)
    for width in (32, 64)
)
RATES = (3e-2, 1e-1)
#: Tasks of a family in a draw.
_INSTANCES = 8
#: Seconds of one finalist, which is many trainings.
_TIMEOUT = 720.0


class FormerProblem(ActivationProblem):
    """Search on the families and the networks of protocol 1.0."""

    def __init__(self) -> None:
        super().__init__(task(OOD_SUITE))

    def fidelities(self, plan: Plan) -> tuple[Fidelity, ...]:
        mini, full = super().fidelities(plan)
        return (
            replace(mini, instances=_INSTANCES, networks=MINI),
            replace(full, instances=_INSTANCES, networks=FULL),
        )

    def final_fidelity(self, plan: Plan) -> Fidelity:
        return Fidelity(
            SELECTION,
            len(JUDGED) * _INSTANCES,
            JUDGED,
            RATES,
            split="selection",
            entropy=901,
            uses_gpu=True,
            timeout=_TIMEOUT,
        )
