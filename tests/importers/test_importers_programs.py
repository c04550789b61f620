"""Whole programs: which function is the activation, what statements do, what cannot be known.

Each kind of program has one that is understood, with its formula, or one that is refused, with
the reason. Refusing is right where following is not possible; a wrong formula never is.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from symact.backends import evaluate
from symact.errors import ImportRefusedError
from symact.expr import parse, show
from symact.grammar import Grammar, Limits
from symact.importers import from_source
from symact.proposers.foreign import proposal

HEAD = "import math\nimport numpy as np\nimport torch\nimport torch.nn as nn\n"
HEAD += "import torch.nn.functional as F\nimport jax\n"

#: An argument, a default, a cast, a fill value: (expression, formula).
CALLS = {
    "torch.add(x, torch.sin(x), alpha=0.1)": "x + 0.1*sin(x)",
    "torch.pow(x, exponent=2) * torch.sigmoid(x)": "x**2*sigmoid(x)",
    "torch.logaddexp(input=x, other=torch.zeros_like(x))": "softplus(x)",
    "torch.logaddexp(x, -x)": "max(x, -x) + softplus(-abs(x - (-x)))",
    "F.softplus(x, 2, 1)": "where(2*x > 1, x, softplus(2*x)/2)",
    "torch.lerp(x, torch.sin(x), 0.3)": "x + 0.3*(sin(x) - x)",
    "x.masked_fill(x < 0, 0.25)": "where(x < 0, 0.25, x)",
    "x.where(x > 0, -x)": "where(x > 0, x, -x)",
    "(x > 0).float() * x + (x > 1).to(torch.int32) * x": "where(x > 0, 1, 0)*x + where(x > 1, 1, 0)*x",
    "np.select([x < -1, x < 1], [-1.0, x], default=1.0)": "where(x < -1, -1, where(x < 1, x, 1))",
    "x**40": "exp(40*log(abs(x)))",
    "F.elu(x, **dict(alpha=0.5))": "where(x > 0, x, 0.5*(exp(min(x, 0)) - 1))",
    "sum(c * x**i for i, c in enumerate([0.1, 0.2]) if c > 0.15)": "0.2*x",
    "torch.nan_to_num(x)": "x",
    "(lambda *a: a[0] * a[1])(x, 2)": "x*2",
    "math.log(8, 2) * x + math.tau": "3*x + 6.283185307179586",
}


@pytest.mark.parametrize("text", CALLS)
def test_every_argument_counts(text):
    found = from_source(f"{HEAD}def f(x):\n    return {text}\n")
    assert show(found.expr) == show(parse(CALLS[text]))


#: Defaults that differ between libraries: (import, expression, value at -3).
DEFAULTS = [
    ("import tensorflow as tf", "tf.nn.leaky_relu(x)", -0.6),
    ("import tensorflow as tf", "tf.keras.activations.leaky_relu(x)", -0.6),
    ("import keras", "keras.layers.LeakyReLU()(x)", -0.9),
    ("import keras", "keras.activations.relu(x, negative_slope=0.5, max_value=2)", -1.5),
    ("import torch", "torch.nn.functional.leaky_relu(x)", -0.03),
    ("import torch", "torch.nn.LeakyReLU(0.2)(x)", -0.6),
    ("import jax", "jax.nn.leaky_relu(x)", -0.03),
    ("import tensorflow as tf", "tf.nn.silu(x, beta=2.0)", -3 / (1 + np.exp(6.0))),
    ("import jax", "jax.lax.clamp(-1.0, x, 2.0)", -1.0),
    ("import flax.linen as nn", "nn.leaky_relu(x, 0.1)", -0.3),
]


@pytest.mark.parametrize(("head", "text", "value"), DEFAULTS)
def test_defaults_are_those_of_the_library(head, text, value):
    found = from_source(f"{head}\ndef f(x):\n    return {text}\n")
    assert evaluate(found.expr, np.array([-3.0]))[0] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("module", ["jax.nn.gelu", "keras.ops.gelu"])
def test_the_form_of_gelu_by_tanh_is_noted_where_it_is_the_default(module):
    source = f"import jax, keras\ndef f(x):\n    return {module}(x)\n"
    assert from_source(source).notes == (f"{module} is the tanh form by default",)
    exact = from_source(source.replace("(x)\n", "(x, approximate=False)\n"))
    assert (show(exact.expr), exact.notes) == ("gelu(x)", ())
    assert (
        show(from_source("import keras\ndef f(x):\n    return keras.activations.gelu(x)\n").expr)
        == "gelu(x)"
    )


#: What has no primitive, or is not known: (expression, reason).
REFUSED_CALLS = {
    "torch.div(x, 2.0, rounding_mode='floor')": "with rounding_mode='floor'",
    "np.tanh(x - x.astype(int))": "a cast to an integer or truth value truncates",
    "torch.sin(x.to(torch.int32).float())": "a cast to an integer",
    "x.long() + x": "a cast to an integer",
    "x.bool() * 1.0": "a cast to an integer or truth value",
    "np.full_like(x > 0, 0.5) * x": "may hold whole numbers",
    "np.full_like(np.where(x > 0, 1, 0), 0.5)": "may hold whole numbers",
    "torch.nan_to_num(torch.log(x))": "a fill value has no primitive",
    "torch.exp(x * x) * torch.erfc(x)": "relative accuracy of its tail",
    "torch.max(x, 0)": "over features",
    "np.sin(x, where=x > 0)": "with where=a comparison",
    "np.maximum(x, 0, x)": "with out=a tensor",
    "np.add(x, 1, dtype=int)": "with dtype=",
    "torch.sin(x, foo=1)": "has no argument 'foo'",
    "torch.pow(x)": "lacks the argument 'exponent'",
    "torch.sin(x, x)": "takes 1 arguments, got 2",
    "torch.where(x > 0, True, False) * 1.0": "'where' of comparisons",
    "((x > 0) + (x > 1)) * 1.0": "'add' of comparisons",
    "x + (torch.sin(x) - x).detach()": "a stopped gradient",
    "x.relu_() * x": "changes a tensor that has another name",
    "x * F.relu(x, inplace=True)": "changes a tensor that has another name",
    "torch.rand_like(x) * x": "its values are random",
    "F.dropout(x)": "its values are random",
    "torch.softmax(x, -1)": "over features",
    "[z for z in x]": "'ListComp' is not understood over a tensor",
    "x if x == 0 else 2 * x": "a conditional on a tensor",
    "not (x == 0)": "'not' on a tensor",
    "torch.ones(4) * x": "of several elements",
}


@pytest.mark.parametrize("text", REFUSED_CALLS)
def test_what_has_no_primitive_is_refused_with_its_reason(text):
    with pytest.raises(ImportRefusedError, match=re.escape(REFUSED_CALLS[text])) as caught:
        from_source(f"{HEAD}def f(x):\n    return {text}\n")
    assert "\n" not in str(caught.value)


SWISH = "class Swish(nn.Module):\n    def __init__(self):\n        super().__init__()\n{}\n"
SWISH += "    def forward(self, x):\n        return x * torch.sigmoid(self.beta * x)\n"

#: Programs: (text, entry, formula).
PROGRAMS = [
    # Which function it is.
    (
        "def soft_gate(x):\n    return torch.sigmoid(1.7 * x)\n"
        "class Evolved(nn.Module):\n    def forward(self, x):\n        return x * soft_gate(x)\n",
        "Evolved",
        "x*sigmoid(1.7*x)",
    ),
    ("def f(x):\n    return torch.exp(-x * x)\ndef g(x):\n    return x * f(x)\n", "g", "x*exp(-x*x)"),
    (
        "class Activation(nn.Module):\n    def forward(self, x):\n        return x * torch.sin(x)\n"
        "def run():\n    return Activation()\n",
        "Activation",
        "x*sin(x)",
    ),
    (
        "class Outer(nn.Module):\n    class Inner(nn.Module):\n        def forward(self, x):\n"
        "            return torch.sin(x)\n    def __init__(self):\n        super().__init__()\n"
        "        self.inner = Outer.Inner()\n    def forward(self, x):\n"
        "        return x + self.inner(x)\n",
        "Outer",
        "x + sin(x)",
    ),
    ("def f(x):\n    return -x\ndef evaluate(seed):\n    return f(seed)\n", "f", "-x"),
    ("swish = lambda x, beta=1.5: x / (1 + np.exp(-beta * x))\n", "swish", "x/(1 + exp(-1.5*x))"),
    (
        "def make(beta, gamma):\n    def inner(x):\n        return x * torch.sigmoid(beta * x)\n"
        "    return inner\nswish = make(1.5, 0)\n",
        "swish",
        "x*sigmoid(1.5*x)",
    ),
    (
        "class Base(nn.Module):\n    def __init__(self, a=0.5):\n        super().__init__()\n"
        "        self.a = a\n    def forward(self, x):\n        return self.a * self.g(x)\n"
        "    def g(self, x):\n        return x\n"
        "class Act(Base):\n    def __init__(self):\n        super().__init__(a=2.0)\n"
        "    def g(self, x):\n        return torch.sin(x)\n",
        "Act",
        "2*sin(x)",
    ),
    (
        "def double(fn):\n    def wrapper(*args, **kwargs):\n        return 2 * fn(*args, **kwargs)\n"
        "    return wrapper\n@double\n@double\ndef f(x):\n    return torch.sin(x)\n",
        "f",
        "2*(2*sin(x))",
    ),
    # Statements of the module and of classes.
    ("A = 0.1\nA *= 2\ndef f(x):\n    return x + A * np.sin(x)\n", "f", "x + 0.2*sin(x)"),
    ("A = 0.1\nif True:\n    A = 0.3\ndef f(x):\n    return A * x\n", "f", "0.3*x"),
    ("A = 0.1\nfor i in range(3):\n    A *= 2\ndef f(x):\n    return A * x\n", "f", "0.8*x"),
    ("A, B = 0.1, 2.0\ndef f(x):\n    return x + A * np.sin(B * x)\n", "f", "x + 0.1*sin(2*x)"),
    ("A = 0.1\ndef f(x, a=A):\n    return a * x\nA = 0.5\n", "f", "0.1*x"),
    (
        "try:\n    import torch.nn.functional as G\nexcept ImportError:\n    G = None\n"
        "def f(x):\n    return G.silu(x)\n",
        "f",
        "silu(x)",
    ),
    (
        "class Act(nn.Module):\n    def __init__(self, alpha=-0.5):\n        super().__init__()\n"
        "        alpha = abs(alpha)\n        self.alpha = alpha\n    def forward(self, x):\n"
        "        return torch.where(x > 0, x, self.alpha * x)\n",
        "Act",
        "where(x > 0, x, 0.5*x)",
    ),
    ("class K:\n    a = 0.5\nk = K()\nk.a = 0.7\ndef f(x):\n    return k.a * x + K.a\n", "f", "0.7*x + 0.5"),
    ("b = 3\nclass K:\n    b = 0.5\n    def g(self, x):\n        return b * x\ndef f(x):\n    return K().g(x)\n", "f", "3*x"),
    # Constants.
    ("from math import pi\ndef f(x):\n    return x + np.sin(pi * x) / pi\n", "f", "x + sin(pi*x)/pi"),
    ("from math import *\ndef f(x):\n    return pi * x + e\n", "f", "pi*x + 2.718281828459045"),
    (SWISH.format("        self.beta = nn.Parameter(torch.ones(1))"), "Swish", "x*sigmoid(1*x)"),
    (SWISH.format("        self.beta = nn.Parameter(torch.full((1,), 0.5))"), "Swish", "x*sigmoid(0.5*x)"),
    (SWISH.format("        self.register_buffer('beta', torch.tensor([2.0]))"), "Swish", "x*sigmoid(2*x)"),
    ("def f(x):\n    name = f'act {x}'\n    return (y := 2 * x) * y\n", "f", "2*x*(2*x)"),
    # Tensors that are changed in place where nobody else looks.
    ("def f(x):\n    y = x.clone()\n    y += 1\n    return x * y\n", "f", "x*(x + 1)"),
    ("def f(x):\n    return F.silu(2 * x, inplace=True) + x\n", "f", "silu(2*x) + x"),
    # What surrounds the program.
    ("# " + "-" * 80 + "\n# " + ":(" * 80 + "\ndef f(x):\n    '''" + "=+-" * 90 + "'''\n    return -x\n", "f", "-x"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "entry", "formula"), PROGRAMS)
def test_programs_mean_what_python_computes(text, entry, formula):
    found = from_source(HEAD + text)
    assert (found.entry, show(found.expr)) == (entry, show(parse(formula)))


def test_a_program_may_have_a_mark_or_a_fence():
    plain = "import numpy as np\ndef f(x):\n    return x * np.tanh(x)\n"
    for text in (
        "\ufeff" + plain,
        f"```python\n{plain}```",
        f"Here it is:\n\n~~~\n{plain}~~~\nDone.",
    ):
        assert show(from_source(text).expr) == "x*tanh(x)"
    with pytest.raises(ImportRefusedError, match="line 5: "):  # lines are those of the text
        from_source("Here:\n```\nimport numpy as np\ndef f(x):\n    return x[0]\n```\n")
    with pytest.raises(ImportRefusedError, match="no Python"):
        from_source(f"```\n{plain}```\nor\n```\n{plain}```\n")


#: Programs that cannot be followed: (text, reason).
UNKNOWN = [
    ("A = 0.1\nwhile A < 1:\n    A *= 2\ndef f(x):\n    return A * x\n", "'While' is not understood"),
    ("A = 0.1\nwith open('h'):\n    A = 0.5\ndef f(x):\n    return A * x\n", "'A' is not known"),
    ("try:\n    A = 0.1\nexcept ValueError:\n    A = 0.5\ndef f(x):\n    return A * x\n", "'Try' is"),
    ("A = 0.1\ndef s():\n    global A\n    A = 0.7\ns()\ndef f(x):\n    return A * x\n", "'A' is not known"),
    ("A = 0.1\nglobals()['A'] = 0.5\ndef f(x):\n    return A * x\n", "'A' is not known"),
    ("A = 0.1\nexec('A = 0.5')\ndef f(x):\n    return A * x\n", "'A' is not known"),
    ("A = 0.1\ndel A\ndef f(x):\n    return A * x\n", "it is deleted"),
    ("A = 0.1\nfrom helpers import *\ndef f(x):\n    return A * x\n", "'helpers' may define it"),
    ("beta = 0.5\nfrom scipy.special import *\ndef f(x):\n    return beta * x\n", "may define it"),
    ("C = {'a': 0.1}\nC.update(a=0.5)\ndef f(x):\n    return C['a'] * x\n", "'C' is not known"),
    ("L = M = [0.1]\nM[0] = 0.5\ndef f(x):\n    return L[0] * x\n", "'L' is not known"),
    (
        "C = {'a': 0.1}\ndef grow(d, n):\n    d.update(a=3)\ndef go():\n    grow(C, 1)\ngo()\n"
        "def f(x):\n    return C['a'] * x\n",
        "'C' is not known",
    ),
    ("torch.sin = torch.cos\ndef f(x):\n    return torch.sin(x)\n", "may have been changed"),
    ("setattr(np, 'sin', np.cos)\ndef f(x):\n    return np.sin(x)\n", "may have been changed"),
    ("class Act(nn.Module):\n    a = 0.1\n    def forward(self, x):\n        return self.a * x\nAct.a = 0.5\n", "'Act.a' is not known"),
    ("class Act(nn.Module):\n    def forward(self, x):\n        return x\nsetattr(Act, 'forward', abs)\n", "no function in it"),
    (SWISH.format("        setattr(self, 'beta', 0.5)\n        self.beta = 1.0"), "unknown name 'setattr'"),
    (SWISH.format("        self.beta = nn.Parameter(torch.ones(1))\n        nn.init.constant_(self.beta, 0.3)"), "'Swish.beta' is not known"),
    (SWISH.format("        self.beta = nn.Parameter(torch.randn(1))"), "its values are random"),
    (SWISH.format("        self.beta = nn.Parameter(torch.ones(8))"), "of several elements"),
    ("@torch.no_grad()\ndef f(x):\n    return x\n", "decorator 'torch.no_grad'"),
    ("def f(x):\n    y = x\n    y += 1\n    return x * y\n", "a tensor that has another name"),
    ("def f(x):\n    t = (x, 2)\n    x += 1\n    return t[0] * x\n", "a tensor that has another name"),
    ("def f(x):\n    return x\n    yield x\n", "is a generator"),
    ("from .numpy import sin\ndef f(x):\n    return sin(x)\n", "of a library that is not known"),
    ("def a(x):\n    return torch.floor(b(x))\ndef b(x):\n    return x\n", "--entry chooses another: b"),
    ("def a(x):\n    return x\ndef b(x):\n    return -x\n", "say which by --entry: a, b"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), UNKNOWN)
def test_what_is_not_followed_makes_its_names_unknown(text, reason):
    with pytest.raises(ImportRefusedError, match=re.escape(reason)):
        from_source(HEAD + text)


def test_assumptions_are_noted():
    parameter = from_source(HEAD + SWISH.format("        self.beta = nn.Parameter(torch.ones(1))"))
    assert parameter.notes == ("a trained parameter has its initial value, 1",)
    one = from_source(HEAD + "def a(x):\n    return torch.floor(x)\ndef b(x):\n    return x\n")
    assert one.notes == ("'b' was taken; --entry chooses another: a",)


TAILS = {
    "torch.logaddexp(x, -2*x)": lambda x: np.logaddexp(x, -2 * x),
    "F.logsigmoid(x)": lambda x: -np.logaddexp(0, -x),
    "np.expm1(x)": np.expm1,
    "np.sinh(x)": np.sinh,
    "special.log_expit(x)": lambda x: -np.logaddexp(0, -x),
}


@pytest.mark.parametrize("text", TAILS)
def test_rewrites_keep_their_relative_accuracy(text):
    x = np.array([-700.0, -40.0, -8.0, -1e-3, -1e-9, 1e-9, 1e-3, 8.0, 40.0, 700.0])
    found = from_source(f"{HEAD}from scipy import special\ndef f(x):\n    return {text}\n")
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(evaluate(found.expr, x), TAILS[text](x), rtol=1e-12)


GRAMMAR = replace(Grammar.load("pointwise"), limits=Limits(nodes=50, depth=20, flops=500))


@pytest.mark.parametrize(
    "item",
    [
        {"code": "import torch\ndef f(x):\n    return torch.pow(x, exponent=2)"},
        {"code": "import torch\ndef f(x):\n    return torch.pow(exponent=2)"},
        {"code": "```\ndef f(x):\n    return x\n```"},
        {"code": "\ud800"},
        {"code": 3},
        {"formula": "x +"},
        {"formula": "y"},
        json.loads("[" * 900 + "]" * 900),
        None,
    ],
)
def test_a_proposal_from_outside_is_understood_or_refused_but_never_raises(item):
    found = proposal(item, GRAMMAR, "replay")
    assert found.refused or found.expr.size <= GRAMMAR.limits.nodes
