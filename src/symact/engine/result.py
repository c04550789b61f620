"""The result of a run, read from its repository."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symact._deprecated import RenamedKeys
from symact.engine.baselines import penalised_score
from symact.engine.budget import parse_budget
from symact.errors import SymactError
from symact.evaluation import statistics
from symact.evaluation.activation import record_of_earlier_runs
from symact.evaluation.pareto import non_dominated
from symact.expr import Expr, parse, uses_statistics
from symact.expr.cost import flops
from symact.storage.records import (
    Candidate,
    Failure,
    ProblemRecord,
    RunConfig,
    Scored,
    SearchRecord,
    Selected,
)
from symact.storage.repository import Repository, open_run
from symact.storage.schema import SELECTION
from symact.tasks import scores as stats
from symact.tasks.protocol import ID_LIMIT, LADDER

if TYPE_CHECKING:
    import pandas as pd
    import torch


@dataclass(frozen=True, slots=True)
class Found:
    """One function of the front, with its errors.

    Attributes:
        id: The candidate's number in the run.
        formula: Its text, simplified where it is a finalist.
        ood: Geometric-mean normalised OOD error.
        id_error: Geometric-mean normalised error in distribution.
        flops: Operations of one evaluation.
        nodes: Nodes of the expression.
        families: OOD error of each task family; empty before the finalists are evaluated.
        inputs: Names of the inputs of the function.
        pooled: OOD and ID error over the reference's, from all draws on which a finalist was
            trained, those of the search included; the OOD error of the worst family with
            ``objective=worst``. None for others, and for runs of an earlier ladder.
    """

    id: int
    formula: str
    ood: float
    id_error: float
    flops: int
    nodes: int
    families: dict[str, float] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("x",)
    pooled: tuple[float, float] | None = None

    @property
    def expr(self) -> Expr:
        return parse(self.formula, self.inputs)

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
    """The results of a run, finished or not.

    Attributes:
        path: The run directory, None for a search without ``out``.
        config: The arguments: grammar, task, budget, seed, proposer, protocol.
        counts: Number of candidates ``seen``, ``screened`` (passed by the screen), and trained at
            each fidelity, such as ``mini`` and ``full``.
        outcomes: Number of candidates by outcome of the screen.
        fidelity_spearman: Rank correlation of the OOD errors at each fidelity and the next one,
            over the promoted candidates. Promotion removes the worst, which lowers it.
        front: The Pareto front in (OOD error, ID error, FLOPs), the lowest OOD error first. Its
            members are finalists, whose errors are pooled, or the best so far of an unfinished run.
        reference: The reference function on the same draws as the front.
        costs: For each part of the search (``propose``, ``screen``, ``mini``, ``refine``,
            ``surrogate``, ``full``; ``mini baselines``, ``full baselines``; ``semifinals``,
            ``selection``) the number of ``candidates`` and of ``seconds``.
        finished: Whether the budget was spent and the finalists were evaluated.
        quarantined: Candidates that could not be trained: ``id``, ``place`` and ``reason``.
            The place is a fidelity or another step; ``rung`` is its earlier name. They count as
            diverged.
        fidelity: The fidelity of the errors of the front: ``"selection"`` for finalists, else the
            highest one reached; empty before the first training.
        seconds: Wall time of the run, over all sessions.
        objectives: Names of the objectives, such as ``ood``, ``id_error`` and ``flops``.
    """

    path: Path | None
    config: dict[str, Any]
    counts: dict[str, int]
    outcomes: dict[str, int]
    fidelity_spearman: dict[str, float | None]
    front: list[Found]
    reference: Found | None
    finished: bool
    costs: dict[str, dict[str, float]]
    quarantined: list[dict[str, Any]]
    _rows: list[dict[str, Any]] = field(repr=False)
    fidelity: str = SELECTION
    seconds: float = 0.0
    objectives: tuple[str, ...] = ()

    @property
    def rung_spearman(self) -> dict[str, float | None]:
        """The earlier name of :attr:`fidelity_spearman`."""
        warnings.warn("rung_spearman is now fidelity_spearman", DeprecationWarning, stacklevel=2)
        return self.fidelity_spearman

    @property
    def chosen(self) -> Found | None:
        """As :attr:`best`, but None where there is none."""
        pointwise = [found for found in self.front if is_pointwise(found)]
        if not pointwise or self.reference is None:
            return None
        return min(pointwise, key=self.rank)

    def rank(self, found: Found) -> tuple[bool, float]:
        """Return the key that orders functions of the front, the best first.

        Those within the limit of the ID error come first, by their OOD error. The others follow by
        their ID error.
        """
        ood, inside = self.ratios(found)
        return (False, ood) if inside <= ID_LIMIT else (True, inside)

    def ratios(self, found: Found) -> tuple[float, float]:
        """Return OOD and ID error over the reference's, pooled for a finalist."""
        if found.pooled is not None or self.reference is None:
            return found.pooled or (found.ood, found.id_error)
        return found.ood / self.reference.ood, found.id_error / self.reference.id_error

    @property
    def best(self) -> Found:
        """The pointwise function with the lowest OOD error at an acceptable ID error.

        The errors of finalists are pooled over the draws of the search and the validation draws
        (:attr:`Found.pooled`). An acceptable ID error is at most ``ID_LIMIT`` times the
        reference's; where no function has one, the best has the lowest ID error. Functions of
        batch statistics depend on the other elements of a tensor and never are the best; they
        stand in the front.

        Raises:
            SymactError: No function was trained yet, or none of the front is pointwise.
        """
        if (chosen := self.chosen) is not None:
            return chosen
        if self.front:
            raise SymactError(
                "all functions of the front depend on batch statistics; see Result.front"
            )
        raise SymactError("this run has no trained candidate yet; give it a larger budget")

    def to_frame(self) -> pd.DataFrame:
        """Return every candidate as a row: formula, origin, outcome, and its errors by fidelity."""
        import pandas as pd

        return pd.DataFrame(self._rows)

    def to_json(self) -> dict[str, Any]:
        """Return what ``symact show --json`` prints; keys are only ever added."""
        return {
            "protocol": self.config["protocol"],
            "seed": self.config["seed"],
            "counts": self.counts,
            "rung_spearman": self.fidelity_spearman,  # the earlier name
            "fidelity_spearman": self.fidelity_spearman,
            "front": [
                {
                    "id": found.id,
                    "formula": found.formula,
                    "ood": found.ood,
                    "id_error": found.id_error,
                    "flops": found.flops,
                    "nodes": found.nodes,
                    "families": found.families,
                    "pooled": found.pooled,
                }
                for found in self.front
            ],
            "outcomes": self.outcomes,
            "costs": self.costs,
            "quarantined": self.quarantined,
            "finished": self.finished,
            "fidelity": self.fidelity,
            "config": {k: v for k, v in self.config.items() if k != "grammar_text"},
        }


