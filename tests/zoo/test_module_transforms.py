"""Every module of the zoo in everything that torch does with a module.

Compiling and exporting are expensive. They are done once, for all tested modules in one model, and
each module is then compared by itself. The tested modules are representatives: together they have
each class of module and each function that occurs in a formula. ``make reliability`` tests all.
"""

from __future__ import annotations

import copy
import io
import pickle
import re
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from profiles import IS_EXPLORING
from torch import fx, nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap

from symact import zoo
from symact.errors import ZooError
from symact.zoo.modules import Series, Smoothed, few_bit, keep_top, module, with_gradient

#: A formula of all functions but batch statistics: one graph, instead of one for each function.
MANY = """tanh(x) + sin(x)*cos(x) + sinc(x) + gelu(x) + exp(-abs(x)) + log1p(abs(x)) + sign(x)
    + relu(x) + sigmoid(x) + silu(x) + max(x, 0.3) + min(x, 0.7) + atan(x) + asinh(x) + softplus(x)
    + erf(x) + sqrt(1 + x**2) + where(x > 0.1, x, 0.5*x) + log(2 + x**2) + gaussian(x) + softsign(x)
"""
WRAPPED = {
    "series": lambda: Series("PReLU"),
    "smoothed": lambda: Smoothed("PReLU", 0.5),
    "surrogate": lambda: with_gradient("PReLU", "tanh"),
    "slope": lambda: with_gradient("sign", torch.sigmoid),
    "few-bit": lambda: few_bit("SiLU", 2),
    "kept": lambda: keep_top("Snake", 3),
    "expansion": lambda: module("FKAN", K=4),
    "text": lambda: module("x*tanh(x)"),
    "many": lambda: module(MANY.replace("\n", " ")),
}
KINDS = {
    known.name: known.kind
    for known in zoo.catalogue()
    if known.kind not in ("layer", "stateful", "unknown")
}
NAMES = [*KINDS, *WRAPPED]
#: Forward mode derives some formulas by torch's own use of TorchScript, which is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
every = pytest.mark.parametrize("name", NAMES)

#: ONNX has no such operators.
NOT_IN_ONNX = {"Matrix exponential"}


def made(name: str) -> nn.Module:
    own = WRAPPED[name]() if name in WRAPPED else module(name, seed=3)
    return own.eval()


