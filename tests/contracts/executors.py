"""What every executor promises, as tests; a subclass gives the executor."""

from __future__ import annotations

import functools
import time
from concurrent.futures import CancelledError, wait

import numpy as np
import pytest
from small_runs import ShortTraining

from symact.errors import SymactError
from symact.evaluation import Draws, Failed, Fidelity, InlineExecutor, Job, Plan
from symact.expr import Expr, parse, var
from symact.tasks import task
from symact.tasks.protocol import Training

EXPRS = [parse(text) for text in ("gelu(x)", "x - mean(x)", "x*tanh(2*x)", "sin(x)")]


def network(depth, steps):
    return Training(width=6, depth=depth, steps=steps, points=32, learning_rate=1e-2)


#: Steps that take minutes; their learning rates are computed before the first.
LONG = 10**6
QUICK = Fidelity("quick", 3, (network(1, 12), network(2, 12)), draws=2)
LATE = Fidelity("late", 1, (network(2, LONG),), timeout=0.3)
ENDLESS = Fidelity("endless", 1, (network(2, LONG),), timeout=3600.0)
FINAL = ShortTraining(task("ood-suite")).final_fidelity(Plan(selection_networks=1))


@functools.cache
def make_draws():
    return Draws.of(task("ood-suite"), 1, (QUICK, LATE, ENDLESS, FINAL))


@functools.cache
def expected(job):
    """The result of one thread."""
    executor = InlineExecutor()
    executor.open(make_draws())
    return executor.submit(job).result()


class ExecutorContract:
    """Tests of an executor of two workers; ``make`` returns a new one."""

    @staticmethod
    def make():
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls):
        own = cls.make()
        own.open(make_draws(), "cpu")
        yield own
        own.close()

    @pytest.mark.parametrize(("fidelity", "draw"), [("quick", 0), ("quick", 1), ("selection", 0)])
    def test_results_are_in_order_and_those_of_one_thread(self, fidelity, draw, executor):
        jobs = [Job(fidelity, expr, draw) for expr in EXPRS[:2]]
        found = [future.result() for future in executor.submit_all(jobs)]
        for one, job in zip(found, jobs, strict=True):
            np.testing.assert_allclose(one, expected(job), rtol=1e-8)

    def test_a_job_alone_has_the_result_that_it_has_among_others(self, executor):
        job = Job("quick", EXPRS[0], 3)  # draws are taken in turn
        found = executor.submit(job).result()
        np.testing.assert_allclose(found, expected(Job("quick", EXPRS[0], 1)), rtol=1e-8)

    def test_tuning_returns_a_function_or_none(self, executor):
        found = [executor.submit(Job("tuning", parse(text))) for text in ("silu(1.7*x)", "sin(x)")]
        tuned = found[0].result()
        assert tuned == expected(Job("tuning", parse("silu(1.7*x)")))
        assert isinstance(tuned, Expr)
        assert found[1].result() is None

    def test_an_exception_of_a_candidate_is_its_result_and_others_do_not_notice(self, executor):
        unknown = Expr("no such operation", (var("x"),))
        jobs = [Job("quick", expr) for expr in (EXPRS[0], unknown, EXPRS[3])]
        first, failed, last = (future.result() for future in executor.submit_all(jobs))
        assert isinstance(failed, Failed)
        assert first.shape == last.shape

    def test_a_candidate_that_takes_too_long_has_failed(self, executor):
        assert executor.submit(Job("late", EXPRS[0])).result() == Failed("took longer than 0.3 s")

    def test_closing_cancels_what_is_not_done_and_the_executor_can_be_opened_again(self):
        own = type(self).make()
        own.open(make_draws(), "cpu")
        with pytest.raises(SymactError, match="used by another search"):
            own.open(make_draws(), "cpu")
        futures = own.submit_all([Job("endless", expr) for expr in EXPRS * 3])
        assert futures[-1].cancel()
        time.sleep(0.5)  # the first ones have begun
        started = time.monotonic()
        own.close()
        assert time.monotonic() - started < 20
        assert not wait(futures, timeout=20).not_done
        for future in futures:
            with pytest.raises(CancelledError):
                future.result()
        own.open(make_draws(), "cpu")
        try:
            assert own.submit(Job("quick", EXPRS[0])).result().shape[1:] == (1, 4)
        finally:
            own.close()
