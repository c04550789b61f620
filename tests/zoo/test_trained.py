"""Learnable functions of the zoo as formulas with trained parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symact import zoo
from symact.backends.torch import TrainedParameters, lower_in_dtype
from symact.evaluation import Trainable
from symact.evaluation.training.networks import pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import const, parameters, parse, with_parameters
from symact.reporting.competitors import competitors, merge_known, of_formula, of_zoo
from symact.tasks import task
from symact.tasks.protocol import Training
from symact.zoo.modules import module

SHORT = Training(width=7, depth=2, steps=8, points=40, learning_rate=3e-3)
TRAINED = [known for known in zoo.catalogue() if known.trained is not None]
each = pytest.mark.parametrize("known", TRAINED, ids=lambda known: known.name)


@pytest.fixture(scope="module")
def data():
    return pack(task("ood-suite").draw("search", seed=0, per_family=1), SHORT.points, 30)


def test_every_learnable_formula_has_a_trained_form():
    without = {k.name for k in zoo.catalogue() if k.kind == "learnable" and k.trained is None}
    assert without == {"KAN B-spline"}
    assert zoo.find("Chebyshev").with_constants(degree=5).trained is None
    assert zoo.find("SiLU").trained is None


@each
def test_the_initial_values_give_the_formula(known):
    initial = [const(own.parameter[0]) for own in parameters(known.trained)]
    assert len(initial) == len(known.learnable)
    formula = with_parameters(known.trained, initial)
    x = torch.linspace(-4, 4, 41, dtype=torch.float64)
    torch.testing.assert_close(
        lower_in_dtype(formula, x), lower_in_dtype(known.expr, x), rtol=1e-6, atol=1e-9
    )


@each
def test_the_module_has_the_same_parameters_and_gradients(known):
    """The judged module has one scalar of each parameter for each layer of each network."""
    made = module(known, shape=(1, 1, 1), dim=-2, axes=(-2, -1)).double()
    own = TrainedParameters(known.trained, (1, 1, 1)).double()
    x = torch.linspace(-4, 4, 42, dtype=torch.float64).reshape(1, 6, 7)
    theirs = [getattr(made, name) for name in known.learnable]
    assert [p.shape for p in made.parameters()] == [(1, 1, 1)] * len(own)
    by_index = dict(zip(parameters(known.trained), own, strict=True))
    counts: dict[float, int] = {}
    ordered = []
    for name in known.learnable:
        start = known.parameters[name]
        counts[start] = counts.get(start, -1) + 1
        ordered.append(by_index[parse(f"param({start!r}, {counts[start]})")])
    made(x).sin().sum().backward()
    lower_in_dtype(known.trained, x, bound=own.bound()).sin().sum().backward()
    for mine, other in zip(ordered, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-6, atol=1e-8)


@each
@pytest.mark.usefixtures("one_thread")
def test_the_compiled_trainer_trains_it_as_the_module(data, known):
    def build(networks, layer):
        return module(known, shape=(networks, 1, 1), dim=-2, axes=(-2, -1), seed=layer)

    expected = TorchMLPTrainer(data, SHORT, [0], 5, "cpu").judge([Trainable(known.name, build)])[0]
    found = NumbaMLPTrainer(data, SHORT, [0], 5).judge(known.trained)
    np.testing.assert_allclose(found, expected, rtol=3e-3)


def test_judged_functions_keep_their_keys():
    """Stored judgements are found by the key of the module, which has not changed."""
    swish = of_zoo(zoo.find("Swish-beta"))
    assert swish.key == "zoo:Swish-beta:47a66fad29e1"
    assert swish.function == parse("x*sigmoid(param(1)*x)")
    assert swish.note == "learnable; trains beta"


def test_a_found_function_is_not_merged_with_a_trained_one():
    (prelu,), _ = competitors(["PReLU"], 1)
    found = [of_formula("found", parse("where(x > 0, x, 0.25*x)")), prelu]
    assert [own.name for own in merge_known(found)] == ["found", "PReLU"]
