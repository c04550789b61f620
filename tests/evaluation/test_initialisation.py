"""Initial weights have the distributions that the literature gives."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from symact.errors import SymactError
from symact.evaluation.fidelity import Fidelity
from symact.evaluation.training.initialisation import INITIALISATIONS, initialiser
from symact.evaluation.training.mlp import MLPTrainer
from symact.evaluation.training.networks import initial_weights, pack
from symact.evaluation.training.numba_mlp import NumbaMLPTrainer
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.tasks import task
from symact.tasks.protocol import Training

TRAINING = Training(width=7, depth=3, steps=5, points=32, learning_rate=1e-2)
#: Variance of the weights, and whether they are uniform, for fan-in i and fan-out o.
EXPECTED = {
    "torch": (lambda i, o: 1 / (3 * i), True),
    "glorot": (lambda i, o: 2 / (i + o), True),
    "lecun": (lambda i, o: 1 / i, False),
    "he": (lambda i, o: 2 / i, False),
}


@pytest.fixture(scope="module")
def data():
    return pack(task("ood-suite").draw("search", seed=0, per_family=1), TRAINING.points, 32)


def test_every_initialisation_has_an_expected_distribution():
    assert list(INITIALISATIONS) == list(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize(("fan_in", "fan_out"), [(1, 30_001), (3, 10_007), (37, 1_001), (64, 501)])
def test_weights_have_the_mean_the_variance_and_the_shape_of_their_distribution(
    name, fan_in, fan_out
):
    weights, biases = initialiser(name)(np.random.default_rng(1), fan_in, fan_out)
    assert weights.shape == (fan_out, fan_in)
    assert biases.shape == (fan_out,)
    variance, is_uniform = EXPECTED[name]
    expected = variance(fan_in, fan_out)
    assert weights.var() == pytest.approx(expected, rel=0.05)
    assert abs(weights.mean()) < 4 * (expected / weights.size) ** 0.5
    kurtosis = (weights**4).mean() / (weights**2).mean() ** 2
    assert kurtosis == pytest.approx(1.8 if is_uniform else 3.0, rel=0.05)
    if is_uniform:
        bound = (3 * expected) ** 0.5
        assert 0.99 * bound < np.abs(weights).max() <= bound
    if name == "torch":
        assert biases.var() == pytest.approx(1 / (3 * fan_in), rel=0.15)
        assert np.abs(biases).max() <= fan_in**-0.5
    else:
        assert not biases.any()


@pytest.mark.parametrize("name", EXPECTED)
def test_layers_are_drawn_with_their_real_fan_in(data, name):
    training = dataclasses.replace(TRAINING, width=99, initialisation=name)
    layers = initial_weights(data, training, range(20), 3)
    assert len(layers) == training.depth + 1
    variance, _ = EXPECTED[name]
    for instance, inputs in enumerate(data.inputs):
        first, others = layers[0][0][instance], layers[1][0][instance]
        assert not first[..., inputs:].any()
        assert first[..., :inputs].var() == pytest.approx(variance(inputs, 99), rel=0.15)
        assert others.var() == pytest.approx(variance(99, 99), rel=0.05)


def test_layers_of_residual_networks_have_the_fan_in_of_their_function(data):
    """Gated units of width 6: W1 gives two pre-activations a unit, W2 takes one value a unit."""
    training = dataclasses.replace(TRAINING, width=6, depth=2, residual=True)
    widest, outputs = data.x.shape[1], data.y.shape[1]
    for inputs, values in ((2, 1), (1, 2)):
        layers = initial_weights(data, training, [0], 3, inputs, values)
        block = [(6 * inputs, 6), (6, 6 * values)]
        assert [w.shape[2:] for w, _ in layers] == [(6, widest), *block, *block, (outputs, 6)]
        for weights, biases in layers[1:]:
            assert weights.shape[:-1] == biases.shape
            assert 0 < np.abs(weights).max() <= weights.shape[-1] ** -0.5


def test_normal_initialisations_share_their_random_numbers(data):
    lecun, he = (
        initial_weights(data, dataclasses.replace(TRAINING, initialisation=name), [4], 3)
        for name in ("lecun", "he")
    )
    for (narrow, _), (wide, _) in zip(lecun, he, strict=True):
        np.testing.assert_allclose(wide, 2**0.5 * narrow, rtol=1e-6)


@pytest.mark.parametrize("trainer", [NumbaMLPTrainer, TorchMLPTrainer, MLPTrainer])
@pytest.mark.parametrize(
    ("name", "hint"),
    [("glorrot", "did you mean 'glorot'?"), ("x", "known: torch, glorot, lecun, he")],
)
def test_an_unknown_initialisation_is_refused_in_one_line(data, trainer, name, hint):
    training = dataclasses.replace(TRAINING, initialisation=name)
    with pytest.raises(SymactError) as caught:
        trainer(data, training, [0], 3)
    assert str(caught.value) == f"unknown initialisation '{name}'; {hint}"


def test_a_fidelity_travels_as_json():
    changes = {"initialisation": "he", "residual": True}
    networks = (TRAINING, dataclasses.replace(TRAINING, **changes))
    own = Fidelity("mini", 8, networks, rates=(1e-2, 3e-2), split="selection")
    assert Fidelity.from_dict(json.loads(json.dumps(own.to_dict()))) == own
