"""Tuned constants of a function are those that training finds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from symact.backends.torch import lower
from symact.evaluation.training.constants import Tuner
from symact.evaluation.training.networks import Data, initial_weights, learning_rates, pack
from symact.evaluation.training.stack import Span, Stack
from symact.expr import Expr, fold, literals, parse, var
from symact.expr.primitives import CONST
from symact.tasks import task
from symact.tasks.protocol import Training

SHORT = Training(width=8, depth=2, steps=60, points=64, learning_rate=5e-2)
ENTROPY = 9


@pytest.fixture(scope="module")
def data():
    return pack(task("polynomial").draw("search", seed=0, per_family=3), SHORT.points, 64)


def taught(data: Data, training: Training, expr: Expr) -> Data:
    """Data of the very networks that training starts from, with a given activation."""
    drawn = initial_weights(data, training, [0], ENTROPY)
    weights = [(torch.tensor(w[:, 0]), torch.tensor(b[:, 0]).unsqueeze(-1)) for w, b in drawn]
    count, points = len(data.families), data.x.shape[2]
    teacher = Stack([Span(expr, 0, count)], weights, points, torch.device("cpu"))
    return dataclasses.replace(data, y=teacher.predict(torch.tensor(data.x)).numpy().copy())


@pytest.mark.parametrize("start", [0.25, 0.35])
@pytest.mark.usefixtures("one_thread")
def test_a_constant_moves_towards_that_of_the_networks_which_made_the_data(start):
    """Of one unit each: in larger ones the weights make up for a wrong constant."""
    training = dataclasses.replace(SHORT, width=1, depth=1, steps=300, learning_rate=3e-2)
    data = pack(task("polynomial").draw("search", seed=0, per_family=8), training.points, 64)
    data = taught(data, training, parse("max(x, 0.3*x)"))
    tuned = Tuner(data, training, ENTROPY).tune(parse(f"max(x, {start}*x)"))
    (found,) = literals(tuned)
    assert tuned == parse(f"max(x, {found!r}*x)")
    assert abs(found - 0.3) < 0.5 * abs(start - 0.3)


@pytest.mark.parametrize(
    "text", ["max(x, 0.1*x)", "x + 0.5*sin(1.5*x)", "x*sigmoid(1.5*x) + 0.1*cos(1.5*x)"]
)
@pytest.mark.usefixtures("one_thread")
def test_constants_shared_by_layers_and_networks_train_as_by_plain_autograd(data, text):
    training = dataclasses.replace(SHORT, depth=3, steps=15)
    values = literals(parse(text))
    names = {value: f"c{place}" for place, value in enumerate(values)}

    def named(node: Expr, args: list[Expr]) -> Expr:
        if node.op == CONST:
            return var(names[node.number])
        return Expr(node.op, tuple(args), node.value)

    expr = fold(parse(text), named)
    change = torch.zeros(len(values), dtype=torch.float64, requires_grad=True)
    layers = [
        (torch.tensor(w[:, 0]).double(), torch.tensor(b[:, 0]).double().unsqueeze(-1))
        for w, b in initial_weights(data, training, [0], ENTROPY)
    ]
    weights = [tensor.requires_grad_() for layer in layers for tensor in layer]
    optimiser = torch.optim.Adam([*weights, change])
    x, y = torch.tensor(data.x).double(), torch.tensor(data.y).double()

    def constants() -> dict[str, torch.Tensor]:
        return {names[v]: v * (1 + 0.1 * p) for v, p in zip(values, change, strict=True)}

    for rate in learning_rates(training):
        h = x
        for w, b in layers[:-1]:
            h = lower(expr, w @ h + b, bound=constants())
        errors = (layers[-1][0] @ h + layers[-1][1] - y).square().mean(dim=(1, 2))
        optimiser.param_groups[0]["lr"] = float(rate)
        optimiser.zero_grad()
        errors.sum().backward()
        optimiser.step()
    expected = [value.item() for value in constants().values()]
    tuned = Tuner(data, training, ENTROPY).tune(parse(text))
    np.testing.assert_allclose(literals(tuned), expected, rtol=1e-4)
    assert not np.isclose(literals(tuned), values, rtol=1e-3).any()


@pytest.mark.usefixtures("one_thread")
def test_tuning_gives_the_same_again_and_nothing_where_nothing_can_be_tuned(data):
    tuner, expr = Tuner(data, SHORT, ENTROPY), parse("x + 0.5*sin(1.5*x)")
    first = tuner.tune(expr)
    assert tuner.tune(parse("tanh(x)")) is None
    assert tuner.tune(parse("(x - mean(x))/(std(x) + 0.001)")) is None
    assert tuner.tune(parse("exp(exp(3*x))*1000")) is None  # diverges
    assert tuner.tune(expr) == first