def load(path: str | Path) -> Result:
    """Read a run directory. Nothing is computed or changed.

    Args:
        path: The run directory.

    Raises:
        StoreError: There is no readable run.

    Example::

        symact.load("runs/mine").best.to_torch()
    """
    run = open_run(path)
    try:
        return result_of(run)
    finally:
        run.close()


def result_of(run: Repository) -> Result:
    """Return an open run's result as it stands.

    Raises:
        DamagedError: It holds what symact does not write.
    """
    with run.understood(), run.snapshot():
        return _result_of(run)


def _result_of(run: Repository) -> Result:
    config, candidates = run.config(), run.candidates()
    names = [*run.fidelities(), SELECTION]
    scores = {name: {s.candidate: s for s in run.scores(name)} for name in names}
    state = run.search() or SearchRecord()
    budget = parse_budget(config.budget)
    # A run with a budget of time is over once its finalists are judged, even if time is left.
    spent = budget.seconds is not None or budget.fraction(state.seconds, state.judged) >= 1
    problem = run.problem() or record_of_earlier_runs()
    front, reference, fidelity = _front(run, problem, config, candidates, scores)
    return Result(
        path=run.path,
        config=config.dump(),
        counts=run.counts(),
        outcomes=run.outcomes(),
        fidelity_spearman=_spearman(scores),
        front=front,
        reference=reference,
        finished=(spent or state.exhausted) and run.finished_generation() == state.generation,
        costs=_costs(state),
        quarantined=[_failed(failure) for failure in run.quarantined()],
        _rows=[_row(candidate, scores) for candidate in candidates],
        fidelity=fidelity,
        seconds=state.seconds,
        objectives=problem.objectives,
    )


def _costs(state: SearchRecord) -> dict[str, dict[str, float]]:
    costs: dict[str, dict[str, float]] = {
        part: {"candidates": count, "seconds": seconds}
        for part, (count, seconds) in state.costs.items()
    }
    return RenamedKeys(costs, {"forecast": "surrogate"})


def _failed(failure: Failure) -> dict[str, Any]:
    own = {"id": failure.candidate, "place": failure.place, "reason": failure.reason}
    return own | {"rung": failure.place}  # the earlier name


def _spearman(scores: Mapping[str, Mapping[int, Scored]]) -> dict[str, float | None]:
    found = {}
    for lower, higher in itertools.pairwise(scores):
        common = [i for i in scores[higher] if i in scores[lower]]
        found[f"{lower}-{higher}"] = statistics.spearman(
            [scores[lower][i].ood for i in common], [scores[higher][i].ood for i in common]
        )
    return found


