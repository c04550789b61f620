"""Executors keep their promises; a search takes one as an object."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future

import numpy as np
import pytest
import torch
from small_runs import BRIEF, SHORT, SMALL

from contracts.executors import EXPRS, ExecutorContract, make_draws
from symact.engine import search
from symact.errors import SymactError
from symact.evaluation import (
    Failed,
    InlineExecutor,
    Job,
    ProcessExecutor,
    ThreadExecutor,
    check_executor,
)
from symact.evaluation.futures import chain, done, gather, split, then
from symact.expr import parse


class TestThreadExecutor(ExecutorContract):
    @staticmethod
    def make():
        return ThreadExecutor(2)


class TestProcessExecutor(ExecutorContract):
    @staticmethod
    def make():
        return ProcessExecutor(2)


ARGUMENTS = {"grammar": "pointwise", "task": SHORT, "budget": 16, "seed": 3}
ARGUMENTS |= {"plan": BRIEF, "evolution": SMALL}


def test_a_search_takes_an_executor_and_closes_it():
    executor = ThreadExecutor(3)
    found = search(**ARGUMENTS, executor=executor)
    again = search(**ARGUMENTS, executor=executor)  # it was closed
    expected = search(**ARGUMENTS, executor=InlineExecutor())
    for own in (found, again):
        assert own.to_frame().equals(expected.to_frame())
        assert own.front == expected.front


def test_a_simulated_executor_decides_what_a_search_finds():
    jobs: list[Job] = []

    def evaluate(draws, job):
        jobs.append(job)
        level = 0.1 if job.expr == parse("silu(x)") else 1.0
        return np.full(draws.error_shape(job.fidelity), level)

    result = search(**ARGUMENTS, executor=InlineExecutor(evaluate))
    assert result.best.formula == "silu(x)"
    assert {job.fidelity for job in jobs} >= {"mini", "full", "selection"}


def test_an_executor_sets_its_own_number_of_workers():
    with pytest.raises(SymactError, match="an executor object sets its own number of workers"):
        search(**ARGUMENTS, executor=ThreadExecutor(2), threads=2)
    check_executor("threads", 2)


def test_tuning_has_a_timeout():
    executor = ThreadExecutor(1, tuning_timeout=1e-3)
    executor.open(make_draws(), "cpu")
    try:
        found = executor.submit(Job("tuning", parse("silu(1.7*x)"))).result()
        assert found == Failed("took longer than 0.001 s")
    finally:
        executor.close()


def test_training_and_tuning_leave_the_number_of_torch_threads_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        executor = ThreadExecutor(2)
        executor.open(make_draws(), "cpu")
        texts = ("silu(1.7*x)", "2.5*x")
        jobs = [Job("tuning", parse(text)) for text in texts]
        jobs += [Job("selection", expr) for expr in EXPRS]
        for future in executor.submit_all(jobs):
            future.result()
        executor.close()
        seen: list[int] = []
        new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        new.start()
        new.join()
        assert torch.get_num_threads() == 3
        assert seen == [3]  # the default of new threads is global
    finally:
        torch.set_num_threads(before)


# Combined futures.


def test_gathered_results_keep_their_order_and_the_first_error_is_raised():
    futures: list[Future[int]] = [Future(), Future(), Future()]
    both = gather(futures[:2])
    failed = gather(futures)
    futures[2].set_exception(KeyError("no"))
    futures[1].set_result(2)
    assert not both.done()
    futures[0].set_result(1)
    assert both.result() == [1, 2]
    with pytest.raises(KeyError):
        failed.result()
    assert gather([]).result() == []


def test_an_error_in_a_function_of_a_result_is_raised_by_its_future():
    for future in (then(done(0), lambda n: 1 // n), chain(done(0), lambda n: done(1 // n))):
        with pytest.raises(ZeroDivisionError):
            future.result(timeout=1)


@pytest.mark.parametrize(
    "combine",
    [
        lambda source: gather([source, done(1)]),
        lambda source: then(source, str),
        lambda source: chain(source, done),
        lambda source: chain(done(1), lambda _: source),
        lambda source: split(source, 1)[0],
    ],
)
def test_cancelling_goes_both_ways(combine):
    source: Future[list[int]] = Future()
    target = combine(source)
    assert target.cancel()
    assert source.cancelled()
    source = Future()
    target = combine(source)
    source.cancel()
    source.set_running_or_notify_cancel()
    with pytest.raises(CancelledError):
        target.result(timeout=1)


def test_a_list_is_cancelled_when_all_its_elements_are():
    source: Future[list[int]] = Future()
    first, second = split(source, 2)
    first.cancel()
    assert not source.cancelled()
    second.cancel()
    assert source.cancelled()
