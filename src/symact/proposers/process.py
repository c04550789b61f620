"""Proposals from another process by JSON lines over stdin and stdout, with time limits.

docs/proposers.md describes the messages. A process may hang, die, flood its output or send invalid
answers. It is then killed with all processes that it started, and its proposals are lost. The next
request starts a new process. The proposer is finished after several consecutive failures.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import IO, Any

from symact.errors import SymactError
from symact.expr import show
from symact.expr.primitives import PRIMITIVES
from symact.grammar import Grammar
from symact.proposers.base import AbstractProposer, EvaluatedProposal, Proposal
from symact.proposers.foreign import proposal, refused, text_of

#: Limits: seconds and bytes of an answer, and number of consecutive failures.
SECONDS, BYTES, FAILURES = 60.0, 1_000_000, 3
#: Number of results that a new process receives, and number of stored bytes of stderr.
HISTORY, STDERR = 1000, 4000


class _NoAnswerError(Exception):
    """The process gave no valid answer. The message is the reason."""


class ProcessProposer(AbstractProposer):
    """Gets proposals from a command and sends it the results.

    Args:
        grammar: Grammar that the process receives. Its limits apply to the proposals.
        command: Program and arguments, quoted as in a shell. No shell runs.
        seconds: Time limit of an answer in seconds.

    Raises:
        SymactError: There is no such command.

    Example:
        >>> from symact import Grammar
        >>> proposer = ProcessProposer(Grammar.load("pointwise"), "python proposer.py")
        >>> proposer.finished
        False
    """

    def __init__(self, grammar: Grammar, command: str, seconds: float = SECONDS) -> None:
        self._grammar, self._seconds = grammar, seconds
        try:
            self._arguments = shlex.split(command)
        except ValueError as error:
            raise SymactError(f"proposer exec:{command}: {error}") from None
        if not self._arguments or shutil.which(self._arguments[0]) is None:
            name = self._arguments[0] if self._arguments else ""
            raise SymactError(f"proposer exec:{command}: there is no command '{name}'")
        self._process: subprocess.Popen[bytes] | None = None
        self._history: list[dict[str, Any]] = []
        self._failures = 0
        self._stderr = b""
        self._trouble: list[str] = []

    def ask(self, count: int) -> list[Proposal]:
        try:
            answer = self._answer({"ask": count})
        except _NoAnswerError as failure:
            self._failed(str(failure))
            return [refused("", f"no answer: {failure}", "process")]
        items = answer.get("proposals") if isinstance(answer, dict) else answer
        if not isinstance(items, list) or not items:
            self._failed("an answer without a list of proposals")
            return [refused(text_of(answer), "not a list of proposals", "process")]
        found = [proposal(item, self._grammar, "process") for item in items[:count]]
        self._failures = self._failures + 1 if all(one.refused for one in found) else 0
        return found

    def tell(self, results: Sequence[EvaluatedProposal]) -> None:
        told = [_told(result) for result in results if not result.refused]
        self._history = [*self._history, *told][-HISTORY:]
        if self._process is None or not told:
            return
        try:
            self._send({"tell": told}, time.monotonic() + self._seconds)
        except _NoAnswerError as failure:
            self._failed(str(failure))

    @property
    def finished(self) -> bool:
        """Whether there were too many consecutive failures."""
        return self._failures >= FAILURES

    def state(self) -> dict[str, Any]:
        return {"history": self._history, "failures": self._failures, "trouble": self._trouble[:5]}

    def restore(self, state: dict[str, Any]) -> None:
        # The failures are not restored: a user who resumes the search has repaired the process.
        self._history = state["history"]
        self._trouble = state["trouble"]

    @property
    def trouble(self) -> list[str]:
        return self._trouble

    def close(self) -> None:
        self._kill()

    def _failed(self, reason: str) -> None:
        self._failures += 1
        said = self._stderr.decode("utf-8", "replace").strip().splitlines()
        self._trouble.insert(0, f"{reason}; it last said: {said[-1][:200]}" if said else reason)
        self._kill()

    def _answer(self, request: dict[str, Any]) -> Any:
        deadline = time.monotonic() + self._seconds
        if self._process is None:
            self._start(deadline)
        self._discard()
        self._send(request, deadline)
        line = self._receive(deadline)
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            raise _NoAnswerError("an answer that is no JSON") from None

    def _start(self, deadline: float) -> None:
        try:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # the process group can be killed as a whole
            )
        except OSError as error:
            raise _NoAnswerError(f"cannot be started: {error.strerror}") from None
        self._stderr = b""
        for pipe in self._pipes():
            os.set_blocking(pipe.fileno(), False)
        limits = self._grammar.limits
        start = {
            "grammar": self._grammar.name,
            "grammar_text": self._grammar.text,
            "limits": {"nodes": limits.nodes, "depth": limits.depth, "flops": limits.flops},
            "primitives": {name: row.meaning for name, row in PRIMITIVES.items()},
        }
        self._send({"start": start, "tell": self._history}, deadline)

    def _pipes(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        return process.stdin, process.stdout, process.stderr

    def _send(self, message: dict[str, Any], deadline: float) -> None:
        rest = json.dumps(message).encode() + b"\n"
        stdin, _, stderr = self._pipes()
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stderr, selectors.EVENT_READ)
            while rest:
                self._wait(selector, deadline, "it does not read its input")
                self._listen(selector)
                try:
                    rest = rest[os.write(stdin.fileno(), rest) :]
                except BlockingIOError:
                    continue
                except OSError:
                    raise _NoAnswerError(self._how_it_ended()) from None

    def _receive(self, deadline: float) -> bytes:
        _, stdout, stderr = self._pipes()
        answer = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while b"\n" not in answer:
                self._wait(selector, deadline, f"no answer within {self._seconds:g} s")
                self._listen(selector)
                try:
                    data = os.read(stdout.fileno(), 65536)
                except BlockingIOError:
                    continue
                if not data:
                    raise _NoAnswerError(self._how_it_ended())
                answer += data
                if len(answer) > BYTES:
                    raise _NoAnswerError(f"an answer of more than {BYTES} bytes")
        line, _, _ = answer.partition(b"\n")
        return line

    def _discard(self) -> None:
        """Discard output from before the request."""
        _, stdout, _ = self._pipes()
        read = 0
        while True:
            try:
                data = os.read(stdout.fileno(), 65536)
            except BlockingIOError:
                return
            if not data:
                return  # the process ended; sending will fail
            read += len(data)
            if read > BYTES:
                raise _NoAnswerError(f"more than {BYTES} bytes of output without a request")

    def _wait(self, selector: selectors.BaseSelector, deadline: float, reason: str) -> None:
        left = deadline - time.monotonic()
        if left <= 0 or not selector.select(left):
            raise _NoAnswerError(reason)

    def _listen(self, selector: selectors.BaseSelector) -> None:
        """Read stderr, because a full pipe would block the process, and store its end."""
        _, _, stderr = self._pipes()
        try:
            data = os.read(stderr.fileno(), 65536)
        except BlockingIOError:
            return
        if not data and stderr.fileno() in selector.get_map():
            selector.unregister(stderr)
        self._stderr = (self._stderr + data)[-STDERR:]

    def _how_it_ended(self) -> str:
        assert self._process is not None
        try:
            status = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return f"it ended with status {status}"

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # all processes of the group have ended
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()


def _told(result: EvaluatedProposal) -> dict[str, Any]:
    told: dict[str, Any] = {"formula": show(result.expr), "outcome": result.outcome}
    if result.objectives is not None:
        ood, id_error, cost = result.objectives
        if math.isfinite(ood) and math.isfinite(id_error):
            told |= {"ood": 10**ood, "id_error": 10**id_error, "flops": cost}
    return told
