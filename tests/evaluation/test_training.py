"""The trainers agree with each other and with plain autograd, and candidates do not mix."""

from __future__ import annotations

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from symact.backends import to_torch
from symact.backends.torch import lower
from symact.evaluation import Trainable
from symact.evaluation.training.networks import initial_weights, learning_rates, pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.evaluation.training.stack import Span, Stack
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import const, parse
from symact.tasks import task
from symact.tasks.protocol import Training

SHORT = Training(width=8, depth=2, steps=15, points=64, learning_rate=1e-2)
FORMULAS = [
    "gelu(x) + 0.1*sin(x)",
    "x*tanh(softplus(x))",
    "max(x, 0.1*x)",
    "sinc(x) + x/(1 + abs(x))",
]

STATISTICS = parse("gelu((x - mean(x))/(std(x) + 0.001))")


@pytest.fixture(scope="module")
def data():
    return pack(task("ood-suite").draw("search", seed=0, per_family=1), SHORT.points, 64)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("text", FORMULAS)
def test_mini_and_full_training_are_the_same_computation(data, text, depth):
    expr, training = parse(text), dataclasses.replace(SHORT, depth=depth)
    mini = NumbaMLPTrainer(data, training, [0, 1], 5).judge(expr)
    full = TorchMLPTrainer(data, training, [0, 1], 5, "cpu").judge([expr])[0]
    np.testing.assert_allclose(mini, full, rtol=2e-3)


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.usefixtures("one_thread")
def test_training_follows_plain_autograd_in_float64(data, text):
    """One network of the stack, trained by an independent loop of torch modules."""
    activation = to_torch(parse(text))
    weights = initial_weights(data, SHORT, [0], 5)
    found = TorchMLPTrainer(data, SHORT, [0], 5, "cpu").judge([parse(text)])[0]
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
        for part in range(4):
            target = torch.tensor(data.y_judged[instance, part].T).double()
            error = ((forward(data.x_judged[instance, part]) - target) ** 2).mean()
            expected = error.item() / data.variance[instance, part]
            assert found[instance, 0, part] == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("text", FORMULAS)
def test_the_torch_path_gives_what_the_fused_kernels_give(data, text):
    """A function of batch statistics makes its whole stack go through torch and autograd."""
    trainer = TorchMLPTrainer(data, SHORT, [0], 5, "cpu")
    fused = trainer.judge([parse(text)])[0]
    eager = trainer.judge([parse(text), STATISTICS])[0]
    np.testing.assert_allclose(fused, eager, rtol=2e-3)


def test_an_error_does_not_depend_on_how_candidates_are_stacked(data):
    """Each has 15 networks, so that cuts of the stack fall within candidates."""
    exprs = [parse(text) for text in (*FORMULAS, "sin(x)", "relu(x)", "exp(-x**2)", "x**3")]
    trainer = TorchMLPTrainer(data, SHORT, range(5), 5, "cpu")
    together = trainer.judge(exprs)
    assert together.shape == (len(exprs), 3, 5, 4)
    alone = np.concatenate([trainer.judge([expr]) for expr in exprs])
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    backwards = trainer.judge(exprs[::-1])[::-1]
    np.testing.assert_allclose(together, backwards, rtol=1e-6)


def test_each_seed_trains_as_it_would_by_itself(data):
    expr = parse("gelu(x)")
    both = TorchMLPTrainer(data, SHORT, [3, 8], 5, "cpu").judge([expr])[0]
    mini = NumbaMLPTrainer(data, SHORT, [3, 8], 5).judge(expr)
    for place, seed in enumerate((3, 8)):
        full_alone = TorchMLPTrainer(data, SHORT, [seed], 5, "cpu").judge([expr])[0]
        np.testing.assert_allclose(both[:, place], full_alone[:, 0], rtol=1e-6)
        mini_alone = NumbaMLPTrainer(data, SHORT, [seed], 5).judge(expr)
        np.testing.assert_array_equal(mini[:, place], mini_alone[:, 0])
    assert not np.isclose(both[:, 0], both[:, 1]).any()


