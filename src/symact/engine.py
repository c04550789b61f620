"""The one loop: ask, climb the ladder, tell, store; then judge the finalists on fresh draws.

A generation is the unit of progress and of recovery: it is computed from the state before it alone,
and stored in one transaction together with the state after it.
"""

from __future__ import annotations

import functools
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact import stats, zoo
from symact.anchors import bases
from symact.budget import Budget, parse_budget
from symact.cost import flops
from symact.errors import GrammarError, ParseError, StoreError, TaskError, ZooError
from symact.expr import Expr, parse, show
from symact.gate import Gate, check_task
from symact.grammar import Grammar
from symact.promotion import Queue
from symact.propose import (
    REFUSED,
    AbstractProposer,
    Evolution,
    Proposal,
    Proposer,
    Told,
    adapt,
    make,
)
from symact.protocol import LADDER, REFERENCE, VERSION
from symact.refine import variants
from symact.result import Result, config_of, merit, non_dominated, result_of
from symact.score import (
    Failed,
    Forecast,
    Ladder,
    Outcome,
    Plan,
    Screened,
    Trained,
    apart,
    check_device,
    check_executor,
    failure,
    features,
    screen,
    whole,
)
from symact.simplify import simplify
from symact.store import (
    CONFIG_FILE,
    GAPS,
    Candidate,
    Scored,
    Store,
    as_stored,
    create,
    in_memory,
    open_run,
)
from symact.tasks import TASKS, Task
from symact.tasks import task as built_in_task

#: Seconds of computing that sympy may spend on a finalist.
SIMPLIFY_SECONDS = 2.0

#: After so many generations in a row without a new candidate a search ends.
BARREN_GENERATIONS = 20
#: Candidates that are fully trained on every draw at the end, for each finalist.
SEMIFINALISTS = 2
#: Share of a generation that is trained whatever was forecast of it.
EXPLORED = 0.1
#: What became of a proposal that came through the screen and was not chosen.
PASSED_OVER = "passed over"
#: How far apart, in a list of proposals, those begin that generations take whatever is forecast.
_STRIDE = 7919
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
    evolution: Evolution | None = None,
    threads: int | None = None,
    device: str | None = None,
    executor: str = "threads",
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
        threads: Workers, each of which trains a candidate at a time; None for the number of cores.
            No result depends on it.
        device: For full training; None for ``cuda`` where there is one, else ``cpu``.
        executor: What workers are: ``"threads"``; ``"processes"``, of which a candidate may end one
            and no more; ``"ray"`` for a Ray cluster of this machine, ``"ray:ADDRESS"`` for another.
            No result depends on it.
        on_progress: Called after each step.

    Raises:
        SymactError: Of the kind that names what is wrong: grammar, task, budget or directory.
    """
    spent = parse_budget(budget)
    chosen = grammar if isinstance(grammar, Grammar) else Grammar.load(grammar)
    target = built_in_task(task) if isinstance(task, str) else task
    check_device(device, executor)
    check_executor(executor)
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
    with closing(store), store.claimed():
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
    executor: str = "threads",
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
    check_executor(executor)
    total = None if budget is None else parse_budget(budget)
    store = open_run(path)
    with closing(store), store.claimed():
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


def _task_again(path: str | Path, name: str) -> Task:
    if name not in TASKS:
        raise StoreError(f"{path}: its task '{name}' came from arrays; pass task=")
    return built_in_task(name)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A proposal that was screened; it gets its number when its generation is complete."""

    proposal: Proposal
    formula: str
    fingerprint: str
    outcome: str
    flops: int
    nodes: int
    #: Why it failed in the screen, "" where it did not.
    failure: str = ""

    def dump(self) -> list[Any]:
        p = self.proposal
        own = [show(p.expr), p.origin, list(p.parents), p.refused, p.text, list(p.tag)]
        mark = [self.formula, self.fingerprint, self.outcome, self.flops, self.nodes]
        return [*own, *mark, self.failure]

    @classmethod
    def load(cls, stored: Sequence[Any]) -> _Opened:
        formula, origin, parents, refused, text, tag, *rest = stored
        proposal = Proposal(parse(formula), origin, tuple(parents), refused, text, tuple(tag))
        return cls(proposal, *rest)

    def numbered(self, number: int, generation: int) -> Candidate:
        refused = self.proposal.refused
        return Candidate(
            id=number,
            formula=self.formula,
            fingerprint=self.fingerprint,
            origin=f"{self.proposal.origin}: {refused}" if refused else self.proposal.origin,
            parents=self.proposal.parents,
            generation=generation,
            outcome=self.outcome,
            flops=self.flops,
            nodes=self.nodes,
            tag=self.proposal.tag,
        )


