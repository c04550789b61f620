"""Proposals from a file, in the order of its lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from symact.errors import StoreError, SymactError
from symact.grammar import Grammar
from symact.proposers.base import AbstractProposer, EvaluatedProposal, Proposal
from symact.proposers.foreign import proposal, refused


class ReplayProposer(AbstractProposer):
    """Propose the lines of a JSON-lines file. Results are ignored.

    A line is a formula as a JSON string, or an object with ``formula`` or ``code``, as
    ``symact import --out`` writes. ``code`` is Python source, which is imported and never run.
    Empty lines are skipped.

    Args:
        grammar: Grammar whose terminals and limits hold.
        path: The file.

    Raises:
        SymactError: The file cannot be read or has no lines.
    """

    def __init__(self, grammar: Grammar, path: str | Path) -> None:
        self._grammar, self._path = grammar, Path(path)
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise SymactError(f"{path}: cannot be read: {error.strerror}") from None
        self._digest = hashlib.sha256(data).hexdigest()
        self._lines = [line for line in data.split(b"\n") if line.strip()]
        if not self._lines:
            raise SymactError(f"{path}: no proposals in it; one JSON object or string a line")
        self._index = 0

    def ask(self, count: int) -> list[Proposal]:
        return [self._proposal(line) for line in self._lines[self._index : self._index + count]]

    def _proposal(self, line: bytes) -> Proposal:
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            return refused(line.decode("utf-8", "replace"), "not a line of JSON", "replay")
        return proposal(item, self._grammar, "replay")

    def tell(self, results: Sequence[EvaluatedProposal]) -> None:
        """Go on to the next lines. A budget may end within the last proposals."""
        self._index += len(results)

    @property
    def finished(self) -> bool:
        return self._index >= len(self._lines)

    def state(self) -> dict[str, Any]:
        return {"place": self._index, "sha256": self._digest}

    def restore(self, state: dict[str, Any]) -> None:
        if state["sha256"] != self._digest:
            raise StoreError(f"{self._path}: has changed since this run began; start a new run")
        self._index = state["place"]
