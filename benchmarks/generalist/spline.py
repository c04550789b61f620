"""Meta-learn an activation function as a linear spline, by gradients.

After D. Teney et al., "Do We Always Need the Simplicity Bias?", arXiv 2503.10065, by its
description: all layers of all networks share one spline. The weights learn the training points,
and the values at the knots learn to lower the error of the trained networks on validation points.
Here the validation points are those of the search draws, in distribution and in the OOD shells.
They are the fitness of a search too.

Steps of weights and of knots alternate. The gradient of a step of knots passes through
:data:`LOOKAHEAD` steps of the weights. An episode trains new networks on other draws of the lowest
fidelity. It starts from the spline of the last episode. Each core learns a spline, from ReLU and
from GELU in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from contest import Chosen
from methods_of_rivals import FINALISTS, choose
from torch import Tensor, nn
from trainings import Trainings

from symact.evaluation import Problem
from symact.evaluation.training.mixed_sizes import TrainingSet
from symact.evaluation.training.networks import initial_weights, learning_rates
from symact.expr import Expr, parse
from symact.tasks.protocol import Training

#: The knots are equally spaced on [-LIMIT, LIMIT]. The spline continues its outer pieces.
LIMIT, KNOTS = 5.0, 41
#: Steps of the weights between two steps of the knots, and those that a gradient passes through.
PERIOD, LOOKAHEAD = 20, 10
#: Learning rate of the knots, the largest gradient of a network, the width over which gradients of
#: neighbouring knots are averaged, and decimals of slopes.
RATE, LARGEST, WIDTH, DIGITS = 0.01, 1.0, 0.5, 4
#: Draws that an episode trains on at the same time.
TOGETHER = 2
#: Adam, as in all trainings of symact.
BETAS, EPSILON = (0.9, 0.999), 1e-8
#: The least normalised error, so that its logarithm is finite.
LEAST = 1e-6

#: Offset of the seeds of initial weights of each spline.
_ENTROPY = 1_000_000

STARTS: tuple[Callable[[Tensor], Tensor], ...] = (torch.relu, nn.functional.gelu)

Layers = list[Tensor]


def knots() -> Tensor:
    """Return the places of the knots, float32 ``[knot]``."""
    return torch.linspace(-LIMIT, LIMIT, KNOTS)


def smoothing() -> Tensor:
    """Return the matrix ``[knot, knot]`` that averages over neighbouring knots."""
    distance = knots()[:, None] - knots()[None]
    weights = torch.exp(-0.5 * (distance / WIDTH) ** 2)
    return weights / weights.sum(dim=1, keepdim=True)


def spline(z: Tensor, values: Tensor) -> Tensor:
    """Return linear splines at z, of the shape of z.

    Args:
        z: Arguments ``[network, unit, point]``.
        values: Values at the knots, ``[network, knot]``.
    """
    place = (z + LIMIT) * ((KNOTS - 1) / (2 * LIMIT))
    left = place.detach().floor().clamp(0, KNOTS - 2).nan_to_num().long()
    flat = left.flatten(1)
    low, high = (values.gather(1, own).view_as(z) for own in (flat, flat + 1))
    return low + (place - left) * (high - low)


def formula(values: Tensor) -> Expr:
    """Return a spline as a sum of ReLUs, with rounded slopes.

    Args:
        values: Values at the knots, ``[knot]``.
    """
    places, heights = knots().double().numpy(), values.detach().double().numpy()
    slopes = (np.diff(heights) / np.diff(places)).round(DIGITS)
    offset = heights[0] - slopes[0] * places[0]
    terms = [f"({offset:.{DIGITS}f})", f"({slopes[0]:.{DIGITS}f})*x"]
    for place, change in zip(places[1:-1], np.diff(slopes).round(DIGITS), strict=True):
        if change:
            terms.append(f"({change:.{DIGITS}f})*relu(x - ({place:.{DIGITS}f}))")
    return parse(" + ".join(terms))


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Networks of one architecture, with the points that they learn.

    Attributes:
        training: Their architecture and number of steps.
        layers: Initial weights ``[network, out, in]`` and biases ``[network, out, 1]``, in turn.
        rates: Learning rate of each step and network, ``[step, network]``.
        x: Training inputs, ``[network, input, point]``.
        y: Training targets, ``[network, output, point]``.
        x_judged: Validation inputs, all parts, ``[network, input, point]``.
        y_judged: Targets of these inputs, ``[part, network, output, point]``.
        variance: Variances of these targets, ``[part, network]``.
    """

    training: Training
    layers: Layers
    rates: Tensor
    x: Tensor
    y: Tensor
    x_judged: Tensor
    y_judged: Tensor
    variance: Tensor


