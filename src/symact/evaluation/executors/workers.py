"""Who trains: threads of this process, or processes of their own that can be lost.

Whoever it is, a candidate's errors are the same: they depend neither on its neighbours nor on the
number of workers, and results are taken in the order in which they were asked for.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from symact.evaluation.jobs import LIMIT, Failed, Finish, Job, Trained, failure, limit_on
from symact.evaluation.rungs import Draws, Rungs
from symact.expr import Expr, parse, show
from symact.storage.codec import from_text, to_text

#: How many workers a candidate may end before it is quarantined: the first ones may have been
#: killed by somebody else.
TRIES = 5
#: What a process of ours runs.
_COMMAND = "from symact.evaluation.executors.workers import work; work()"
#: What ends a worker beyond what training may take: it has to start, and to compile.
_START_SECONDS = 120.0


class Workers(Protocol):
    """Trains candidates somewhere.

    Attributes:
        device: Where full training runs: ``"cpu"`` or ``"cuda"``.
    """

    device: str

    def start(self, rung: str, exprs: Sequence[Expr], draw: int) -> Finish:
        """Start to train candidates on a draw of a rung."""

    def tune(self, expr: Expr) -> Callable[[], Expr | Failed | None]:
        """Start to tune the constants of a function."""

    def close(self) -> None:
        """Let the workers go; candidates that wait are not started."""


class Threads:
    """Threads of this process; compiled loops and torch hold no lock that others wait for.

    Args:
        rungs: The trainers.
        device: That they are on.
        count: Of threads.
        limit: Seconds that tuning may take.
    """

    def __init__(self, rungs: Rungs, device: str, count: int, limit: float = LIMIT) -> None:
        self._rungs, self.device, self._limit = rungs, device, limit
        self._pool = ThreadPoolExecutor(count)

    def start(self, rung: str, exprs: Sequence[Expr], draw: int) -> Finish:
        return self._rungs.start(self._pool, rung, exprs, draw)

    def tune(self, expr: Expr) -> Callable[[], Expr | Failed | None]:
        found: list[Expr | None] = []

        def work(stop: NDArray[np.int8]) -> None:
            found.append(self._rungs.tune(expr, lambda: bool(stop[0])))

        job = Job(self._pool, [work], self._limit)
        return lambda: job.wait() or found[0]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class Processes:
    """Processes that are replaced when they end or take too long; the candidate is tried again.

    They are told what to do in lines of JSON and answer in lines of JSON.

    Args:
        draws: What they train on.
        device: For full training.
        count: Of processes.
        limit: Seconds that a candidate may take on a rung; for a finalist more.
        command: What starts one; None for :func:`work`.
    """

    def __init__(
        self,
        draws: Draws,
        device: str,
        count: int,
        limit: float = LIMIT,
        command: Sequence[str] | None = None,
    ) -> None:
        self._limit, self.device = limit, device
        content = base64.b64encode(draws.dump()).decode("ascii")
        self._first = json.dumps({"draws": content, "device": device}) + "\n"
        # -P: what lies in the current directory is not imported; it may be somebody's run.
        self._command = command or (sys.executable, "-P", "-c", _COMMAND)
        self._idle: queue.SimpleQueue[_Child] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(count)
        self._children: set[_Child] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def pids(self) -> list[int]:
        """The processes that are at work or wait for work."""
        return [child.pid for child in list(self._children)]

    def start(self, rung: str, exprs: Sequence[Expr], draw: int) -> Finish:
        jobs = [self._submit({"rung": rung, "draw": draw, "formula": show(e)}) for e in exprs]
        return lambda: [trained(job.result()) for job in jobs]

    def tune(self, expr: Expr) -> Callable[[], Expr | Failed | None]:
        job = self._submit({"rung": "tuning", "formula": show(expr)})
        return lambda: tuned(job.result())

    def _submit(self, request: dict[str, Any]) -> Future[dict[str, Any]]:
        return self._pool.submit(self._ask, request)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        limit = limit_on(request["rung"], self._limit)
        for _ in range(TRIES):
            child = self._take()
            if child is None:
                return {"failed": "the search has ended"}
            answer = child.ask(request, limit)
            if child.is_well:
                self._idle.put(child)
                return answer
            child.close()
            self._children.discard(child)
            if "ended" not in answer:
                return answer
            if answer["ended"] == "late":
                return {"failed": f"took longer than {limit:g} s"}
        return {"failed": f"ended its process {TRIES} times ({answer['ended']})"}

    def _take(self) -> _Child | None:
        """Return a process that has nothing to do, a new one if need be; None after the end."""
        with self._lock:  # a process that is started while others are ended would outlive them
            if self._is_closed:
                return None
            with suppress(queue.Empty):
                return self._idle.get_nowait()
            child = _Child(self._command, self._first)
            self._children.add(child)
            return child

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._is_closed = True
            children = list(self._children)
        for child in children:
            child.close()
        self._pool.shutdown()
        self._children.clear()


class _Child:
    """One process that works."""

    def __init__(self, command: Sequence[str], first: str) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._is_late, self._has_answered = False, False
        #: What it has to be told before it can work, "" once it was.
        self._first = first

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_well(self) -> bool:
        """Whether it answered the last request and was not told to stop meanwhile."""
        return self._has_answered and not self._is_late

    def ask(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        """Return the answer, or ``{"ended": why}``."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._has_answered = False
        alarm = threading.Timer(limit + (_START_SECONDS if self._first else 0), self._stop)
        alarm.start()
        try:
            self._process.stdin.write(f"{self._first}{json.dumps(request)}\n")
            self._first = ""
            line = self._process.stdout.readline()
        except (OSError, ValueError):  # it has ended, or was closed
            line = ""
        finally:
            alarm.cancel()
            alarm.join()  # it may have begun to ring
        if line.endswith("\n"):
            self._has_answered = True
            answer: dict[str, Any] = json.loads(line)
            return answer
        return {"ended": "late" if self._is_late else _how(self._process.wait())}

    def _stop(self) -> None:
        self._is_late = True
        self._process.kill()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # there may be something that it did not read any more
                    pipe.close()


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def answer_of(rungs: Rungs, request: dict[str, Any]) -> dict[str, Any]:
    """Do what a worker is asked for: train or tune one candidate.

    Args:
        rungs: The trainers.
        request: ``rung``, ``formula``, and the ``draw`` unless the rung is ``"tuning"``.
    """
    try:
        expr = parse(request["formula"])
        if request["rung"] == "tuning":
            found = rungs.tune(expr)
            return {"tuned": None if found is None else show(found)}
        (own,) = rungs.train(request["rung"], [expr], request["draw"])
    except Exception as error:  # a candidate may not end a worker either
        return {"failed": failure(error).reason}
    return answer_from(own)


def answer_from(own: Trained) -> dict[str, Any]:
    """Return what a worker answers about a training, see :func:`trained`."""
    return {"failed": own.reason} if isinstance(own, Failed) else {"errors": to_text(own)}


def trained(answer: dict[str, Any]) -> Trained:
    """Read what a worker answered about a training."""
    return Failed(answer["failed"]) if "failed" in answer else from_text(answer["errors"])


def tuned(answer: dict[str, Any]) -> Expr | Failed | None:
    """Read what a worker answered about constants."""
    if "failed" in answer:
        return Failed(answer["failed"])
    return None if answer["tuned"] is None else parse(answer["tuned"])


def work(answer: Callable[[Rungs, dict[str, Any]], dict[str, Any]] = answer_of) -> None:
    """Answer line by line what standard input asks for, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; who asks decides
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    # Where memory runs out, it is this process that goes and not the search.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")
    first = json.loads(sys.stdin.readline())
    rungs = Rungs(Draws.load(base64.b64decode(first["draws"])), first["device"])
    for line in sys.stdin:
        print(json.dumps(answer(rungs, json.loads(line))), file=answers)


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone, whatever it is at."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
