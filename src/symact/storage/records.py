"""The records of a run, typed: rows of its tables, and documents that are stored as JSON values.

A document's ``load`` takes what its ``dump`` returned, also that of an earlier release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from symact.storage.schema import FIDELITIES, STORED_FIELDS, STORED_PARTS

Errors = NDArray[np.float64]
#: Parts of the costs by their stored names.
_PARTS = {stored: part for part, stored in STORED_PARTS.items()}
#: OOD and ID error, in log10.
Pair = tuple[float, float]


# Rows.
@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposal as it is stored.

    Attributes:
        id: Counts from 1 in the order of proposal.
        formula: Its text; of a refused proposal, the text that was proposed.
        fingerprint: Of its values; empty where they are not finite.
        origin: How it was made, such as ``"crossover"``.
        parents: The formulas it was made from.
        generation: The number of its generation.
        outcome: Of the screen.
        flops: Operations of one evaluation.
        nodes: Nodes of the expression.
        tag: JSON values that its proposer gets back with the result.
    """

    id: int
    formula: str
    fingerprint: str
    origin: str
    parents: tuple[str, ...]
    generation: int
    outcome: str
    flops: int
    nodes: int
    tag: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """The result of a candidate on one fidelity.

    Attributes:
        candidate: Its id.
        fidelity: The name of the fidelity.
        ood: OOD error, in log10.
        id_error: ID error, in log10.
        errors: Of shape ``[instance, seed, 4]``; of finalists ``[instance, size, seed, 4]``.
    """

    candidate: int
    fidelity: str
    ood: float
    id_error: float
    errors: Errors


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """The judgement of a function.

    Attributes:
        errors: On the test draws, ``[instance, size, seed, 4]``.
        rates: The learning rate of each size.
    """

    errors: Errors
    rates: tuple[float, ...]


class Failure(NamedTuple):
    """A candidate that failed: its id, the place (a fidelity or a step), and the reason."""

    candidate: int
    place: str
    reason: str


# Documents.
@dataclass(frozen=True)
class RunConfig:
    """The arguments of a run.

    Attributes:
        protocol: The version of the evaluation protocol.
        grammar: The name of the grammar.
        task: The name of the task.
        budget: As :func:`symact.engine.budget.parse_budget` reads it.
        seed: Of proposals and search draws.
        proposer: As users name it; ``"python:CLASS"`` for an object.
        plan: Fields of the plan.
        evolution: Fields of the settings of genetic programming.
        versions: Of symact and of the libraries.
        ladder: The version of the ladder; None in a run of an early release.
        grammar_text: The TOML text of the grammar; None where it was lost.
        more: Values of a later release.
    """

    protocol: str
    grammar: str
    task: str
    budget: str
    seed: int
    proposer: str
    plan: dict[str, Any]
    evolution: dict[str, Any]
    versions: dict[str, Any]
    ladder: str | None = None
    grammar_text: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> RunConfig:
        """Return a stored configuration.

        Raises:
            KeyError: It lacks a value.
            TypeError: A value is of the wrong type.
        """
        for key, kind in _CONFIG_TYPES.items():
            if not isinstance(stored[key], kind):
                raise TypeError(f"its '{key}' is no {kind.__name__}")
        names = {f.name for f in fields(cls)} - {"more"}
        known = {key: value for key, value in stored.items() if key in names}
        return cls(**known, more={k: v for k, v in stored.items() if k not in names})

    def dump(self) -> dict[str, Any]:
        """Return the JSON values that are stored."""
        first = ("protocol", "ladder", "grammar", "grammar_text")
        names = [*first, *(f.name for f in fields(self) if f.name not in (*first, "more"))]
        values = {name: getattr(self, name) for name in names}
        return {k: v for k, v in values.items() if v is not None} | dict(self.more)


_CONFIG_TYPES = {
    **dict.fromkeys(("protocol", "grammar", "task", "budget", "proposer"), str),
    **dict.fromkeys(("plan", "evolution", "versions"), dict),
    "seed": int,
}


class PendingTrial(NamedTuple):
    """A trial whose generation is under way, as texts and numbers; stored as a list.

    Attributes:
        proposed: The formula as it was proposed.
        origin: How it was made.
        parents: The formulas it was made from.
        refused: Why it is no candidate; empty for a candidate.
        text: Of a refused proposal, the text that was proposed.
        tag: JSON values of its proposer.
        formula: Its short form, which is trained.
        fingerprint: Of its values.
        outcome: Of the screen.
        flops: Operations of one evaluation.
        nodes: Nodes of the short form.
        failure: Why screening or simplifying failed; empty where it did not.
    """

    proposed: str
    origin: str
    parents: list[str]
    refused: str
    text: str
    tag: list[int]
    formula: str
    fingerprint: str
    outcome: str
    flops: int
    nodes: int
    failure: str = ""


