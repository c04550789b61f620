"""The run directory as typed records: what nine modules read and write, in one place.

A generation is one transaction: its candidates, its scores and the state of the search. A crash
leaves the end of some generation, and a resumed search goes on from there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact.errors import StoreError
from symact.storage import database
from symact.storage.codec import from_text, to_text
from symact.storage.database import Database
from symact.storage.records import (
    Candidate,
    Failure,
    Judged,
    Pair,
    ProblemRecord,
    Reference,
    RunConfig,
    Scored,
    SearchRecord,
    Selected,
)
from symact.storage.schema import (
    BASELINES,
    COMPARISON,
    CONFIG,
    DIAGNOSIS,
    FIDELITIES,
    FINISHED,
    JUDGED_FILE,
    MISSING,
    PLACE,
    PROBLEM,
    REFERENCE,
    REFERENCES,
    REPEATED,
    RUN_FILE,
    SELECTED,
    SELECTION,
    STATE,
)

Errors = NDArray[np.float64]


class Repository:
    """An open run. Use :func:`create`, :func:`open_run` or :func:`in_memory`.

    Args:
        database: Where its records are.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    @property
    def path(self) -> Path | None:
        """The run directory; None for a run in memory."""
        return self.database.path

    def close(self) -> None:
        self.database.close()

    def claimed(self) -> AbstractContextManager[None]:
        """As :meth:`symact.storage.database.Database.claimed`."""
        return self.database.claimed()

    def transaction(self) -> AbstractContextManager[None]:
        """As :meth:`symact.storage.database.Database.transaction`."""
        return self.database.transaction()

    def snapshot(self) -> AbstractContextManager[None]:
        """As :meth:`symact.storage.database.Database.snapshot`."""
        return self.database.snapshot()

    def understood(self) -> AbstractContextManager[None]:
        """As :meth:`symact.storage.database.Database.understood`."""
        return self.database.understood()

    # Documents.
    def config(self) -> RunConfig:
        """Return the arguments of the run.

        Raises:
            StoreError: They were never written.
            DamagedError: They are not what symact writes.
        """
        stored = self.database.get(CONFIG)
        if not isinstance(stored, dict):
            raise StoreError(f"{self.path}: the run has no configuration")
        with self.understood():
            return RunConfig.load(stored)

    def put_config(self, config: RunConfig) -> None:
        self.database.put(CONFIG, config.dump())

    def problem(self) -> ProblemRecord | None:
        """Return the stored record of the problem; None in a run of an earlier release."""
        stored = self.database.get(PROBLEM)
        return None if stored is None else ProblemRecord.load(stored)

    def put_problem(self, problem: ProblemRecord) -> None:
        self.database.put(PROBLEM, asdict(problem))

    def search(self) -> SearchRecord | None:
        """Return the state of the search; None before its first step."""
        stored = self.database.get(STATE)
        return None if stored is None else SearchRecord.load(stored)

    def put_search(self, record: SearchRecord) -> None:
        self.database.put(STATE, record.dump())

    def baselines(self) -> dict[str, list[list[Errors]]]:
        """Return for each fidelity the errors ``[draw][baseline]``; empty at first."""
        stored = self.database.get(BASELINES) or {}
        return {
            str(name): [[from_text(text) for text in draw] for draw in draws]
            for name, draws in stored.items()
        }

    def put_baselines(self, errors: Mapping[str, Sequence[Sequence[Errors]]]) -> None:
        texts = {
            name: [[to_text(own) for own in draw] for draw in draws]
            for name, draws in errors.items()
        }
        self.database.put(BASELINES, texts)

    def references(self) -> dict[str, Pair]:
        """Return for each fidelity OOD and ID error of the reference, in log10; empty at first."""
        stored = self.database.get(REFERENCES) or {}
        return {str(name): (own[0], own[1]) for name, own in stored.items()}

    def fidelities(self) -> list[str]:
        """Return the names of the fidelities of the search draws, the lowest first."""
        return list(self.references()) or list(FIDELITIES)

    def put_references(self, references: Mapping[str, Pair]) -> None:
        self.database.put(REFERENCES, references)

    def diagnosis(self) -> tuple[str, ...] | None:
        """Return the warnings of the task's diagnosis; None before it was made."""
        stored = self.database.get(DIAGNOSIS)
        return None if stored is None else tuple(map(str, stored["warnings"]))

    def put_diagnosis(self, warnings: Sequence[str]) -> None:
        self.database.put(DIAGNOSIS, {"warnings": list(warnings)})

    def repeated(self) -> dict[int, Pair]:
        """Return OOD and ID error of trials that were trained on every draw, in log10."""
        stored = self.database.get(REPEATED) or {}
        return {int(number): (own[0], own[1]) for number, own in stored.items()}

    def put_repeated(self, scores: Mapping[int, Pair]) -> None:
        self.database.put(REPEATED, {str(number): own for number, own in scores.items()})

    def reference(self) -> Reference | None:
        """Return the reference function on the validation draws; None before it was trained."""
        stored = self.database.get(REFERENCE)
        return None if stored is None else Reference.load(stored)

    def put_reference(self, reference: Reference) -> None:
        self.database.put(REFERENCE, reference.dump())

    def selected(self) -> Selected | None:
        """Return the finalists; None before all of them were evaluated."""
        stored = self.database.get(SELECTED)
        if stored is None:
            return None
        return Selected(tuple(map(int, stored["ids"])), Reference.load(stored))

    def put_selected(self, selected: Selected) -> None:
        self.database.put(SELECTED, {"ids": selected.ids, **selected.reference.dump()})

    def finished_generation(self) -> int | None:
        """Return the step after which the finalists were evaluated; None before that."""
        stored = self.database.get(FINISHED)
        return None if stored is None else int(stored)

    def put_finished_generation(self, generation: int) -> None:
        self.database.put(FINISHED, generation)

    def missing(self) -> str:
        """Return what a recovered run lacks, for people to read; empty where nothing is missing."""
        return str(self.database.get(MISSING) or "")

    def comparison(self, digest: str) -> Any:
        """Return the JSON values of a comparison; None if it was not made."""
        return self.database.get(f"{COMPARISON}{digest}")

    def put_comparison(self, digest: str, document: Any) -> None:
        self.database.put(f"{COMPARISON}{digest}", document)

    # Rows.
    def add_candidates(self, candidates: Iterable[Candidate]) -> None:
        rows = (
            (
                c.id,
                c.formula,
                c.fingerprint,
                c.origin,
                json.dumps(c.parents),
                c.generation,
                c.outcome,
                c.flops,
                c.nodes,
                json.dumps(c.tag),
            )
            for c in candidates
        )
        self.database.write("candidates", rows, replace=False)

    def candidates(self) -> list[Candidate]:
        """Return every proposal in order."""
        return [
            Candidate(
                id=row[0],
                formula=row[1],
                fingerprint=row[2],
                origin=row[3],
                parents=tuple(json.loads(row[4])),
                generation=row[5],
                outcome=row[6],
                flops=row[7],
                nodes=row[8],
                tag=tuple(json.loads(row[9])),
            )
            for row in self.database.read("candidates", "ORDER BY id")
        ]

    def add_scores(self, scores: Iterable[Scored], protocol: str) -> None:
        rows = (
            (s.candidate, s.fidelity, s.ood, s.id_error, to_text(s.errors), protocol)
            for s in scores
        )
        self.database.write("scores", rows)

    def scores(self, fidelity: str) -> list[Scored]:
        """Return the scores of one fidelity in the order in which they were measured."""
        rows = self.database.read("scores", f"WHERE {PLACE} = ? ORDER BY rowid", (fidelity,))
        return [_scored(row) for row in rows]

    def progress(self) -> list[tuple[int, Scored]]:
        """Return the scores of the highest fidelity in order, each with the candidates judged then.

        A candidate counts from its first score on: in a search without a ladder that is its score
        on the highest fidelity.
        """
        highest = self.fidelities()[-1]
        found, judged = [], set()
        which = f"WHERE {PLACE} != ? ORDER BY rowid"
        for row in self.database.read("scores", which, (SELECTION,)):
            judged.add(row[0])
            if row[1] == highest:
                found.append((len(judged), _scored(row)))
        return found

    def add_simplified(self, formulas: Mapping[int, str]) -> None:
        self.database.write("simplified", formulas.items())

    def simplified(self) -> dict[int, str]:
        """Return the simplified formulas of finalists."""
        rows = self.database.read("simplified", "ORDER BY candidate")
        return {int(r[0]): str(r[1]) for r in rows}

    def add_quarantined(self, failures: Iterable[tuple[int, str, str]]) -> None:
        """Store candidates that failed: the id, the place, and the reason."""
        self.database.write("quarantined", failures)

    def quarantined(self) -> list[Failure]:
        """Return the candidates that failed, in their order."""
        rows = self.database.read("quarantined", f"ORDER BY candidate, {PLACE}")
        return [Failure(r[0], r[1], r[2]) for r in rows]

    def counts(self) -> dict[str, int]:
        """Return how many candidates were proposed, passed the screen, and were trained."""
        return {
            "seen": self._count("candidates"),
            "screened": self._count("candidates WHERE outcome = 'passed'"),
            **{name: self._count(f"scores WHERE {PLACE} = ?", name) for name in self.fidelities()},
        }

    def _count(self, what: str, *values: str) -> int:
        ((count,),) = self.database.query(f"SELECT COUNT(*) FROM {what}", values)
        return int(count)

    def outcomes(self) -> dict[str, int]:
        """Return how many candidates met each outcome of the screen, the most frequent first."""
        rows = self.database.query(
            "SELECT outcome, COUNT(*) AS n FROM candidates GROUP BY outcome "
            "ORDER BY n DESC, outcome"
        )
        return {str(r[0]): int(r[1]) for r in rows}

    def add_judged(
        self,
        formula: str,
        protocol: str,
        instances: Iterable[str],
        errors: Errors,
        rates: Sequence[float],
    ) -> Judged:
        """Store test errors ``[instance, size, seed, 4]`` of a function; seeds count from 0.

        Args:
            formula: Or another text that is this function and no other.
            protocol: The version it was judged under.
            instances: Their names, unique over tasks.
            errors: The result of training.
            rates: The learning rate of each size.

        Returns:
            What is stored: errors have nine digits.
        """
        rows = [
            (formula, protocol, name, seed, to_text(errors[place, :, seed], rates=list(rates)))
            for place, name in enumerate(instances)
            for seed in range(errors.shape[2])
        ]
        with self.transaction():
            self.database.write("judged", rows)
        return Judged(from_text(to_text(errors)), tuple(rates))

    def judged(
        self, formula: str, protocol: str, instances: Sequence[str], seeds: int
    ) -> Judged | None:
        """Return the stored judgement of a function; None unless all of it is there."""
        which = "WHERE formula = ? AND protocol = ?"
        rows = self.database.read("judged", which, (formula, protocol))
        texts = {(r[2], r[3]): str(r[4]) for r in rows}
        wanted = [(name, seed) for name in instances for seed in range(seeds)]
        if not all(key in texts for key in wanted):
            return None
        errors = np.array([from_text(texts[key]) for key in wanted])  # [instance x seed, size, 4]
        shaped = errors.reshape(len(instances), seeds, *errors.shape[1:]).swapaxes(1, 2)
        return Judged(shaped, tuple(json.loads(texts[wanted[0]])["rates"]))


