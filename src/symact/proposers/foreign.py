"""Convert texts and objects from outside the package to proposals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from symact.errors import SymactError
from symact.expr import Expr, parse, show, var, variables
from symact.expr.cost import flops
from symact.grammar import Grammar
from symact.importers import from_source
from symact.proposers.base import AbstractProposer, EvaluatedProposal, Proposal, Proposer

#: Maximum number of stored characters of a refused text.
KEPT = 300


def proposal(item: Any, grammar: Grammar, origin: str) -> Proposal:
    """Return a proposal, or a refusal with its reason. No exception is raised.

    The expression uses the terminals of the grammar and is within its limits. It need not be a
    sentence of the grammar. Other proposers may therefore reach functions outside the grammar, at
    the same cost.

    Args:
        item: A formula, ``{"formula": ...}`` or ``{"code": ...}``.
        grammar: Grammar whose terminals and limits apply.
        origin: Origin of the proposal, for the record.
    """
    if isinstance(item, Mapping):
        formula, code = item.get("formula"), item.get("code")
    else:
        formula, code = item, None
    text = formula if isinstance(formula, str) else code if isinstance(code, str) else None
    if text is None:
        return refused(text_of(item), "neither a formula nor code", origin)
    try:
        names = tuple(grammar.terminals)
        expr = parse(text, names) if isinstance(formula, str) else from_source(text).expr
        _check(expr, grammar)
    except SymactError as error:
        return refused(text, str(error), origin)
    except Exception as error:  # a bug must not end the search
        return refused(text, f"not understood ({type(error).__name__}: {error})", origin)
    return Proposal(expr, origin)


def text_of(item: Any) -> str:
    """Return the text of a value that is not a proposal."""
    try:
        return repr(item)
    except RecursionError:
        return "a value nested too deeply"


def refused(text: str, reason: str, origin: str) -> Proposal:
    """Return the record of a refused proposal."""
    shown = text if len(text) <= KEPT else text[:KEPT] + "..."
    # A database accepts neither surrogates nor null characters.
    clean = shown.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    return Proposal(var(), origin, (), refused=reason, text=clean)


def _check(expr: Expr, grammar: Grammar) -> None:
    limits = grammar.limits
    names = [name for name in variables(expr) if name not in grammar.terminals]
    if names:
        raise SymactError(f"unknown variable '{names[0]}'; only {', '.join(grammar.terminals)}")
    for name, own, most in (
        ("nodes", expr.size, limits.nodes),
        ("depth", expr.depth, limits.depth),
        ("FLOPs", flops(expr), limits.flops),
    ):
        if own > most:
            raise SymactError(f"{own} {name}, the grammar's limit is {most}")


class AdaptedProposer(AbstractProposer):
    """Adapts an object with ``ask`` and ``tell`` to a proposer.

    Args:
        inner: The object with ``ask`` and ``tell``.
        grammar: Grammar whose terminals and limits apply.
    """

    def __init__(self, inner: Proposer, grammar: Grammar) -> None:
        self._inner, self._grammar = inner, grammar

    def ask(self, count: int) -> list[Proposal]:
        found = list(self._inner.ask(count))[:count]
        name = type(self._inner).__name__
        return [one if isinstance(one, Proposal) else self._proposal(one, name) for one in found]

    def _proposal(self, item: Expr | str, name: str) -> Proposal:
        return proposal(show(item) if isinstance(item, Expr) else item, self._grammar, name)

    def tell(self, results: Sequence[EvaluatedProposal]) -> None:
        self._inner.tell(results)

    def state(self) -> dict[str, Any]:
        own = getattr(self._inner, "state", None)
        if own is None:
            return {}
        state = own()
        try:
            json.dumps(state)
        except (TypeError, ValueError):
            name = type(self._inner).__name__
            raise SymactError(f"{name}.state(): must return JSON values in a dict") from None
        return {"inner": state}

    def restore(self, state: dict[str, Any]) -> None:
        if "inner" in state and hasattr(self._inner, "restore"):
            self._inner.restore(state["inner"])

    @property
    def finished(self) -> bool:
        return bool(getattr(self._inner, "finished", False))

    def close(self) -> None:
        if hasattr(self._inner, "close"):
            self._inner.close()