@pytest.mark.parametrize("wild", ["exp(x**2)*1000", "x**3*100", "log(x)"])
def test_a_diverging_candidate_does_not_touch_its_neighbours(data, wild):
    good, bad = parse("tanh(x)"), parse(wild)
    trainer = TorchMLPTrainer(data, SHORT, [0], 5, "cpu")
    alone = trainer.judge([good])[0]
    together = trainer.judge([bad, good, bad])
    np.testing.assert_array_equal(together[1], alone)
    assert not np.isfinite(together[0]).all() or together[0].max() > 1e6
    mini = NumbaMLPTrainer(data, SHORT, [0], 5).judge_all([bad, good], threads=2)
    np.testing.assert_array_equal(mini[1], NumbaMLPTrainer(data, SHORT, [0], 5).judge(good))


def results(futures):
    return [future.result() for future in futures]


TRAINERS = {
    "mini": lambda data: NumbaMLPTrainer(data, SHORT, range(5), 5),
    "full": lambda data: TorchMLPTrainer(data, SHORT, range(5), 5, "cpu"),
}


@pytest.mark.parametrize("kind", TRAINERS)
def test_errors_depend_neither_on_threads_nor_on_neighbours_nor_on_what_else_is_under_way(
    data, kind
):
    """Each has 15 networks, more than one stack of full training takes."""
    exprs = [parse(text) for text in (*FORMULAS, "exp(x**2)*1000")]
    trainer = TRAINERS[kind](data)
    expected = []
    with ThreadPoolExecutor(1) as pool:
        for expr in exprs:
            expected += results(trainer.start(pool, [expr]))
    assert [errors.shape for errors in expected] == [(3, 5, 4)] * len(exprs)
    for threads in (1, 2, 4):
        with ThreadPoolExecutor(threads) as pool:
            first, second = trainer.start(pool, exprs), trainer.start(pool, exprs[::-1])
            backwards, forwards = results(second), results(first)
        np.testing.assert_array_equal(forwards, expected)
        np.testing.assert_array_equal(backwards[::-1], expected)


def test_mini_training_gives_the_same_however_a_candidate_is_cut(data):
    trainer, exprs = TRAINERS["mini"](data), [parse(text) for text in FORMULAS]
    with ThreadPoolExecutor(2) as pool:
        whole, parts, single = (results(trainer.start(pool, exprs, p)) for p in (1, 4, 99))
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(single, whole)
    np.testing.assert_array_equal(trainer.judge_all(exprs, 2), whole)


@pytest.mark.parametrize("kind", TRAINERS)
def test_no_candidates_are_no_futures(data, kind):
    with ThreadPoolExecutor(1) as pool:
        assert TRAINERS[kind](data).start(pool, []) == []


def test_a_constant_activation_learns_the_mean(data):
    long = Training(width=8, depth=2, steps=300, points=64, learning_rate=3e-2)
    errors = NumbaMLPTrainer(data, long, [0], 5).judge(const(0.0))
    mean = data.y.mean(axis=-1)[:, None, :, None]
    expected = ((data.y_judged - mean) ** 2).mean(axis=(2, 3)) / data.variance
    np.testing.assert_allclose(errors[:, 0], expected, rtol=0.02)


def test_functions_of_batch_statistics_train(data):
    errors = TorchMLPTrainer(data, SHORT, [0], 5, "cpu").judge([STATISTICS, parse("tanh(x)")])
    assert np.isfinite(errors).all()
    alone = TorchMLPTrainer(data, SHORT, [0], 5, "cpu").judge([STATISTICS])
    np.testing.assert_allclose(errors[0], alone[0], rtol=1e-5)


