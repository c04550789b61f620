"""The one loop: ask, climb the ladder, tell, store; then judge the finalists on fresh draws.

A generation is the unit of progress and of recovery: it is computed from the state before it alone,
and stored in one transaction together with the state after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact import stats, zoo
from symact.budget import Budget, parse_budget
from symact.cost import flops
from symact.errors import GrammarError, ParseError, StoreError, TaskError, ZooError
from symact.expr import Expr, parse, show
from symact.gate import Gate, check_task
from symact.grammar import Grammar
from symact.propose import REFUSED, AbstractProposer, Proposal, Proposer, Told, adapt, make
from symact.protocol import REFERENCE, VERSION
from symact.result import Result, config_of, merit, non_dominated, result_of
from symact.score import Ladder, Outcome, Plan, check_device, screen
from symact.simplify import simplify
from symact.store import Candidate, Scored, Store, create, in_memory, open_run
from symact.tasks import TASKS, Task
from symact.tasks import task as built_in_task

#: Seconds sympy may spend on a candidate that reaches full training.
SIMPLIFY_SECONDS = 1.0

#: After so many generations in a row without a new candidate a search ends.
BARREN_GENERATIONS = 20
_EXHAUSTED = "the grammar brings nothing new any more; the search ends here"


@dataclass(frozen=True, slots=True)
class Progress:
    """What a search reports after each step.

    Attributes:
        phase: ``"gate"``, ``"search"``, ``"select"`` or ``"done"``.
        fraction: Of the budget used, in [0, 1].
        seconds: Spent on the search so far, over all sessions.
        counts: As in :attr:`Result.counts`.
        best: The best formula so far, empty before the first full training.
        ratio: Its OOD error over the reference's on the full rung's search draws, or None.
        message: A line for the log, possibly empty.
    """

    phase: str
    fraction: float
    seconds: float
    counts: dict[str, int]
    best: str = ""
    ratio: float | None = None
    message: str = ""


OnProgress = Callable[[Progress], None]


def search(
    grammar: str | Path | Grammar = "pointwise",
    task: str | Task = "ood-suite",
    *,
    budget: str | int | Budget = "5m",
    seed: int = 0,
    out: str | Path | None = None,
    proposer: str | Proposer = "gp",
    plan: Plan | None = None,
    threads: int | None = None,
    device: str | None = None,
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
        plan: Sizes of the rungs; None for the default.
        threads: For ridge and mini-training; None for the number of cores.
        device: For full training; None for ``cuda`` where there is one, else ``cpu``.
        on_progress: Called after each step.

    Raises:
        SymactError: Of the kind that names what is wrong: grammar, task, budget or directory.
    """
    spent = parse_budget(budget)
    chosen = grammar if isinstance(grammar, Grammar) else Grammar.load(grammar)
    target = built_in_task(task) if isinstance(task, str) else task
    check_device(device)
    own = None if isinstance(proposer, str) else adapt(proposer, chosen)
    if isinstance(proposer, str):  # what is wrong with it is said before anything is made
        _proposer(proposer, chosen, seed, plan or Plan()).close()
    if seed < 0:
        raise TaskError(f"seed must be at least 0, got {seed}")
    store = in_memory() if out is None else create(out)
    config = {
        "protocol": VERSION,
        "grammar": chosen.name,
        "grammar_text": chosen.text,
        "task": target.name,
        "budget": str(spent),
        "seed": seed,
        "proposer": f"python:{type(proposer).__name__}" if own is not None else proposer,
        "plan": asdict(plan or Plan()),
        "versions": _versions(),
    }
    with store.transaction():
        store.put("config", config)
    _write_config(store, config)
    return _run(store, chosen, target, spent, threads, device, on_progress, own)


def resume(
    path: str | Path,
    *,
    task: Task | None = None,
    proposer: Proposer | None = None,
    budget: str | int | Budget | None = None,
    threads: int | None = None,
    device: str | None = None,
    on_progress: OnProgress | None = None,
) -> Result:
    """Go on with a run from its last complete generation.

    Args:
        path: The run directory.
        task: The task again, if it was made from arrays.
        proposer: The proposer again, if it was an object.
        budget: A new total budget; None for the one the run was given.
        threads: As in :func:`search`.
        device: As in :func:`search`.
        on_progress: As in :func:`search`.

    Raises:
        StoreError: No run there, or its task cannot be rebuilt.
    """
    check_device(device)
    total = None if budget is None else parse_budget(budget)
    store = open_run(path)
    config = config_of(store)
    if config["protocol"] != VERSION:
        raise StoreError(
            f"{path}: judged by protocol {config['protocol']}, this symact has {VERSION}; "
            "its scores cannot be continued"
        )
    if proposer is None and config["proposer"].startswith("python:"):
        raise StoreError(f"{path}: its proposer was an object; pass proposer=")
    if task is None:
        if config["task"] not in TASKS:
            raise StoreError(f"{path}: its task '{config['task']}' came from arrays; pass task=")
        task = built_in_task(config["task"])
    grammar = Grammar.parse(config["grammar_text"], source=f"{path}, stored grammar")
    own = None if proposer is None else adapt(proposer, grammar)
    if total is None:
        total = parse_budget(config["budget"])
    elif config["budget"] != str(total):
        config["budget"] = str(total)
        with store.transaction():
            store.put("config", config)
    return _run(store, grammar, task, total, threads, device, on_progress, own)


