"""Trained networks of each kind follow plain autograd in float64, on any number of judged parts."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor
from trained_networks import reference

from symact.backends import to_torch
from symact.evaluation import Trainable
from symact.evaluation.training.initialisation import INITIALISATIONS
from symact.evaluation.training.mlp import MLPTrainer
from symact.evaluation.training.networks import Data, pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import parse
from symact.tasks import task
from symact.tasks.protocol import Training

SHORT = Training(width=9, depth=2, steps=6, points=45, learning_rate=3e-3)
RESIDUAL = dataclasses.replace(SHORT, residual=True)
STATISTICS = parse("tanh(x)*x/(std(x) + 0.1) - mean(x)")
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


def check(kind, data, training, function, make) -> None:
    """Compare all errors; ``make()`` returns ``apply`` and ``extra`` of :func:`reference`."""
    found = errors_of(kind, data, training, function)
    assert found.shape == (len(data.families), 2, data.variance.shape[1])
    for instance in range(len(data.families)):
        for place, seed in enumerate((0, 3)):
            expected = reference(data, training, instance, seed, *make())
            np.testing.assert_allclose(found[instance, place], expected, rtol=1e-4)


@pytest.mark.parametrize("name", INITIALISATIONS)
@pytest.mark.parametrize("kind", TRAINERS)
@pytest.mark.usefixtures("one_thread")
def test_plain_networks_follow_autograd_from_every_initialisation(data, kind, name):
    activation = to_torch(parse(FORMULA))
    training = dataclasses.replace(SHORT, initialisation=name)
    check(kind, data, training, parse(FORMULA), lambda: (lambda z, _: activation(z), []))


@pytest.mark.parametrize(
    ("name", "width", "blocks"), [("torch", 9, 2), ("glorot", 4, 1), ("lecun", 13, 3), ("he", 9, 2)]
)
@pytest.mark.parametrize("kind", TRAINERS)
@pytest.mark.usefixtures("one_thread")
def test_residual_networks_follow_autograd(data, kind, width, blocks, name):
    activation = to_torch(parse(FORMULA))
    training = dataclasses.replace(
        SHORT, width=width, depth=blocks, initialisation=name, residual=True
    )
    check(kind, data, training, parse(FORMULA), lambda: (lambda z, _: activation(z), []))


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


def statistics(z: Tensor, _: int) -> Tensor:
    return z.tanh() * z / (z.std(unbiased=False) + 0.1) - z.mean()


@pytest.mark.usefixtures("one_thread")
def test_residual_networks_of_batch_statistics_follow_autograd(data):
    check("torch", data, RESIDUAL, STATISTICS, lambda: (statistics, []))


class Slopes(torch.nn.Module):
    """max(x, a x) with one trained a for each network."""

    def __init__(self, networks: int) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.full((networks, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.a * x)


SLOPES = Trainable("slopes", lambda networks, layer: Slopes(networks))


def slopes():
    trained = [torch.tensor(0.1, dtype=torch.float64) for _ in range(RESIDUAL.depth)]
    return lambda z, block: torch.where(z > 0, z, trained[block] * z), trained


@pytest.mark.usefixtures("one_thread")
def test_parameters_of_modules_in_residual_networks_follow_autograd(data):
    """A large learning rate moves the parameters from their start."""
    training = dataclasses.replace(RESIDUAL, learning_rate=1e-2)
    check("torch", data, training, SLOPES, slopes)
    fixed = errors_of("numba", data, training, parse("max(x, 0.1*x)"))
    assert not np.isclose(errors_of("torch", data, training, SLOPES), fixed, rtol=1e-4).any()


class Glu(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.glu(x, dim=-2)


class TwoSided(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.relu(), (-x).relu()], dim=-2)


class Modes(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x) if self.training else torch.full_like(x, torch.nan)


def test_units_of_residual_networks_may_be_gated_or_give_two_values(data):
    gated = Trainable("glu", lambda networks, layer: Glu(), inputs=2)
    doubled = Trainable("two-sided", lambda networks, layer: TwoSided(), outputs=2)
    mixed = TRAINERS["torch"](data, RESIDUAL).judge([gated, parse("tanh(x)"), doubled, STATISTICS])
    assert np.isfinite(mixed).all()
    for function, found in zip((parse("tanh(x)"), STATISTICS), mixed[1::2], strict=True):
        alone = errors_of("torch", data, RESIDUAL, function)
        np.testing.assert_allclose(found, alone, rtol=1e-5)


def test_modules_of_residual_networks_are_judged_in_their_mode_of_evaluation(data):
    modes = Trainable("modes", lambda networks, layer: Modes())
    assert np.isnan(errors_of("torch", data, RESIDUAL, modes)).all()


@pytest.mark.parametrize("training", [SHORT, RESIDUAL], ids=["plain", "residual"])
@pytest.mark.parametrize("kind", TRAINERS)
def test_a_network_that_diverges_is_nan_in_its_own_place_only(data, kind, training):
    x = data.x.copy()
    x[1] = np.inf
    spoilt = dataclasses.replace(data, x=x)
    expected = errors_of(kind, data, training, parse(FORMULA))
    found = errors_of(kind, spoilt, training, parse(FORMULA))
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


def test_an_infinite_loss_ends_the_training_of_a_residual_network(data):
    """The outputs are finite; the sum of their squared errors is not."""
    y = data.y.copy()
    y[2] *= 1e25
    found = errors_of("numba", dataclasses.replace(data, y=y), RESIDUAL, parse(FORMULA))
    assert np.isnan(found[2]).all()
    assert np.isfinite(found[:2]).all()


def test_errors_of_residual_networks_depend_neither_on_cuts_nor_on_neighbours(data):
    trainer = NumbaMLPTrainer(data, RESIDUAL, range(5), 5)
    exprs = [parse(text) for text in (FORMULA, "exp(x**2)*1000", "x", "1.5")]
    with ThreadPoolExecutor(2) as pool:
        whole = [future.result() for future in trainer.start(pool, exprs)]
        cut = [future.result() for future in trainer.start(pool, exprs[::-1], 4)][::-1]
    np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("training", [SHORT, RESIDUAL], ids=["plain", "residual"])
def test_one_trainer_takes_functions_of_all_kinds_and_any_learning_rate(data, training):
    functions = [SLOPES, parse(FORMULA), STATISTICS]
    faster = dataclasses.replace(training, learning_rate=1e-2)
    with ThreadPoolExecutor(1) as pool:
        own = MLPTrainer(data, training, [0, 3], 5, parts=2)
        futures = own.start(pool, functions, learning_rate=1e-2)
        found = [future.result() for future in futures]
        usual = own.start(pool, functions[1:2])[0].result()
    for function, errors, kind in zip(functions, found, ("torch", "numba", "torch"), strict=True):
        np.testing.assert_array_equal(errors, errors_of(kind, data, faster, function))
    np.testing.assert_array_equal(usual, errors_of("numba", data, training, functions[1]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("function", [parse(FORMULA), STATISTICS, SLOPES])
def test_residual_networks_train_on_cuda_as_on_the_cpu(data, function):
    expected = errors_of("torch", data, RESIDUAL, function)
    found = TorchMLPTrainer(data, RESIDUAL, [0, 3], 5, "cuda").judge([function])[0]
    np.testing.assert_allclose(found, expected, rtol=5e-3)