def test_several_outputs_train():
    digits = pack(task("digits").draw("search", seed=0, per_family=1), 64, 64)
    mini = NumbaMLPTrainer(digits, SHORT, [0], 5).judge(parse("relu(x)"))
    full = TorchMLPTrainer(digits, SHORT, [0], 5, "cpu").judge([parse("relu(x)")])[0]
    np.testing.assert_allclose(mini, full, rtol=2e-3)


@pytest.mark.parametrize("text", FORMULAS)
def test_padding_inputs_changes_nothing(text):
    instances = task("ood-suite").draw("search", seed=0, per_family=1)
    by_inputs = sorted(instances, key=lambda i: i.x_train.shape[1])
    narrow, wide = by_inputs[0], by_inputs[-1]
    together, alone = pack([narrow, wide], 64, 64), pack([narrow], 64, 64)
    assert together.x.shape[1] > alone.x.shape[1]
    for judge in (
        lambda data: NumbaMLPTrainer(data, SHORT, [0], 5).judge(parse(text)),
        lambda data: TorchMLPTrainer(data, SHORT, [0], 5, "cpu").judge([parse(text)])[0],
    ):
        np.testing.assert_allclose(judge(together)[0], judge(alone)[0], rtol=1e-5)


@pytest.mark.parametrize(
    "texts",
    [
        ("gelu(x) + 0.1*sin(x)", "x*tanh(softplus(x))"),
        ("x", "sinc(x)"),
        ("1.5", "max(x, 0.1*x)"),
        ("gelu((x - mean(x))/(std(x) + 0.001))", "x*std(sin(x)) + mean(x**2)"),
    ],
)
@pytest.mark.usefixtures("one_thread")
def test_the_gradients_of_a_stack_are_those_of_autograd_in_float64(texts):
    """Sizes that fill no block, three hidden layers, two outputs; statistics of each network."""
    stream = torch.Generator().manual_seed(0)
    sizes, networks, points = [3, 7, 7, 7, 2], 5, 37
    weights = [
        (
            torch.randn(networks, after, before, generator=stream) / before**0.5,
            torch.randn(networks, after, 1, generator=stream),
        )
        for before, after in itertools.pairwise(sizes)
    ]
    spans = [Span(parse(texts[0]), 0, 2), Span(parse(texts[1]), 2, networks)]
    x = torch.randn(networks, 3, points, generator=stream)
    y = torch.randn(networks, 2, points, generator=stream)
    stack = Stack(spans, weights, points, torch.device("cpu"))
    with torch.no_grad():
        stack.differentiate(x, y, torch.empty_like(y))
    exact = [(w.double().requires_grad_(), b.double().requires_grad_()) for w, b in weights]

    def forward(h: torch.Tensor) -> torch.Tensor:
        for w, b in exact[:-1]:
            z = torch.baddbmm(b, w, h)
            parts = [lower(s.expr, z[s.first : s.last], axes=(-2, -1)) for s in spans]
            h = torch.cat(parts)
        return torch.baddbmm(exact[-1][1], exact[-1][0], h)

    ((forward(x.double()) - y.double()) ** 2).mean(dim=(1, 2)).sum().backward()
    for own, pair in zip(stack.gradients, exact, strict=True):
        for found, parameter in zip(own, pair, strict=True):
            scale = float(parameter.grad.abs().max())
            torch.testing.assert_close(found.double(), parameter.grad, rtol=1e-4, atol=2e-6 * scale)
    fresh = torch.randn(networks, 3, 91, generator=stream)
    torch.testing.assert_close(
        stack.predict(fresh).double(), forward(fresh.double()).detach(), rtol=1e-4, atol=1e-5
    )


def test_no_candidates_are_judged_to_nothing(data):
    assert TorchMLPTrainer(data, SHORT, [0], 5, "cpu").judge([]).shape == (0, 3, 1, 4)


class Slopes(torch.nn.Module):
    """max(x, a x) with a trained; one a for each network."""

    def __init__(self, networks: int) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.full((networks, 1, 1), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, self.a * x)


