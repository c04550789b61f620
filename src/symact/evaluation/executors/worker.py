"""The worker process of :class:`~symact.evaluation.executors.processes.ProcessExecutor`."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from symact.evaluation.draws import Draws
from symact.evaluation.evaluator import Evaluator
from symact.evaluation.executors.messages import answer_request


def run_worker(
    answer: Callable[[Evaluator, dict[str, Any]], dict[str, Any]] = answer_request,
) -> None:
    """Answer requests, one JSON line each, until the end of standard input.

    The first line contains the draws and the device.

    Args:
        answer: Function of an evaluator and a request that returns the answer.
    """
    # Ctrl-C reaches all processes, but only the search handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    # If memory runs out, the system ends this process before the search.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")
    first = json.loads(sys.stdin.readline())
    evaluator = Evaluator(Draws.load(base64.b64decode(first["draws"])), first["device"])
    for line in sys.stdin:
        print(json.dumps(answer(evaluator, json.loads(line))), file=answers)


def _end_with(parent: int) -> None:
    """End this process when its parent process has ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
