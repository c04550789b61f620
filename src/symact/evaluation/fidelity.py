"""A fidelity: one level of cost and accuracy at which candidates are trained.

A tuple of fidelities, cheapest first, is the ladder that candidates climb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from symact.errors import SymactError
from symact.evaluation.jobs import TIMEOUT
from symact.tasks.protocol import EvaluationProtocol, Training

#: An evaluation of a finalist is one job of many trainings.
FINAL_TIMEOUT = 6 * TIMEOUT


@dataclass(frozen=True, slots=True)
class Fidelity:
    """One level of training.

    A fidelity trains on its own draws of tasks. With ``networks`` the instances of a family take
    the networks in turn: instance ``i`` is learned by ``networks[i % len(networks)]``. With
    ``protocol`` every instance is learned by networks of all sizes of that protocol, at the best of
    its learning rates. With neither, the executor of the problem computes the errors by itself.

    Attributes:
        name: Name of the fidelity, also in run databases.
        instances: Instances of a family in one draw.
        networks: Sizes and lengths of the trainings. Empty if there is a protocol, or no training.
        rates: Learning rates to average over (see :func:`.mixed_sizes.expected_errors`); empty for
            the rate of each training.
        protocol: Evaluate on the selection split by this protocol; None to train on the search
            split.
        draws: Number of draws, which generations or candidates take in turn.
        share: Share of the candidates of the fidelity below that is promoted to this one.
        parts: Pieces of work that a candidate is cut into for each network size.
        entropy: Offset of the seed of the initial weights. It separates the fidelities of a ladder.
        uses_gpu: Whether training takes a GPU if there is one.
        timeout: Seconds that one candidate may take.
        mixed: Whether the instances of all families take the networks in turn, in an order that
            each draw shuffles. Families and networks are then combined by chance, and each
            network is used equally often (a Latin hypercube).
        split: The split to train on.

    >>> Fidelity("mini", 8, (Training(24, 2, steps=400, points=64, learning_rate=0.05),)).draws
    1
    """

    name: str
    instances: int
    networks: tuple[Training, ...] = ()
    rates: tuple[float, ...] = ()
    protocol: EvaluationProtocol | None = None
    draws: int = 1
    share: float = 1.0
    parts: int = 1
    entropy: int = 0
    uses_gpu: bool = False
    timeout: float = TIMEOUT
    mixed: bool = False
    split: str = "search"

    def __post_init__(self) -> None:
        if self.networks and self.protocol is not None:
            raise SymactError(f"fidelity '{self.name}': give either networks or a protocol")
        if self.protocol is not None and self.draws != 1:
            raise SymactError(f"fidelity '{self.name}': a protocol has 1 draw, got {self.draws}")

    def error_shape(self, instances: int) -> tuple[int, ...]:
        """Return the shape of the errors of a candidate on so many instances.

        It is [instance, seed, 4], or [instance, size, seed, 4] with a protocol; one seed.
        """
        if self.protocol is None:
            return (instances, 1, 4)
        return (instances, len(self.protocol.sizes), 1, 4)

    def to_dict(self) -> dict[str, Any]:
        """Return the fidelity as values that JSON can hold.

        Settings that earlier releases do not know are left out if they have their defaults. Earlier
        releases can therefore read the fidelities that they know.
        """
        stored = asdict(self) | {"networks": [_changed(own) for own in self.networks]}
        defaults = {"mixed": False, "split": "search"}
        return {k: v for k, v in stored.items() if k not in defaults or v != defaults[k]}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Fidelity:
        """Return the fidelity that :meth:`to_dict` was called on."""
        networks = tuple(Training(**own) for own in stored["networks"])
        rates, protocol = tuple(stored["rates"]), stored["protocol"]
        own = None if protocol is None else _protocol(**protocol)
        return cls(**stored | {"networks": networks, "rates": rates, "protocol": own})


def _changed(training: Training) -> dict[str, Any]:
    """Return the settings of a training without those that equal their default."""
    return {
        field.name: value
        for field in fields(training)
        if (value := getattr(training, field.name)) != field.default
    }


def _protocol(
    *, sizes: Sequence[Sequence[int]], rates: Sequence[float], **rest: Any
) -> EvaluationProtocol:
    pairs = tuple((width, depth) for width, depth in sizes)
    return EvaluationProtocol(sizes=pairs, rates=tuple(rates), **rest)
