"""Jobs and results as JSON values, for workers in other processes.

Formulas and errors are sent as text. Messages of a worker therefore cannot run code.
"""

from __future__ import annotations

from typing import Any

from symact.evaluation.evaluator import Evaluator
from symact.evaluation.jobs import Failed, Job, JobResult, failure
from symact.expr import Expr, parse, show, variables
from symact.storage.codec import from_text, to_text


def request_of(job: Job) -> dict[str, Any]:
    """Return a job as a request to a worker, with the names of the variables of its formula."""
    return {
        "fidelity": job.fidelity,
        "formula": show(job.expr),
        "variables": variables(job.expr),
        "draw": job.draw,
    }


def job_of(request: dict[str, Any]) -> Job:
    """Return the job of a request."""
    expr = parse(request["formula"], tuple(request["variables"]))
    return Job(request["fidelity"], expr, request["draw"])


def answer_of(result: JobResult) -> dict[str, Any]:
    """Return a result as the answer of a worker. Errors have nine significant digits."""
    if isinstance(result, Failed):
        return {"failed": result.reason}
    if result is None or isinstance(result, Expr):
        return {"tuned": None if result is None else show(result)}
    return {"errors": to_text(result)}


def result_of(answer: dict[str, Any], job: Job) -> JobResult:
    """Return the result of a job from the answer of a worker."""
    if "failed" in answer:
        return Failed(answer["failed"])
    if "errors" in answer:
        return from_text(answer["errors"])
    tuned = answer["tuned"]
    return None if tuned is None else parse(tuned, variables(job.expr))


def answer_request(evaluator: Evaluator, request: dict[str, Any]) -> dict[str, Any]:
    """Run the job of a request and return the answer.

    An exception becomes an answer, because a candidate must not end a worker.
    """
    try:
        (result,) = evaluator.run([job_of(request)])
    except Exception as error:
        result = failure(error)
    return answer_of(result)
