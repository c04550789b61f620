"""Trained parameters of expressions follow plain autograd in float64, in every trainer."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor
from trained_networks import reference

from symact.evaluation import Trainable
from symact.evaluation.training.constants import Tuner
from symact.evaluation.training.initialisation import INITIALISATIONS
from symact.evaluation.training.mlp import MLPTrainer
from symact.evaluation.training.networks import pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import literals, parse
from symact.tasks import task
from symact.tasks.protocol import Training

SHORT = Training(width=9, depth=2, steps=12, points=45, learning_rate=1e-2)
TRAINERS = {
    "numba": lambda data, training: NumbaMLPTrainer(data, training, [0, 3], 5),
    "torch": lambda data, training: TorchMLPTrainer(data, training, [0, 3], 5, "cpu"),
}


def swish(x: Tensor, beta: Tensor) -> Tensor:
    return x * torch.sigmoid(beta * x)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.relu(x) - slope * torch.relu(-x)


def wave(x: Tensor, scale: Tensor, frequency: Tensor) -> Tensor:
    return torch.tanh(x) + scale * torch.sin(frequency * x)


def line(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x > 0, x, slope * x * x)


#: The formula, the function in torch, and the initial values.
FUNCTIONS = {
    "swish": ("x*sigmoid(param(1)*x)", swish, (1.0,)),
    "prelu": ("relu(x) - param(0.25)*relu(-x)", prelu, (0.25,)),
    "two": ("tanh(x) + param(0.7)*sin(param(0.7, 1)*x)", wave, (0.7, 0.7)),
    "branch": ("where(x > 0, x, param(-0.5)*x**2)", line, (-0.5,)),
}


@pytest.fixture(scope="module")
def data():
    """Instances with 1 to 5 inputs and 45 points, which fill no block of the workspace."""
    drawn = task("ood-suite").draw("search", seed=0, per_family=1)
    return pack(drawn, SHORT.points, judged_points=31)


def errors_of(kind, data, training, text) -> np.ndarray:
    """Return the errors [instance, seed, part] of one function."""
    with ThreadPoolExecutor(1) as pool:
        (future,) = TRAINERS[kind](data, training).start(pool, [parse(text)])
        return future.result()


def applied(function, starts, layers):
    """Return the function of each layer, and its parameters."""
    trained = [
        [torch.tensor(start, dtype=torch.float64) for start in starts] for _ in range(layers)
    ]
    return lambda z, layer: function(z, *trained[layer]), [p for own in trained for p in own]


@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
@pytest.mark.parametrize(
    ("name", "initialisation"),
    [
        *(("swish", kind) for kind in INITIALISATIONS),
        ("prelu", "he"),
        ("two", "lecun"),
        ("branch", "glorot"),
    ],
)
@pytest.mark.parametrize("kind", TRAINERS)
@pytest.mark.usefixtures("one_thread")
def test_parameters_follow_plain_autograd_in_float64(data, kind, name, initialisation, residual):
    training = dataclasses.replace(SHORT, residual=residual, initialisation=initialisation)
    text, function, starts = FUNCTIONS[name]
    found = errors_of(kind, data, training, text)
    for instance in range(len(data.families)):
        for place, seed in enumerate((0, 3)):
            own = applied(function, starts, training.depth)
            expected = reference(data, training, instance, seed, *own)
            np.testing.assert_allclose(found[instance, place], expected, rtol=5e-4)


@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_a_parameter_moves_from_its_initial_value(data, residual):
    training = dataclasses.replace(SHORT, residual=residual)
    trained = errors_of("numba", data, training, "x*sigmoid(param(1.5)*x)")
    fixed = errors_of("numba", data, training, "x*sigmoid(1.5*x)")
    assert not np.isclose(trained, fixed, rtol=1e-5).any()


@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_a_parameter_without_effect_changes_nothing(data, residual):
    training = dataclasses.replace(SHORT, residual=residual)
    with_parameter = errors_of("numba", data, training, "gelu(x) + 0*param(2)")
    np.testing.assert_array_equal(
        with_parameter, errors_of("numba", data, training, "gelu(x) + 0*2")
    )


@pytest.mark.parametrize("text", ["param(0.5)", "mean(x) + param(1)*x", "param(2)*x"])
def test_any_function_with_parameters_trains(data, text):
    with ThreadPoolExecutor(1) as pool:
        trainer = MLPTrainer(data, SHORT, [0], 5, device="cpu")
        (future,) = trainer.start(pool, [parse(text)])
        found = future.result()
    assert np.isfinite(found).all()
    torch_found = TorchMLPTrainer(data, SHORT, [0], 5, "cpu").judge([parse(text)])[0]
    np.testing.assert_allclose(found, torch_found, rtol=2e-3)


def test_equal_leaves_are_one_parameter(data):
    """The difference of equal parameters stays 0; that of different ones moves."""
    fixed = errors_of("numba", data, SHORT, "tanh(x)*(1 + 0.5 - 0.5)")
    equal = errors_of("numba", data, SHORT, "tanh(x)*(1 + param(0.5) - param(0.5))")
    np.testing.assert_array_equal(equal, fixed)
    different = errors_of("numba", data, SHORT, "tanh(x)*(1 + param(0.5) - param(0.5, 1))")
    assert not np.isclose(different, fixed, rtol=1e-5).any()


def test_parts_and_neighbours_do_not_change_the_errors(data):
    exprs = [parse(text) for text, _, _ in FUNCTIONS.values()]
    trainer = NumbaMLPTrainer(data, SHORT, [0, 1], 5)
    together = trainer.judge_all([*exprs, parse("gelu(x)")], 3)
    for expr, found in zip(exprs, together, strict=False):
        np.testing.assert_array_equal(trainer.judge(expr), found)


class Swish(torch.nn.Module):
    """x sigmoid(beta x) with one beta for each network."""

    def __init__(self, networks: int) -> None:
        super().__init__()
        self.beta = torch.nn.Parameter(torch.ones(networks, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return swish(x, self.beta)


def test_a_formula_trains_as_a_module_with_the_same_parameter(data):
    module = Trainable("swish", lambda networks, layer: Swish(networks))
    trainer = TorchMLPTrainer(data, SHORT, [0], 5, "cpu")
    expected, found = trainer.judge([module, parse("x*sigmoid(param(1)*x)")])
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_tuned_literals_keep_the_parameters(data):
    tuned = Tuner(data, SHORT, 9).tune(parse("0.8*x*sigmoid(param(1)*x)"))
    (found,) = literals(tuned)
    assert found != 0.8
    assert tuned == parse(f"{found!r}*x*sigmoid(param(1)*x)")
