"""The judge: rates from validation draws alone, sizes apart, baselines by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from symact.evaluation.judge import Judge, baselines
from symact.evaluation.training.networks import ENTROPY, pack
from symact.evaluation.training.torch_mlp import TorchMLPTrainer
from symact.expr import parse
from symact.tasks import Task, task
from symact.tasks.protocol import FORMS, FULL_FORM, QUICK_FORM, VERSION, EvaluationProtocol

FORM = EvaluationProtocol(
    "small", ((8, 2), (6, 1)), (1e-4, 1e-2), tuning=1, per_family=1, seeds=2, steps=40
)
FUNCTIONS = [parse("gelu(x)"), parse("0.001*x**3")]


@pytest.fixture(scope="module")
def judge():
    return Judge(task("polynomial"), FORM, device="cpu")


def test_each_size_gets_the_rate_with_the_lowest_error_inside(judge):
    rates = judge.rates(FUNCTIONS)
    assert np.shape(rates) == (2, 2)
    drawn = task("polynomial").draw("selection", seed=0, per_family=FORM.tuning)
    data = pack(drawn, FORM.training(0, 0.0).points)
    for function, own in zip(FUNCTIONS, rates, strict=True):
        for size, rate in enumerate(own):
            inside = []
            for option in FORM.rates:
                training = FORM.training(size, option)
                trainer = TorchMLPTrainer(data, training, [0], ENTROPY["tuning"], "cpu")
                inside.append(trainer.judge([function])[0, 0, 0, 0])
            assert rate == FORM.rates[int(np.argmin(inside))]


def test_errors_are_those_of_each_size_at_its_rate(judge):
    rates = [(1e-4, 1e-2), (1e-2, 1e-2)]
    errors = judge.errors(FUNCTIONS, rates)
    assert [one.shape for one in errors] == [(1, 2, 2, 4)] * 2
    for function, own, found in zip(FUNCTIONS, rates, errors, strict=True):
        for size, rate in enumerate(own):
            training = FORM.training(size, rate)
            trainer = TorchMLPTrainer(judge.data, training, range(2), ENTROPY["test"], "cpu")
            np.testing.assert_array_equal(found[:, size], trainer.judge([function])[0])


class Spoilt:
    """A task that remembers what was drawn of it, and whose test draws have no finite target."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.name, self._task = "polynomial", task("polynomial")

    def draw(self, split: str, **sizes):
        self.drawn.append(split)
        drawn = self._task.draw(split, **sizes)
        if split != "test":
            return drawn
        return tuple(replace(one, y_train=np.full_like(one.y_train, np.nan)) for one in drawn)


def test_choosing_a_rate_trains_on_selection_draws_and_never_on_the_test_draws(judge):
    spoilt = Spoilt()
    rates = Judge(spoilt, FORM, device="cpu").rates(FUNCTIONS)  # type: ignore[arg-type]
    assert spoilt.drawn == ["test", "selection"]
    assert rates == judge.rates(FUNCTIONS)


def test_a_single_rate_needs_no_choosing():
    assert Judge(task("polynomial"), QUICK_FORM, 1, 1).rates(FUNCTIONS) == [QUICK_FORM.rates] * 2


def test_the_forms_are_the_protocol_and_its_short_form():
    widths, depths = zip(*FULL_FORM.sizes, strict=True)
    assert len(set(widths)) >= 2
    assert len(set(depths)) >= 2
    assert FULL_FORM.version == VERSION
    assert len({form.version for form in FORMS.values()}) == len(FORMS)


def test_baselines_predict_the_mean_and_a_line():
    rng = np.random.default_rng(0)
    x, wide = rng.uniform(-1, 1, (400, 2)), rng.uniform(1, 2, (400, 2))
    line = Task.from_arrays(x, 3 * x[:, 0] - x[:, 1] + 2, wide, 3 * wide[:, 0] - wide[:, 1] + 2)
    data = Judge(line, QUICK_FORM, 1, 1).data
    found = baselines(data)
    np.testing.assert_allclose(found["linear"], 0, atol=1e-10)
    y = data.y_judged[0].astype(np.float64)
    constant = np.square(y - data.y.mean()).mean(axis=(1, 2)) / data.variance[0]
    np.testing.assert_allclose(found["mean"][0], constant, rtol=1e-6)
    assert (found["mean"][0, 1:] > 1).all()  # the mean of the training range is none out there


def test_another_draw_has_other_instances_of_the_same_split():
    first, other = (Judge(task("polynomial"), FORM, 4, device="cpu", draw=n) for n in (0, 1))
    assert not np.isclose(first.data.y[:, None], other.data.y[None]).all(axis=(2, 3)).any()
