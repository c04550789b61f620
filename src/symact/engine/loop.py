"""The state of a search between two steps, and what a step does."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symact import zoo
from symact.backends.simplify import simplify
from symact.engine.baselines import bases
from symact.engine.generation import Generation, Opened
from symact.engine.progress import OnProgress, Progress
from symact.engine.promotion import Queue
from symact.engine.result import merit
from symact.evaluation import (
    Failed,
    Ladder,
    Outcome,
    Plan,
    Screened,
    Surrogate,
    Trained,
    as_stored,
    failure,
    screen,
)
from symact.evaluation.futures import done, gather
from symact.evaluation.jobs import Tuned
from symact.expr import Expr, parse
from symact.grammar import Grammar
from symact.proposers import REFUSED, AbstractProposer, EvaluatedProposal, Proposal
from symact.proposers.local_search import variants
from symact.storage.database import Candidate, Scored, Store
from symact.tasks import scores as stats
from symact.tasks.protocol import REFERENCE, VERSION

#: After so many generations in a row without a new candidate a search ends.
BARREN_GENERATIONS = 20
#: Share of a generation that is trained whatever was forecast of it.
EXPLORED = 0.1
#: What became of a proposal that came through the screen and was not chosen.
PASSED_OVER = "passed over"
#: What part of the time the search should wait for workers, where results come as they will: with
#: less, workers wait for it.
IDLE = (0.05, 0.2)
#: How far apart, in a list of proposals, those begin that generations take whatever is forecast.
_STRIDE = 7919


class Search:
    """The state of a search between two steps.

    A generation is opened (asked for, screened, its training begun) and closed (trained, the best
    promoted, the proposer told, all of it stored). Where the proposer can look ahead the next one
    is opened before the last one is closed, so that no core waits; what is under way is part of
    the stored state.

    In the order of asking a step closes one generation with all that it promotes. In the order of
    arrival it takes whatever has been trained meanwhile; then no worker ever waits for another, and
    no two runs are the same.
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
        self._is_ordered = plan.order == "asked"
        self._uses_surrogate = plan.pool > 1 and plan.ladder
        self.generation = int(state["generation"])
        self.seconds = float(state["seconds"])
        self.judged = int(state["judged"])
        self.barren = int(state.get("barren", 0))
        self.refined: set[int] = set(state.get("refined", ()))
        #: Proposals for each candidate that is trained, where there is a forecast.
        self.pool = float(state.get("pool", plan.pool))
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
        self.seen: set[str] = set()
        for candidate in passed:
            self._remember(candidate.fingerprint, parse(candidate.formula))
        self.formulas = {c.id: c.formula for c in known}
        self.flops = {c.id: c.flops for c in known}
        self.tags = {c.id: c.tag for c in known}
        born = {c.id: c.generation for c in known}
        # The first screening on a machine compiles; that time belongs to no budget.
        screen(zoo.find(REFERENCE).expr)
        self.bases = bases(store, ladder)
        self.references = {rung: base.reference for rung, base in self.bases.items()}
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
        self.forecast = Surrogate()
        for rung in ("mini", "full"):
            for scored in store.scores(rung):
                draw = self.draw(rung, scored.candidate, born[scored.candidate])
                self._record(rung, [scored.candidate], [scored.errors], [draw])
        if any(state.get("forecast", ())):
            self.forecast.fit(tuple(state["forecast"]))
        self.queues["full"].leave_out({*self.full, *state.get("climbing", ())})
        self.queues["refine"].leave_out(self.refined)
        #: Generations that were opened and not closed, by number.
        self.under_way: dict[int, Generation] = {}
        #: Candidates that are being fully trained or tuned, where results come as they will.
        self.climbing: set[int] = set()
        self.tuning: set[int] = set()
        #: What is under way, in the mode of arrival: kind and number of each future.
        self._pending: dict[Future[Any], tuple[str, int]] = {}
        self._begin_again(state)

    def _begin_again(self, state: dict[str, Any]) -> None:
        """Train what was under way when the state was stored."""
        opened = [Opened.load(one) for one in state.get("under_way", ())]
        whole = [[self.generation, len(opened), False]] if opened else []
        #: How many generations were opened.
        self.opened = int(state.get("opened", self.generation + len(whole)))
        for number, count, is_refined in state.get("numbers", whole):
            own, opened = opened[: int(count)], opened[int(count) :]
            for one in own:
                if one.outcome == Outcome.PASSED:
                    self._remember(one.fingerprint, one.trained)
            self._train(own, int(number), is_refined=bool(is_refined))
        if opened:
            raise ValueError(f"{len(opened)} proposals of no generation")
        self._climb([int(number) for number in state.get("climbing", ())])
        self._tune([int(number) for number in state.get("tuning", ())])

    def draw(self, rung: str, number: int, generation: int) -> int:
        """Return which draw a rung takes: a generation shares one, full trainings take turns."""
        return number if rung == "full" and self.plan.ladder else generation

    def step(self, room: int | None) -> None:
        """Close a generation, or take what was trained; store it.

        Args:
            room: How many candidates may still be judged, None for any number.
        """
        started = time.monotonic()
        if self._is_ordered:
            self._step_in_turn(room, started)
        else:
            self._step_as_it_comes(room, started)

    def _step_in_turn(self, room: int | None, started: float) -> None:
        """Close one generation; open the next one before, if that can be."""
        current = (self._oldest() or self._open(room)).cut(room)
        del self.under_way[current.number]
        room = None if room is None else room - len(current.passed)
        looks_ahead = self.plan.lookahead and self.proposer.looks_ahead
        if looks_ahead and not self.proposer.finished and (room is None or room > 0):
            ahead = self._open(room)
            room = None if room is None else room - len(ahead.passed)
        with self._timed(self._lowest, len(current.passed)):
            candidates, scores = self._take_in(current, current.trained())
        earned = len(scores)
        known = list(zip(current.opened, candidates, strict=True))
        if self.plan.ladder:
            with self._timed("refine", 0):
                refined = self._refine(self.plan.refine_share * earned, room, current.number)
                extra, found = self._take_in(refined, refined.trained())
            known += zip(refined.opened, extra, strict=True)
            scores += found
            earned = len(scores)
            scores += self._promote(self.plan.full_share * earned)
        self.barren = 0 if current.passed else self.barren + 1
        self._finish(known, scores, earned, started)

    def _oldest(self) -> Generation | None:
        return next(iter(self.under_way.values()), None)

    def _step_as_it_comes(self, room: int | None, started: float) -> None:
        """Take what was trained meanwhile, and begin as much as keeps the workers busy."""
        opened = self.opened
        self._fill(room)
        known: list[tuple[Opened, Candidate]] = []
        scores: list[Scored] = []
        judged = asked = 0
        waiting = time.monotonic()
        with self._timed("train", 0):
            arrived = self._arrived()
        if self.opened > opened:
            now = time.monotonic()
            self._adapt((now - waiting) / max(now - started, 1e-9))
        for (kind, number), result in arrived:
            if kind == "full":
                self.climbing.discard(number)
                scores += self._record("full", [number], [result], [number])
            elif kind == "tuning":
                self.tuning.discard(number)
                left = self._left(room)
                self._train_variants([number], [result], None if left is None else left - judged)
            else:
                left = None if room is None else room - judged
                current = self.under_way.pop(number).cut(left)
                candidates, found = self._take_in(current, result[: len(current.passed)])
                known += zip(current.opened, candidates, strict=True)
                scores += found
                judged += len(found)
                if not current.is_refined:
                    asked += len(found)
                    self.barren = 0 if current.passed else self.barren + 1
        if self.plan.ladder:
            self._climb(self._take("full", self.plan.full_share * judged))
            chosen = self._take("refine", self.plan.refine_share * asked)
            self.refined.update(chosen)
            self._tune(chosen)
        self._finish(known, scores, judged, started)

    def _fill(self, room: int | None) -> None:
        """Open generations until the workers have enough to do."""
        while not self.proposer.finished:
            left = self._left(room)
            # Of the generations that train now, some candidates have been trained already.
            is_enough = self._training >= self.plan.generation + 2 * self.ladder.workers
            if is_enough or (left is not None and left <= 0):
                return
            if self.under_way and not (self.plan.lookahead and self.proposer.looks_ahead):
                return
            if not self._open(left).passed:  # it counts as barren when it is closed
                return

    def _adapt(self, idle: float) -> None:
        """Surrogate among fewer proposals where asking, and no worker, is what holds up the search.

        Args:
            idle: The share of its time that a step waited for workers.
        """
        if idle < IDLE[0]:
            self.pool = max(1.0, self.pool / 1.3)
        elif idle > IDLE[1]:
            self.pool = min(float(self.plan.pool), self.pool * 1.1)

    @property
    def _training(self) -> int:
        """How many candidates are in the generations under way."""
        return sum(len(current.passed) for current in self.under_way.values())

    def _left(self, room: int | None) -> int | None:
        """Return how many more than those under way may be judged."""
        return None if room is None else room - self._training

    def _climb(self, numbers: Sequence[int]) -> None:
        """Begin full training; results come as they will."""
        self.climbing.update(numbers)
        waiting = self.start_full([(i, i % self.plan.full_draws) for i in numbers])
        for number, future in zip(numbers, waiting, strict=True):
            self._pending[future] = ("full", number)

    def _tune(self, numbers: Sequence[int]) -> None:
        """Begin to tune; results come as they will."""
        self.tuning.update(numbers)
        for number, future in zip(numbers, self._start_tuning(numbers), strict=True):
            self._pending[future] = ("tuning", number)

    def _arrived(self) -> list[tuple[tuple[str, int], Any]]:
        """Wait for work under way; return all that has ended, in the order in which it began."""
        ended = wait(self._pending, return_when=FIRST_COMPLETED).done
        arrived = [future for future in self._pending if future in ended]
        return [(self._pending.pop(future), future.result()) for future in arrived]

    def _open(self, room: int | None) -> Generation:
        """Ask for a generation, screen it and begin to train it."""
        number, self.opened = self.opened, self.opened + 1
        count = self.plan.generation
        is_choosy = self.plan.pool > 1 and self.proposer.looks_ahead and self.forecast.is_ready
        asked = max(count, round(count * self.pool)) if is_choosy else count
        with self._timed("propose", asked):
            proposals = self.proposer.ask(asked)
        with self._timed("screen", len(proposals)):
            opened = self._screen(proposals, None if is_choosy else room)
        if is_choosy:
            with self._timed("forecast", asked):
                opened = self._choose(opened, count if room is None else min(count, room), number)
        return self._train(self._admitted(opened), number)

    def _admitted(self, opened: Sequence[Opened]) -> list[Opened]:
        """Write down what is kept; what will be trained in its short form, known from now on."""
        admitted = []
        for one in opened:
            expr = one.proposal.expr
            if one.outcome == Outcome.PASSED:
                try:
                    expr = simplify(expr, seconds=0)
                except Exception as error:  # it stays as it is
                    one = replace(one, failure=failure(error).reason)
                self._remember(one.fingerprint, expr)
            if one.outcome != REFUSED:
                one = one.written(expr)
            admitted.append(one)
        return admitted

    def _choose(self, opened: Sequence[Opened], count: int, number: int) -> list[Opened]:
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
            start = number * _STRIDE % len(passed)
            others = [p for p in (*range(start, len(passed)), *range(start)) if p not in best]
            kept = {*best, *others[: count - len(best)]}
            chosen = [one for place, one in enumerate(passed) if place in kept]
        else:
            chosen = []
        forgotten = Counter(one.outcome for one in opened)
        forgotten[PASSED_OVER] = forgotten.pop(Outcome.PASSED.value, 0) - len(chosen)
        for name, count in forgotten.items():
            if count:
                self.passed_over[name] = self.passed_over.get(name, 0) + count
        return chosen

    def _train(
        self, opened: Sequence[Opened], number: int, *, is_refined: bool = False
    ) -> Generation:
        """Start the training of what passed the screen, on the lowest rung there is."""
        exprs = [one.trained for one in opened if one.outcome == Outcome.PASSED]
        futures = self.ladder.start(self._lowest, exprs, number)
        begun = Generation(number, tuple(opened), tuple(futures), is_refined)
        if not is_refined or not self._is_ordered:
            self.under_way[number] = begun
        if not self._is_ordered:
            self._pending[gather(futures)] = ("generation", number)
        return begun

    @property
    def _lowest(self) -> str:
        return "mini" if self.plan.ladder else "full"

    def _take_in(
        self, current: Generation, trained: Sequence[Trained]
    ) -> tuple[list[Candidate], list[Scored]]:
        """Number the candidates of a generation and score those that were trained."""
        candidates = [self._number(one, current.number) for one in current.opened]
        passed = [c.id for c in candidates if c.outcome == Outcome.PASSED]
        draws = [current.number] * len(passed)
        return candidates, self._record(self._lowest, passed, trained, draws)

    def _finish(
        self,
        known: Sequence[tuple[Opened, Candidate]],
        scores: Sequence[Scored],
        judged: int,
        started: float,
    ) -> None:
        """Let proposer and forecast learn of what is new, and store it with the state."""
        with self._timed("propose", 0):
            self._tell(known, [scored.candidate for scored in scores])
        if self._uses_surrogate and self.forecast.is_due:
            with self._timed("forecast", 0):
                self.forecast.fit()
                self.proposer.revalue(self._estimate)
        self.generation += 1
        self.judged += judged
        self.seconds += time.monotonic() - started
        with self.store.transaction():
            self.store.add_candidates([candidate for _, candidate in known])
            self.store.add_scores(scores, VERSION)
            self.store_failures()
            self.store.put("state", self._state())

    def _number(self, one: Opened, generation: int) -> Candidate:
        candidate = one.numbered(self.next_id, generation)
        self.next_id += 1
        self.formulas[candidate.id] = candidate.formula
        self.flops[candidate.id] = candidate.flops
        self.tags[candidate.id] = candidate.tag
        self.screened += one.outcome == Outcome.PASSED
        if one.failure:
            where = "short form" if one.outcome == Outcome.PASSED else "screen"
            self.failures.append((candidate.id, where, one.failure))
        return candidate

    def store_failures(self) -> None:
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
        under_way = list(self.under_way.values())
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
            "opened": self.opened,
            "pool": self.pool,
            "under_way": [one.dump() for current in under_way for one in current.opened],
            "numbers": [[own.number, len(own.opened), own.is_refined] for own in under_way],
            "climbing": sorted(self.climbing),
            "tuning": sorted(self.tuning),
            "costs": self.costs,
            "proposer": self.proposer.state(),
        }

    @property
    def exhausted(self) -> bool:
        """Whether nothing more comes: the proposer says so, or generations on end were barren."""
        if self._training:
            return False
        return self.barren >= BARREN_GENERATIONS or self.proposer.finished

    def _screened(self, expr: Expr) -> Screened:
        mirrors = self.plan.dedupe_mirrors
        return screen(expr, max_slope=self.grammar.max_slope, mirrors=mirrors)

    def _remember(self, fingerprint: str, expr: Expr) -> None:
        """Reject later duplicates of a candidate, whose mirror key is that of its short form."""
        if self.plan.dedupe:
            self.seen.add(fingerprint)
            if self.plan.dedupe_mirrors:
                with suppress(Exception):  # a candidate may not end a search
                    self.seen.add(self._screened(expr).mirror_key)

    def _screen(self, proposals: Sequence[Proposal], room: int | None) -> list[Opened]:
        """Screen proposals in order; with a limit, stop after as many have passed.

        What is kept is written down later (:meth:`_admitted`).
        """
        opened: list[Opened] = []
        here: set[str] = set()
        passed = 0
        for proposal in proposals:
            if room is not None and passed >= room:
                break
            if proposal.refused:
                opened.append(Opened(proposal, proposal.text, "", REFUSED, 0, 0))
                continue
            failed = ""
            try:
                checked = self._screened(proposal.expr)
            except Exception as error:  # a candidate may not end a search
                checked, failed = Screened(Outcome.FAILED), failure(error).reason
            verdict = checked.outcome
            is_new = checked.keys.isdisjoint(self.seen) and checked.keys.isdisjoint(here)
            if self.plan.dedupe and verdict is Outcome.PASSED and not is_new:
                verdict = Outcome.DUPLICATE
            if verdict is Outcome.PASSED:
                passed += 1
                here |= checked.keys
            mark = checked.fingerprint
            opened.append(Opened(proposal, "", mark, verdict.value, 0, 0, failed))
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
        base, found = self.bases[rung], []
        for number, one, draw in zip(ids, trained, draws, strict=True):
            own = self.errors(rung, number, one)
            above, self.cases[number] = base.above(own, draw)
            score = (base.reference[0] + above[0], base.reference[1] + above[1])
            found.append(Scored(number, rung, *score, own))
            if rung == "full":
                self.full[number] = score
                own_place = (merit(score, base.reference), number)
                self.top = own_place if self.top is None else min(self.top, own_place)
                if number in self.mini and self._uses_surrogate:
                    self.forecast.correct(number, above)
                continue
            self.mini[number] = score
            if self._uses_surrogate:
                self.forecast.add(number, parse(self.formulas[number]), above)
            for queue in self.queues.values():
                queue.add(number, self.merit("mini", number))
        return found

    def errors(self, rung: str, number: int, trained: Trained) -> NDArray[np.float64]:
        """Return errors as they will be stored, so that a resumed search computes the same."""
        if isinstance(trained, Failed):
            self.failures.append((number, rung, trained.reason))
            return np.full((len(self.bases[rung].families), 1, 4), np.nan)
        return as_stored(trained)

    def _estimate(self, exprs: Sequence[Expr]) -> list[tuple[float, float, float]]:
        """Return OOD and ID error and what functions are chosen by, all as forecast."""
        base = self.references["mini"]
        found = []
        for ood, inside in self.forecast.predict(exprs)[0].tolist():
            score = (base[0] + ood, base[1] + inside)
            found.append((*score, merit(score, base)))
        return found

    def merit(self, rung: str, number: int) -> float:
        score = self.mini[number] if rung == "mini" else self.full[number]
        return merit(score, self.references[rung])

    def _take(self, part: str, earned: float) -> list[int]:
        """Take the best of those that wait for a part of the work."""
        forecasts = self.forecast_merits if self.forecast.is_ready else None
        return self.queues[part].take(earned, forecasts)

    def forecast_merits(self, numbers: Sequence[int]) -> NDArray[np.float64]:
        """Return merits above the reference's, in log10."""
        above = self.forecast.of(numbers)
        return stats.merit(above[:, 0], above[:, 1])

    def _refine(self, earned: float, room: int | None, number: int) -> Generation:
        """Begin to train variants of the best that were not refined yet, tuned and pruned."""
        chosen = self._take("refine", earned)
        self.refined.update(chosen)
        tuned = [future.result() for future in self._start_tuning(chosen)]
        return self._train_variants(chosen, tuned, room, number)

    def _start_tuning(self, numbers: Sequence[int]) -> list[Future[Tuned]]:
        if not self.plan.tune:
            return [done(None) for _ in numbers]
        return [self.ladder.start_tuning(parse(self.formulas[number])) for number in numbers]

    def _train_variants(
        self,
        numbers: Sequence[int],
        tuned: Sequence[Tuned],
        room: int | None,
        generation: int | None = None,
    ) -> Generation:
        """Begin to train variants of candidates: tuned, rounded, pruned."""
        proposals: list[Proposal] = []
        for number, constants in zip(numbers, tuned, strict=True):
            if isinstance(constants, Failed):
                self.failures.append((number, "tuning", constants.reason))
                constants = None
            expr = parse(self.formulas[number])
            made = variants(expr, constants, self.grammar, prune=self.plan.prune)
            # They belong where the candidate does.
            proposals += [replace(proposal, tag=self.tags[number]) for proposal in made]
        if generation is None:
            generation, self.opened = self.opened, self.opened + 1
        opened = self._admitted(self._screen(proposals, room))
        return self._train(opened, generation, is_refined=True)

    def _promote(self, earned: float) -> list[Scored]:
        """Fully train the best candidates so far that are not yet, as many as are due."""
        ids = self._take("full", earned)
        waiting = self.start_full([(i, i % self.plan.full_draws) for i in ids])
        with self._timed("full", len(ids)):
            trained = [future.result() for future in waiting]
        return self._record("full", ids, trained, ids)

    def start_full(self, wanted: Sequence[tuple[int, int]]) -> list[Future[Trained]]:
        """Start full training of candidates, each on a draw; those of a draw go together."""
        together: dict[int, list[int]] = {}
        for number, draw in wanted:
            together.setdefault(draw, []).append(number)
        waiting = {
            (number, draw): future
            for draw, numbers in together.items()
            for number, future in zip(
                numbers,
                self.ladder.start("full", [parse(self.formulas[i]) for i in numbers], draw),
                strict=True,
            )
        }
        return [waiting[one] for one in wanted]

    def complete(self) -> None:
        """Wait for what climbs; fully train as many as there are finalists, if they are fewer."""
        scores: list[Scored] = []
        while self.climbing:
            for (kind, number), result in self._arrived():
                if kind == "full":
                    self.climbing.discard(number)
                    scores += self._record("full", [number], [result], [number])
        missing = min(self.plan.finalists, len(self.mini)) - len(self.full)
        if self.plan.ladder and missing > 0:
            scores += self._promote(missing - self.queues["full"].due)
        if not scores:
            return
        with self.store.transaction():
            self.store.add_scores(scores, VERSION)
            self.store_failures()
            self.store.put("state", self._state())

    def _tell(self, known: Sequence[tuple[Opened, Candidate]], judged: Sequence[int]) -> None:
        results = [(candidate.id, one.proposal.expr, candidate.outcome) for one, candidate in known]
        # Those that were promoted are told again, with what full training says of them.
        new = {candidate.id for _, candidate in known}
        results += [
            (number, parse(self.formulas[number]), Outcome.PASSED.value)
            for number in judged
            if number not in new
        ]
        forecasts: dict[int, float] = {}
        if self.forecast.is_ready and judged:
            trained = [number for number in judged if number in self.mini]
            merits = self.forecast_merits(trained) if trained else ()
            forecasts = dict(zip(trained, map(float, merits), strict=True))
        self.proposer.tell([self._told(*result, forecasts) for result in results])

    def _told(
        self, number: int, expr: Expr, outcome: str, forecasts: Mapping[int, float]
    ) -> EvaluatedProposal:
        tag = self.tags[number]
        score = self.mini.get(number) or self.full.get(number)
        if score is None:
            return EvaluatedProposal(expr, None, outcome, tag=tag)
        rungs = [r for r, scores in (("mini", self.mini), ("full", self.full)) if number in scores]
        # Relative to the reference all estimate the same; their mean is nearer to it.
        above = [self.merit(rung, number) - self.references[rung][0] for rung in rungs]
        if number in forecasts:
            above.append(forecasts[number])
        error = self.references[rungs[0]][0] + float(np.add.reduce(above)) / len(above)
        objectives = (*score, float(self.flops[number]))
        return EvaluatedProposal(expr, objectives, outcome, error, self.cases.get(number, ()), tag)

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