@dataclass(frozen=True, slots=True)
class _Generation:
    """Proposals under way: those that passed the screen train on the lowest rung."""

    opened: tuple[_Opened, ...]
    trained: Callable[[], list[Trained]]

    @property
    def passed(self) -> list[_Opened]:
        return [one for one in self.opened if one.outcome == Outcome.PASSED]

    def cut(self, room: int | None) -> _Generation:
        """Leave out what a budget, which a resumed run may have anew, has no room for."""
        places = [p for p, one in enumerate(self.opened) if one.outcome == Outcome.PASSED]
        if room is None or len(places) <= room:
            return self
        return _Generation(self.opened[: places[room]], lambda: self.trained()[:room])


class _Search:
    """The state of a search between two generations.

    A generation is opened (asked for, screened, its training begun) and closed (trained, the best
    promoted, the proposer told, all of it stored). Where the proposer can look ahead the next one
    is opened before the last one is closed, so that no core waits; what is under way is part of
    the stored state.
    """

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
        self.generation = int(state["generation"])
        self.seconds = float(state["seconds"])
        self.judged = int(state["judged"])
        self.barren = int(state.get("barren", 0))
        self.refined: set[int] = set(state.get("refined", ()))
        #: What became of proposals that are not stored one by one, since a forecast chose others.
        self.passed_over = {str(name): int(n) for name, n in state.get("passed_over", {}).items()}
        #: What each part of the work has cost: candidates and seconds, for the report only.
        self.costs = {
            str(part): [int(count), float(seconds)]
            for part, (count, seconds) in state.get("costs", {}).items()
        }
        if "proposer" in state:
            self.proposer.restore(state["proposer"])
        known = store.candidates()
        if "rows" in state and int(state["rows"][0]) != len(known):
            raise ValueError(f"{len(known)} candidates of {state['rows'][0]}")
        self.next_id = len(known) + 1
        passed = [c for c in known if c.outcome == Outcome.PASSED]
        self.screened = len(passed)
        self.seen = {c.fingerprint for c in passed}
        self.formulas = {c.id: c.formula for c in known}
        self.flops = {c.id: c.flops for c in known}
        self.tags = {c.id: c.tag for c in known}
        born = {c.id: c.generation for c in known}
        # The first screening on a machine compiles; that time belongs to no budget.
        screen(zoo.find(REFERENCE).expr)
        self._bases = bases(store, ladder)
        self.references = {rung: base.reference for rung, base in self._bases.items()}
        if store.get("references") is None:
            with store.transaction():
                store.put("references", self.references)
        #: What failed since the last transaction: candidate, where, why.
        self.failures: list[tuple[int, str, str]] = []
        self.mini: dict[int, tuple[float, float]] = {}
        self.full: dict[int, tuple[float, float]] = {}
        #: Merit and number of the best that is fully trained.
        self.top: tuple[float, int] | None = None
        self.cases: dict[int, tuple[float, ...]] = {}
        #: What was mini-trained and neither promoted nor refined yet.
        due = state.get("due", {})
        self.queues = {
            part: Queue(self.formulas, float(due.get(part, 0.0))) for part in ("full", "refine")
        }
        self.forecast = Forecast()
        for rung in ("mini", "full"):
            for scored in store.scores(rung):
                draw = self._draw(rung, scored.candidate, born[scored.candidate])
                self._record(rung, [scored.candidate], [scored.errors], [draw])
        if any(state.get("forecast", ())):
            self.forecast.fit(tuple(state["forecast"]))
        self.queues["full"].leave_out(self.full)
        self.queues["refine"].leave_out(self.refined)
        self.under_way: _Generation | None = None
        if state.get("under_way"):
            opened = [_Opened.load(one) for one in state["under_way"]]
            self.seen.update(one.fingerprint for one in opened if one.outcome == Outcome.PASSED)
            self.under_way = self._train(opened, self.generation)

    def _draw(self, rung: str, number: int, generation: int) -> int:
        """Return which draw a rung takes: a generation shares one, full trainings take turns."""
        return number if rung == "full" and self.plan.ladder else generation

    def step(self, room: int | None) -> None:
        """Close one generation; open the next one before, if that can be.

        Args:
            room: How many candidates may still be judged, None for any number.
        """
        started = time.monotonic()
        current = (self.under_way or self._open(room, self.generation)).cut(room)
        self.under_way = None
        room = None if room is None else room - len(current.passed)
        looks_ahead = self.plan.lookahead and self.proposer.looks_ahead
        if looks_ahead and not self.proposer.finished and (room is None or room > 0):
            self.under_way = self._open(room, self.generation + 1)
            room = None if room is None else room - len(self.under_way.passed)
        self._close(current, room, started)

    def _open(self, room: int | None, generation: int) -> _Generation:
        count = self.plan.generation
        is_choosy = self.plan.pool > 1 and self.proposer.looks_ahead and self.forecast.is_ready
        asked = count * self.plan.pool if is_choosy else count
        with self._timed("propose", asked):
            proposals = self.proposer.ask(asked)
        with self._timed("screen", len(proposals)):
            opened = self._screen(proposals, None if is_choosy else room)
        if is_choosy:
            with self._timed("forecast", asked):
                opened = self._choose(opened, count if room is None else min(count, room))
        return self._train(self._admitted(opened), generation)

    def _admitted(self, opened: Sequence[_Opened]) -> list[_Opened]:
        """Simplify what will be trained, and know it from now on."""
        admitted = []
        for one in opened:
            if one.outcome == Outcome.PASSED:
                if self.plan.dedupe:
                    self.seen.add(one.fingerprint)
                try:
                    expr = simplify(one.proposal.expr, seconds=0)
                except Exception as error:  # it stays as it is
                    one = replace(one, failure=failure(error).reason)
                else:
                    one = replace(one, formula=show(expr), flops=flops(expr), nodes=expr.size)
            admitted.append(one)
        return admitted

    def _choose(self, opened: Sequence[_Opened], count: int) -> list[_Opened]:
        """Keep those with the best forecasts, and some drawn by their place alone to learn from.

        The others are counted and forgotten; a proposer may propose them again.
        """
        passed = [one for one in opened if one.outcome == Outcome.PASSED]
        if passed:
            exprs = [one.proposal.expr for one in passed]
            # The first of its proposer's marks is the island: each has its share, so that they
            # stay apart.
            islands = [one.proposal.tag[0] if one.proposal.tag else -1 for one in passed]
            best = self.forecast.choose(exprs, count - round(EXPLORED * count), islands)
            # From another place of the list each time, so that every island has its turn.
            start = self.generation * _STRIDE % len(passed)
            others = [p for p in (*range(start, len(passed)), *range(start)) if p not in best]
            kept = {*best, *others[: count - len(best)]}
            chosen = [one for place, one in enumerate(passed) if place in kept]
        else:
            chosen = []
        for one in opened:
            if one not in chosen:
                name = PASSED_OVER if one.outcome == Outcome.PASSED else one.outcome
                self.passed_over[name] = self.passed_over.get(name, 0) + 1
        return chosen

    def _train(self, opened: Sequence[_Opened], generation: int) -> _Generation:
        """Start the training of what passed the screen, on the lowest rung there is."""
        exprs = [parse(one.formula) for one in opened if one.outcome == Outcome.PASSED]
        if self.plan.ladder:
            return _Generation(tuple(opened), self.ladder.start_mini(exprs, generation))
        return _Generation(tuple(opened), self.ladder.start_full(exprs, generation))

    def _close(self, current: _Generation, room: int | None, started: float) -> None:
        candidates = [self._number(one) for one in current.opened]
        passed = [c for c in candidates if c.outcome == Outcome.PASSED]
        rung = "mini" if self.plan.ladder else "full"
        draws = [self.generation] * len(passed)
        with self._timed(rung, len(passed)):
            scores = self._record(rung, [c.id for c in passed], current.trained(), draws)
        extra: list[Candidate] = []
        refined: list[Scored] = []
        if self.plan.ladder:
            with self._timed("refine", 0):
                extra, refined = self._refine(len(passed), room)
            scores += refined
            scores += self._promote(self.plan.full_share * (len(passed) + len(refined)))
        with self._timed("propose", 0):
            self._tell(current.opened, candidates, extra, [s.candidate for s in scores])
        if self.plan.pool > 1 and self.plan.ladder and self.forecast.is_due:
            with self._timed("forecast", 0):
                self.forecast.fit()
                self.proposer.revalue(self._estimate)
        self.generation += 1
        self.barren = 0 if passed else self.barren + 1
        self.judged += len(passed) + len(refined)
        self.seconds += time.monotonic() - started
        with self.store.transaction():
            self.store.add_candidates([*candidates, *extra])
            self.store.add_scores(scores, VERSION)
            self._store_failures()
            self.store.put("state", self._state())

    def _number(self, one: _Opened) -> Candidate:
        candidate = one.numbered(self.next_id, self.generation)
        self.next_id += 1
        self.formulas[candidate.id] = candidate.formula
        self.flops[candidate.id] = candidate.flops
        self.tags[candidate.id] = candidate.tag
        self.screened += one.outcome == Outcome.PASSED
        if one.failure:
            where = "short form" if one.outcome == Outcome.PASSED else "screen"
            self.failures.append((candidate.id, where, one.failure))
        return candidate

    def _store_failures(self) -> None:
        """Put into quarantine what failed since the last time."""
        self.store.add_quarantined(self.failures)
        self.failures = []

    @contextmanager
    def _timed(self, part: str, candidates: int) -> Iterator[None]:
        start = time.monotonic()
        yield
        before = self.costs.get(part, [0, 0.0])
        self.costs[part] = [before[0] + candidates, before[1] + time.monotonic() - start]

    def _state(self) -> dict[str, Any]:
        under_way = self.under_way.opened if self.under_way is not None else ()
        return {
            "generation": self.generation,
            # What the run holds by now: a salvaged run that holds less is not gone on with.
            "rows": [self.next_id - 1, len(self.mini) + len(self.full)],
            "seconds": self.seconds,
            "judged": self.judged,
            "barren": self.barren,
            "exhausted": self.exhausted,
            "due": {part: queue.due for part, queue in self.queues.items()},
            "refined": sorted(self.refined),
            "forecast": self.forecast.fitted,
            "passed_over": self.passed_over,
            "under_way": [one.dump() for one in under_way],
            "costs": self.costs,
            "proposer": self.proposer.state(),
        }

    @property
    def exhausted(self) -> bool:
        """Whether nothing more comes: the proposer says so, or generations on end were barren."""
        if self.under_way is not None and self.under_way.passed:
            return False
        return self.barren >= BARREN_GENERATIONS or self.proposer.finished

    def _screen(self, proposals: Sequence[Proposal], room: int | None) -> list[_Opened]:
        """Screen proposals in order; with a limit, stop after as many have passed."""
        opened: list[_Opened] = []
        here: set[str] = set()
        passed = 0
        for proposal in proposals:
            if room is not None and passed >= room:
                break
            if proposal.refused:
                opened.append(_Opened(proposal, proposal.text, "", REFUSED, 0, 0))
                continue
            failed = ""
            try:
                checked = screen(proposal.expr, max_slope=self.grammar.max_slope)
            except Exception as error:  # a candidate may not end a search
                checked, failed = Screened(Outcome.FAILED), failure(error).reason
            verdict = checked.outcome
            if self.plan.dedupe and verdict is Outcome.PASSED and checked.fingerprint in self.seen:
                verdict = Outcome.DUPLICATE
            if self.plan.dedupe and verdict is Outcome.PASSED and checked.fingerprint in here:
                verdict = Outcome.DUPLICATE
            if verdict is Outcome.PASSED:
                passed += 1
                here.add(checked.fingerprint)
            expr, mark = proposal.expr, checked.fingerprint
            sizes = (flops(expr), expr.size)
            opened.append(_Opened(proposal, show(expr), mark, verdict.value, *sizes, failed))
        return opened

    def _record(
        self,
        rung: str,
        ids: Sequence[int],
        trained: Sequence[Trained],
        draws: Sequence[int],
    ) -> list[Scored]:
        """Score candidates beside the reference and remember what they are chosen by.

        One that failed counts like one that diverged everywhere.
        """
        base, found = self._bases[rung], []
        for number, one, draw in zip(ids, trained, draws, strict=True):
            own = self._errors(rung, number, one)
            above, self.cases[number] = base.above(own, draw)
            score = (base.reference[0] + above[0], base.reference[1] + above[1])
            found.append(Scored(number, rung, *score, own))
            if rung == "full":
                self.full[number] = score
                own_place = (merit(score, base.reference), number)
                self.top = own_place if self.top is None else min(self.top, own_place)
                if number in self.mini:
                    self.forecast.correct(number, above)
                continue
            self.mini[number] = score
            self.forecast.add(number, parse(self.formulas[number]), above)
            for queue in self.queues.values():
                queue.add(number, self._merit("mini", number))
        return found

    def _errors(self, rung: str, number: int, trained: Trained) -> NDArray[np.float64]:
        """Return errors as they will be stored, so that a resumed search computes the same."""
        if isinstance(trained, Failed):
            self.failures.append((number, rung, trained.reason))
            return np.full((len(self._bases[rung].families), 1, 4), np.nan)
        return as_stored(trained)

    def _estimate(self, exprs: Sequence[Expr]) -> list[tuple[float, float, float]]:
        """Return OOD and ID error and what functions are chosen by, all as forecast."""
        base = self.references["mini"]
        found = []
        for ood, inside in self.forecast.predict(exprs)[0].tolist():
            score = (base[0] + ood, base[1] + inside)
            found.append((*score, merit(score, base)))
        return found

    def _merit(self, rung: str, number: int) -> float:
        score = self.mini[number] if rung == "mini" else self.full[number]
        return merit(score, self.references[rung])

    def _take(self, part: str, earned: float) -> list[int]:
        """Take the best of those that wait for a part of the work."""
        forecasts = self._forecast_merits if self.forecast.is_ready else None
        return self.queues[part].take(earned, forecasts)

    def _forecast_merits(self, numbers: Sequence[int]) -> NDArray[np.float64]:
        """Return merits above the reference's, in log10."""
        above = self.forecast.of(numbers)
        return stats.merit(above[:, 0], above[:, 1])

    def _refine(self, count: int, room: int | None) -> tuple[list[Candidate], list[Scored]]:
        """Mini-train variants of the best that were not refined yet: tuned, rounded, pruned."""
        chosen = self._take("refine", self.plan.refine_share * count)
        self.refined.update(chosen)
        proposals: list[Proposal] = []
        for number in chosen:
            expr = parse(self.formulas[number])
            tuned = self.ladder.start_tuning(expr)() if self.plan.tune else None
            if isinstance(tuned, Failed):
                self.failures.append((number, "tuning", tuned.reason))
                tuned = None
            made = variants(expr, tuned, self.grammar, prune=self.plan.prune)
            # They belong where the candidate does.
            proposals += [replace(proposal, tag=self.tags[number]) for proposal in made]
        opened = self._admitted(self._screen(proposals, room))
        trained = self._train(opened, self.generation)
        candidates = [self._number(one) for one in opened]
        passed = [c.id for c in candidates if c.outcome == Outcome.PASSED]
        draws = [self.generation] * len(passed)
        scores = self._record("mini", passed, trained.trained(), draws)
        return candidates, scores

    def _promote(self, earned: float) -> list[Scored]:
        """Fully train the best candidates so far that are not yet, as many as are due."""
        ids = self._take("full", earned)
        waiting = self._start_full([(i, i % self.plan.full_draws) for i in ids])
        with self._timed("full", len(ids)):
            trained = [wait() for wait in waiting]
        return self._record("full", ids, trained, ids)

    def _start_full(self, wanted: Sequence[tuple[int, int]]) -> list[Callable[[], Trained]]:
        """Start full training of candidates, each on a draw; those of a draw go together.

        A GPU trains them in one stack.
        """
        together: dict[int, list[int]] = {}
        for number, draw in wanted:
            together.setdefault(draw, []).append(number)
        finish = {
            draw: functools.cache(
                self.ladder.start_full([parse(self.formulas[i]) for i in numbers], draw)
            )
            for draw, numbers in together.items()
        }

        def waits_for(number: int, draw: int) -> Callable[[], Trained]:
            return lambda: finish[draw]()[together[draw].index(number)]

        return [waits_for(number, draw) for number, draw in wanted]

    def complete(self) -> None:
        """Fully train as many as there are finalists, if a short search has not come to it."""
        missing = min(self.plan.finalists, len(self.mini)) - len(self.full)
        if not self.plan.ladder or missing <= 0:
            return
        scores = self._promote(missing - self.queues["full"].due)
        with self.store.transaction():
            self.store.add_scores(scores, VERSION)
            self._store_failures()

    def simplified(self, numbers: Sequence[int]) -> dict[int, str]:
        """Return the simplified formulas of finalists, which are remembered one by one."""
        known = self.store.simplified()
        for number in numbers:
            if number in known:
                continue
            known[number] = self.formulas[number]
            try:
                expr = simplify(parse(self.formulas[number]), seconds=SIMPLIFY_SECONDS)
                known[number] = show(expr)
            except Exception as error:  # it stays as it is
                self.failures.append((number, "short form", failure(error).reason))
            with self.store.transaction():
                self.store.add_simplified({number: known[number]})
                self._store_failures()
        return known

    def _tell(
        self,
        opened: Sequence[_Opened],
        candidates: Sequence[Candidate],
        extra: Sequence[Candidate],
        judged: Sequence[int],
    ) -> None:
        told = [
            self._told(one.proposal.expr, candidate)
            for one, candidate in zip(opened, candidates, strict=True)
        ]
        told += [self._told(parse(c.formula), c) for c in extra]
        # Those that were promoted are told again, with what full training says of them.
        known = {candidate.id for candidate in (*candidates, *extra)}
        told += [
            self._told(parse(self.formulas[number]), None, number)
            for number in judged
            if number not in known
        ]
        self.proposer.tell(told)

    def _told(self, expr: Expr, candidate: Candidate | None, number: int = 0) -> Told:
        outcome = candidate.outcome if candidate is not None else Outcome.PASSED.value
        number = candidate.id if candidate is not None else number
        tag = self.tags[number]
        score = self.mini.get(number) or self.full.get(number)
        if score is None:
            return Told(expr, None, outcome, tag=tag)
        rungs = [r for r, scores in (("mini", self.mini), ("full", self.full)) if number in scores]
        # Relative to the reference all estimate the same; their mean is nearer to it.
        above = [self._merit(rung, number) - self.references[rung][0] for rung in rungs]
        if self.forecast.is_ready and number in self.mini:
            above.append(float(self._forecast_merits([number])[0]))
        error = self.references[rungs[0]][0] + float(np.mean(above))
        objectives = (*score, float(self.flops[number]))
        return Told(expr, objectives, outcome, error, self.cases.get(number, ()), tag)

    def progress(self, phase: str, fraction: float, message: str = "") -> None:
        best, ratio = "", None
        if self.top is not None:
            number = self.top[1]
            above = self.full[number][0] - self.references["full"][0]
            best, ratio = self.formulas[number], stats.plain(above)
        counts = {
            "seen": self.next_id - 1,
            "screened": self.screened,
            "mini": len(self.mini),
            "full": len(self.full),
        }
        self.report(Progress(phase, fraction, self.seconds, counts, best, ratio, message))

    def finalists(self) -> list[int]:
        """Return who is judged on the selection draws: the best, and the front of those near them.

        One full training has luck in it. So first the best by the mean of measurement and forecast
        are fully trained on the other draws too; what is nearly the same function as another is
        tried once.
        """
        base = self.references["full"]
        merits = {i: self._merit("full", i) - base[0] for i in self.full}
        if self.forecast.is_ready and self.full:
            known = [i for i in self.full if i in self.mini]
            for i, forecast in zip(known, self._forecast_merits(known), strict=True):
                merits[i] = (merits[i] + float(forecast)) / 2
        tried = self._apart(sorted(self.full, key=lambda i: (merits[i], i)))
        tried = tried[: SEMIFINALISTS * self.plan.finalists]
        scores = self._repeated(tried)
        top = sorted(tried, key=lambda i: (merit(scores[i], base), i))
        points = [(*scores[i], float(self.flops[i])) for i in top]
        front = [i for i, keep in zip(top, non_dominated(points), strict=True) if keep]
        half = (self.plan.finalists + 1) // 2
        return list(dict.fromkeys([*top[:half], *front, *top]))[: self.plan.finalists]

    def _repeated(self, numbers: Sequence[int]) -> dict[int, tuple[float, float]]:
        """Return OOD and ID errors of candidates, means over all draws of full training."""
        known: dict[str, list[float]] = self.store.get("repeated") or {}
        new = [number for number in numbers if str(number) not in known]
        draws = range(self.plan.full_draws)
        # On one of the draws each was trained already.
        trained = {s.candidate: s.errors for s in self.store.scores("full")}
        own = {c.id: self._draw("full", c.id, c.generation) for c in self.store.candidates()}
        wanted = [
            (number, draw)
            for number in new
            for draw in draws
            if draw != own[number] % self.plan.full_draws
        ]
        waiting = dict(zip(wanted, self._start_full(wanted), strict=True))
        base = self._bases["full"]
        for number in new:
            above = []
            for draw in draws:
                wait = waiting.get((number, draw))
                errors = trained[number] if wait is None else self._errors("full", number, wait())
                above.append(base.above(errors, draw)[0])
            means = np.mean(above, axis=0) + np.array(base.reference)
            known[str(number)] = [float(value) for value in means]
            with self.store.transaction():
                self.store.put("repeated", known)
                self._store_failures()
        return {number: (known[str(number)][0], known[str(number)][1]) for number in numbers}

    def _apart(self, numbers: Sequence[int]) -> list[int]:
        """Leave out what is nearly the same function as an earlier one."""
        exprs = [parse(self.formulas[number]) for number in numbers]
        return [numbers[place] for place in apart([features(expr) for expr in exprs])]


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
        plan, evolution = Plan(**config["plan"]), Evolution(**config["evolution"])
    ladder: Ladder | None = None
    try:
        proposer = proposer or _proposer(config["proposer"], grammar, config["seed"], evolution)
        ladder = Ladder(task, config["seed"], plan, **workers)
        _pass_gate(store, ladder, report)
        with store.understood():
            state = _Search(store, grammar, ladder, plan, report, proposer)
        state.progress("search", budget.fraction(state.seconds, state.judged))
        while budget.fraction(state.seconds, state.judged) < 1 and not state.exhausted:
            limit = None if budget.candidates is None else budget.candidates - state.judged
            state.step(limit)
            used = budget.fraction(state.seconds, state.judged)
            state.progress("search", used, _why_it_ends(proposer) if state.exhausted else "")
        state.complete()
        _select(state)
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
    return make(text, grammar, seed=seed, evolution=evolution, seeds=seeds)


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
    state.progress("select", 1.0)
    ids = state.finalists()
    known = state.store.get("selected")
    if not ids or (known is not None and known["ids"] == ids):
        return
    simplified = state.simplified(ids)
    store, ladder = state.store, state.ladder
    judged = {scored.candidate for scored in store.scores("selection")}
    waiting = [number for number in ids if number not in judged]
    base = store.get("yardstick")
    while waiting or base is None:  # what was judged is stored, whatever comes in between
        now, waiting = waiting[: ladder.judged_together], waiting[ladder.judged_together :]
        exprs = [parse(simplified[number]) for number in now]
        data, trained = ladder.selection([*exprs, *([state.reference] if base is None else [])])
        if base is None:
            reference = stats.score(whole(trained[-1:], [REFERENCE])[0], data.families)
            base = {
                "families": data.families,
                "reference": {
                    "ood": reference.ood,
                    "id_error": reference.id_error,
                    "families": reference.families,
                },
            }
        nothing = np.full((len(data.families), len(ladder.final_form.sizes), 1, 4), np.nan)
        scores, failures = [], []
        for number, own in zip(now, trained, strict=False):
            if isinstance(own, Failed):
                failures.append((number, "selection", own.reason))
                own = nothing
            score = stats.score(own, data.families)
            scores.append(Scored(number, "selection", score.ood, score.id_error, own))
        with store.transaction():
            store.put("yardstick", base)
            store.add_scores(scores, VERSION)
            store.add_quarantined(failures)
    with store.transaction():
        store.put("selected", {"ids": ids, **base})


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