def _scored(row: Sequence[Any]) -> Scored:
    return Scored(row[0], row[1], row[2], row[3], from_text(row[4]))


def in_memory(config: RunConfig | None = None) -> Repository:
    """Return a run that lives as long as the process."""
    return Repository(database.in_memory(_first(config)))


def create(path: str | Path, config: RunConfig | None = None) -> Repository:
    """Make a new run directory; of several processes at once one makes it.

    Args:
        path: The directory.
        config: The arguments of the run, which it has from the moment that it exists.

    Raises:
        StoreError: It holds a run already, or cannot be written.
    """
    return create_with(path, _first(config))


def create_with(path: str | Path, first: Mapping[str, Any]) -> Repository:
    """Make a new run directory as :func:`create` does, with documents given by their keys."""
    folder = Path(path)
    file = folder / RUN_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_made = not file.exists() and database.make_file(file, first)
    except (OSError, sqlite3.Error, StoreError) as error:
        raise StoreError(f"{folder}: cannot make a run here: {error}") from None
    if not is_made:
        raise StoreError(
            f"{folder}: holds a run already; choose another --out, or go on with "
            f"'symact resume {folder}'"
        )
    return open_run(folder)


def _first(config: RunConfig | None) -> dict[str, Any]:
    return {} if config is None else {CONFIG: config.dump()}


def open_run(path: str | Path, *, wait: float = database.BUSY_SECONDS) -> Repository:
    """Open an existing run directory; on a read-only medium, to read it.

    Args:
        path: The directory.
        wait: Seconds to wait for another process that writes.

    Raises:
        DamagedError: It is damaged, or no run.
        StoreError: There is none, another version wrote it, or it cannot be read.
    """
    file = Path(path) / RUN_FILE
    if not file.is_file():
        raise StoreError(f"{path}: no run here ({RUN_FILE} is missing)")
    return Repository(database.open_file(file, wait))


def open_judged(path: str | Path) -> Repository:
    """Open the database of a folder of comparisons, ``judged.db``; make it where there is none.

    Raises:
        StoreError: It cannot be written, or something else has that name.
    """
    folder = Path(path)
    file = folder / JUDGED_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            database.make_file(file, {})
    except (OSError, sqlite3.Error, StoreError) as error:
        raise StoreError(f"{folder}: cannot keep comparisons here: {error}") from None
    return Repository(database.open_file(file))


def is_run(path: str | Path) -> bool:
    """Whether a directory holds a run."""
    return (Path(path) / RUN_FILE).is_file()
