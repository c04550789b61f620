"""Known functions as modules: as torch and as their sources have them, in layers and in stacks."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import interpolate, optimize, special
from torch import nn
from torch.nn import functional

from symact import zoo
from symact.backends import evaluate, to_torch
from symact.errors import SymactError, ZooError
from symact.expr import parse
from symact.reporting.comparison import compare
from symact.tasks.protocol import EvaluationProtocol
from symact.zoo.modules import (
    Series,
    Smoothed,
    Stochastic,
    few_bit,
    module,
    siren_init,
    top_k,
    with_gradient,
)

#: Entries that are no function of a pre-activation, or whose formula is in no text we have.
WITHOUT = {
    "Delta": "keeps the frame before",
    "GDN": "weights over pairs of features",
    "KAF": "weights over features",
    "PAON": "a layer",
    "SDM": "statistics of the training set",
    "top-AFA": "needs the norm of another input",
    **dict.fromkeys(("Quaternion-Inspired", "FISG", "PLER"), "not known"),
    **dict.fromkeys(("VeLU", "Mittag-Leffler"), "not known"),
}
EVALUABLE = [known for known in zoo.catalogue() if known.name not in WITHOUT]
every = pytest.mark.parametrize("known", EVALUABLE, ids=lambda known: known.name)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs_of(known, *lead: int) -> torch.Tensor:
    if known.kind == "matrix":
        return 0.3 * normal(*lead, 6, 6)
    return normal(*lead, 12 if known.kind == "gated" else 6, 20)


def test_at_least_130_functions_can_be_evaluated():
    assert len(EVALUABLE) >= 130
    assert len({known.name for known in zoo.catalogue()}) == len(zoo.catalogue()) >= 149


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_module_says_why_in_one_line(name):
    with pytest.raises(ZooError, match=r"no module|no function of a pre-activation") as caught:
        module(name)
    assert "\n" not in str(caught.value)


@every
def test_a_module_is_finite_with_finite_gradients(known):
    for shape, dim, lead in (((), -2, ()), ((3, 1, 1), -2, (3,))):
        made = module(known, shape=shape, dim=dim, axes=(-2, -1)).double()
        x = inputs_of(known, *lead).requires_grad_()
        y = made(x)
        assert y.isfinite().all()
        if not y.requires_grad:
            assert known.name in ("Heaviside", "sign")
            continue
        y.square().sum().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()
        parameters = dict(made.named_parameters())
        if known.learnable and known.kind != "own gradient":
            assert parameters
        for parameter in parameters.values():
            assert parameter.shape == shape
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()


@every
def test_a_stack_of_networks_is_each_network_by_itself(known):
    if known.kind == "stochastic":
        pytest.skip("draws at random: a stack takes other draws than its members")
    together = module(known, shape=(3, 1, 1), dim=-2, axes=(-2, -1)).double()
    alone = module(known, shape=(1, 1, 1), dim=-2, axes=(-2, -1)).double()
    x = inputs_of(known, 3)
    for place in range(3):
        np.testing.assert_allclose(
            together(x)[place].detach(), alone(x[place : place + 1])[0].detach(), rtol=1e-12
        )


@pytest.mark.parametrize(
    "known", [k for k in zoo.known() if k.parametric], ids=lambda known: known.name
)
def test_a_learnable_module_starts_as_the_formula(known):
    x = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    made = module(known).double()
    expected = evaluate(known.expr, x.numpy())
    # Parameters start as float32 numbers; at a kink the two texts may take either side.
    np.testing.assert_allclose(made(x).detach().numpy(), expected, rtol=2e-6, atol=2e-6)
    assert {name for name, _ in made.named_parameters()} == set(known.learnable)


X, G = normal(5, 8), normal(5, 8, seed=1)
GATED = {
    "GLU": lambda x, g: functional.glu(torch.cat([x, g], -1), -1),
    "SwiGLU": lambda x, g: functional.silu(g) * x,
    "GeGLU": lambda x, g: functional.gelu(g) * x,
    "ReGLU": lambda x, g: functional.relu(g) * x,
    "dReLU": lambda x, g: functional.relu(g) * functional.relu(x),
    "Bilinear": lambda x, g: g * x,
    "Maxout": torch.maximum,
    "mAND": lambda x, g: (x.relu() * g.relu()).sqrt(),
}


@pytest.mark.parametrize("name", GATED)
def test_gated_functions_take_two_tensors_or_halve_one(name):
    made = module(name).double()
    expected = GATED[name](X, G)
    torch.testing.assert_close(made(X, G), expected)
    torch.testing.assert_close(made(torch.cat([X, G], -1)), expected)
    assert zoo.find(name).units == (2, 1)
    with pytest.raises(ZooError, match="even number of features"):
        made(X[:, :7])


def test_the_smooth_and_has_finite_gradients_at_zero():
    x = torch.zeros(4, requires_grad=True)
    module("mAND")(x, torch.ones(4)).sum().backward()
    assert (x.grad == 0).all()


def test_gated_functions_run_in_a_transformer_block():
    class Block(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.attend = nn.MultiheadAttention(16, 2, batch_first=True)
            self.up, self.down = nn.Linear(16, 2 * 24), nn.Linear(24, 16)
            self.activation = module(name)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x + self.attend(x, x, x, need_weights=False)[0]
            return x + self.down(self.activation(self.up(x)))

    for name in ("SwiGLU", "GeGLU", "ReGLU", "dReLU"):
        block = Block(name)
        out = block(normal(2, 5, 16).float())
        out.square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())


def test_own_gradients_are_those_of_their_sources():
    x = torch.tensor([-4.0, -1.0, -0.04, -0.03, 0.5, 3.5], requires_grad=True)

    def slopes(made: nn.Module) -> torch.Tensor:
        (found,) = torch.autograd.grad(made(x).sum(), x)
        return found

    helu = module("HeLU")
    torch.testing.assert_close(helu(x), x.relu())
    torch.testing.assert_close(slopes(helu), (x > -0.05).float())
    regelu = module("ReGELU2")
    torch.testing.assert_close(regelu(x), functional.gelu(x))
    low, middle = -0.04922261145617846, -0.04922261145617846 + 1.0979632065417297
    wanted = [0.0, low, low, low, middle, middle - 0.048740595085551286]
    torch.testing.assert_close(slopes(regelu), torch.tensor(wanted))
    torch.testing.assert_close(slopes(module("ReSiLU2"))[0], torch.tensor(-0.04060357190528599))


def test_any_function_can_have_the_gradient_of_any_other():
    x = normal(50).requires_grad_()
    made = with_gradient("sign", parse("tanh(x)"))
    (slope,) = torch.autograd.grad(made(x).sum(), x)
    torch.testing.assert_close(slope, 1 - torch.tanh(x).square())
    torch.testing.assert_close(made(x), torch.sign(x))


def test_a_few_bit_gradient_is_the_best_step_function():
    made = few_bit("GELU", bits=2, reach=6.0, weight="normal")
    x = torch.linspace(-6, 6, 4001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(made(x).sum(), x)
    levels = slope.unique()
    assert len(levels) == 4
    torch.testing.assert_close(made(x), functional.gelu(x))
    exact = torch.autograd.grad(functional.gelu(x).sum(), x)[0]
    weight = torch.exp(-0.5 * x.detach() ** 2)
    error = (weight * (slope - exact) ** 2).sum()

    def best(borders: np.ndarray) -> float:
        place = np.searchsorted(np.sort(borders), x.detach().numpy())
        total = 0.0
        for part in range(4):
            own, w = exact.numpy()[place == part], weight.numpy()[place == part]
            if len(own):
                total += float((w * (own - (w * own).sum() / w.sum()) ** 2).sum())
        return total

    starts = ([-1.0, 0.0, 1.0], [-2.0, -0.5, 0.5], [-0.5, 0.3, 1.2])
    found = min(optimize.minimize(best, s, method="Nelder-Mead").fun for s in starts)
    assert float(error) <= 1.02 * found


def test_random_functions_choose_in_training_and_are_fixed_at_inference():
    x = normal(20_000).float()
    either = module("S|R", seed=1)
    out = either(x)
    is_relu, is_silu = out == x.relu(), out == functional.silu(x)
    assert (is_relu | is_silu).all()
    assert is_relu[x != 0].float().mean() == pytest.approx(0.5, abs=0.02)
    assert not torch.equal(out, either(x))
    torch.testing.assert_close(module("S|R", seed=1)(x), out)
    torch.testing.assert_close(either.eval()(x), x.relu())
    late = module("S|R", seed=1)
    assert isinstance(late, Stochastic)
    late.settle()
    torch.testing.assert_close(late.train()(x), x.relu())
    restored = module("S|R")
    restored.load_state_dict(late.state_dict())
    torch.testing.assert_close(restored.train()(x), x.relu())
    module("S|R").load_state_dict({})  # as stored before there was anything to store
    leaky = module("RReLU", seed=3)
    slopes = (leaky(x) / x)[x < 0]
    assert slopes.min() >= 0.125
    assert slopes.max() <= 1 / 3 + 1e-6
    assert slopes.std() == pytest.approx((1 / 3 - 0.125) / math.sqrt(12), rel=0.05)
    torch.testing.assert_close(leaky.eval()(x), functional.rrelu(x, training=False))


def test_functions_of_features_are_what_they_are_called():
    x = normal(4, 9)
    torch.testing.assert_close(module("Softmax")(x), x.softmax(-1))
    torch.testing.assert_close(module("Softmax", dim=0)(x), x.softmax(0))
    doubled = module("CReLU")(x)
    torch.testing.assert_close(doubled, torch.cat([x.relu(), (-x).relu()], -1))
    assert zoo.find("CReLU").units == (1, 2)
    for row, projected in zip(x, module("Sparsemax")(x), strict=True):
        solved = optimize.minimize(
            lambda p, row=row: ((p - row.numpy()) ** 2).sum(),
            np.full(9, 1 / 9),
            bounds=[(0, 1)] * 9,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            tol=1e-12,
        ).x
        np.testing.assert_allclose(projected.numpy(), solved, atol=1e-5)
    kept = top_k(x, 3)
    assert ((kept != 0).sum(-1) == 3).all()
    torch.testing.assert_close(kept.sort(-1).values[:, -1], x.max(-1).values)
    assert torch.autograd.gradcheck(lambda z: top_k(z, 3), x.clone().requires_grad_())
    row = normal(7, 30).float()
    sharp, soft = module("Adaptive-temperature softmax")(row), row.softmax(-1)
    torch.testing.assert_close(sharp.sum(-1), torch.ones(7))
    assert (sharp.max(-1).values >= soft.max(-1).values - 1e-6).all()


def test_poly_norm_is_independent_of_the_batch_and_statistics_are_not():
    x = normal(256, 8).float()
    norm = module("PolyNorm")
    torch.testing.assert_close(norm(x)[:1], norm(x[:1]))
    turbulent = module("Turbulent")
    assert not torch.allclose(turbulent(x)[:1], turbulent(x[:1]))


def test_polynomial_compositions_train_a_thousand_steps_without_nan(one_thread):
    x = normal(64, 4).float()
    y = torch.sin(x.sum(1, keepdim=True))
    for name in ("PolyReLU", "PolyNorm"):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 16), module(name), nn.Linear(16, 1))
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-2, fused=True)
        first = None
        for _ in range(1000):
            optimiser.zero_grad()
            loss = (net(x) - y).square().mean()
            loss.backward()
            optimiser.step()
            first = first or loss.item()
        assert loss.isfinite()
        assert loss.item() < first


def test_random_choices_go_on_where_a_stored_module_stopped():
    x = normal(100).float()
    first = module("RReLU", seed=5)
    first(x)
    second = module("RReLU", seed=0)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))


@pytest.mark.parametrize("name", ["APA", "AGLU"])
@pytest.mark.parametrize("rate", [1e-2, 1e-1])
def test_unified_gates_train_without_nan(name, rate, one_thread):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 32), module(name), nn.Linear(32, 1))
    optimiser = torch.optim.Adam(net.parameters(), lr=rate, fused=True)
    x = normal(64, 8).float()
    y = torch.sin(x.sum(1, keepdim=True))
    for _ in range(400):
        optimiser.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        optimiser.step()
    assert loss.isfinite()
    assert loss < y.square().mean()


def test_a_unified_gate_stays_finite_where_its_shape_leaves_the_domain():
    for name in ("APA", "AGLU"):
        made = module(name, lam=-0.5)
        x = torch.linspace(-20, 20, 41, requires_grad=True)
        y = made(x)
        y.sum().backward()
        assert y.isfinite().all()
        assert x.grad.isfinite().all()


def test_half_precision_reaches_far_out():
    x = torch.tensor([-60000.0, -30.0, 30.0, 300.0, 60000.0])
    made = module("PAU").half()
    torch.testing.assert_close(made(x.half()).float(), module("PAU")(x), rtol=2e-3, atol=0)


# Constants.

_FACTS_FILE = Path(__file__).parents[1] / "data" / "zoo_facts.json"
FACTS = {
    fact["name"]: fact
    for fact in json.loads(
        (Path(__file__).parents[1] / "data" / "zoo_facts.json").read_text("utf-8")
    )
}
#: Other values than the default, where one and a quarter times it is none.
OTHERWISE = {"Elephant": {"d": 5}, "RePU": {"s": 4}}
WITH_CONSTANTS = [k for k in zoo.known() if k.parameters]


@pytest.mark.parametrize("known", WITH_CONSTANTS, ids=lambda known: known.name)
def test_every_constant_can_be_set_and_means_what_the_source_says(known):
    for name, default in known.parameters.items():
        value = OTHERWISE.get(known.name, {}).get(name, 1.25 * default + 0.125)
        x = np.linspace(-4, 4, 81)
        namespace = {**vars(np), "erf": special.erf, "x": x, **known.parameters, name: value}
        with np.errstate(all="ignore"):
            expected = np.broadcast_to(eval(FACTS[known.name]["formula"], namespace), x.shape)
        found = module(known, **{name: value}).double()(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "constants", "message"),
    [
        ("Top-k", {"q": 3}, "'Top-k' has no constant 'q'; known: k"),
        ("Shifted ReLU", {"taw": 3}, "did you mean 'tau'"),
        ("ReLU", {"a": 1}, "'ReLU' has no constant 'a'; it has none"),
        ("PReLU", {"a": math.nan}, "must be finite"),
        ("PReLU", {"a": "0.1"}, "must be a number"),
        ("Elephant", {"d": 2.5}, "whole number from 1 to 64"),
        ("FKAN", {"K": 0}, "whole number from 1 to 1024"),
        ("Optimal classification (d=4)", {"d": 1}, "is not finite with d = 1"),
        ("Few-bit GELU", {"bits": 2.5}, "must be a whole number"),
        ("x*tanh(x)", {"a": 1}, "a formula holds its constants"),
        ("SiLu(", {}, "did you mean 'SiLU'"),
        ("Silo", {}, "did you mean 'SiLU'"),
    ],
)
def test_a_wrong_constant_is_refused_in_one_line(name, constants, message):
    with pytest.raises(SymactError, match=re.escape(message)) as refused:
        module(name, **constants)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [k.name for k in zoo.known() if k.sizes])
def test_an_expansion_of_the_published_size_is_the_formula(name):
    entry = zoo.find(name)
    ((size, count),) = entry.sizes.items()
    larger = module(name, **{size: count + 1}).double()
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    with torch.no_grad():
        for key, parameter in larger.named_parameters():
            extra = -100.0 if name == "Tropical" else 0.0  # the last term has no effect
            parameter.fill_(entry.parameters.get(key, extra))
    expected = evaluate(entry.expr, x.numpy())
    np.testing.assert_allclose(larger(x).detach().numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [k.name for k in zoo.known() if k.sizes])
def test_an_expansion_starts_as_the_formula_does(name):
    ((size, count),) = zoo.find(name).sizes.items()
    starts = {key: p.item() for key, p in module(name, **{size: count + 1}).named_parameters()}
    shared = [key for key in zoo.find(name).parameters if name != "PolyReLU" and key in starts]
    for key in shared:
        assert starts[key] == pytest.approx(zoo.find(name).parameters[key], abs=2e-4)
    assert len(starts) > len(zoo.find(name).parameters)


def test_chebyshev_series_of_high_degree_are_numpys():
    made = module("Chebyshev", degree=64).double()
    coefficients = np.random.default_rng(0).normal(size=65)
    with torch.no_grad():
        for k, value in enumerate(coefficients):
            getattr(made, f"c{k}").fill_(value)
    x = torch.linspace(-3, 3, 101, dtype=torch.float64)
    expected = np.polynomial.chebyshev.chebval(np.tanh(x.numpy()), coefficients)
    np.testing.assert_allclose(made(x).detach().numpy(), expected, atol=1e-12)


def test_a_spline_has_the_grid_that_is_asked_for():
    made = module("KAN B-spline", grid=8, order=2)
    assert len(made.c) == 10
    assert len(made.knots) == 13
    assert made(normal(5).float()).isfinite().all()


def test_a_trained_module_can_be_written_as_a_formula():
    made = module("CRReLU")
    with torch.no_grad():
        made.eps.fill_(0.37)
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    again = module(made.formula)
    torch.testing.assert_close(again(x), made.double()(x), rtol=1e-6, atol=1e-6)
    assert module("SwiGLU").formula == "silu(g)*x"


def test_special_cases_of_the_unified_families():
    x = torch.linspace(-6, 6, 401, dtype=torch.float64)
    agate, aglu = module("APA").double(), module("AGLU").double()
    torch.testing.assert_close(agate(x), torch.sigmoid(x), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(aglu(x), functional.silu(x), rtol=1e-6, atol=1e-7)
    with torch.no_grad():
        aglu.lam.fill_(1e-5)
    golu = torch.tensor(evaluate(zoo.find("GoLU").expr, x.numpy()))
    torch.testing.assert_close(aglu(x), golu, rtol=1e-3, atol=1e-4)


def test_smoothing_leaky_relu_gives_sau_and_smoothing_relu_its_closed_form():
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    s, a = 0.5, 0.15
    sau = module("SAU").double()
    with torch.no_grad():
        sau.a.fill_(a)
    sau.s.fill_(s)
    smoothed = Smoothed(parse(f"max(x, {a}*x)"), s, nodes=150).double()
    torch.testing.assert_close(smoothed(x), sau(x), rtol=5e-3, atol=5e-3)
    square = Smoothed(parse("x**2"), 0.7).double()
    torch.testing.assert_close(square(x), x**2 + 0.49)
    with pytest.raises(ZooError, match="above 0"):
        Smoothed("ReLU", 0.0)


def test_a_series_of_copies_is_the_zoos():
    x = normal(40)
    torch.testing.assert_close(Series("GELU").double()(x), module("PanGu-pi").double()(x))
    trained = Series("sin", (1.0, 0.5, 0.2), (0.0, 1.0, 2.0), shape=(3, 1))
    assert sum(p.numel() for p in trained.parameters()) == 18
    assert trained(normal(3, 7).float()).shape == (3, 7)


def test_the_b_spline_is_scipys():
    made = module("KAN B-spline", seed=4).double()
    x = torch.linspace(-0.999, 0.999, 201, dtype=torch.float64)
    knots = np.array(made.knots)
    spline = interpolate.BSpline(knots, np.array([c.item() for c in made.c]), 3)
    expected = functional.silu(x) + torch.tensor(spline(x.numpy()))
    torch.testing.assert_close(made(x), expected)


def test_orthogonal_pade_is_fitted_to_leaky_relu_and_its_denominator_trains():
    made = module("OPAU").double()
    x = torch.linspace(-3, 3, 601, dtype=torch.float64)
    assert (made(x) - functional.leaky_relu(x)).abs().max() < 0.1
    basis = [
        special.eval_hermitenorm(n, x.numpy()) / math.sqrt(math.factorial(n)) for n in range(6)
    ]
    p = {name: value.item() for name, value in made.named_parameters()}
    top = sum(p[f"c{n}"] * basis[n] for n in range(6))
    bottom = 1 + sum(np.abs(p[f"d{n}"] * basis[n]) for n in range(1, 5))
    np.testing.assert_allclose(made(x).detach().numpy(), top / bottom, atol=1e-12)
    made(x).sin().sum().backward()
    assert all(getattr(made, f"d{n}").grad.abs() > 1e-6 for n in range(1, 5))


def test_the_matrix_exponential_is_torchs():
    x = 0.5 * normal(3, 5, 5)
    torch.testing.assert_close(module("Matrix exponential")(x), torch.linalg.matrix_exp(x))


def test_siren_layers_start_with_the_published_bounds_and_keep_their_variance():
    torch.manual_seed(0)
    first, later = nn.Linear(2, 512), nn.Linear(512, 512)
    siren_init(first, first=True)
    siren_init(later, first=False)
    assert first.weight.abs().max() <= 0.5
    assert later.weight.abs().max() <= math.sqrt(6 / 512) / 30
    sine = to_torch(zoo.find("SIREN").expr)
    with torch.no_grad():
        h = sine(first(2 * torch.rand(2000, 2) - 1))
        deeper = sine(later(h))
    assert deeper.std() == pytest.approx(h.std().item(), rel=0.15)


def test_every_kind_is_judged_in_one_comparison():
    one = EvaluationProtocol("one", ((4, 2),), (1e-2,), tuning=0, per_family=1, seeds=2, steps=5)
    names = ["PReLU", "SwiGLU", "HeLU", "S|R", "CReLU", "PolyNorm", "Turbulent", "KAN B-spline"]
    found = compare(names, task="polynomial", form=one)
    rows = {row.name: row for row in found.rows}
    assert set(names) < set(rows)
    assert all(math.isfinite(row.ood) and row.ood > 0 for row in found.rows)
    assert rows["PReLU"].note == "learnable; trains a"
    assert rows["SwiGLU"].note == "gated"
    again = compare(names, task="polynomial", form=one)
    assert {row.name: row.ood for row in again.rows} == {n: r.ood for n, r in rows.items()}
    with pytest.raises(ZooError, match="its formula is not known"):
        compare("VeLU", form=one)
