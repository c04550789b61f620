"""The tasks that the fidelities of one search train on.

They are arrays only, so a worker elsewhere needs neither the task nor the plan. They travel as the
bytes of an ``.npz`` file, which holds no code.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from symact.errors import SymactError, choices
from symact.evaluation.fidelity import Fidelity
from symact.evaluation.jobs import TIMEOUT, TUNING
from symact.evaluation.training.mixed_sizes import (
    TrainingSet,
    by_name,
    shuffled_networks,
)
from symact.evaluation.training.networks import Data, pack
from symact.tasks import Instance, Task
from symact.tasks.protocol import Training

#: Constants are tuned in short trainings of few networks.
TUNING_TRAINING = Training(width=16, depth=2, steps=200, points=64, learning_rate=5e-2)
_TUNING_INSTANCES = 4


@dataclass(frozen=True, eq=False)
class Draws:
    """The draws of one search.

    Attributes:
        fidelities: The fidelities of the search.
        data: Arrays by name: ``FIDELITY/DRAW/NETWORK`` for each draw and network, ``tuning`` for
            constants. A fidelity without training has ``FIDELITY/evaluation`` alone.
        entropy: Where the seeds of the initial weights begin.
    """

    fidelities: tuple[Fidelity, ...]
    data: Mapping[str, Data]
    entropy: int

    @classmethod
    def of(cls, task: Task, seed: int, fidelities: Sequence[Fidelity]) -> Draws:
        """Draw from a task; no two fidelities share an instance of the search split.

        Args:
            task: The task.
            seed: Seed of the search. The selection split is the same for all seeds.
            fidelities: The fidelities, in the order in which they take their instances.

        Raises:
            SymactError: One has no networks.
        """
        for fidelity in fidelities:
            if not fidelity.networks:
                raise SymactError(f"fidelity '{fidelity.name}' has no networks; give at least one")
        data: dict[str, Data] = {}
        for split in sorted({own.split for own in fidelities}):
            own = [fidelity for fidelity in fidelities if fidelity.split == split]
            data |= _for_training(task, split, seed, own)
        # The entropies below 1000 belong to the protocol.
        return cls(tuple(fidelities), data, 1000 * (seed + 1))

    def fidelity(self, name: str) -> Fidelity:
        """Return a fidelity by its name.

        Raises:
            SymactError: There is none.
        """
        if name not in self._by_name:
            raise SymactError(f"unknown fidelity '{name}'; {choices(name, self._by_name)}")
        return self._by_name[name]

    def sets(self, name: str, draw: int) -> tuple[TrainingSet, ...]:
        """Return what a fidelity trains on, one set for each network."""
        fidelity = self.fidelity(name)
        return tuple(
            TrainingSet(data, training, fidelity.rates or (training.learning_rate,))
            for index, training in enumerate(fidelity.networks)
            if (data := self.data.get(f"{name}/{draw}/{index}")) is not None
        )

    def families(self, name: str) -> tuple[str, ...]:
        """Return the family of each instance of a fidelity; the same for every draw."""
        self.fidelity(name)
        return self._families[name]

    def error_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a candidate's errors at a fidelity."""
        return self.fidelity(name).error_shape(len(self.families(name)))

    def timeout(self, name: str) -> float:
        """Return the seconds that a job at a fidelity, or one of tuning, may take."""
        return TIMEOUT if name == TUNING else self.fidelity(name).timeout

    @functools.cached_property
    def _by_name(self) -> dict[str, Fidelity]:
        return {own.name: own for own in self.fidelities}

    @functools.cached_property
    def _families(self) -> dict[str, tuple[str, ...]]:
        return {
            own.name: (
                self._trained_families(own)
                if own.networks
                else self.data[f"{own.name}/evaluation"].families
            )
            for own in self.fidelities
        }

    def _trained_families(self, fidelity: Fidelity) -> tuple[str, ...]:
        found = [f for one in self.sets(fidelity.name, 0) for f in one.data.families]
        return tuple(found[i] for i in by_name(found))

    def dump(self) -> bytes:
        """Return the draws as the bytes of an ``.npz`` file."""
        head = {
            "fidelities": [own.to_dict() for own in self.fidelities],
            "data": list(self.data),
            "entropy": self.entropy,
        }
        arrays = dict(self._arrays())
        file = io.BytesIO()
        np.savez(file, head=np.array(json.dumps(head)), **arrays)  # type: ignore[arg-type]
        return file.getvalue()

    def _arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        for name, data in self.data.items():
            for field in fields(data):
                yield f"{name}/{field.name}", np.array(getattr(data, field.name))

    @classmethod
    def load(cls, content: bytes) -> Draws:
        """Return what :meth:`dump` wrote.

        Raises:
            ValueError: The file holds Python objects.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            head = json.loads(str(stored["head"]))
            fidelities = tuple(map(Fidelity.from_dict, head["fidelities"]))
            data = {name: _data(stored, name) for name in head["data"]}
            return cls(fidelities, data, head["entropy"])


def _for_training(
    task: Task, split: str, seed: int, fidelities: Sequence[Fidelity]
) -> dict[str, Data]:
    """Return the draws of fidelities that train on a split. They share no instance."""
    total = sum(own.instances * own.draws for own in fidelities)
    # The selection split is the same for all seeds.
    own_seed = seed if split == "search" else 0
    families = by_family(task.draw(split, seed=own_seed, per_family=total))
    data = {}
    if split == "search":
        tuning = [i for family in families for i in family[:_TUNING_INSTANCES]]
        data[TUNING] = pack(tuning, TUNING_TRAINING.points)
    first = 0
    for fidelity in fidelities:
        for draw in range(fidelity.draws):
            own = [family[first : first + fidelity.instances] for family in families]
            entropy = (own_seed, fidelity.entropy, draw)
            sets = shuffled_networks(own, fidelity.networks, entropy)
            data |= {f"{fidelity.name}/{draw}/{i}": packed for i, packed in sets.items()}
            first += fidelity.instances
    return data


def _data(stored: Mapping[str, Any], name: str) -> Data:
    values: dict[str, Any] = {field.name: stored[f"{name}/{field.name}"] for field in fields(Data)}
    return Data(**values | {"families": tuple(map(str, values["families"]))})


def by_family(instances: Sequence[Instance]) -> list[list[Instance]]:
    """Group instances by family, in order of first appearance."""
    groups: dict[str, list[Instance]] = {}
    for instance in instances:
        groups.setdefault(instance.family, []).append(instance)
    return list(groups.values())
