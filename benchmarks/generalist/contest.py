"""Compare methods at equal time: run each in its own process, judge what it chose, make tables.

A method is a function of ``(problem, seconds, seed)`` that returns :class:`Chosen`. Each run is a
process of its own, and its start counts. A run is one JSON file, which is written when the run has
ended. A stored run is not repeated, and a stored judgement is not made again.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact import zoo
from symact.atlas.board import JUDGEMENTS, judge_all, population_digest
from symact.atlas.judgements import Judgements
from symact.cli.benchmark import machine
from symact.errors import SymactError
from symact.evaluation import Problem, hierarchy
from symact.evaluation.cells import CellJudge
from symact.expr import parse
from symact.files import write
from symact.reporting.competitors import Competitor, of_formula, of_zoo

FloatArray = NDArray[np.float64]

#: The folder of all results, and the judgements of known functions on the test families.
RESULTS = Path(__file__).resolve().parents[1] / "results"
KNOWN = tuple(
    RESULTS / folder / JUDGEMENTS
    for folder in ("leaderboard", "generalist/first", "generalist/second")
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a method chose.

    Attributes:
        formula: The function.
        evaluations: Number of trained functions at each fidelity, by its name.
        seconds: Time that the method took.
    """

    formula: str
    evaluations: dict[str, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Method:
    """A way to choose a function.

    Attributes:
        name: Its name in files and tables.
        says: A description in one line.
        run: Function of a problem, seconds and a seed. It returns within about these seconds.
    """

    name: str
    says: str
    run: Callable[[Any, float, int], Chosen]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a method.

    Attributes:
        method: The method.
        seed: Its seed.
        problem: Returns the problem, in the process of the run.
        case: The name of the problem; "" if there is only one.
    """

    method: Method
    seed: int
    problem: Callable[[], Problem] = field(compare=False)
    case: str = ""

    @property
    def name(self) -> str:
        """The name of its file."""
        return "-".join(filter(None, (self.method.name, self.case, str(self.seed))))


def run_all(runs: Sequence[Run], seconds: float, folder: Path, say: Callable[[str], None]) -> None:
    """Make the runs that are not stored, one after the other.

    Args:
        runs: What to run.
        seconds: Time of each process.
        folder: For one JSON file of each run.
        say: Takes a line of progress.

    Raises:
        SymactError: A stored run had another time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for own in runs:
        file = folder / f"{own.name}.json"
        if file.exists():
            _check(file, seconds)
            continue
        say(f"{own.name}: {seconds:g} s")
        record = _alone(own, seconds)
        write(file, json.dumps(record, indent=1) + "\n")
        say(f"  {record['process_seconds']:.1f} s: {record['formula']}")


def _check(file: Path, seconds: float) -> None:
    stored = json.loads(file.read_text(encoding="utf-8"))["asked_seconds"]
    if stored != seconds:
        raise SymactError(
            f"{file}: has {stored:g} s, asked are {seconds:g}; choose other --results"
        )


def _alone(own: Run, seconds: float) -> dict[str, Any]:
    """Run a method in a new process, and return what is stored of it."""
    started = time.monotonic()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        chosen = alone.submit(_run, own, seconds, started).result()
    taken = time.monotonic() - started
    return {
        "method": own.method.name,
        "case": own.case,
        "seed": own.seed,
        "asked_seconds": seconds,
        "process_seconds": round(taken, 1),
        **asdict(chosen),
        "machine": machine(),
    }


def _run(own: Run, seconds: float, started: float) -> Chosen:
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    # The monotonic clock is that of the machine: it has one value in all processes.
    problem = own.problem()
    left = max(seconds - (time.monotonic() - started), 1.0)
    return own.method.run(problem, left, own.seed)


def _end_with_the_parent() -> None:
    """End this process when its parent was killed, so that it takes no time of later runs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def records(folder: Path, methods: Iterable[str]) -> list[dict[str, Any]]:
    """Return the stored runs of some methods: methods in the given order, then cases, then seeds.

    Raises:
        SymactError: There is none.
    """
    order = {name: place for place, name in enumerate(methods)}
    found = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")]
    kept = [own for own in found if own["method"] in order]
    if not kept:
        raise SymactError(f"{folder}: has no run of {', '.join(order)}; use the step run first")
    return sorted(kept, key=lambda own: (order[own["method"]], own["case"], own["seed"]))


class Judged:
    """The errors of formulas in the cells of a judge, in a file of judgements.

    Args:
        judge: Trains functions.
        folder: Has the file.
        task: The name of the task that has the families; "" for the generated test families.
    """

    def __init__(self, judge: CellJudge, folder: Path, task: str = "") -> None:
        self._judge, self._task = judge, task
        self._store = Judgements(folder / JUDGEMENTS, KNOWN)

    def add(self, names: Sequence[str], say: Callable[[str], None]) -> None:
        """Judge the functions that have no judgement: names of the zoo, and formulas."""
        functions = [competitor(name) for name in dict.fromkeys(names)]
        judge_all(
            self._judge,
            self._store,
            functions,
            lambda place, count, name: say(f"{place + 1}/{count} {name}"),
            task=self._task,
        )

    def ood(self, name: str) -> FloatArray:
        """Return log10 of the OOD errors of a function, ``[family, cell]``.

        Raises:
            SymactError: It is not judged.
        """
        known = self._store.get(competitor(name).key, population_digest(self._judge, self._task))
        if known is None:
            raise SymactError(f"'{name}' is not judged; use the step judge first")
        return hierarchy.ood(known.errors)


def competitor(name: str) -> Competitor:
    """Return the function of a name of the zoo, or of a formula."""
    return of_zoo(zoo.find(name)) if zoo.has(name) else of_formula(name, parse(name))


def interval(above: FloatArray) -> str:
    """Return a ratio of errors with its 95% interval over families and cells.

    Args:
        above: Differences of log10 errors, ``[family, cell]``.
    """
    low, high = np.percentile(hierarchy.resampled(above), [2.5, 97.5])
    return f"{10 ** hierarchy.mean(above):.2f} [{10**low:.2f}, {10**high:.2f}]"


def in_words(evaluations: Sequence[Mapping[str, int]]) -> str:
    """Return mean numbers of evaluations over runs, such as ``"320 mini, 24 full"``."""
    names = dict.fromkeys(name for own in evaluations for name in own)
    means = {name: np.mean([own.get(name, 0) for own in evaluations]) for name in names}
    return ", ".join(f"{mean:.0f} {name}" for name, mean in means.items())


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table. All columns but the first are numbers."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
