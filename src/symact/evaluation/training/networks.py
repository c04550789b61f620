"""Packed data and common initial weights of all fidelities.

All candidates have the same data and the same initial weights (common random numbers). Their errors
can therefore be compared in pairs. The initialisation of the training gives the distribution of
the weights (see :mod:`symact.evaluation.training.initialisation`). The default is that of
``torch.nn.Linear`` for all activations, as in existing models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symact.evaluation.training.initialisation import initialiser
from symact.tasks import Instance
from symact.tasks.protocol import Training

Floats = NDArray[np.float32]

#: Offset of the seeds of initial weights for each use. Fidelities of a search begin at 1,000.
ENTROPY = {"selection": 4, "test": 5, "diagnosis": 6, "tuning": 7}

#: Number of networks in a stack on a GPU. 24 networks of the full protocol take about 20 MB.
GPU_NETWORKS = 1536


@dataclass(frozen=True, eq=False)
class Data:
    """The instances of one draw as arrays. Inputs are padded with zeros to a common width.

    Attributes:
        families: Family of each instance.
        inputs: Number of inputs of each instance without padding, int64 [instance].
        x: Training inputs, float32 [instance, input, point].
        y: Training targets, float32 [instance, output, point].
        x_judged: Inputs to judge on, float32 [instance, part, input, point]. The trainers take any
            number of parts. :func:`pack` makes four: held out, near, middle and far.
        y_judged: Targets of these inputs, float32 [instance, part, output, point].
        variance: Variance of these targets, float64 [instance, part]. Errors are divided by it.
    """

    families: tuple[str, ...]
    inputs: NDArray[np.int64]
    x: Floats
    y: Floats
    x_judged: Floats
    y_judged: Floats
    variance: NDArray[np.float64]


def pack(instances: Sequence[Instance], points: int, judged_points: int | None = None) -> Data:
    """Pack instances with their first ``points`` training points.

    Args:
        instances: At least one instance. All have the same number of outputs.
        points: Number of training points of each instance.
        judged_points: Number of held-out points and of points of each shell; None for all.
    """
    inputs = np.array([instance.x_train.shape[1] for instance in instances], dtype=np.int64)
    widest = int(inputs.max())

    def padded(x: NDArray[np.float32]) -> Floats:
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, widest - x.shape[-1])]).swapaxes(-1, -2)

    x_judged, y_judged = [], []
    for i in instances:
        x_judged.append(padded(np.concatenate([i.x_held_out[None], i.x_ood])[:, :judged_points]))
        y = np.concatenate([i.y_held_out[None], i.y_ood])[:, :judged_points]
        y_judged.append(y.swapaxes(-1, -2))
    targets = np.ascontiguousarray(np.stack(y_judged), dtype=np.float32)
    return Data(
        families=tuple(instance.family for instance in instances),
        inputs=inputs,
        x=np.ascontiguousarray(np.stack([padded(i.x_train[:points]) for i in instances])),
        y=np.ascontiguousarray(np.stack([i.y_train[:points].T for i in instances])),
        x_judged=np.ascontiguousarray(np.stack(x_judged)),
        y_judged=targets,
        variance=targets.astype(np.float64).var(axis=-1).mean(axis=-1),
    )


def initial_weights(
    data: Data,
    training: Training,
    seeds: Sequence[int],
    entropy: int,
    inputs: int = 1,
    outputs: int = 1,
) -> list[tuple[Floats, Floats]]:
    """Draw the initial weights and biases of all networks.

    Args:
        data: The instances. They determine the numbers of inputs and outputs.
        training: The architecture and initialisation of the networks.
        seeds: Training seeds.
        entropy: Seed of the random numbers, different for each fidelity and split.
        inputs: Number of pre-activations of a unit; two for a gated unit.
        outputs: Number of output values of a unit.

    Returns:
        ``(weights [instance, seed, out, in], biases [instance, seed, out])`` for each layer.
        Columns of padded inputs are zero. The layers of a residual network are that of the inputs,
        two for each block, and that of the outputs.

    Raises:
        SymactError: The initialisation is unknown.
    """
    draw = initialiser(training.initialisation)
    count, widest = len(data.families), data.x.shape[1]
    units, pre_activations, values = (training.width * own for own in (1, inputs, outputs))
    if training.residual:
        before = [widest, *[units, values] * training.depth, units]
        after = [units, *[pre_activations, units] * training.depth, data.y.shape[1]]
    else:
        before = [widest, *[values] * training.depth]
        after = [*[pre_activations] * training.depth, data.y.shape[1]]
    layers = [
        (
            np.zeros((count, len(seeds), rows, columns), dtype=np.float32),
            np.zeros((count, len(seeds), rows), dtype=np.float32),
        )
        for columns, rows in zip(before, after, strict=True)
    ]
    for instance in range(count):
        for place, seed in enumerate(seeds):
            generator = np.random.default_rng([entropy, instance, seed])
            for depth, (weights, biases) in enumerate(layers):
                fan_in = int(data.inputs[instance]) if depth == 0 else weights.shape[-1]
                own = draw(generator, fan_in, weights.shape[2])
                weights[instance, place, :, :fan_in], biases[instance, place] = own
    return layers


def learning_rates(training: Training, learning_rate: float | None = None) -> NDArray[np.float64]:
    """Return the learning rate of each step: a half cosine from the maximum to zero.

    Args:
        training: The number of steps and the maximum.
        learning_rate: Another maximum; None for that of the training.
    """
    maximum = training.learning_rate if learning_rate is None else learning_rate
    progress = np.arange(training.steps) / training.steps
    rates: NDArray[np.float64] = maximum * 0.5 * (1 + np.cos(np.pi * progress))
    return rates
