"""Trained networks of each kind follow plain autograd in float64, on any number of judged parts."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from symact.backends import to_torch
from symact.evaluation.training.initialisation import INITIALISATIONS
from symact.evaluation.training.networks import Data, initial_weights, learning_rates, pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import parse
from symact.tasks import task
from symact.tasks.protocol import Training

SHORT = Training(width=9, depth=2, steps=6, points=45, learning_rate=3e-3)
FORMULA = "gelu(x) + 0.1*sin(3*x)"
TRAINERS = {
    "numba": lambda data, training: NumbaMLPTrainer(data, training, [0, 3], 5),
    "torch": lambda data, training: TorchMLPTrainer(data, training, [0, 3], 5, "cpu"),
}


@pytest.fixture(scope="module")
def data():
    """Instances with 1 to 5 inputs and 45 points, which fill no block of the workspace."""
    drawn = task("ood-suite").draw("search", seed=0, per_family=1)
    return pack(drawn, SHORT.points, judged_points=31)


def with_parts(data: Data, parts: list[int]) -> Data:
    """Return the data with the given judged parts, in this order."""
    names = ("x_judged", "y_judged", "variance")
    return dataclasses.replace(
        data, **{n: np.ascontiguousarray(getattr(data, n)[:, parts]) for n in names}
    )


def errors_of(kind: str, data: Data, training: Training, function) -> np.ndarray:
    """Return the errors [instance, seed, part] of one function."""
    with ThreadPoolExecutor(1) as pool:
        (future,) = TRAINERS[kind](data, training).start(pool, [function])
        return future.result()


def forward(x: Tensor, layers: list[tuple[Tensor, Tensor]], training: Training, apply) -> Tensor:
    """Return the outputs [point, output] for inputs [point, input]; the reference."""
    linear = torch.nn.functional.linear
    first, *hidden, last = layers
    h = apply(linear(x, *first), 0)
    for index, layer in enumerate(hidden):
        h = apply(linear(h, *layer), 1 + index)
    return linear(h, *last)


def reference(data: Data, training: Training, instance: int, seed: int, apply, extra=()):
    """Return the errors [part] of one network that plain autograd trains in float64."""
    drawn = initial_weights(data, training, [seed], 5)
    inputs = data.inputs[instance]
    layers = [
        (torch.tensor(w[instance, 0]).double(), torch.tensor(b[instance, 0]).double())
        for w, b in drawn
    ]
    layers[0] = (layers[0][0][:, :inputs].clone(), layers[0][1])
    parameters = [t.requires_grad_() for t in (*(t for pair in layers for t in pair), *extra)]
    optimiser = torch.optim.Adam(parameters)

    def loss(x: np.ndarray, y: np.ndarray) -> Tensor:
        given, wanted = torch.tensor(x[:inputs].T).double(), torch.tensor(y.T).double()
        return (forward(given, layers, training, apply) - wanted).square().mean()

    for rate in learning_rates(training):
        optimiser.param_groups[0]["lr"] = float(rate)
        optimiser.zero_grad()
        loss(data.x[instance], data.y[instance]).backward()
        optimiser.step()
    judged = zip(data.x_judged[instance], data.y_judged[instance], strict=True)
    return np.array([loss(x, y).item() for x, y in judged]) / data.variance[instance]


def check_against_reference(kind, data, training, function, apply) -> None:
    found = errors_of(kind, data, training, function)
    assert found.shape == (len(data.families), 2, data.variance.shape[1])
    for instance in range(len(data.families)):
        for place, seed in enumerate((0, 3)):
            expected = reference(data, training, instance, seed, apply)
            np.testing.assert_allclose(found[instance, place], expected, rtol=1e-4)


@pytest.mark.parametrize("name", INITIALISATIONS)
@pytest.mark.parametrize("kind", TRAINERS)
@pytest.mark.usefixtures("one_thread")
def test_plain_networks_follow_autograd_from_every_initialisation(data, kind, name):
    activation = to_torch(parse(FORMULA))
    training = dataclasses.replace(SHORT, initialisation=name)
    check_against_reference(kind, data, training, parse(FORMULA), lambda z, layer: activation(z))


@pytest.mark.parametrize("parts", [[0], [2, 0], [0, 3, 1, 1, 2, 0]])
@pytest.mark.parametrize("kind", TRAINERS)
def test_each_judged_part_has_its_own_error_whatever_their_number(data, kind, parts):
    expected = errors_of(kind, data, SHORT, parse(FORMULA))
    found = errors_of(kind, with_parts(data, parts), SHORT, parse(FORMULA))
    np.testing.assert_array_equal(found, expected[..., parts])


def test_a_stack_of_candidates_judges_any_number_of_parts(data):
    trainer = TRAINERS["torch"](with_parts(data, [1, 0]), SHORT)
    errors = trainer.judge([parse("tanh(x)"), parse("x - mean(x)")])
    assert errors.shape == (2, len(data.families), 2, 2)
    assert np.isfinite(errors).all()
