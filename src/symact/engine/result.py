"""What a run found: read from its store, in the forms that people and programs want."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symact import zoo
from symact.engine.budget import parse_budget
from symact.errors import StoreError, SymactError
from symact.evaluation import statistics
from symact.evaluation.pareto import non_dominated
from symact.expr import Expr, parse, show, uses_statistics
from symact.expr.cost import flops
from symact.storage.database import Scored, Store, open_run
from symact.tasks import scores as stats
from symact.tasks.protocol import ID_LIMIT, REFERENCE

if TYPE_CHECKING:
    import pandas as pd
    import torch

RUNGS = ("mini", "full", "selection")


@dataclass(frozen=True, slots=True)
class Found:
    """One function of the front, with its errors on the selection draws.

    Attributes:
        id: The candidate's number in the run.
        formula: Its simplified text.
        ood: Geometric-mean normalised OOD error.
        id_error: Geometric-mean normalised error in distribution.
        flops: Operations of one evaluation.
        nodes: Nodes of the expression.
        families: OOD error of each task family.
    """

    id: int
    formula: str
    ood: float
    id_error: float
    flops: int
    nodes: int
    families: dict[str, float] = field(default_factory=dict)

    @property
    def expr(self) -> Expr:
        return parse(self.formula)

    def to_torch(self, *, compile: bool | None = None) -> torch.nn.Module:
        """Return the function as a module.

        Args:
            compile: Whether the module runs fused kernels, None where they are faster; see
                :func:`symact.backends.to_torch`.
        """
        from symact.backends import to_torch

        return to_torch(self.expr, compile=compile)


@dataclass(frozen=True)
class Result:
    """A run, finished or not, as it stands in its store.

    Attributes:
        path: The run directory, None for a search without ``out``.
        config: What was asked: grammar, task, budget, seed, proposer, protocol.
        counts: Candidates ``seen``, ``screened`` (came through the screen), and judged on the
            rungs ``mini``, ``full``.
        outcomes: How many candidates met each outcome of the screen.
        rung_spearman: Rank correlation of what each rung promotes by with the next rung's OOD
            error, over the candidates that climbed (the worst are cut off, which lowers it).
        front: The finalists that none dominates in (OOD, ID, FLOPs), best OOD error first.
        reference: The reference function on the same selection draws.
        costs: For each part of the search (``propose``, ``screen``, ``mini``, ``refine``,
            ``forecast``, ``full``) how many ``candidates`` it took and how many ``seconds``.
        finished: Whether the budget was spent and the finalists were judged.
        quarantined: Candidates that could not be trained: ``id``, ``rung`` and ``reason``. They
            count as diverged.
        seconds: Wall-clock time of the search, over all sessions.
    """

    path: Path | None
    config: dict[str, Any]
    counts: dict[str, int]
    outcomes: dict[str, int]
    rung_spearman: dict[str, float | None]
    front: list[Found]
    reference: Found | None
    finished: bool
    costs: dict[str, dict[str, float]]
    quarantined: list[dict[str, Any]]
    _rows: list[dict[str, Any]] = field(repr=False)
    seconds: float = 0.0

    @property
    def best(self) -> Found:
        """The lowest OOD error on the selection draws at an acceptable ID error.

        Acceptable is at most ``ID_LIMIT`` times the reference's; where no function is, the one
        with the lowest ID error.

        Raises:
            SymactError: The run has no finalist yet.
        """
        if not self.front or self.reference is None:
            raise SymactError("this run has no judged candidate yet; give it a larger budget")
        limit = ID_LIMIT * self.reference.id_error
        allowed = [found for found in self.front if found.id_error <= limit]
        if allowed:
            return min(allowed, key=lambda found: found.ood)
        return min(self.front, key=lambda found: found.id_error)

    def to_frame(self) -> pd.DataFrame:
        """Return every candidate as a row: formula, origin, outcome, and its errors by rung."""
        import pandas as pd

        return pd.DataFrame(self._rows)

    def to_json(self) -> dict[str, Any]:
        """Return what ``symact show --json`` prints; keys are only ever added."""
        return {
            "protocol": self.config["protocol"],
            "seed": self.config["seed"],
            "counts": self.counts,
            "rung_spearman": self.rung_spearman,
            "front": [
                {
                    "id": found.id,
                    "formula": found.formula,
                    "ood": found.ood,
                    "id_error": found.id_error,
                    "flops": found.flops,
                    "nodes": found.nodes,
                    "families": found.families,
                }
                for found in self.front
            ],
            "outcomes": self.outcomes,
            "costs": self.costs,
            "quarantined": self.quarantined,
            "finished": self.finished,
            "config": {k: v for k, v in self.config.items() if k != "grammar_text"},
        }


def load(path: str | Path) -> Result:
    """Read a run directory; nothing is computed or changed.

    Raises:
        StoreError: There is no readable run.
    """
    store = open_run(path)
    try:
        return result_of(store)
    finally:
        store.close()


def config_of(store: Store) -> dict[str, Any]:
    """Return what a run was asked for.

    Raises:
        StoreError: It was never written.
        DamagedError: It is not what symact writes.
    """
    config = store.get("config")
    if not isinstance(config, dict):
        raise StoreError(f"{store.path}: the run has no configuration")
    with store.understood():
        for key, kind in _CONFIG.items():
            if not isinstance(config[key], kind):
                raise TypeError(f"its '{key}' is no {kind.__name__}")
    return config


#: What a configuration holds at least.
_CONFIG = {
    **dict.fromkeys(("protocol", "grammar", "task", "budget", "proposer"), str),
    **dict.fromkeys(("plan", "evolution", "versions"), dict),
    "seed": int,
}


def merit(score: Sequence[float], reference: Sequence[float]) -> float:
    """Return what functions are chosen by on the rungs: :func:`symact.tasks.scores.merit`.

    Args:
        score: OOD and ID error in log10.
        reference: The same of the reference function.

    Returns:
        In log10; lower is better.
    """
    ood, inside = score[0] - reference[0], score[1] - reference[1]
    return reference[0] + float(stats.merit(ood, inside))


def result_of(store: Store) -> Result:
    """Return an open run's result as it stands.

    Raises:
        DamagedError: It holds what symact does not write.
    """
    with store.understood(), store.snapshot():
        return _result_of(store)


def _result_of(store: Store) -> Result:
    config = config_of(store)
    candidates = store.candidates()
    scores = {rung: {s.candidate: s for s in store.scores(rung)} for rung in RUNGS}
    simplified = store.simplified()
    selected = store.get("selected")
    front, reference = _front(scores["selection"], simplified, selected)
    rows = []
    for c in candidates:
        row: dict[str, Any] = {
            "id": c.id,
            "formula": c.formula,
            "origin": c.origin,
            "generation": c.generation,
            "outcome": c.outcome,
            "flops": c.flops,
            "nodes": c.nodes,
        }
        for rung in RUNGS:
            score = scores[rung].get(c.id)
            row[f"{rung}_ood"] = np.nan if score is None else stats.plain(score.ood)
            row[f"{rung}_id"] = np.nan if score is None else stats.plain(score.id_error)
        rows.append(row)
    spearman = {}
    for lower, higher in itertools.pairwise(RUNGS):
        common = [i for i in scores[higher] if i in scores[lower]]
        spearman[f"{lower}-{higher}"] = statistics.spearman(
            [scores[lower][i].ood for i in common], [scores[higher][i].ood for i in common]
        )
    budget = parse_budget(config["budget"])
    state = store.get("state") or {"seconds": 0.0, "judged": 0}
    spent = budget.fraction(state["seconds"], state["judged"]) >= 1 or state.get("exhausted", False)
    return Result(
        path=store.path,
        config=config,
        counts=store.counts(),
        outcomes=store.outcomes(),
        rung_spearman=spearman,
        front=front,
        reference=reference,
        finished=spent and store.get("finished_generation") == state.get("generation"),
        costs={
            part: {"candidates": int(count), "seconds": seconds}
            for part, (count, seconds) in state.get("costs", {}).items()
        },
        quarantined=[
            {"id": number, "rung": rung, "reason": reason}
            for number, rung, reason in store.quarantined()
        ],
        _rows=rows,
        seconds=float(state["seconds"]),
    )


def _front(
    selection: dict[int, Scored], simplified: dict[int, str], selected: dict[str, Any] | None
) -> tuple[list[Found], Found | None]:
    if selected is None:
        return [], None
    found = []
    for i in selected["ids"]:
        score = stats.score(selection[i].errors, selected["families"])
        found.append(_found(i, simplified[i], score.ood, score.id_error, score.families))
    keep = non_dominated([(f.ood, f.id_error, float(f.flops)) for f in found])
    front = [f for f, kept in zip(found, keep, strict=True) if kept]
    known = selected["reference"]
    formula = show(zoo.find(REFERENCE).expr)
    reference = _found(0, formula, known["ood"], known["id_error"], known["families"])
    return sorted(front, key=lambda f: (f.ood, f.id)), reference


def _found(
    number: int, formula: str, ood: float, id_error: float, families: dict[str, float]
) -> Found:
    expr = parse(formula)
    return Found(
        id=number,
        formula=formula,
        ood=stats.plain(ood),
        id_error=stats.plain(id_error),
        flops=flops(expr),
        nodes=expr.size,
        families={name: stats.plain(value) for name, value in families.items()},
    )


def is_pointwise(found: Found) -> bool:
    """Whether a found function reads one element at a time."""
    return not uses_statistics(found.expr)
