"""A found function is a well-behaved module: fused and plain, it goes wherever torch's own go."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from symact.backends import to_torch
from symact.errors import DtypeError, SymactError
from symact.expr import parse
from symact.zoo.modules import module as zoo_module

# torch's own forward-mode rules use what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

TEXT = "gelu(x) + 0.1*sin(x) + where(x > 1, sqrt(x), x)"
#: Each with the number of elements from which a fused kernel is used: always, never, when large.
MODES = [True, False, None]


def reference(x: torch.Tensor) -> torch.Tensor:
    branch = torch.where(x > 1, x.clamp(min=1).sqrt(), x)
    return nn.functional.gelu(x) + 0.1 * x.sin() + branch


@pytest.fixture(params=MODES, ids=["fused", "plain", "default"])
def act(request) -> nn.Module:
    return to_torch(parse(TEXT), compile=request.param)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.linspace(-3, 3, 35).reshape(5, 7) + 0.05


def model_of(act: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 6), act, nn.Linear(6, 2), act).eval()


# Types.


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("x**3/(1 + x**2)", [50.0, 300.0], [49.980008, 299.996667]),
        ("x/(1 + exp(-x))", [-12.0, 12.0], [-7.373e-05, 11.99993]),
    ],
)
@pytest.mark.parametrize("compile", MODES)
def test_half_precision_is_computed_in_float32(text, at, expected, dtype, compile):
    found = to_torch(parse(text), compile=compile)(torch.tensor(at, dtype=dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), torch.tensor(expected).double(), rtol=8e-3, atol=0)


def test_functions_of_statistics_compute_in_float32_too():
    x = torch.full((1000,), 100.0, dtype=torch.float16)  # the squares add up to ten million
    assert to_torch(parse("mean(x**2)"))(x).tolist() == [10000.0] * 1000


def test_modules_of_the_zoo_compute_in_float32_too():
    x = torch.tensor([-300.0, 300.0], dtype=torch.float16)
    found = zoo_module("PAU")(x)
    assert found.dtype == torch.float16
    assert found.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_whole_numbers_become_the_default_type(act, dtype):
    x = torch.tensor([0, 1, 1]).to(dtype)
    torch.testing.assert_close(act(x), reference(x.float()))


def test_float64_stays(act, x):
    torch.testing.assert_close(act(x.double()), reference(x.double()), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("text", [TEXT, "x - mean(x)", "1.5"])
@pytest.mark.parametrize("compile", MODES)
def test_complex_tensors_are_refused_in_one_line(text, compile):
    module = to_torch(parse(text), compile=compile)
    with pytest.raises(DtypeError, match=r"real tensor, got torch\.complex64; pass x\.real") as e:
        module(torch.zeros(2**15, dtype=torch.complex64))
    assert isinstance(e.value, TypeError)
    assert "\n" not in str(e.value)


def test_modules_of_the_zoo_refuse_complex_tensors():
    for name in ("GELU", "PAU", "GeGLU"):
        with pytest.raises(SymactError, match="complex"):
            zoo_module(name)(torch.zeros(4, dtype=torch.complex64))


# Layouts.


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1), (2, 3, 4), (300, 70)])
def test_every_shape_passes_forward_and_backward(act, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    expected = x.detach().clone().requires_grad_()
    act(x).sum().backward()
    reference(expected).sum().backward()
    assert act(x).shape == shape
    torch.testing.assert_close(x.grad, expected.grad)


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.T,
        lambda t: t[::2, 1::3],
        lambda t: t[:, :1].expand(5, 9),
        lambda t: t.flip(0),
        lambda t: torch.complex(t, t).conj().imag,  # has its sign in a bit
    ],
)
def test_every_layout_passes(act, x, view):
    torch.testing.assert_close(act(view(x)), reference(view(x)))


def test_other_layouts_and_subclasses_take_the_plain_path(act):
    class Own(torch.Tensor):
        pass

    x = torch.randn(3, 4)
    assert type(act(x.as_subclass(Own))) is Own
    assert act(torch.empty(3, 4, device="meta")).device.type == "meta"
    nested = torch.nested.nested_tensor([torch.randn(2), torch.randn(3)], layout=torch.jagged)
    torch.testing.assert_close(act(nested).values(), reference(nested.values()))


# Modes.


def test_without_gradients(act, x):
    expected = reference(x)
    with torch.no_grad():
        torch.testing.assert_close(act(x.clone().requires_grad_()), expected)
    with torch.inference_mode():
        torch.testing.assert_close(act(x.clone()), expected)
    assert not act(x).requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(act, x, dtype):
    model = model_of(act)
    with torch.autocast("cpu", dtype=dtype):
        found = model(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), model(x), rtol=0.05, atol=0.05)
    found.float().sum().backward()
    assert model[0].weight.grad.isfinite().all()


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpoint(act, x, use_reentrant):
    own, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    checkpoint(act, own, use_reentrant=use_reentrant).sum().backward()
    reference(other).sum().backward()
    torch.testing.assert_close(own.grad, other.grad)


def test_threads_and_replicas(act):
    inputs = [torch.randn(200, 150) for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for own, found in zip(inputs, pool.map(act, inputs), strict=True):
            torch.testing.assert_close(found, reference(own))
    wrapped = nn.DataParallel(act)
    torch.testing.assert_close(wrapped(inputs[0]), reference(inputs[0]))


# Derivatives.


def test_numerical_derivatives_of_first_and_second_order(act, x):
    own = x.double().requires_grad_()
    assert torch.autograd.gradcheck(act, own, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(act, own, check_fwd_over_rev=True, check_batched_grad=True)


def test_a_third_derivative(act):
    x = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    found, expected = act(x), reference(x)
    for _ in range(3):
        (found,) = torch.autograd.grad(found, x, create_graph=True)
        (expected,) = torch.autograd.grad(expected, x, create_graph=True)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["grad", "vmap_grad", "jacrev", "jacfwd", "hessian", "vmap"])
def test_transforms_of_functions(act, x, name):
    func = torch.func
    transforms = {
        "vmap": lambda f: func.vmap(f),
        "grad": lambda f: func.grad(lambda z: f(z).sum()),
        "vmap_grad": lambda f: func.vmap(func.grad(lambda z: f(z).sum())),
        "jacrev": func.jacrev,
        "jacfwd": func.jacfwd,
        "hessian": lambda f: func.hessian(lambda z: f(z).sum()),
    }
    transform = transforms[name]
    torch.testing.assert_close(transform(act)(x), transform(reference)(x))


def test_forward_mode(act, x):
    tangent = torch.randn(5, 7)
    found = torch.func.jvp(act, (x,), (tangent,))
    for own, expected in zip(found, torch.func.jvp(reference, (x,), (tangent,)), strict=True):
        torch.testing.assert_close(own, expected)


def test_an_ensemble_of_stacked_models(act, x):
    models = [model_of(act) for _ in range(3)]
    parameters, buffers = torch.func.stack_module_state(models)

    def loss(own, held):
        return torch.func.functional_call(models[0], (own, held), (x,)).sum()

    gradients = torch.func.vmap(torch.func.grad(loss))(parameters, buffers)
    models[0](x).sum().backward()
    torch.testing.assert_close(gradients["0.weight"][0], models[0][0].weight.grad)


# Saving, printing.


def test_copies_compute_the_same(act, x):
    act(x)
    buffer = io.BytesIO()
    torch.save(act, buffer)
    buffer.seek(0)
    copies = [copy.deepcopy(act), copy.copy(act), pickle.loads(pickle.dumps(act))]
    for own in (*copies, torch.load(buffer, weights_only=False)):
        torch.testing.assert_close(own(x), act(x), rtol=0, atol=0)
        assert own.fused == act.fused


def test_a_model_prints_its_formula(act):
    assert f"Activation({act.formula})" in repr(model_of(act))


def test_a_model_has_no_weights_of_its_own(act):
    assert not list(act.parameters())
    assert not act.state_dict()


# Compilers, tracers, exporters. A batch of another size shows a result baked in as a constant.


def assert_same_on_other_batches(found, model, tolerance=1e-5):
    for batch in (1, 3, 5):
        x = torch.randn(batch, 7, generator=torch.Generator().manual_seed(batch))
        torch.testing.assert_close(found(x), model(x), rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_compiled_as_one_graph(act, x):
    torch.compiler.reset()
    model = model_of(act)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=True)
    for size in (5, 3):
        own, other = (x[:size].clone().requires_grad_() for _ in range(2))
        found, expected = compiled(own), model(other)
        torch.testing.assert_close(found, expected)
        found.sum().backward()
        expected.sum().backward()
        torch.testing.assert_close(own.grad, other.grad)


@pytest.mark.slow
@pytest.mark.parametrize("strict", [True, False])
def test_exported_program(act, x, strict, tmp_path):
    model = model_of(act)
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    program = torch.export.export(model, (x,), dynamic_shapes=shapes, strict=strict)
    torch.export.save(program, tmp_path / "model.pt2")
    assert_same_on_other_batches(torch.export.load(tmp_path / "model.pt2").module(), model)


def test_symbolic_trace(act):
    model = model_of(act)
    traced = torch.fx.symbolic_trace(model)
    assert_same_on_other_batches(traced, model)
    assert "sin" in traced.code
    half = model_of(act).half()
    z = torch.randn(2, 7).half()
    torch.testing.assert_close(torch.fx.symbolic_trace(half)(z), half(z), rtol=1e-2, atol=1e-2)


def test_symbolic_trace_of_statistics_and_constants():
    for text in ("x - mean(x) + std(x)", "1.5", "sinc(x)*softsign(x)"):
        module = to_torch(parse(text))
        x = torch.randn(4, 3)
        torch.testing.assert_close(torch.fx.symbolic_trace(module)(x), module(x))


def test_make_fx(act, x):
    from torch.fx.experimental.proxy_tensor import make_fx

    traced = make_fx(act)(x)
    torch.testing.assert_close(traced(x + 0.5), reference(x + 0.5))


def test_jit_trace(act, x):
    model = model_of(act)
    traced = torch.jit.trace(model, x)
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer)
    buffer.seek(0)
    assert_same_on_other_batches(torch.jit.load(buffer), model)


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_onnx(act, x, dynamo, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    model = model_of(act)
    path = tmp_path / "model.onnx"
    free = (
        {"dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=64)},)}
        if dynamo
        else {"dynamic_axes": {"i": {0: "batch"}}}
    )
    torch.onnx.export(model, (x,), path, dynamo=dynamo, input_names=["i"], **free)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(z):
        return torch.from_numpy(session.run(None, {"i": z.numpy()})[0])

    assert_same_on_other_batches(run, lambda z: model(z).detach())


# The default, several inputs, errors.


def test_the_default_fuses_large_tensors_only():
    module = to_torch(parse("x*sigmoid(x)*sin(x)"))

    def kept(size: int) -> int:
        found: list[torch.Tensor] = []
        x = torch.randn(size, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: found.append(t) or t, lambda t: t):
            module(x)
        return len(found)

    assert kept(2**14) == 1
    assert kept(2**10) > 1


def test_a_small_model_loads_no_compiler():
    code = """
