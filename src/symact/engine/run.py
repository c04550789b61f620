"""Searches as users call them: begun, continued, seen through to the judged finalists."""

from __future__ import annotations

import shlex
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from symact.engine.budget import Budget, parse_budget
from symact.engine.collector import infrequent_collection
from symact.engine.finalists import evaluate_finalists, train_reference
from symact.engine.loop import Search
from symact.engine.progress import OnProgress, Progress
from symact.engine.result import Result, result_of
from symact.engine.settings import SearchConfig
from symact.engine.timetable import FinalCosts, Timetable, plan_for
from symact.errors import StoreError, SymactError, TaskError
from symact.evaluation import (
    ActivationProblem,
    Executor,
    Ladder,
    Plan,
    Problem,
    check_device,
    check_executor,
)
from symact.grammar import Grammar
from symact.proposers import AbstractProposer, Evolution, Proposer, adapt, make_proposer
from symact.proposers.seeds import known_exprs, seed_exprs
from symact.storage.records import RunConfig, SearchRecord
from symact.storage.repository import Repository, create, in_memory, open_run
from symact.storage.schema import CONFIG_FILE
from symact.tasks import GENERALIST, TASKS, Task
from symact.tasks import task as built_in_task
from symact.tasks.protocol import LADDER, VERSION

#: Stored as the finished generation of a run that got a longer time.
_UNFINISHED = -1


def search(
    grammar: str | Path | Grammar = "pointwise",
    task: str | Task | Problem = GENERALIST,
    *,
    budget: str | int | Budget = "5m",
    seed: int = 0,
    out: str | Path | None = None,
    proposer: str | Proposer = "gp",
    config: SearchConfig | None = None,
    plan: Plan | None = None,
    evolution: Evolution | None = None,
    threads: int | None = None,
    device: str | None = None,
    executor: str | Executor = "threads",
    on_progress: OnProgress | None = None,
    reserve: float = 0.0,
) -> Result:
    """Search activation functions that generalise outside the training range.

    With a :class:`~symact.evaluation.Problem` it searches functions of another kind.

    Args:
        grammar: The name of a packaged grammar, the path of a TOML file, or a Grammar.
        task: The name of a built-in task, a Task, or a Problem. The default searches one function
            for many kinds of targets and networks.
        budget: A time such as ``"5m"`` or ``"90s"``, after which the call returns; or a number of
            trained candidates, with which the search is reproducible.
        seed: The seed of the proposals and of the search draws, at least 0.
        out: The run directory to create. None keeps the run in memory.
        proposer: ``"gp"``, ``"random"``, ``"enumerate"``, ``"replay:FILE"``, ``"exec:COMMAND"`` or
            an object with ``ask`` and ``tell`` (``docs/proposers.md``).
        config: The settings; None for the defaults.
        plan: The settings of fidelities and loop; None for those of ``config``.
        evolution: The settings of genetic programming; None for those of ``config``.
        threads: Number of candidates that train at the same time, for an executor that is given by
            name. None for the number of cores. It does not change the results.
        device: Device of full training, ``"cpu"`` or ``"cuda"``. None for CUDA if available.
        executor: An executor such as ``ThreadExecutor(4)``, or a name: ``"threads"``,
            ``"processes"``, ``"ray"`` or ``"ray:ADDRESS"``. The search closes it. It does not
            change the results.
        on_progress: Function that is called after each step.
        reserve: Seconds of a budget of time that are kept for what the caller does next, such as a
            comparison; at most 15% of the budget are kept.

    Returns:
        The run with its finalists.

    Raises:
        SymactError: An argument is invalid. The class of the error names it: grammar, task, budget
            or directory.

    Example::

        result = symact.search("pointwise", budget=500, out="runs/mine")
        result.best.formula
    """
    started, total = time.monotonic(), parse_budget(budget)
    chosen = grammar if isinstance(grammar, Grammar) else Grammar.load(grammar)
    target = _problem(task)
    target.check_grammar(chosen)
    check_device(device, executor)
    check_executor(executor, threads)
    settings = config or SearchConfig()
    chosen_plan = plan_for(total, plan or settings.plan)
    settings = SearchConfig(chosen_plan, evolution or settings.evolution)
    own = None if isinstance(proposer, str) else adapt(proposer, chosen)
    if isinstance(proposer, str):  # a faulty proposer is refused before anything is made
        _proposer(proposer, chosen, seed, settings.evolution, chosen_plan).close()
    if seed < 0:
        raise TaskError(f"seed must be at least 0, got {seed}")
    stored = RunConfig(
        protocol=VERSION,
        ladder=LADDER,
        grammar=chosen.name,
        grammar_text=chosen.text,
        task=target.name,
        budget=str(total),
        seed=seed,
        proposer=proposer if isinstance(proposer, str) else f"python:{type(proposer).__name__}",
        **settings.to_dict(),
        versions=_versions(),
    )
    run = in_memory(stored) if out is None else create(out, stored)
    with closing(run), run.claimed(), infrequent_collection():
        _write_config(run, stored)
        workers = {"threads": threads, "device": device, "executor": executor}
        table = Timetable(total, reserve=reserve, started=started)
        return _run(run, chosen, target, table, workers, on_progress, own)