class _Search:
    """The state of a search between two generations."""

    def __init__(
        self,
        store: Store,
        grammar: Grammar,
        ladder: Ladder,
        plan: Plan,
        on_progress: OnProgress,
        proposer: AbstractProposer,
    ) -> None:
        self.store, self.ladder, self.plan, self.report = store, ladder, plan, on_progress
        self.grammar = grammar
        self.proposer = proposer
        self.reference = zoo.find(REFERENCE).expr
        state = store.get("state") or {"generation": 0, "seconds": 0.0, "judged": 0}
        self.generation: int = state["generation"]
        self.seconds: float = state["seconds"]
        self.judged: int = state["judged"]
        self.barren: int = state.get("barren", 0)
        #: What each part of the work has cost: candidates and seconds, for the report only.
        self.costs: dict[str, list[float]] = state.get("costs", {})
        if "proposer" in state:
            self.proposer.restore(state["proposer"])
        known = store.candidates()
        self.next_id = len(known) + 1
        self.seen = {c.fingerprint for c in known if c.outcome == Outcome.PASSED}
        self.formulas = {c.id: c.formula for c in known}
        self.mini = {s.candidate: (s.ood, s.id_error) for s in store.scores("mini")}
        self.full = {s.candidate: (s.ood, s.id_error) for s in store.scores("full")}
        # The first screening on a machine compiles; that time belongs to no budget.
        screen(self.reference)
        self.references = store.get("references") or self._judge_reference()

    def _judge_reference(self) -> dict[str, list[float]]:
        mini = stats.score(self.ladder.mini([self.reference])[0], self.ladder.mini_data.families)
        full = stats.score(self.ladder.full([self.reference])[0], self.ladder.full_data.families)
        references = {
            "mini": [mini.ood, mini.id_error],
            "full": [full.ood, full.id_error],
        }
        with self.store.transaction():
            self.store.put("references", references)
            self.store.put("ridge_families", self.ladder.ridge_families)
        return references

    def step(self, limit: int | None) -> None:
        """Run one generation; judge at most ``limit`` candidates (None for no limit)."""
        started = time.monotonic()
        with self._timed("propose", self.plan.generation):
            proposals = self.proposer.ask(self.plan.generation)
        with self._timed("screen", len(proposals)):
            candidates, passed = self._screen(proposals, limit)
        with self._timed("ridge", len(passed)):
            ridge = self._ridge([candidate for candidate, _ in passed])
        mini = self._mini(ridge)
        full, simplified = self._full(mini)
        outcome = {c.id: self.mini.get(c.id) for c, _ in passed}
        with self._timed("propose", 0):
            self._tell(proposals, candidates, passed, outcome)
        self.generation += 1
        self.barren = 0 if passed else self.barren + 1
        self.judged += len(passed)
        self.seconds += time.monotonic() - started
        with self.store.transaction():
            self.store.add_candidates(candidates)
            self.store.add_scores([*ridge, *mini, *full], VERSION)
            self.store.add_simplified(simplified)
            self.store.put("state", self._state())

    @contextmanager
    def _timed(self, part: str, candidates: int) -> Iterator[None]:
        start = time.monotonic()
        yield
        before = self.costs.get(part, [0, 0.0])
        self.costs[part] = [before[0] + candidates, before[1] + time.monotonic() - start]

    def _state(self) -> dict[str, Any]:
        return {
            "generation": self.generation,
            "seconds": self.seconds,
            "judged": self.judged,
            "barren": self.barren,
            "exhausted": self.exhausted,
            "costs": self.costs,
            "proposer": self.proposer.state(),
        }

    @property
    def exhausted(self) -> bool:
        """Whether nothing more comes: the proposer says so, or generations on end were barren."""
        return self.barren >= BARREN_GENERATIONS or self.proposer.finished

    def _screen(
        self, proposals: Sequence[Proposal], limit: int | None
    ) -> tuple[list[Candidate], list[tuple[Candidate, Proposal]]]:
        """Screen proposals in order; with a limit, stop after as many have passed."""
        candidates: list[Candidate] = []
        passed: list[tuple[Candidate, Proposal]] = []
        for proposal in proposals:
            if limit is not None and len(passed) >= limit:
                break
            if proposal.refused:
                candidates.append(self._refused(proposal))
                continue
            checked = screen(proposal.expr, max_slope=self.grammar.max_slope)
            verdict = checked.outcome
            if verdict is Outcome.PASSED and checked.fingerprint in self.seen:
                verdict = Outcome.DUPLICATE
            expr = proposal.expr
            if verdict is Outcome.PASSED:
                self.seen.add(checked.fingerprint)
                expr = simplify(expr, seconds=0)
            candidate = Candidate(
                id=self.next_id,
                formula=show(expr),
                fingerprint=checked.fingerprint,
                origin=proposal.origin,
                parents=proposal.parents,
                generation=self.generation,
                outcome=verdict.value,
                flops=flops(expr),
                nodes=expr.size,
            )
            self.next_id += 1
            candidates.append(candidate)
            if verdict is Outcome.PASSED:
                passed.append((candidate, proposal))
                self.formulas[candidate.id] = candidate.formula
        return candidates, passed

    def _refused(self, proposal: Proposal) -> Candidate:
        """Record what was no candidate, with its reason, so that nothing proposed is lost."""
        self.next_id += 1
        return Candidate(
            id=self.next_id - 1,
            formula=proposal.text,
            fingerprint="",
            origin=f"{proposal.origin}: {proposal.refused}",
            parents=(),
            generation=self.generation,
            outcome=REFUSED,
            flops=0,
            nodes=0,
        )

    def _ridge(self, candidates: Sequence[Candidate]) -> list[Scored]:
        errors = self.ladder.ridge([parse(c.formula) for c in candidates])
        families = self.ladder.ridge_families
        return [
            _scored(c.id, "ridge", e, families) for c, e in zip(candidates, errors, strict=True)
        ]

    def _mini(self, ridge: Sequence[Scored]) -> list[Scored]:
        """Mini-train the best share by ridge."""
        if not ridge:
            return []
        values = self.ladder.ridge_order([scored.errors for scored in ridge])
        keep = max(1, round(self.plan.mini_share * len(ridge)))
        order = np.argsort(values, kind="stable")[:keep]
        chosen = sorted(int(i) for i in order)
        ids = [ridge[i].candidate for i in chosen]
        with self._timed("mini", len(ids)):
            errors = self.ladder.mini([parse(self.formulas[i]) for i in ids])
        families = self.ladder.mini_data.families
        scores = [_scored(i, "mini", e, families) for i, e in zip(ids, errors, strict=True)]
        self.mini.update({s.candidate: (s.ood, s.id_error) for s in scores})
        return scores

    def _full(self, mini: Sequence[Scored]) -> tuple[list[Scored], dict[int, str]]:
        """Fully train the best candidates so far that are not yet, a share of this generation."""
        count = max(1, round(self.plan.full_share * len(mini))) if mini else 0
        waiting = [i for i in self.mini if i not in self.full]
        waiting.sort(key=lambda i: (merit(self.mini[i], self.references["mini"]), i))
        ids = sorted(waiting[:count])
        exprs = [parse(self.formulas[i]) for i in ids]
        with self._timed("simplify", len(ids)):
            simplified = {
                i: show(simplify(expr, seconds=SIMPLIFY_SECONDS))
                for i, expr in zip(ids, exprs, strict=True)
            }
        with self._timed("full", len(ids)):
            errors = self.ladder.full(exprs)
        families = self.ladder.full_data.families
        scores = [_scored(i, "full", e, families) for i, e in zip(ids, errors, strict=True)]
        self.full.update({s.candidate: (s.ood, s.id_error) for s in scores})
        return scores, simplified

    def _tell(
        self,
        proposals: Sequence[Proposal],
        candidates: Sequence[Candidate],
        passed: Sequence[tuple[Candidate, Proposal]],
        outcome: dict[int, tuple[float, float] | None],
    ) -> None:
        by_proposal = {id(proposal): candidate for candidate, proposal in passed}
        told = []
        for proposal, stored in zip(proposals, candidates, strict=False):
            candidate = by_proposal.get(id(proposal))
            score = None if candidate is None else outcome[candidate.id]
            objectives = (
                None if candidate is None or score is None else (*score, float(candidate.flops))
            )
            told.append(Told(proposal.expr, objectives, stored.outcome))
        self.proposer.tell(told)

    def progress(self, phase: str, fraction: float, message: str = "") -> None:
        best, ratio = "", None
        if self.full:
            reference = self.references["full"]
            top = min(self.full, key=lambda i: (merit(self.full[i], reference), i))
            best, ratio = self.formulas[top], stats.plain(self.full[top][0] - reference[0])
        counts = self.store.counts()
        self.report(Progress(phase, fraction, self.seconds, counts, best, ratio, message))

    def finalists(self) -> list[int]:
        """Return the candidates of the full rung's Pareto front, the best by merit first."""
        flops_of = {c.id: c.flops for c in self.store.candidates() if c.id in self.full}
        points = [(*self.full[i], float(flops_of[i])) for i in self.full]
        front = [i for i, keep in zip(self.full, non_dominated(points), strict=True) if keep]
        front.sort(key=lambda i: (merit(self.full[i], self.references["full"]), i))
        rest = sorted(
            (i for i in self.full if i not in front),
            key=lambda i: (merit(self.full[i], self.references["full"]), i),
        )
        # The best by merit are judged anew even where a lucky neighbour dominates them.
        top = sorted(self.full, key=lambda i: (merit(self.full[i], self.references["full"]), i))
        half = self.plan.finalists // 2
        return list(dict.fromkeys([*top[:half], *front, *rest]))[: self.plan.finalists]


