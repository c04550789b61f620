"""Read job files and run a search for each grammar, task and seed."""

from __future__ import annotations

import itertools
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from symact import engine
from symact.atlas import compare
from symact.atlas.comparison import BRIEF_FAMILIES
from symact.atlas.report import write_report
from symact.cli.options import local_device
from symact.engine import Progress
from symact.engine.budget import parse_budget
from symact.engine.settings import SearchConfig
from symact.errors import BatchError, SymactError, choices
from symact.evaluation import check_device, check_executor
from symact.grammar import Grammar
from symact.proposers import PROPOSERS, is_known
from symact.tasks import TASKS

_KEYS = ("out", "grammars", "tasks", "seeds", "budget", "proposer", "compare", "settings")


@dataclass(frozen=True, slots=True)
class Job:
    """One search of a batch. ``name`` is its directory below the directory of the batch."""

    name: str
    grammar: str
    task: str
    seed: int
    budget: str
    proposer: str
    compare: bool
    config: SearchConfig


@dataclass(frozen=True, slots=True)
class Batch:
    """The jobs of one file, in order."""

    out: Path
    jobs: tuple[Job, ...]


def load_batch(path: str | Path) -> Batch:
    """Read a job file.

    The file is TOML: ``grammars``, ``tasks``, ``seeds`` (lists, searched in every combination),
    ``budget``, and optionally ``out`` (a directory, relative to the file; default: the file's name
    without its ending), ``proposer``, ``compare`` (whether to judge on the test draws) and a table
    ``settings`` (:class:`symact.SearchConfig`).
    Grammar files are relative to the file, too.

    Raises:
        BatchError: A key is missing, unknown, or has a wrong value. The message names file and key.
    """
    file = Path(path)
    try:
        with file.open("rb") as handle:
            data = tomllib.load(handle)
    except OSError as error:
        raise BatchError(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BatchError(f"{file}: not TOML: {error}") from None
    return Batch(file.parent / _one(file, data, "out", (str,), file.stem), _jobs(file, data))


def _jobs(file: Path, data: dict[str, Any]) -> tuple[Job, ...]:
    """Check the values of a file and return its jobs in order."""
    for key in data:
        if key not in _KEYS:
            raise BatchError(f"{file}, key '{key}': unknown; {choices(key, _KEYS)}")
    grammars = [_grammar(file, name) for name in _list(file, data, "grammars", str)]
    tasks, seeds = _tasks(file, data), _seeds(file, data)
    budget, proposer = _budget(file, data), _proposer(file, data)
    judged = _one(file, data, "compare", (bool,), True)
    config = _settings(file, data)
    jobs = tuple(
        Job(f"{Path(g).stem}-{t}-{s}", g, t, s, budget, proposer, judged, config)
        for g, t, s in itertools.product(grammars, tasks, seeds)
    )
    for name, count in Counter(job.name for job in jobs).items():
        if count > 1:
            raise BatchError(f"{file}: two jobs have the same directory '{name}'")
    return jobs


def _tasks(file: Path, data: dict[str, Any]) -> list[str]:
    names = _list(file, data, "tasks", str)
    for name in names:
        if name not in TASKS:
            raise BatchError(f"{file}, key 'tasks': unknown task '{name}'; {choices(name, TASKS)}")
    return names


def _seeds(file: Path, data: dict[str, Any]) -> list[int]:
    seeds = _list(file, data, "seeds", int)
    for seed in seeds:
        if seed < 0:
            raise BatchError(f"{file}, key 'seeds': a seed is at least 0, got {seed}")
    return seeds


def _budget(file: Path, data: dict[str, Any]) -> str:
    budget = str(_one(file, data, "budget", (str, int), "5m"))
    try:
        parse_budget(budget)
    except SymactError as error:
        raise BatchError(f"{file}, key 'budget': {error}") from None
    return budget


def _proposer(file: Path, data: dict[str, Any]) -> str:
    proposer = str(_one(file, data, "proposer", (str,), "gp"))
    if not is_known(proposer):
        hint = choices(proposer, PROPOSERS)
        raise BatchError(f"{file}, key 'proposer': unknown proposer '{proposer}'; {hint}")
    return proposer


def _settings(file: Path, data: dict[str, Any]) -> SearchConfig:
    try:
        return SearchConfig.of(_one(file, data, "settings", (dict,), {}))
    except SymactError as error:
        raise BatchError(f"{file}, key 'settings': {error}") from None


def _one(file: Path, data: dict[str, Any], key: str, kinds: tuple[type, ...], default: Any) -> Any:
    value = data.get(key, default)
    if type(value) not in kinds:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise BatchError(f"{file}, key '{key}': expected {expected}, got {value!r}")
    return value


def _list(file: Path, data: dict[str, Any], key: str, kind: type) -> list[Any]:
    value = data.get(key)
    if not isinstance(value, list) or not value:
        raise BatchError(f"{file}, key '{key}': expected a list with at least one item")
    for item in value:
        if not isinstance(item, kind) or isinstance(item, bool):
            raise BatchError(f"{file}, key '{key}': expected {kind.__name__}s, got {item!r}")
    return value


def _grammar(file: Path, name: str) -> str:
    local = file.parent / name
    chosen = str(local) if name.endswith(".toml") and local.is_file() else name
    try:
        Grammar.load(chosen)
    except SymactError as error:
        raise BatchError(f"{file}, key 'grammars': {error}") from None
    return chosen


def run_batch(
    batch: Batch,
    say: Callable[[str], None],
    *,
    threads: int | None = None,
    device: str | None = None,
    executor: str = "threads",
) -> int:
    """Run all unfinished jobs. A failed job does not stop the others.

    Each job has the directory ``out/NAME`` with its run and ``log.txt``. A job with an unfinished
    run is resumed. A job with a finished run is skipped.

    Args:
        batch: The jobs.
        say: Called with each line of progress.
        threads: Number of workers, as in :func:`symact.search`.
        device: Device of full training, as in :func:`symact.search`.
        executor: Executor that trains candidates, as in :func:`symact.search`.

    Returns:
        The number of failed jobs.

    Raises:
        SymactError: The executor or the device is not available.
    """
    check_device(device, executor)
    check_executor(executor)
    workers = {"threads": threads, "device": device, "executor": executor}
    failed = 0
    for number, job in enumerate(batch.jobs, 1):
        head = f"[{number}/{len(batch.jobs)}] {job.name}"
        say(f"{head}: started")
        started = time.monotonic()
        folder = batch.out / job.name
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.txt").open("a", encoding="utf-8") as log:
            try:
                outcome = _run_job(job, folder, log, workers)
            except Exception as error:
                failed += 1
                outcome = f"failed: {type(error).__name__}: {error}"
                traceback.print_exc(file=log)
            _log(log, outcome)
        say(f"{head}: {outcome} ({time.monotonic() - started:.0f} s)")
    return failed


def _run_job(job: Job, folder: Path, log: TextIO, workers: dict[str, Any]) -> str:
    def on_progress(progress: Progress) -> None:
        counts = " ".join(f"{name} {n}" for name, n in progress.counts.items())
        best = f" best {progress.ratio:.3f} {progress.best}" if progress.ratio else ""
        best = f" best {progress.baseline} itself" if progress.baseline else best
        _log(log, f"{progress.phase} {progress.fraction:.0%} {counts}{best} {progress.message}")

    if (folder / "run.db").exists():
        result = engine.resume(
            folder, budget=job.budget, proposer=job.proposer, on_progress=on_progress, **workers
        )
    else:
        result = engine.search(
            job.grammar,
            job.task,
            budget=job.budget,
            seed=job.seed,
            out=folder,
            proposer=job.proposer,
            config=job.config,
            on_progress=on_progress,
            **workers,
        )
    if job.compare:
        own = local_device(workers["device"], workers["executor"])
        board = compare(result, families=BRIEF_FAMILIES, device=own)
        write_report(result, board, folder)
    return "done" if result.chosen is None else f"done, best {result.chosen.formula}"


def _log(log: TextIO, line: str) -> None:
    log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line.rstrip()}\n")
    log.flush()