def stack_of(sets: Sequence[TrainingSet], entropy: int) -> Stack:
    """Return the networks of training sets that have the same architecture and inputs.

    Args:
        sets: At least one training set.
        entropy: Seed of the initial weights of the first set; the others take the next ones.
    """
    layers: list[list[Tensor]] = []
    for place, own in enumerate(sets):
        drawn = initial_weights(own.data, own.training, [0], entropy + place)
        layers.append([torch.from_numpy(a[:, 0]) for pair in drawn for a in pair])
    joined = [torch.cat(own) for own in zip(*layers, strict=True)]
    joined = [own.unsqueeze(-1) if own.dim() == 2 else own for own in joined]
    rates = [
        np.repeat(learning_rates(own.training)[:, None], len(own.data.families), axis=1)
        for own in sets
    ]
    x_judged = np.concatenate([own.data.x_judged for own in sets])
    network, part, inputs, point = x_judged.shape
    return Stack(
        sets[0].training,
        joined,
        torch.from_numpy(np.concatenate(rates, axis=1)).float(),
        torch.from_numpy(np.concatenate([own.data.x for own in sets])),
        torch.from_numpy(np.concatenate([own.data.y for own in sets])),
        torch.from_numpy(x_judged.swapaxes(1, 2).reshape(network, inputs, part * point)),
        torch.from_numpy(np.concatenate([own.data.y_judged for own in sets])).transpose(0, 1),
        torch.from_numpy(np.concatenate([own.data.variance for own in sets])).float().T,
    )


