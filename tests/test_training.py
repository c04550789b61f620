"""The trainers agree with each other and with plain autograd, and candidates do not mix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symact.expr import const, parse
from symact.lower import to_torch
from symact.protocol import Training
from symact.score import _full
from symact.score._full import FullTrainer
from symact.score._mini import MiniTrainer
from symact.score._networks import initial_weights, learning_rates, pack
from symact.score._ridge import RidgeJudge
from symact.tasks import task

SHORT = Training(width=8, depth=2, steps=15, points=64, learning_rate=1e-2)
FORMULAS = [
    "gelu(x) + 0.1*sin(x)",
    "x*tanh(softplus(x))",
    "max(x, 0.1*x)",
    "sinc(x) + x/(1 + abs(x))",
]


@pytest.fixture(scope="module")
def data():
    return pack(task("ood-suite").draw("search", seed=0, per_family=1), SHORT.points, 64)


@pytest.mark.parametrize("text", FORMULAS)
def test_mini_and_full_training_are_the_same_computation(data, text):
    expr = parse(text)
    mini = MiniTrainer(data, SHORT, [0, 1], 5).judge(expr)
    full = FullTrainer(data, SHORT, [0, 1], 5, "cpu").judge([expr])[0]
    np.testing.assert_allclose(mini, full, rtol=2e-3)


@pytest.mark.parametrize("text", FORMULAS)
def test_training_follows_plain_autograd_in_float64(data, text):
    """One network of the stack, trained by an independent loop of torch modules."""
    activation = to_torch(parse(text))
    weights = initial_weights(data, SHORT, [0], 5)
    for instance in range(len(data.families)):
        layers = [
            (torch.tensor(w[instance, 0]).double(), torch.tensor(b[instance, 0]).double())
            for w, b in weights
        ]
        parameters = [t.requires_grad_() for layer in layers for t in layer]
        optimiser = torch.optim.Adam(parameters)

        def forward(x: np.ndarray, layers: list = layers) -> torch.Tensor:
            h = torch.tensor(x.T).double()
            for w, b in layers[:-1]:
                h = activation(h @ w.T + b)
            return h @ layers[-1][0].T + layers[-1][1]

        y = torch.tensor(data.y[instance].T).double()
        for rate in learning_rates(SHORT):
            optimiser.param_groups[0]["lr"] = float(rate)
            optimiser.zero_grad()
            ((forward(data.x[instance]) - y) ** 2).mean().backward()
            optimiser.step()
        found = FullTrainer(data, SHORT, [0], 5, "cpu").judge([parse(text)])[0]
        for part in range(4):
            target = torch.tensor(data.y_judged[instance, part].T).double()
            error = ((forward(data.x_judged[instance, part]) - target) ** 2).mean()
            expected = error.item() / data.variance[instance, part]
            assert found[instance, 0, part] == pytest.approx(expected, rel=5e-3)


def test_the_torch_path_gives_what_the_fused_kernels_give(data, monkeypatch):
    exprs = [parse(text) for text in FORMULAS]
    fused = FullTrainer(data, SHORT, [0], 5, "cpu").judge(exprs)
    original = _full._activation
    monkeypatch.setattr(
        _full, "_activation", lambda spans, device: original(spans, torch.device("meta"))
    )
    eager = FullTrainer(data, SHORT, [0], 5, "cpu").judge(exprs)
    np.testing.assert_allclose(fused, eager, rtol=2e-3)


def test_a_diverging_candidate_does_not_touch_its_neighbours(data):
    good, bad = parse("tanh(x)"), parse("exp(x**2)*1000")
    trainer = FullTrainer(data, SHORT, [0], 5, "cpu")
    alone = trainer.judge([good])[0]
    together = trainer.judge([bad, good, bad])
    np.testing.assert_array_equal(together[1], alone)
    assert not np.isfinite(together[0]).all() or together[0].max() > 1e6
    mini = MiniTrainer(data, SHORT, [0], 5).judge_all([bad, good], threads=2)
    np.testing.assert_array_equal(mini[1], MiniTrainer(data, SHORT, [0], 5).judge(good))


def test_results_do_not_depend_on_the_number_of_threads(data):
    exprs = [parse(text) for text in FORMULAS]
    trainer = MiniTrainer(data, SHORT, [0], 5)
    for one, two in zip(trainer.judge_all(exprs, 1), trainer.judge_all(exprs, 4), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_constant_activation_learns_the_mean(data):
    long = Training(width=8, depth=2, steps=300, points=64, learning_rate=3e-2)
    errors = MiniTrainer(data, long, [0], 5).judge(const(0.0))
    mean = data.y.mean(axis=-1)[:, None, :, None]
    expected = ((data.y_judged - mean) ** 2).mean(axis=(2, 3)) / data.variance
    np.testing.assert_allclose(errors[:, 0], expected, rtol=0.02)


def test_functions_of_batch_statistics_train(data):
    expr = parse("gelu((x - mean(x))/(std(x) + 0.001))")
    errors = FullTrainer(data, SHORT, [0], 5, "cpu").judge([expr, parse("tanh(x)")])
    assert np.isfinite(errors).all()
    alone = FullTrainer(data, SHORT, [0], 5, "cpu").judge([expr])
    np.testing.assert_allclose(errors[0], alone[0], rtol=1e-5)


def test_several_outputs_train():
    digits = pack(task("digits").draw("search", seed=0, per_family=1), 64, 64)
    mini = MiniTrainer(digits, SHORT, [0], 5).judge(parse("relu(x)"))
    full = FullTrainer(digits, SHORT, [0], 5, "cpu").judge([parse("relu(x)")])[0]
    np.testing.assert_allclose(mini, full, rtol=2e-3)


def test_padding_inputs_changes_nothing():
    instances = task("ood-suite").draw("search", seed=0, per_family=1)
    harmonic = next(i for i in instances if i.family == "harmonic")
    place = instances.index(harmonic)
    together = pack(instances, SHORT.points, 64)
    weights = initial_weights(together, SHORT, [0], 5)
    assert together.inputs[place] == 1
    assert (weights[0][0][place, :, :, 1:] == 0).all()
    errors = MiniTrainer(together, SHORT, [0], 5).judge(parse("tanh(x)"))
    full = FullTrainer(together, SHORT, [0], 5, "cpu").judge([parse("tanh(x)")])[0]
    np.testing.assert_allclose(errors[place], full[place], rtol=2e-3)


def test_ridge_gives_finite_errors_for_tame_functions_and_nan_for_wild_ones(data):
    judge = RidgeJudge(data, 1)
    assert np.isfinite(judge.judge(parse("tanh(x)"))).all()
    assert np.isnan(judge.judge(parse("log(x)"))).all()
    # A linear "network" cannot fit a polynomial; a nonlinear one can.
    polynomial = data.families.index("polynomial")
    linear = judge.judge(parse("1.5*x"))[polynomial, 0, 0]
    assert judge.judge(parse("gelu(x)"))[polynomial, 0, 0] < 0.5 * linear
