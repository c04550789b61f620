"""Searches as users call them: begun, continued, seen through to the judged finalists."""

from __future__ import annotations

import shlex
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from symact import zoo
from symact.engine.budget import Budget, parse_budget
from symact.engine.collector import seldom_collecting
from symact.engine.finalists import select
from symact.engine.loop import Search
from symact.engine.progress import OnProgress, Progress
from symact.engine.result import Result, config_of, result_of
from symact.errors import GrammarError, ParseError, StoreError, TaskError, ZooError
from symact.evaluation import Executor, Ladder, Plan, check_device, check_executor
from symact.evaluation.diagnosis import Diagnosis, check_task
from symact.expr import Expr, parse
from symact.grammar import Grammar
from symact.proposers import AbstractProposer, Evolution, Proposer, adapt, make_proposer
from symact.storage.database import CONFIG_FILE, GAPS, Store, create, in_memory, open_run
from symact.tasks import TASKS, Task
from symact.tasks import task as built_in_task
from symact.tasks.protocol import LADDER, VERSION

_EXHAUSTED = "the grammar brings nothing new any more; the search ends here"


def search(
    grammar: str | Path | Grammar = "pointwise",
    task: str | Task = "ood-suite",
    *,
    budget: str | int | Budget = "5m",
    seed: int = 0,
    out: str | Path | None = None,
    proposer: str | Proposer = "gp",
    plan: Plan | None = None,
    evolution: Evolution | None = None,
    threads: int | None = None,
    device: str | None = None,
    executor: str | Executor = "threads",
    on_progress: OnProgress | None = None,
) -> Result:
    """Search activation functions that generalise outside the training range.

    Args:
        grammar: A packaged name, a TOML file, or a Grammar.
        task: A built-in name, or a Task such as one from ``Task.from_arrays``.
        budget: ``"5m"``, ``"90s"`` (time of the search; judging the finalists comes on top) or a
            number of judged candidates. With the latter the result depends on nothing but the
            arguments.
        seed: Of the proposals and of the search draws.
        out: The run directory to make; None keeps the run in memory.
        proposer: ``"gp"``, or a baseline: ``"random"``, or ``"enumerate"`` for all sentences,
            smallest first. ``"replay:FILE"`` and ``"exec:COMMAND"`` judge what another mutator
            proposes (``docs/proposers.md``), as does any object with ``ask`` and ``tell``.
        plan: Sizes of the rungs and switches of the loop; None for the default.
        evolution: Sizes and switches of genetic programming; None for the default.
        threads: Number of workers of an executor that is given by name, each of which trains a
            candidate at a time; None for the number of cores. No result depends on it.
        device: For full training; None for ``cuda`` where there is one, else ``cpu``.
        executor: An executor such as ``ThreadExecutor(4)``, or a name: ``"threads"``;
            ``"processes"``, so that a crash loses only one candidate; ``"ray"`` for a Ray cluster
            of this machine, ``"ray:ADDRESS"`` for another. The search closes it. No result depends
            on it.
        on_progress: Called after each step.

    Raises:
        SymactError: Of the kind that names what is wrong: grammar, task, budget or directory.
    """
    spent = parse_budget(budget)
    chosen = grammar if isinstance(grammar, Grammar) else Grammar.load(grammar)
    target = _task(task)
    check_device(device, executor)
    check_executor(executor, threads)
    own = None if isinstance(proposer, str) else adapt(proposer, chosen)
    if isinstance(proposer, str):  # what is wrong with it is said before anything is made
        _proposer(proposer, chosen, seed, evolution or Evolution()).close()
    if seed < 0:
        raise TaskError(f"seed must be at least 0, got {seed}")
    config = {
        "protocol": VERSION,
        "ladder": LADDER,
        "grammar": chosen.name,
        "grammar_text": chosen.text,
        "task": target.name,
        "budget": str(spent),
        "seed": seed,
        "proposer": f"python:{type(proposer).__name__}" if own is not None else proposer,
        "plan": asdict(plan or Plan()),
        "evolution": asdict(evolution or Evolution()),
        "versions": _versions(),
    }
    first = {"config": config}
    store = in_memory(first) if out is None else create(out, first)
    with closing(store), store.claimed(), seldom_collecting():
        _write_config(store, config)
        workers = {"threads": threads, "device": device, "executor": executor}
        return _run(store, chosen, target, spent, workers, on_progress, own)