def _row(c: Candidate, scores: Mapping[str, Mapping[int, Scored]]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": c.id,
        "formula": c.formula,
        "origin": c.origin,
        "generation": c.generation,
        "outcome": c.outcome,
        "flops": c.flops,
        "nodes": c.nodes,
    }
    for name, own in scores.items():
        score = own.get(c.id)
        row[f"{name}_ood"] = np.nan if score is None else stats.plain(score.ood)
        row[f"{name}_id"] = np.nan if score is None else stats.plain(score.id_error)
    return row


def _front(
    run: Repository,
    problem: ProblemRecord,
    config: RunConfig,
    candidates: Sequence[Candidate],
    scores: Mapping[str, Mapping[int, Scored]],
) -> tuple[list[Found], Found | None, str]:
    """Return the front, the reference beside it, and their fidelity."""
    selected = run.selected()
    if selected is not None:
        known = selected.reference
        found = _finalists(run, selected, scores, problem.variables)
        reference = _reference(problem, known.ood, known.id_error, known.by_family)
        return _non_dominated(found), reference, SELECTION
    reached = [name for name, own in scores.items() if own and name != SELECTION]
    if not reached:
        return [], None, ""
    base = run.references()[reached[-1]]
    ranked = sorted(
        scores[reached[-1]].values(),
        key=lambda s: (penalised_score((s.ood, s.id_error), base), s.candidate),
    )
    formulas = {c.id: c.formula for c in candidates}
    best = ranked[: int(config.plan.get("finalists", 1))]
    found = [
        _found(s.candidate, formulas[s.candidate], s.ood, s.id_error, {}, problem.variables)
        for s in best
    ]
    return _non_dominated(found), _reference(problem, *base, {}), reached[-1]


def _finalists(
    run: Repository,
    selected: Selected,
    scores: Mapping[str, Mapping[int, Scored]],
    inputs: tuple[str, ...],
) -> list[Found]:
    formulas, reference = run.simplified(), selected.reference
    # Runs of an earlier ladder keep the front that they had.
    pooled = _pooled(run, selected, scores) if run.config().ladder == LADDER else {}
    found = []
    for i in selected.ids:
        score = stats.score(scores[SELECTION][i].errors, reference.families)
        own = _found(i, formulas[i], score.ood, score.id_error, score.families, inputs)
        found.append(replace(own, pooled=pooled.get(i)))
    return found


def _pooled(
    run: Repository, selected: Selected, scores: Mapping[str, Mapping[int, Scored]]
) -> dict[int, tuple[float, float]]:
    """Return the errors of finalists over the reference's: means of two logs with equal weights.

    One is of the validation draws, the other of all draws of the highest fidelity.
    """
    highest = [name for name, own in scores.items() if own and name != SELECTION][-1]
    base, repeated, validated = run.references()[highest], run.repeated(), selected.reference
    is_worst, found = run.config().plan.get("objective") == "worst", {}
    for i in selected.ids:
        own, searched = scores[SELECTION][i], scores[highest].get(i)
        families = stats.score(own.errors, validated.families).families
        worst = max(value - validated.by_family[name] for name, value in families.items())
        ood = worst if is_worst else own.ood - validated.ood
        above = [(ood, own.id_error - validated.id_error)]
        trained = repeated.get(i) or (searched and (searched.ood, searched.id_error))
        if trained:
            above.append((trained[0] - base[0], trained[1] - base[1]))
        pooled, inside = np.mean(above, axis=0)
        found[i] = stats.plain(float(pooled)), stats.plain(float(inside))
    return found


def _non_dominated(found: Sequence[Found]) -> list[Found]:
    errors = [(f.ood, f.id_error) if f.pooled is None else f.pooled for f in found]
    keep = non_dominated([(*own, float(f.flops)) for own, f in zip(errors, found, strict=True)])
    front = [i for i, kept in enumerate(keep) if kept]
    return [found[i] for i in sorted(front, key=lambda i: (errors[i], found[i].id))]


def _reference(
    problem: ProblemRecord, ood: float, id_error: float, families: Mapping[str, float]
) -> Found:
    return _found(0, problem.formula, ood, id_error, families, problem.variables)


def _found(
    number: int,
    formula: str,
    ood: float,
    id_error: float,
    families: Mapping[str, float],
    inputs: tuple[str, ...],
) -> Found:
    expr = parse(formula, inputs)
    return Found(
        id=number,
        formula=formula,
        ood=stats.plain(ood),
        id_error=stats.plain(id_error),
        flops=flops(expr),
        nodes=expr.size,
        families={name: stats.plain(value) for name, value in families.items()},
        inputs=inputs,
    )


def is_pointwise(found: Found) -> bool:
    """Whether a found function reads one element at a time."""
    return not uses_statistics(found.expr)