def _run(
    store: Store,
    grammar: Grammar,
    task: Task,
    budget: Budget,
    threads: int | None,
    device: str | None,
    on_progress: OnProgress | None,
    proposer: AbstractProposer | None = None,
) -> Result:
    report: OnProgress = on_progress or (lambda progress: None)
    config = config_of(store)
    plan = Plan(**config["plan"])
    try:
        proposer = proposer or _proposer(config["proposer"], grammar, config["seed"], plan)
        ladder = Ladder(task, config["seed"], plan, threads=threads, device=device)
        _pass_gate(store, ladder, report)
        state = _Search(store, grammar, ladder, plan, report, proposer)
        state.progress("search", budget.fraction(state.seconds, state.judged))
        while budget.fraction(state.seconds, state.judged) < 1 and not state.exhausted:
            limit = None if budget.candidates is None else budget.candidates - state.judged
            state.step(limit)
            used = budget.fraction(state.seconds, state.judged)
            state.progress("search", used, _why_it_ends(proposer) if state.exhausted else "")
        _select(state)
        if store.get("finished_generation") != state.generation:
            with store.transaction():
                store.put("finished_generation", state.generation)
        state.progress("done", 1.0)
        return result_of(store)
    finally:
        if proposer is not None:
            proposer.close()
        store.close()