class Plain(torch.nn.Module):
    """A function without parameters, of one, two or a half value for each unit."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def plain(function, inputs: int = 1, outputs: int = 1) -> Trainable:
    return Trainable("plain", lambda networks, seed: Plain(function), inputs, outputs)


def test_a_module_without_parameters_is_trained_as_its_formula_is(data):
    trainer = TorchMLPTrainer(data, SHORT, [0, 1], 5, "cpu")
    module, formula = trainer.judge([plain(torch.tanh), parse("tanh(x)")])
    np.testing.assert_allclose(module, formula, rtol=2e-3)


@pytest.mark.usefixtures("one_thread")
def test_parameters_of_a_module_follow_plain_autograd_in_float64(data):
    function = Trainable("slopes", lambda networks, seed: Slopes(networks))
    found = TorchMLPTrainer(data, SHORT, [0], 5, "cpu").judge([function])[0]
    weights = initial_weights(data, SHORT, [0], 5)
    for instance in range(len(data.families)):
        layers = [
            (torch.tensor(w[instance, 0]).double(), torch.tensor(b[instance, 0]).double())
            for w, b in weights
        ]
        slopes = [torch.tensor(0.1, dtype=torch.float64) for _ in layers[:-1]]
        parameters = [t.requires_grad_() for t in [*itertools.chain(*layers), *slopes]]
        optimiser = torch.optim.Adam(parameters)

        def forward(x: np.ndarray, layers: list = layers, slopes: list = slopes) -> torch.Tensor:
            h = torch.tensor(x.T).double()
            for (w, b), a in zip(layers[:-1], slopes, strict=True):
                z = h @ w.T + b
                h = torch.where(z > 0, z, a * z)
            return h @ layers[-1][0].T + layers[-1][1]

        y = torch.tensor(data.y[instance].T).double()
        for rate in learning_rates(SHORT):
            optimiser.param_groups[0]["lr"] = float(rate)
            optimiser.zero_grad()
            ((forward(data.x[instance]) - y) ** 2).mean().backward()
            optimiser.step()
        assert all(abs(a.item() - 0.1) > 1e-3 for a in slopes)
        for part in range(4):
            target = torch.tensor(data.y_judged[instance, part].T).double()
            error = ((forward(data.x_judged[instance, part]) - target) ** 2).mean()
            expected = error.item() / data.variance[instance, part]
            assert found[instance, 0, part] == pytest.approx(expected, rel=5e-3)


def test_units_may_take_two_pre_activations_or_give_two_values(data):
    gated = plain(lambda z: torch.nn.functional.glu(z, dim=-2), inputs=2)
    doubled = plain(lambda z: torch.cat([z.relu(), (-z).relu()], dim=-2), outputs=2)
    trainer = TorchMLPTrainer(data, SHORT, [0], 5, "cpu")
    errors = trainer.judge([gated, doubled, parse("tanh(x)"), gated])
    assert np.isfinite(errors).all()
    np.testing.assert_array_equal(errors[0], errors[3])
    # What surrounds a module does not change it, nor it what surrounds it.
    np.testing.assert_array_equal(errors[2], trainer.judge([parse("tanh(x)")])[0])


def test_a_module_may_behave_otherwise_once_trained(data):
    class Modes(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(x) if self.training else torch.full_like(x, torch.nan)

    trainer = TorchMLPTrainer(data, SHORT, [0], 5, "cpu")
    (errors,) = trainer.judge([Trainable("modes", lambda networks, seed: Modes())])
    assert np.isnan(errors).all()


def test_a_learning_rate_can_be_given_for_a_call(data):
    expr = parse("tanh(x)")
    faster = dataclasses.replace(SHORT, learning_rate=3e-2)
    asked = TorchMLPTrainer(data, SHORT, [0], 5, "cpu").judge([expr], learning_rate=3e-2)
    np.testing.assert_array_equal(asked, TorchMLPTrainer(data, faster, [0], 5, "cpu").judge([expr]))
