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
    """Answer the requests on standard input, one JSON line each, until it ends.

    The first line has the draws and the device.

    Args:
        answer: Returns the answer to a request.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the search decides
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print is no answer
    # If memory runs out, this process ends and not the search.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")
    first = json.loads(sys.stdin.readline())
    evaluator = Evaluator(Draws.load(base64.b64decode(first["draws"])), first["device"])
    for line in sys.stdin:
        print(json.dumps(answer(evaluator, json.loads(line))), file=answers)


def _end_with(parent: int) -> None:
    """End this process when its parent has ended, whatever it is doing."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
