"""Jobs and results come back from JSON as they were."""

from __future__ import annotations

import json

import numpy as np
import pytest

from symact.evaluation import Failed, Job
from symact.evaluation.executors.messages import answer_of, job_of, request_of, result_of
from symact.expr import parse


@pytest.mark.parametrize(
    ("text", "inputs"),
    [("gelu(x)", ("x",)), ("a*sin(b)", ("a", "b")), ("b + 1.5", ("a", "b")), ("2.5", ())],
)
def test_jobs_of_any_variables_come_back(text, inputs):
    job = Job("mini", parse(text, inputs), 3)
    assert job_of(json.loads(json.dumps(request_of(job)))) == job


@pytest.mark.parametrize(
    "result",
    [Failed("too hot"), None, parse("a*sin(2*b)", ("a", "b"))],
    ids=["failed", "none", "tuned"],
)
def test_results_come_back(result):
    job = Job("tuning", parse("a*sin(b)", ("a", "b")))
    assert result_of(json.loads(json.dumps(answer_of(result))), job) == result


def test_errors_come_back_with_nine_digits():
    errors = np.random.default_rng(0).lognormal(0, 5, (2, 1, 4))
    found = result_of(json.loads(json.dumps(answer_of(errors))), Job("mini", parse("x")))
    np.testing.assert_allclose(found, errors, rtol=1e-8)