def outputs(training: Training, layers: Layers, x: Tensor, values: Tensor) -> Tensor:
    """Return the outputs ``[network, output, point]`` of networks whose activation is a spline."""
    pairs = list(zip(layers[::2], layers[1::2], strict=True))
    if not training.residual:
        h = x
        for weights, biases in pairs[:-1]:
            h = spline(torch.baddbmm(biases, weights, h), values)
        return torch.baddbmm(pairs[-1][1], pairs[-1][0], h)
    first, *hidden, last = pairs
    h = torch.baddbmm(first[1], first[0], x)
    for inner, outer in zip(hidden[::2], hidden[1::2], strict=True):
        turned = h.transpose(1, 2)
        normed = nn.functional.layer_norm(turned, turned.shape[-1:]).transpose(1, 2)
        inside = spline(torch.baddbmm(inner[1], inner[0], normed), values)
        h = h + torch.baddbmm(outer[1], outer[0], inside)
    return torch.baddbmm(last[1], last[0], h)


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The weights of networks and the moments of Adam, all in the order of the layers."""

    layers: Layers
    first: Layers
    second: Layers

    @classmethod
    def of(cls, layers: Layers) -> State:
        """Return the state before the first step."""
        zeros = [torch.zeros_like(own) for own in layers]
        return cls([own.clone() for own in layers], zeros, zeros)

    def stepped(self, stack: Stack, step: int, values: Tensor, *, is_kept: bool) -> State:
        """Return the state after a step of Adam on the training points.

        Args:
            stack: The networks.
            step: Number of the step.
            values: Values of the spline.
            is_kept: Whether gradients pass through the step.
        """
        layers = self.layers if is_kept else [own.detach() for own in self.layers]
        layers = [own if own.requires_grad else own.requires_grad_() for own in layers]
        loss = (outputs(stack.training, layers, stack.x, values) - stack.y).square()
        gradients = torch.autograd.grad(
            loss.mean(dim=(1, 2)).sum(), layers, create_graph=is_kept, materialize_grads=True
        )
        with torch.set_grad_enabled(is_kept):
            return self._moved(layers, gradients, stack.rates[step][:, None, None], step + 1)

    def _moved(
        self, layers: Layers, gradients: Sequence[Tensor], rate: Tensor, count: int
    ) -> State:
        a, b = BETAS
        first = [a * m + (1 - a) * g for m, g in zip(self.first, gradients, strict=True)]
        # No gradient passes through the second moments: where they are 0 it would be infinite.
        squares = [g.detach().square() for g in gradients]
        second = [b * v + (1 - b) * g for v, g in zip(self.second, squares, strict=True)]
        moved = [
            own - rate * (m / (1 - a**count)) / ((v / (1 - b**count)).sqrt() + EPSILON)
            for own, m, v in zip(layers, first, second, strict=True)
        ]
        return State(moved, first, second)


def validation_loss(stack: Stack, layers: Layers, values: Tensor) -> Tensor:
    """Return the logarithm of the normalised error of each network, mean over the parts."""
    predicted = outputs(stack.training, layers, stack.x_judged, values)
    parts = predicted.unflatten(-1, (len(stack.y_judged), -1)).movedim(-2, 0)
    errors = (parts - stack.y_judged).square().mean(dim=(2, 3)) / stack.variance
    return (errors + LEAST).log().mean(dim=0)


def knot_gradient(stack: Stack, state: State, step: int, values: Tensor) -> Tensor:
    """Return the gradient of the validation loss after some steps, ``[network, knot]``.

    Args:
        stack: The networks.
        state: Their weights before the steps.
        step: Number of the first step.
        values: Values of the spline, ``[knot]``.
    """
    own = values.detach().expand(len(stack.x), -1).clone().requires_grad_()
    for ahead in range(step, min(step + LOOKAHEAD, stack.training.steps)):
        state = state.stepped(stack, ahead, own, is_kept=True)
    loss = validation_loss(stack, state.layers, own).sum()
    (gradient,) = torch.autograd.grad(loss, own)
    return gradient


def limited(gradients: Tensor) -> Tensor:
    """Return the mean gradient ``[knot]`` of networks, each limited in its norm.

    A network whose gradient is not finite does not count.
    """
    norms = gradients.norm(dim=1, keepdim=True)
    kept = torch.where(norms.isfinite(), gradients, 0.0)
    return (kept / (norms.nan_to_num(1.0, 1.0) / LARGEST).clamp(min=1.0)).mean(dim=0)


class MetaLearner:
    """Learns the values of one spline over episodes.

    Args:
        start: The function whose values it starts from.
    """

    def __init__(self, start: Callable[[Tensor], Tensor]) -> None:
        self.values = nn.Parameter(start(knots()))
        self._optimiser = torch.optim.Adam([self.values], lr=RATE)
        self._smoothing = smoothing()

    def episode(self, stacks: Sequence[Stack], is_over: Callable[[], bool]) -> None:
        """Train networks, and the spline beside them, until the end or until the time is over."""
        states = [State.of(own.layers) for own in stacks]
        for step in range(max(own.training.steps for own in stacks)):
            active = [i for i, own in enumerate(stacks) if step < own.training.steps]
            if step and is_over():
                return
            if step and step % PERIOD == 0:
                found = [knot_gradient(stacks[i], states[i], step, self.values) for i in active]
                self._move(limited(torch.cat(found)))
            for i in active:
                own = self.values.detach().expand(len(stacks[i].x), -1)
                states[i] = states[i].stepped(stacks[i], step, own, is_kept=False)

    def _move(self, gradient: Tensor) -> None:
        self.values.grad = self._smoothing @ gradient
        self._optimiser.step()


def meta_learned(problem: Problem, seconds: float, seed: int) -> Chosen:
    """Meta-learn a spline on each core, and choose among their states by the validation draws."""
    with closing(Trainings(problem, seconds, seed)) as trainings:
        starts = [formula(MetaLearner(start).values) for start in STARTS]
        end = trainings.finals_end(FINALISTS, starts)
        count = max(len(STARTS), trainings.ladder.workers)
        own = partial(torch.set_num_threads, 1)
        with ThreadPoolExecutor(count, initializer=own) as pool:
            seen = list(pool.map(partial(_learned, trainings, end, seed), range(count)))
        lowest = trainings.ladder.fidelities[0].name
        trainings.counts[lowest] += TOGETHER * sum(len(own) - 1 for own in seen)
        return choose(trainings, _spread(seen, FINALISTS))


def _learned(trainings: Trainings, end: float, seed: int, number: int) -> list[Expr]:
    """Return the states of one spline: at the start and after each episode.

    Args:
        trainings: Has the draws.
        end: Reading of the clock at which to end.
        seed: Of the run.
        number: Of the spline.
    """
    lowest, draws = trainings.ladder.fidelities[0], trainings.ladder.draws
    learner = MetaLearner(STARTS[number % len(STARTS)])
    seen = [formula(learner.values)]
    while len(seen) == 1 or trainings.left(end) > 0:
        first = number + TOGETHER * (len(seen) - 1)
        taken = range(first, first + TOGETHER)
        sets = [own for draw in taken for own in draws.sets(lowest.name, draw % lowest.draws)]
        entropy = _ENTROPY * (100 * seed + number) + len(sets) * len(seen)
        learner.episode(_stacks(sets, entropy), lambda: trainings.left(end) <= 0)
        seen.append(formula(learner.values))
    return seen


def _stacks(sets: Sequence[TrainingSet], entropy: int) -> list[Stack]:
    groups: dict[tuple[object, ...], list[TrainingSet]] = {}
    for own in sets:
        t = own.training
        key = (t.width, t.depth, t.residual, t.steps, own.data.x.shape[1:])
        groups.setdefault(key, []).append(own)
    stacks = []
    for group in groups.values():
        stacks.append(stack_of(group, entropy))
        entropy += len(group)
    return stacks


def _spread(seen: Sequence[Sequence[Expr]], count: int) -> list[Expr]:
    """Return states of splines in turn: the last of each, then earlier ones at equal distances."""
    each = -(-count // len(seen))
    chosen = []
    for own in seen:
        places = np.linspace(len(own) - 1, 0, min(each, len(own))).round().astype(int)
        chosen.append([own[place] for place in places])
    in_turn = [own[i] for i in range(each) for own in chosen if i < len(own)]
    return list(dict.fromkeys(in_turn))[:count]
