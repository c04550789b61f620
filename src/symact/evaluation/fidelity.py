"""A fidelity: one level of cost and accuracy at which candidates are trained.

A tuple of fidelities, cheapest first, is the ladder that candidates climb.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from symact.evaluation.jobs import TIMEOUT
from symact.tasks.protocol import Training

#: An evaluation of a finalist is one job of many trainings.
FINAL_TIMEOUT = 6 * TIMEOUT


@dataclass(frozen=True, slots=True)
class Fidelity:
    """One level of training.

    A fidelity trains on its own draws of tasks. The instances of all families take the networks in
    turn, in an order that each draw shuffles. Families and networks are then combined by chance,
    and each network is used equally often (a Latin hypercube). Without networks, the executor of
    the problem computes the errors by itself.

    Attributes:
        name: Name of the fidelity, also in run databases.
        instances: Instances of a family in one draw.
        networks: The networks and their trainings. Empty if there is no training.
        rates: Learning rates to average over (see :func:`.mixed_sizes.expected_errors`); empty for
            the rate of each training.
        draws: Number of draws, which generations or candidates take in turn.
        share: Share of the candidates of the fidelity below that is promoted to this one.
        entropy: Offset of the seed of the initial weights. It separates the fidelities of a ladder.
        uses_gpu: Whether training takes a GPU if there is one.
        timeout: Seconds that one candidate may take.
        split: The split to train on.

    >>> Fidelity("mini", 8, (Training(24, 2, steps=400, points=64, learning_rate=0.05),)).draws
    1
    """

    name: str
    instances: int
    networks: tuple[Training, ...] = ()
    rates: tuple[float, ...] = ()
    draws: int = 1
    share: float = 1.0
    entropy: int = 0
    uses_gpu: bool = False
    timeout: float = TIMEOUT
    split: str = "search"

    def error_shape(self, instances: int) -> tuple[int, ...]:
        """Return the shape of the errors of a candidate: [instance, seed, 4], one seed."""
        return (instances, 1, 4)

    def to_dict(self) -> dict[str, Any]:
        """Return the fidelity as values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Fidelity:
        """Return the fidelity that :meth:`to_dict` was called on."""
        networks = tuple(Training(**own) for own in stored["networks"])
        return cls(**stored | {"networks": networks, "rates": tuple(stored["rates"])})
