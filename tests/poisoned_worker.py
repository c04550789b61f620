"""A worker that two functions are too much for: one ends it, one it never comes back from."""

from __future__ import annotations

import os
import signal
import time

from symact.score._workers import answer_of, work

DEADLY, ENDLESS = "sin(3*x)", "cos(3*x)"


def answer(rungs, request):
    if request["formula"] == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    if request["formula"] == ENDLESS:
        time.sleep(3600)
    return answer_of(rungs, request)


if __name__ == "__main__":
    work(answer)