def resume(
    path: str | Path,
    *,
    task: Task | None = None,
    proposer: str | Proposer | None = None,
    budget: str | int | Budget | None = None,
    threads: int | None = None,
    device: str | None = None,
    executor: str | Executor = "threads",
    on_progress: OnProgress | None = None,
) -> Result:
    """Go on with a run from its last complete generation.

    Args:
        path: The run directory.
        task: The task again, if it was made from arrays.
        proposer: The proposer again, if it was an object or a command (``"exec:COMMAND"``): a run
            that somebody sent starts nothing by itself.
        budget: A new total budget; None for the one the run was given.
        threads: As in :func:`search`.
        device: As in :func:`search`.
        executor: As in :func:`search`.
        on_progress: As in :func:`search`.

    Raises:
        StoreError: No run there, or its task cannot be rebuilt.
    """
    check_device(device, executor)
    check_executor(executor, threads)
    total = None if budget is None else parse_budget(budget)
    store = open_run(path)
    with closing(store), store.claimed(), seldom_collecting():
        with store.understood():
            config = config_of(store)
            _check_continues(path, store, config)
            named = config["proposer"] if proposer is None else proposer
            _check_proposer(path, config["proposer"], proposer)
            task = task or _task_again(path, config["task"])
            grammar = Grammar.parse(config["grammar_text"], source=f"{path}, stored grammar")
            own = None if isinstance(named, str) else adapt(named, grammar)
            total = parse_budget(config["budget"]) if total is None else total
        if config["budget"] != str(total):
            config["budget"] = str(total)
            with store.transaction():
                store.put("config", config)
        workers = {"threads": threads, "device": device, "executor": executor}
        return _run(store, grammar, task, total, workers, on_progress, own)


def _check_continues(path: str | Path, store: Store, config: dict[str, Any]) -> None:
    """Refuse a run that lacks something, or whose scores are of another kind."""
    if gaps := store.get(GAPS):
        raise StoreError(f"{path}: was salvaged and lacks {gaps}; it can be shown, not continued")
    kinds = {
        "judged by protocol": (config["protocol"], VERSION),
        "trained by ladder": (config.get("ladder", "of an earlier symact"), LADDER),
    }
    for what, (stored, present) in kinds.items():
        if stored != present:
            raise StoreError(
                f"{path}: {what} {stored}, this symact has {present}; "
                "its scores cannot be continued"
            )


def _check_proposer(path: str | Path, stored: str, given: str | Proposer | None) -> None:
    """Refuse a proposer that is not the run's; a command has to be named by who starts it."""
    if stored.startswith("python:"):
        if given is None or isinstance(given, str):
            raise StoreError(f"{path}: its proposer was an object; pass proposer=")
    elif stored.startswith("exec:") and given != stored:
        raise StoreError(
            f"{path}: its proposer is a command, which starts only if you name it again: "
            f"--proposer {shlex.quote(stored)}"
        )
    elif isinstance(given, str) and given != stored:
        raise StoreError(f"{path}: its proposer is '{stored}', not '{given}'")


def _task(task: str | Task) -> Task:
    if isinstance(task, Task):
        return task
    if isinstance(task, str):
        return built_in_task(task)
    raise TaskError(
        f"a task is a name or a Task, got {type(task).__name__}; "
        "make one from arrays with symact.Task.from_arrays"
    )


def _task_again(path: str | Path, name: str) -> Task:
    if name not in TASKS:
        raise StoreError(f"{path}: its task '{name}' came from arrays; pass task=")
    return built_in_task(name)