def resume(
    path: str | Path,
    *,
    task: Task | Problem | None = None,
    proposer: str | Proposer | None = None,
    budget: str | int | Budget | None = None,
    threads: int | None = None,
    device: str | None = None,
    executor: str | Executor = "threads",
    on_progress: OnProgress | None = None,
    reserve: float = 0.0,
) -> Result:
    """Continue a run from its last complete generation.

    Args:
        path: The run directory.
        task: The same task or problem again. Required if the task was made from arrays or a
            problem was given.
        proposer: The same proposer again. Required if it was an object or ``"exec:COMMAND"``: a
            stored command is never started.
        budget: A new total budget; None for the budget of the run. The time that the run has
            stored counts.
        threads: See :func:`search`.
        device: See :func:`search`.
        executor: See :func:`search`.
        on_progress: See :func:`search`.
        reserve: See :func:`search`.

    Returns:
        The run with its finalists.

    Raises:
        StoreError: There is no run, or its task cannot be rebuilt.

    Example::

        result = symact.resume("runs/mine", budget=1000)
    """
    started = time.monotonic()
    check_device(device, executor)
    check_executor(executor, threads)
    total = None if budget is None else parse_budget(budget)
    run = open_run(path)
    with closing(run), run.claimed(), infrequent_collection():
        with run.understood():
            config = run.config()
            _check_continues(path, run, config)
            named = config.proposer if proposer is None else proposer
            _check_proposer(path, config.proposer, proposer)
            problem = _problem(task or _task_again(path, config.task))
            _check_problem(path, run, problem)
            grammar = Grammar.parse(config.grammar_text or "", source=f"{path}, stored grammar")
            problem.check_grammar(grammar)
            own = None if isinstance(named, str) else adapt(named, grammar)
            total = parse_budget(config.budget) if total is None else total
            before = (run.search() or SearchRecord()).seconds
        if config.budget != str(total):
            with run.transaction():
                run.put_config(replace(config, budget=str(total)))
                if total.seconds is not None and total.seconds > before:
                    run.put_finished_generation(_UNFINISHED)
        workers = {"threads": threads, "device": device, "executor": executor}
        table = Timetable(total, reserve=reserve, before=before, started=started)
        return _run(run, grammar, problem, table, workers, on_progress, own)