class PendingGeneration(NamedTuple):
    """A generation under way: its number, its trials, and whether they are variants of others."""

    number: int
    trials: Sequence[PendingTrial]
    is_refined: bool


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """The state of a search between two steps.

    Attributes:
        generation: Steps that were stored.
        candidates: Rows of the table ``candidates``; None in a run of an early release.
        scores: Scores of the search draws in the table ``scores``; None likewise.
        seconds: Spent on the search.
        judged: Candidates that were trained on the lowest fidelity.
        barren: Generations in a row without a new candidate.
        exhausted: Whether no new candidates are to come.
        due: For each queue the part of a promotion that earlier trials have earned.
        refined: Ids of the trials whose variants were trained.
        fitted: How many results of the lowest and of the highest fidelity the surrogate fitted.
        passed_over: How many proposals met each outcome and were not stored.
        opened: Generations that were opened; None in a run of an early release.
        pool: Proposals for each trial that is trained; None likewise.
        under_way: Generations that were opened and not closed.
        promoted: For each fidelity ids of the trials that train on it.
        tuning: Ids of the trials whose constants are being tuned.
        costs: For each part of the work candidates and seconds.
        proposer: The state of the proposer; None before the first step.
    """

    generation: int = 0
    candidates: int | None = None
    scores: int | None = None
    seconds: float = 0.0
    judged: int = 0
    barren: int = 0
    exhausted: bool = False
    due: Mapping[str, float] = field(default_factory=dict)
    refined: Sequence[int] = ()
    fitted: tuple[int, int] = (0, 0)
    passed_over: Mapping[str, int] = field(default_factory=dict)
    opened: int | None = None
    pool: float | None = None
    under_way: Sequence[PendingGeneration] = ()
    promoted: Mapping[str, Sequence[int]] = field(default_factory=dict)
    tuning: Sequence[int] = ()
    costs: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    proposer: dict[str, Any] | None = None

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> SearchRecord:
        """Return a stored state.

        Raises:
            ValueError: It contradicts itself.
        """
        rows = stored.get("rows") or (None, None)
        opened, pool = stored.get("opened"), stored.get("pool")
        lowest, highest = stored.get(STORED_FIELDS["fitted"]) or (0, 0)
        return cls(
            generation=int(stored["generation"]),
            candidates=None if rows[0] is None else int(rows[0]),
            scores=None if rows[1] is None else int(rows[1]),
            seconds=float(stored["seconds"]),
            judged=int(stored["judged"]),
            barren=int(stored.get("barren", 0)),
            exhausted=bool(stored.get("exhausted", False)),
            due={str(name): float(part) for name, part in stored.get("due", {}).items()},
            refined=[int(number) for number in stored.get("refined", ())],
            fitted=(int(lowest), int(highest)),
            passed_over={str(k): int(n) for k, n in stored.get("passed_over", {}).items()},
            opened=None if opened is None else int(opened),
            pool=None if pool is None else float(pool),
            under_way=_generations(stored),
            promoted=_promoted(stored.get(STORED_FIELDS["promoted"], ())),
            tuning=[int(number) for number in stored.get("tuning", ())],
            costs={
                _PARTS.get(part, str(part)): (int(count), float(seconds))
                for part, (count, seconds) in stored.get("costs", {}).items()
            },
            proposer=stored.get("proposer"),
        )

    def dump(self) -> dict[str, Any]:
        """Return the JSON values that are stored."""
        return {
            "generation": self.generation,
            # A recovered run that holds fewer rows is not continued.
            "rows": [self.candidates, self.scores],
            "seconds": self.seconds,
            "judged": self.judged,
            "barren": self.barren,
            "exhausted": self.exhausted,
            "due": self.due,
            "refined": self.refined,
            STORED_FIELDS["fitted"]: self.fitted,
            "passed_over": self.passed_over,
            "opened": self.opened,
            "pool": self.pool,
            "under_way": [trial for one in self.under_way for trial in one.trials],
            "numbers": [[one.number, len(one.trials), one.is_refined] for one in self.under_way],
            STORED_FIELDS["promoted"]: self.promoted,
            "tuning": self.tuning,
            "costs": {STORED_PARTS.get(part, part): own for part, own in self.costs.items()},
            "proposer": self.proposer,
        }


def _generations(stored: Mapping[str, Any]) -> list[PendingGeneration]:
    trials = [PendingTrial(*one) for one in stored.get("under_way", ())]
    # A run of an early release has one generation under way, that of the next step.
    single = [[stored["generation"], len(trials), False]] if trials else []
    found = []
    for number, count, is_refined in stored.get("numbers", single):
        own, trials = trials[: int(count)], trials[int(count) :]
        found.append(PendingGeneration(int(number), own, bool(is_refined)))
    if trials:
        raise ValueError(f"{len(trials)} proposals of no generation")
    return found


def _promoted(stored: Mapping[str, Sequence[int]] | Sequence[int]) -> dict[str, list[int]]:
    """Return ids by fidelity; an earlier release knew one fidelity that trials are promoted to."""
    if not isinstance(stored, Mapping):
        stored = {FIDELITIES[-1]: stored} if stored else {}
    return {str(name): [int(number) for number in ids] for name, ids in stored.items()}


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference function on the validation draws.

    Attributes:
        families: The family of each instance.
        ood: Its OOD error, in log10.
        id_error: Its ID error, in log10.
        by_family: Its OOD error in each family, in log10.
    """

    families: tuple[str, ...]
    ood: float
    id_error: float
    by_family: dict[str, float]

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Reference:
        own = stored["reference"]
        families = tuple(map(str, stored["families"]))
        return cls(families, own["ood"], own["id_error"], dict(own["families"]))

    def dump(self) -> dict[str, Any]:
        own = {"ood": self.ood, "id_error": self.id_error, "families": self.by_family}
        return {"families": self.families, "reference": own}


@dataclass(frozen=True, slots=True)
class ProblemRecord:
    """What a run tells about its problem.

    Attributes:
        variables: Names of the inputs of its candidates.
        objectives: Names of the minimised quantities.
        reference: The name of the reference function.
        formula: The formula of the reference function.
    """

    variables: tuple[str, ...]
    objectives: tuple[str, ...]
    reference: str
    formula: str

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> ProblemRecord:
        variables, objectives = (tuple(map(str, stored[k])) for k in ("variables", "objectives"))
        return cls(variables, objectives, str(stored["reference"]), str(stored["formula"]))


@dataclass(frozen=True, slots=True)
class Selected:
    """The finalists: their ids, and the reference that they were evaluated beside."""

    ids: tuple[int, ...]
    reference: Reference
