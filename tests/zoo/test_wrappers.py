"""Modules around any function: smoothed, summed, with another gradient, with a few bits of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional

from symact import zoo
from symact.errors import ZooError
from symact.expr import parse
from symact.zoo.modules import (
    Series,
    Smoothed,
    few_bit,
    fit_steps,
    keep_top,
    kinks,
    module,
    top_afa,
    with_gradient,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def saved_bytes(made: nn.Module, x: torch.Tensor) -> int:
    """The bytes that autograd keeps of one application."""
    kept = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        made(x)
    return sum(kept)


# Smoothed.


def derivatives(made: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    z = x.clone().requires_grad_()
    value = made(z)
    (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), z)
    return value.detach(), slope.detach(), curvature


def test_smoothed_leaky_relu_is_sau_with_its_derivatives():
    x = torch.linspace(-4, 4, 161, dtype=torch.float64)
    smoothed, sau = Smoothed("max(x, 0.15*x)", 0.5), module("SAU", a=0.15, s=0.5).double()
    for found, exact in zip(derivatives(smoothed, x), derivatives(sau, x), strict=True):
        torch.testing.assert_close(found, exact, rtol=0, atol=1e-7)  # SAU starts in float32
    points = torch.tensor([0.0, 0.4], dtype=torch.float64)
    for point in points:
        bell = stats.norm(point.item(), 0.5)
        exact, _ = integrate.quad(lambda t, b=bell: max(t, 0.15 * t) * b.pdf(t), -9, 9, points=[0])
        assert smoothed(point).item() == pytest.approx(exact, abs=1e-9)
    assert smoothed(points).tolist() == pytest.approx([0.169550, 0.451088], abs=1e-6)


@pytest.mark.parametrize("width", [0.1, 0.5, 2.0])
def test_the_curvature_of_smoothed_relu_at_the_kink_is_the_density_there(width):
    _, slope, curvature = derivatives(Smoothed("ReLU", width), torch.zeros(1).double())
    assert slope.item() == pytest.approx(0.5, abs=1e-12)
    assert curvature.item() == pytest.approx(stats.norm.pdf(0) / width, rel=1e-10)


def test_smoothed_sign_is_the_normal_distribution_function():
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    value, slope, _ = derivatives(Smoothed("sign", 0.5), x)
    np.testing.assert_allclose(value, 2 * stats.norm.cdf(x / 0.5) - 1, atol=1e-12)
    np.testing.assert_allclose(slope, 2 * stats.norm.pdf(x, 0, 0.5), atol=1e-12)


def test_smoothing_trains_a_learnable_function():
    made = Smoothed("PReLU", 0.5)
    made(normal(20).float()).sum().backward()
    assert [name for name, _ in made.named_parameters()] == ["function.a"]
    assert made.function.a.grad.abs() > 0


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("SReLU", {}, "kinks of 'SReLU' move"),
        ("GLU", {}, "no function of one input"),
        ("x - mean(x)", {}, "batch statistics"),
        ("abs(sin(x))*abs(sin(2*x))", {}, "at most 32 kinks"),
        ("Softmax", {}, "needs kinks="),
        ("ReLU", {"width": -1.0}, "above 0"),
    ],
)
def test_what_cannot_be_smoothed_is_refused_in_one_line(function, options, message):
    with pytest.raises(ZooError, match=message) as refused:
        Smoothed(function, **{"width": 0.5, **options})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("relu(x)", [0]),
        ("where(x > 1.5, x, max(-2, x))", [-2, 1.5]),
        ("abs(x**2 - 4)", [-2, 2]),
        ("tanh(x)", []),
        ("softsign(x - 0.25)", [0.25]),
    ],
)
def test_kinks_are_found(text, points):
    np.testing.assert_allclose(kinks(parse(text)), points, atol=1e-12)


def test_a_module_can_be_smoothed_where_its_kinks_are_given():
    x = torch.linspace(-2, 2, 21, dtype=torch.float64)
    torch.testing.assert_close(
        Smoothed(nn.ReLU(), 0.3, kinks=(0.0,))(x), Smoothed("relu(x)", 0.3)(x)
    )


# Another gradient.


@pytest.mark.parametrize("forward", ["sign", "GELU", "HardTanh"])
def test_the_second_derivative_is_that_of_the_gradient(forward):
    x = normal(30).requires_grad_()
    made = with_gradient(forward, "tanh")
    (slope,) = torch.autograd.grad(made(x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    t = torch.tanh(x.detach())
    torch.testing.assert_close(curvature, -2 * t * (1 - t * t))
    assert torch.equal(made(x), module(forward)(x))


def test_a_slope_function_is_differentiated_too():
    x = normal(10).requires_grad_()
    made = with_gradient("sign", torch.sigmoid)
    (slope,) = torch.autograd.grad(made(x).sum(), x, create_graph=True)
    torch.testing.assert_close(slope, torch.sigmoid(x))
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    s = torch.sigmoid(x.detach())
    torch.testing.assert_close(curvature, s * (1 - s))


def test_a_learnable_function_with_another_gradient_is_trained():
    made = with_gradient("PReLU", "SiLU")
    x = torch.tensor([-2.0, 3.0], requires_grad=True)
    made(x).sum().backward()
    assert made.value.a.grad.item() == -2.0
    torch.testing.assert_close(
        x.grad, torch.autograd.functional.jacobian(functional.silu, x).sum(0)
    )


def test_a_gradient_with_parameters_is_refused():
    with pytest.raises(ZooError, match="'PReLU' has trained parameters"):
        with_gradient("ReLU", "PReLU")


# Few bits.

#: Borders above 0 and levels of the 3-bit GELU of skolai/fewbit.
PUBLISHED = ([0.326, 0.711, 2.398], -0.0026, 1.0888)


def test_the_fit_is_the_published_table():
    borders, levels = fit_steps(parse("gelu(x)"), 3)
    positive, lowest, highest = PUBLISHED
    np.testing.assert_allclose(borders, [-b for b in positive[::-1]] + [0, *positive], atol=1e-2)
    assert levels[0] == pytest.approx(lowest, abs=1e-2)
    assert levels.max() == pytest.approx(highest, abs=1e-2)
    np.testing.assert_allclose(levels + levels[::-1], 1, atol=1e-9)


def test_a_function_with_fewer_pieces_than_levels_is_fitted_exactly():
    made = few_bit("relu(x - 1)", 2)
    x = torch.tensor([-3.0, 0.9, 1.1, 7.0], requires_grad=True)
    made(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([0.0, 0.0, 1.0, 1.0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("make", "bits"),
    [
        (lambda: few_bit("GELU", 1), 1),
        (lambda: few_bit("GELU", 3), 3),
        (lambda: few_bit("SiLU", 4), 4),
        (lambda: module("Few-bit GELU"), 3),
        (lambda: module("ReGELU2"), 2),
        (lambda: module("ReSiLU2"), 2),
        (lambda: module("HeLU"), 1),
    ],
)
def test_only_the_bits_are_kept_for_the_backward_pass(make, bits):
    x = torch.randn(1000, 997, requires_grad=True)
    kept = saved_bytes(make(), x) / x.numel()
    assert kept <= bits / 8 + 1e-3
    assert saved_bytes(nn.GELU(), x) / x.numel() == 4


def test_packed_slopes_are_the_steps_for_every_size():
    borders, levels = fit_steps(parse("gelu(x)"), 3)
    made = few_bit("GELU", 3)
    for count in (1, 7, 8, 9, 100):
        x = 3 * normal(count, 3, seed=count).requires_grad_()
        (slope,) = torch.autograd.grad(made(x).sum(), x)
        expected = levels[np.searchsorted(borders, x.detach().numpy())]
        np.testing.assert_allclose(slope, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("PReLU", {}, "'PReLU' trains parameters"),
        ("RReLU", {}, "'RReLU' has none"),
        ("GELU", {"bits": 9}, "from 1 to 8, got 9"),
        ("GELU", {"weight": "best"}, "known: uniform, normal"),
        ("GELU", {"reach": 0.0}, "above 0"),
    ],
)
def test_what_has_no_fit_is_refused_in_one_line(function, options, message):
    with pytest.raises(ZooError, match=message):
        few_bit(function, **options)


# Sums and sparse features.


def test_a_series_trains_the_function_it_repeats():
    made = Series("PReLU", shape=(5,))
    names = [name for name, _ in made.named_parameters()]
    assert names == ["scales.0", "scales.1", "shifts.0", "shifts.1", "function.a"]
    made(normal(4, 5).float()).sum().backward()
    assert all(p.grad is not None and p.grad.shape == (5,) for p in made.parameters())
    with pytest.raises(ZooError, match="2 scales for 1 shifts"):
        Series("GELU", (1.0, 2.0), (0.0,))
    with pytest.raises(ZooError, match="no function of one input"):
        Series("SwiGLU")


def test_a_module_of_ones_own_can_be_repeated():
    x = normal(6)
    made = Series(nn.Softplus(), (1.0, 0.5), (0.0, 1.0)).double()
    expected = functional.softplus(x) + 0.5 * functional.softplus(x + 1)
    torch.testing.assert_close(made(x), expected)


def test_the_largest_features_are_kept():
    x = normal(5, 9)
    kept = keep_top("GELU", 3)(x)
    assert ((kept != 0).sum(-1) == 3).all()
    torch.testing.assert_close(kept.max(-1).values, functional.gelu(x).max(-1).values)
    assert (module("Top-k", k=4)(x) != 0).sum(-1).tolist() == [4] * 5
    ash = module("ASH", p=0.5)(normal(3, 10))
    assert (ash != 0).sum(-1).tolist() == [5] * 3
    with pytest.raises(ZooError, match="whole number from 1"):
        module("Top-k", k=0)


def test_top_afa_keeps_what_matches_the_norm():
    a = torch.tensor([[1.0, 3.0, 2.0], [3.0, 0.1, 0.2]])
    found = top_afa(a, torch.tensor([3.5, 3.0]))
    assert found.tolist() == [[0.0, 3.0, 2.0], [3.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Smoothed("LeakyReLU", 0.4),
        lambda: Series("SiLU"),
        lambda: keep_top("tanh", 3),
        lambda: module("Phase-flip chaos"),
        lambda: module("FKAN", K=5),
    ],
)
def test_derivatives_are_those_of_the_values(make):
    x = normal(2, 6, seed=4).requires_grad_()
    assert gradcheck(make().double(), x)
    assert gradgradcheck(make().double(), x)


def test_phase_flip_chaos_is_the_published_code():
    p = zoo.find("Phase-flip chaos").parameters
    x = 8 * normal(3, 7).numpy()
    xp, xn = np.roll(x, 1, -1), np.roll(x, -1, -1)
    c = p["C"]
    u, bend = (x / c) ** 2, x - 0.5 * (xp + xn)
    al = 1 / (
        1
        + np.exp(
            -(
                p["k_blend"] * (x**2 + 0.25 * (xp**2 + xn**2) - c**2) / c**2
                + p["lap"] * (bend / c) ** 2
            )
        )
    )
    phase = (
        p["freq"] * x
        + p["chirp_k"] * x**2 * np.sign(x) / c
        + (1 - al) * p["A_disrupt"] * np.sin(p["freq_disrupt"] * x)
        + al * p["A_agit"] * np.sin(p["freq_agit"] * x + p["lap"] * bend)
        + p["coupling"] * (0.5 * xp - xn) / c
    )
    y = (
        p["beta"]
        * u
        * np.exp(-u / 2)
        * np.sin(phase)
        * (1 + p["gamma_meta"] * u * np.exp(-u / 1.5))
    )
    g = np.exp(-((np.abs(x) / (p["k_decay"] * c)) ** 4))
    flip = np.cos(p["freq_switch"] * (x / c) ** 3 + p["A_sw"] * np.sin(p["freq_sw"] * x / c)) > 0
    expected = p["M"] * np.tanh((g * x + np.where(flip, y, -y)) / p["M"])
    np.testing.assert_allclose(module("Phase-flip chaos")(torch.tensor(x)), expected, rtol=1e-12)


def test_values_of_a_smoothed_oscillation_are_its_transform():
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    expected = torch.sin(3 * x) * math.exp(-0.5 * (3 * 0.5) ** 2)
    torch.testing.assert_close(Smoothed("sin(3*x)", 0.5)(x), expected, rtol=0, atol=1e-10)
