"""A worker that some functions are too much for.

One ends it, one it never comes back from, for one there is not enough memory.
"""

from __future__ import annotations

import os
import resource
import signal
import time

import numpy as np

from symact.evaluation.executors.messages import answer_request
from symact.evaluation.executors.worker import run_worker

DEADLY, ENDLESS, GREEDY = "sin(3*x)", "cos(3*x)", "tanh(3*x)"
#: What ends it where finalists are judged, and nowhere else.
FINALIST = os.environ.get("DEADLY_FINALIST", "")
#: Bytes that a worker may have in all.
ROOM = 8 * 2**30


class Greedy:
    """An evaluator that needs more memory than there is."""

    def run(self, jobs):
        return [np.ones(ROOM // 8) for _ in jobs]


def answer(evaluator, request):
    is_final = request["fidelity"] == "selection"
    if request["formula"] == DEADLY or (is_final and request["formula"] == FINALIST):
        os.kill(os.getpid(), signal.SIGKILL)
    if request["formula"] == ENDLESS:
        time.sleep(3600)
    return answer_request(Greedy() if request["formula"] == GREEDY else evaluator, request)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    run_worker(answer)