def _proposer(text: str, grammar: Grammar, seed: int, plan: Plan) -> AbstractProposer:
    seeds = _seed_exprs(grammar)
    return make(text, grammar, seed=seed, population=plan.population, seeds=seeds)


def _why_it_ends(proposer: AbstractProposer) -> str:
    if proposer.trouble:
        return f"the proposer failed too often in a row: {proposer.trouble[0]}"
    return "the proposer has no more proposals" if proposer.finished else _EXHAUSTED


def _pass_gate(store: Store, ladder: Ladder, report: OnProgress) -> None:
    """Run the brief gate once a run and report its warnings."""
    known = store.get("gate")
    if known is None:
        report(Progress("gate", 0.0, 0.0, store.counts()))
        gate: Gate = check_task(ladder)
        known = {"warnings": list(gate.warnings)}
        with store.transaction():
            store.put("gate", known)
    for warning in known["warnings"]:
        report(Progress("gate", 0.0, 0.0, store.counts(), message=f"warning: {warning}"))


def _select(state: _Search) -> None:
    """Judge the finalists on the selection draws, unless that was done for this very search."""
    ids = state.finalists()
    known = state.store.get("selected")
    if not ids or (known is not None and known["ids"] == ids):
        return
    state.progress("select", 1.0)
    simplified = state.store.simplified()
    exprs = [parse(simplified[i]) for i in ids]
    data, errors = state.ladder.selection([*exprs, state.reference])
    scores = [
        _scored(i, "selection", e, data.families) for i, e in zip(ids, errors[:-1], strict=True)
    ]
    reference = stats.score(errors[-1], data.families)
    with state.store.transaction():
        state.store.add_scores(scores, VERSION)
        state.store.put(
            "selected",
            {
                "ids": ids,
                "families": data.families,
                "reference": {
                    "ood": reference.ood,
                    "id_error": reference.id_error,
                    "families": reference.families,
                },
            },
        )


def _scored(
    candidate: int, rung: str, errors: NDArray[np.float64], families: Sequence[str]
) -> Scored:
    score = stats.score(errors, families)
    return Scored(candidate, rung, score.ood, score.id_error, errors)


def _seed_exprs(grammar: Grammar) -> tuple[Expr, ...]:
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
    lines = [
        f"{key} = {_toml(config[key])}"
        for key in ("protocol", "grammar", "task", "budget", "seed", "proposer")
    ]
    for table in ("plan", "versions"):
        lines += ["", f"[{table}]"]
        lines += [f"{key} = {_toml(value)}" for key, value in config[table].items()]
    (store.path / "config.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)