def input_of(name: str, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if KINDS.get(name) == "matrix":
        return 0.3 * torch.randn(4, 6, 6, generator=generator)
    return torch.randn(4, 12 if KINDS.get(name) == "gated" else 6, generator=generator)


def representatives(names: list[str]) -> list[str]:
    """Return the names that add a class of module or a function of a formula to those before."""
    seen: set[object] = set()
    kept = []
    for name in names:
        own = made(name)
        parts = {*map(type, own.modules()), *re.findall(r"\w+(?=\()", own.formula)}
        if not parts <= seen:
            kept.append(name)
        seen |= parts
    return kept


GRAPHED = NAMES if IS_EXPLORING else representatives(["many", *NAMES])
IN_ONNX = [name for name in GRAPHED if name not in NOT_IN_ONNX]
each_graphed = pytest.mark.parametrize("name", GRAPHED)


class Together(nn.Module):
    """All modules in one model."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names
        self.parts = nn.ModuleList(made(name) for name in names)
        self.eval()

    def inputs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return input_of("ReLU"), input_of("GLU"), input_of("Matrix exponential")

    def forward(self, x, pairs, matrices):
        given = {"gated": pairs, "matrix": matrices}
        return tuple(
            part(given.get(KINDS.get(name, ""), x))
            for name, part in zip(self.names, self.parts, strict=True)
        )

    def by_name(self, outputs) -> dict[str, torch.Tensor]:
        return dict(zip(self.names, outputs, strict=True))


def close(a, b, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=1e-5)


@every
def test_it_is_pickled_copied_and_saved(name):
    own, x = made(name), input_of(name)
    stream = io.BytesIO()
    torch.save(own, stream)
    stream.seek(0)
    loaded = torch.load(stream, weights_only=False)
    for other in (pickle.loads(pickle.dumps(own)), copy.deepcopy(own), loaded):
        assert torch.equal(other(x), own(x))
        assert repr(other) == repr(own)


@every
def test_it_prints_its_name_and_formula(name):
    own = made(name)
    text = repr(own)
    assert "object at" not in text
    if name in KINDS:
        assert f"{zoo.find(name).name}: " in text
        assert own.formula in text or zoo.find(name).parametric in text


@every
def test_it_computes_in_single_precision_at_least(name):
    own = made(name)
    x = 20 * input_of(name) if KINDS.get(name) not in ("matrix", "features") else input_of(name)
    for dtype, tolerance in ((torch.float16, 2e-3), (torch.bfloat16, 1.6e-2)):
        short = x.to(dtype)
        found = own(short)
        assert found.dtype == dtype
        exact = copy.deepcopy(own).double()(short.double())
        inside = exact.abs() < torch.finfo(dtype).max / 2
        torch.testing.assert_close(
            found.double()[inside], exact[inside], rtol=tolerance, atol=1e-5 * float(inside.any())
        )


@every
def test_integers_are_promoted_and_complex_numbers_refused_or_meant(name):
    own = made(name)
    whole = (3 * input_of(name)).round().clamp(-2, 2)
    found = own(whole.long())
    assert found.dtype == torch.float32
    assert torch.equal(found, own(whole))
    z = torch.complex(input_of(name), input_of(name, 1)).to(torch.complex128)
    if not own.is_complex:
        with pytest.raises(ZooError, match="has no meaning for complex numbers"):
            own(z)
        return
    own = own.double()
    with torch.no_grad():
        ahead = [own(z + step) for step in (1e-6, -1e-6, 1e-6j, -1e-6j)]
    # A derivative that is the same along both axes.
    across, up = (ahead[0] - ahead[1]) / 2e-6, (ahead[2] - ahead[3]) / 2e-6j
    good = across.isfinite() & up.isfinite() & (across.abs() < 1e3)
    torch.testing.assert_close(across[good], up[good], rtol=1e-4, atol=1e-4)


@every
def test_it_is_mapped_over_a_batch(name):
    own, x = made(name), torch.stack([input_of(name, seed) for seed in range(3)])
    close(vmap(own)(x), torch.stack([own(one) for one in x]))


@every
def test_its_derivatives_agree_in_every_mode(name):
    own, x = made(name).double(), input_of(name).double()
    tangent = torch.randn(x.shape, generator=torch.Generator().manual_seed(5)).double()

    def total(z):
        return own(z).square().sum()

    z = x.clone().requires_grad_()
    value = own(z).square().sum()
    (slope,) = torch.autograd.grad(value, z) if value.requires_grad else (torch.zeros_like(x),)
    close(grad(total)(x), slope)
    close(vmap(grad(total))(x[None])[0], slope)
    close(jvp(total, (x,), (tangent,))[1], (slope * tangent).sum())
    jacobian = jacrev(own)(x[:1])
    close(jacobian, jacfwd(own)(x[:1]))
    assert jacobian.isfinite().all()


@every
def test_its_second_derivatives_agree(name):
    own, x = made(name).double(), input_of(name).double()[:1]

    def total(z):
        return own(z).sin().sum()

    found = hessian(total)(x)
    assert found.isfinite().all()
    close(found, jacrev(jacrev(total))(x))


@every
def test_parameters_are_trained_through_functional_calls(name):
    own, x = made(name), input_of(name)
    parameters = dict(own.named_parameters())
    found = grad(lambda p: functional_call(own, p, x).square().sum())(parameters)
    own(x).square().sum().backward() if own(x).requires_grad else None
    for key, parameter in parameters.items():
        close(found[key], parameter.grad)


@pytest.fixture(scope="module")
def together():
    model = Together(GRAPHED)
    return model, model.by_name(model(*model.inputs()))


@pytest.fixture(scope="module")
def compiled(together):
    model, _ = together
    run = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.set_grad_enabled(IS_EXPLORING):  # a graph of derivatives takes half as long again
        return model.by_name(run(*model.inputs()))


@each_graphed
@pytest.mark.slow
def test_it_is_compiled_into_one_graph(name, compiled, together):
    close(compiled[name], together[1][name])


@pytest.fixture(scope="module")
def exported(together):
    model, _ = together
    batch = torch.export.Dim("batch", min=2, max=64)
    shapes = {"x": {0: batch}, "pairs": {0: batch}, "matrices": {0: batch}}
    program = torch.export.export(model, model.inputs(), dynamic_shapes=shapes)
    larger = tuple(torch.cat([one, one]) for one in model.inputs())
    return model.by_name(program.module()(*larger))


@each_graphed
@pytest.mark.slow
def test_it_is_exported_with_a_batch_of_any_size(name, exported, together):
    if KINDS.get(name) == "statistics":
        pytest.skip("reads the whole tensor: a batch of two copies has the same statistics, or not")
    close(exported[name], torch.cat([together[1][name]] * 2))


def run_onnx(model: Together, dynamo: bool, folder) -> dict[str, torch.Tensor]:
    path = folder / f"zoo-{dynamo}.onnx"
    inputs = model.inputs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, inputs, path, dynamo=dynamo, input_names=["x", "pairs", "matrices"]
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    used = {one.name for one in session.get_inputs()}
    given = dict(zip(("x", "pairs", "matrices"), inputs, strict=True))
    outputs = session.run(None, {k: v.numpy() for k, v in given.items() if k in used})
    return model.by_name(outputs)


@pytest.fixture(scope="module")
def onnx_dynamo(tmp_path_factory):
    return run_onnx(Together(IN_ONNX), True, tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def onnx_torchscript(tmp_path_factory):
    return run_onnx(Together(IN_ONNX), False, tmp_path_factory.mktemp("onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_ONNX)
def test_it_is_exported_to_onnx(name, onnx_dynamo, together):
    close(onnx_dynamo[name], together[1][name], 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_ONNX)
def test_it_is_exported_to_onnx_by_torchscript(name, onnx_torchscript, together):
    close(onnx_torchscript[name], together[1][name], 1e-4)


@every
def test_it_is_traced_by_fx_and_keeps_its_parameters(name):
    own, x = made(name), input_of(name)
    for model in (own, nn.Sequential(nn.Identity(), own)):
        traced = fx.symbolic_trace(model)
        traced.graph.lint()
        assert torch.equal(traced(x), own(x))
        assert len(list(traced.parameters())) == len(list(own.parameters()))


@every
def test_it_runs_under_autocast(name):
    own, x = made(name), input_of(name)
    layer = nn.Linear(x.shape[-1], x.shape[-1])
    with torch.autocast("cpu", torch.bfloat16):
        out = own(layer(x))
    assert out.dtype == torch.bfloat16
    assert out.isfinite().all()
    if out.requires_grad:
        out.float().square().sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.slow
def test_a_stack_of_compiled_modules_trains():
    net = nn.Sequential(nn.Linear(6, 8), module("CRReLU"), module("S|R"), nn.Linear(8, 1))
    run = torch.compile(net, backend="aot_eager", fullgraph=True)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    x = input_of("ReLU")
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = (run(x) - x.sum(1, keepdim=True)).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
