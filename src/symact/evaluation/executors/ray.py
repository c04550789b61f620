"""Training on a Ray cluster: workers may join and die, candidates are trained again elsewhere.

Needs the extra ``symact[cluster]``. What travels is the search draws, once, as the bytes of an
``.npz`` file, and then formulas one way and errors the other, both as texts.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray

from symact.errors import SymactError
from symact.evaluation.executors.workers import TRIES, answer_from, answer_of, trained, tuned
from symact.evaluation.jobs import Failed, Finish, limit_on
from symact.evaluation.rungs import ON_GPU, Draws, Rungs
from symact.evaluation.training.networks import GPU_NETWORKS
from symact.expr import Expr, parse, show

#: A task lasts at least so long, where candidates are faster: what it costs to send one is less
#: than a hundredth of it.
LEAST_SECONDS = 0.25


class RayWorkers:
    """Tasks of one core each; full training takes a GPU where that is asked for.

    Args:
        draws: What is trained on.
        device: For full training; None for ``cuda`` where the cluster has a GPU.
        count: Of logical cores, where a cluster is started on this machine.
        address: Of a running cluster; ``""`` or ``"auto"`` for the one that runs here or else a
            new one on this machine, which ends with the search.

    Raises:
        SymactError: No cluster there, or none with a GPU though one is asked for.
    """

    def __init__(self, draws: Draws, device: str | None, count: int, address: str) -> None:
        self._is_own = _connect(address, count)
        # Ray leaves it without types.
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call, unused-ignore]
        has_gpu = resources.get("GPU", 0) > 0
        device = device or ("cuda" if has_gpu else "cpu")
        if device == "cuda" and not has_gpu:
            if self._is_own:
                ray.shutdown()
            raise SymactError("device 'cuda': the Ray cluster has no GPU; use cpu")
        content = draws.dump()
        self._draws = ray.put(content)
        self._key = hashlib.sha256(content).hexdigest()
        self.device = device
        #: Candidates that fill a GPU.
        self._together = max(1, GPU_NETWORKS // len(draws.families("full")))
        #: Seconds a candidate took lately on each rung.
        self._seconds: dict[str, float] = {}
        #: Tasks that nobody has received.
        self._sent: set[Any] = set()

    def start(self, rung: str, exprs: Sequence[Expr], draw: int) -> Finish:
        formulas = [show(expr) for expr in exprs]
        size = self._batch(rung)
        batches = [formulas[first : first + size] for first in range(0, len(formulas), size)]
        waiting = [(batch, self._send(rung, batch, draw)) for batch in batches]

        def finish() -> list[Any]:
            answers = [
                answer
                for batch, reference in waiting
                for answer in self._receive(rung, batch, draw, reference)
            ]
            return [trained(answer) for answer in answers]

        return finish

    def tune(self, expr: Expr) -> Callable[[], Expr | Failed | None]:
        formula = show(expr)
        reference = self._send("tuning", [formula], 0)
        return lambda: tuned(self._receive("tuning", [formula], 0, reference)[0])

    def close(self) -> None:
        for reference in list(self._sent):  # threads that still wait take theirs out
            ray.cancel(reference)
        self._sent.clear()
        if self._is_own:
            ray.shutdown()

    def _takes_gpu(self, rung: str) -> bool:
        return rung in ON_GPU and self.device == "cuda"

    def _batch(self, rung: str) -> int:
        """Return how many candidates make a task that is worth sending."""
        if self._takes_gpu(rung):
            return self._together
        seconds = self._seconds.get(rung, LEAST_SECONDS)
        return max(1, math.ceil(LEAST_SECONDS / max(seconds, 1e-6)))

    def _send(self, rung: str, formulas: list[str], draw: int) -> Any:
        needs = {"num_cpus": 1, "num_gpus": 1} if self._takes_gpu(rung) else {"num_cpus": 1}
        # A worker that dies is replaced by Ray, which repeats the task.
        task = _task().options(**needs, max_retries=TRIES - 1)
        reference = task.remote(self._draws, self._key, self.device, rung, formulas, draw)
        self._sent.add(reference)
        return reference

    def _receive(
        self, rung: str, formulas: list[str], draw: int, reference: Any
    ) -> list[dict[str, Any]]:
        try:
            seconds, text = ray.get(reference)
            self._sent.discard(reference)
        except ray.exceptions.RayTaskError as error:
            # A candidate's errors are answers; this is one of the worker's surroundings.
            said = " ".join(str(error.cause).split())[:200]
            raise SymactError(
                f"a Ray worker cannot work: {type(error.cause).__name__}: {said}; it needs what "
                "this process has installed"
            ) from None
        except _LOST as error:
            self._sent.discard(reference)
            if len(formulas) == 1:
                why = type(error).__name__
                return [{"failed": f"ended its worker {TRIES} times ({why})"}]
            # One of them may have done it; alone it ends nobody but itself.
            sent = [(formula, self._send(rung, [formula], draw)) for formula in formulas]
            return [
                answer
                for formula, own in sent
                for answer in self._receive(rung, [formula], draw, own)
            ]
        self._seconds[rung] = seconds / len(formulas)
        answers: list[dict[str, Any]] = json.loads(text)
        return answers


#: What a candidate may have done to a worker, or to the machine that it worked on.
_LOST = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
)


def _connect(address: str, count: int) -> bool:
    """Connect to a cluster; return whether it is one that was started for this search."""
    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
    try:
        if address not in ("", "auto"):
            ray.init(address, logging_level=logging.WARNING, log_to_driver=False)
            return True
        try:
            ray.init("auto", logging_level=logging.WARNING, log_to_driver=False)
        except ConnectionError:
            # Where memory runs out Ray would try again for ever.
            own = {**quiet, "_system_config": {"task_oom_retries": TRIES - 1}}
            ray.init("local", num_cpus=count, logging_level=logging.WARNING, **own)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise SymactError(f"no Ray cluster at '{address or 'auto'}': {said}") from None
    return True


@functools.cache
def _task() -> Any:
    return ray.remote(_work)


#: In a worker: the trainers of the search it works for.
_made: dict[tuple[str, str], Rungs] = {}


def _work(
    draws: bytes, key: str, device: str, rung: str, formulas: list[str], draw: int
) -> tuple[float, str]:
    """Train candidates in a worker; returns seconds and answers as JSON."""
    if (key, device) not in _made:
        _made.clear()
        _made[key, device] = Rungs(Draws.load(draws), device)
    rungs = _made[key, device]
    began = time.monotonic()
    # Training stops by itself when it takes too long; what does not is ended with its worker.
    alarm = threading.Timer(2 * limit_on(rung) * len(formulas), os._exit, (1,))
    alarm.daemon = True
    alarm.start()
    try:
        answers = _answers(rungs, device, rung, formulas, draw)
    finally:
        alarm.cancel()
    return time.monotonic() - began, json.dumps(answers)


def _answers(
    rungs: Rungs, device: str, rung: str, formulas: list[str], draw: int
) -> list[dict[str, Any]]:
    if rung in ON_GPU and device == "cuda":  # one stack of networks
        found = rungs.train(rung, [parse(formula) for formula in formulas], draw)
        return [answer_from(own) for own in found]
    asked = ({"rung": rung, "formula": formula, "draw": draw} for formula in formulas)
    return [answer_of(rungs, request) for request in asked]