def _check_continues(path: str | Path, run: Repository, config: RunConfig) -> None:
    """Refuse a run that lacks something, or whose scores are of another kind."""
    if missing := run.missing():
        raise StoreError(
            f"{path}: was recovered and lacks {missing}; it can be shown, not continued"
        )
    kinds = {
        "judged by protocol": (config.protocol, VERSION),
        "trained by ladder": (config.ladder or "of an earlier symact", LADDER),
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


def _check_problem(path: str | Path, run: Repository, problem: Problem) -> None:
    """Refuse a problem that is not the run's."""
    stored, given = run.problem(), problem.record()
    if stored is not None and stored != given:
        raise StoreError(
            f"{path}: its problem has variables {', '.join(stored.variables)} and reference "
            f"{stored.reference}, not {', '.join(given.variables)} and {given.reference}; "
            "pass the problem of the run as task="
        )


def _problem(task: str | Task | Problem) -> Problem:
    if isinstance(task, Problem):
        return task
    if isinstance(task, Task):
        return ActivationProblem(task)
    if isinstance(task, str):
        return ActivationProblem(built_in_task(task))
    raise TaskError(
        f"a task is a name, a Task or a Problem, got {type(task).__name__}; "
        "make one from arrays with symact.Task.from_arrays"
    )


def _task_again(path: str | Path, name: str) -> Task:
    if name not in TASKS:
        raise StoreError(f"{path}: its task '{name}' came from arrays; pass task=")
    return built_in_task(name)


def _run(
    run: Repository,
    grammar: Grammar,
    problem: Problem,
    timetable: Timetable,
    workers: dict[str, Any],
    on_progress: OnProgress | None,
    proposer: AbstractProposer | None = None,
) -> Result:
    report: OnProgress = on_progress or (lambda progress: None)
    config = run.config()
    with run.understood():
        settings = _stored_settings(config.plan, config.evolution)
    plan, evolution = settings.plan, settings.evolution
    if run.problem() is None:
        with run.transaction():
            run.put_problem(problem.record())
    with ExitStack() as stack:
        proposer = proposer or _proposer(config.proposer, grammar, config.seed, evolution, plan)
        stack.callback(proposer.close)
        ladder = stack.enter_context(closing(Ladder(problem, config.seed, plan, **workers)))
        _diagnose(run, ladder, report)
        with run.understood():
            search = Search(run, grammar, ladder, proposer, report, timetable)
        is_finished = run.finished_generation() == search.state.generation
        # The finals of a time differ from call to call, so they are held once.
        if not (is_finished and timetable.is_timed):
            conduct(search)
        if run.finished_generation() != search.state.generation:
            search.store()
            with run.transaction():
                run.put_finished_generation(search.state.generation)
        search.progress("done", 1.0)
        return result_of(run)


def conduct(search: Search) -> None:
    """Search, then judge the finalists, within the budget of the run."""
    if search.timetable.is_timed:
        _plan(search)
    _spend(search)
    search.complete()
    search.progress("select", 1.0)
    evaluate_finalists(search.state, search.ladder, search.timetable)


def _plan(search: Search) -> None:
    """Divide the time of a run, by the costs of baselines and reference, and say how."""
    state, ladder, table = search.state, search.ladder, search.timetable
    train_reference(state, ladder)
    search.store()
    table.plan(FinalCosts.measured(state.costs, state.highest, ladder.final, state.plan))
    search.progress("search", table.searched(state.judged), table.line)


def _stored_settings(plan: dict[str, Any], evolution: dict[str, Any]) -> SearchConfig:
    """Return the settings of a run.

    Raises:
        ValueError: They are not what symact writes.
    """
    try:
        return SearchConfig(Plan(**plan), Evolution(**evolution))
    except SymactError as error:
        raise ValueError(str(error)) from None


def _spend(search: Search) -> None:
    """Take steps until the search is over, or no new candidates are to come."""
    state, table = search.state, search.timetable
    most, used = table.budget.candidates, table.searched(state.judged)
    search.progress("search", used)
    while (used < 1 or not state.judged) and not search.exhausted:
        search.step(None if most is None else most - state.judged)
        used = table.searched(state.judged)
        search.progress("search", used, _why_it_ends(search) if search.exhausted else "")


def _proposer(
    text: str, grammar: Grammar, seed: int, evolution: Evolution, plan: Plan
) -> AbstractProposer:
    known = known_exprs(grammar) if plan.start == "known" else ()
    seeds = tuple(dict.fromkeys((*seed_exprs(grammar), *known)))
    return make_proposer(text, grammar, seed=seed, evolution=evolution, seeds=seeds)


def _why_it_ends(search: Search) -> str:
    if search.proposer.trouble:
        return f"the proposer failed too often in a row: {search.proposer.trouble[0]}"
    if search.proposer.finished:
        return "the proposer has no more proposals"
    return "no new candidates: the grammar is exhausted"


def _diagnose(run: Repository, ladder: Ladder, report: OnProgress) -> None:
    """Diagnose the problem once a run, and report the warnings."""
    warnings = run.diagnosis()
    if warnings is None:
        report(Progress("diagnosis", 0.0, 0.0, run.counts()))
        warnings = ladder.problem.warnings(ladder)
        with run.transaction():
            run.put_diagnosis(warnings)
    for warning in warnings:
        message = f"warning: {warning}"
        report(Progress("diagnosis", 0.0, 0.0, run.counts(), message=message))


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("symact", "numpy", "numba", "torch", "deap", "sympy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def _write_config(run: Repository, config: RunConfig) -> None:
    """Write the configuration for people to read; the database is what counts."""
    if run.path is None:
        return
    keys = ("protocol", "ladder", "grammar", "task", "budget", "seed", "proposer")
    values = config.dump()
    shown = {key: values[key] for key in (*keys, "plan", "evolution", "versions")}
    file = run.path / CONFIG_FILE
    try:
        file.write_text(tomli_w.dumps(shown), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{file}: cannot be written: {error.strerror}") from None