import sys, torch
from symact.expr import parse
from symact.backends import to_torch
to_torch(parse("sin(x)"))(torch.randn(10, requires_grad=True)).sum().backward()
print("numba" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "False"


def test_several_inputs_in_alphabetic_or_given_order():
    expr = parse("a*x + where(x > b, sqrt(x - b), 0)", ("x", "a", "b"))
    x = torch.tensor([[-1.0, 4.0]], requires_grad=True)
    a, b = torch.tensor([[2.0], [3.0]]), torch.tensor(0.0, requires_grad=True)
    module = to_torch(expr)
    assert module.inputs == ("a", "b", "x")
    found = module(a, b, x)
    torch.testing.assert_close(found.detach(), torch.tensor([[-2.0, 10.0], [-3.0, 14.0]]))
    torch.testing.assert_close(to_torch(expr, inputs=("x", "a", "b"))(x, a, b), found)
    found.sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[5.0, 5.5]]))
    torch.testing.assert_close(b.grad, torch.tensor(-0.5))
    assert repr(module).startswith("ActivationOfSeveral(a, b, x: ")


def test_one_input_of_another_name_is_fused():
    module = to_torch(parse("sin(t)", ("t",)), compile=True)
    assert module.fused
    x = torch.randn(10)
    torch.testing.assert_close(module(x), x.sin())


def test_a_wrong_number_of_tensors_is_refused():
    module = to_torch(parse("a*x", ("x", "a")))
    with pytest.raises(TypeError, match=r"expected 2 tensors \(a, x\), got 1"):
        module(torch.zeros(2))
    with pytest.raises(SymactError, match="'a' is not among the inputs x"):
        to_torch(parse("a*x", ("x", "a")), inputs=("x",))
    with pytest.raises(SymactError, match="several inputs are not fused"):
        to_torch(parse("a*x", ("x", "a")), compile=True)


def test_the_value_is_the_one_by_numpy(act, x):
    z = x.double().numpy()
    from reference import evaluate

    np.testing.assert_allclose(act(x.double()).numpy(), evaluate(parse(TEXT), z), rtol=1e-13)
