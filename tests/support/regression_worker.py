"""A worker process that evaluates candidates of the regression."""

from __future__ import annotations

from regression import errors

from symact.evaluation.executors.messages import answer_of, job_of
from symact.evaluation.executors.worker import run_worker


def answer(evaluator, request):
    return answer_of(errors(evaluator.draws, job_of(request)))


if __name__ == "__main__":
    run_worker(answer)