def _run(
    store: Store,
    grammar: Grammar,
    task: Task,
    budget: Budget,
    workers: dict[str, Any],
    on_progress: OnProgress | None,
    proposer: AbstractProposer | None = None,
) -> Result:
    report: OnProgress = on_progress or (lambda progress: None)
    config = config_of(store)
    with store.understood():
        # Runs of earlier versions have no such setting; they continue as they began.
        plan = Plan(**{"dedupe_mirrors": False} | config["plan"])
        evolution = Evolution(**config["evolution"])
    ladder: Ladder | None = None
    try:
        proposer = proposer or _proposer(config["proposer"], grammar, config["seed"], evolution)
        ladder = Ladder(task, config["seed"], plan, **workers)
        _pass_gate(store, ladder, report)
        with store.understood():
            state = Search(store, grammar, ladder, plan, report, proposer)
        state.progress("search", budget.fraction(state.seconds, state.judged))
        while budget.fraction(state.seconds, state.judged) < 1 and not state.exhausted:
            limit = None if budget.candidates is None else budget.candidates - state.judged
            state.step(limit)
            used = budget.fraction(state.seconds, state.judged)
            state.progress("search", used, _why_it_ends(proposer) if state.exhausted else "")
        state.complete()
        select(state)
        if store.get("finished_generation") != state.generation:
            with store.transaction():
                store.put("finished_generation", state.generation)
        state.progress("done", 1.0)
        return result_of(store)
    finally:
        if ladder is not None:
            ladder.close()
        if proposer is not None:
            proposer.close()


def _proposer(text: str, grammar: Grammar, seed: int, evolution: Evolution) -> AbstractProposer:
    seeds = seed_exprs(grammar)
    return make_proposer(text, grammar, seed=seed, evolution=evolution, seeds=seeds)


def _why_it_ends(proposer: AbstractProposer) -> str:
    if proposer.trouble:
        return f"the proposer failed too often in a row: {proposer.trouble[0]}"
    return "the proposer has no more proposals" if proposer.finished else _EXHAUSTED


def _pass_gate(store: Store, ladder: Ladder, report: OnProgress) -> None:
    """Run the brief gate once a run and report its warnings."""
    known = store.get("gate")
    if known is None:
        report(Progress("gate", 0.0, 0.0, store.counts()))
        diagnosis: Diagnosis = check_task(ladder)
        known = {"warnings": list(diagnosis.warnings)}
        with store.transaction():
            store.put("gate", known)
    for warning in known["warnings"]:
        report(Progress("gate", 0.0, 0.0, store.counts(), message=f"warning: {warning}"))


def seed_exprs(grammar: Grammar) -> tuple[Expr, ...]:
    """Return a grammar's seeds, names of the zoo or formulas.

    Raises:
        GrammarError: One is neither.
    """
    found = []
    for text in grammar.seeds:
        try:
            found.append(zoo.find(text).expr)
        except ZooError as unknown:
            try:
                found.append(parse(text))
            except ParseError as error:
                raise GrammarError(
                    f"grammar '{grammar.name}', key 'seeds.zoo': {unknown}; as a formula, {error}"
                ) from None
    return tuple(found)


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("symact", "numpy", "numba", "torch", "deap", "sympy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _write_config(store: Store, config: dict[str, Any]) -> None:
    """Write what was asked for people to read; the database is what counts."""
    if store.path is None:
        return
    file = store.path / CONFIG_FILE
    lines = [
        f"{key} = {_toml(config[key])}"
        for key in ("protocol", "ladder", "grammar", "task", "budget", "seed", "proposer")
    ]
    for table in ("plan", "evolution", "versions"):
        lines += ["", f"[{table}]"]
        lines += [f"{key} = {_toml(value)}" for key, value in config[table].items()]
    try:
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{file}: cannot be written: {error.strerror}") from None


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)
