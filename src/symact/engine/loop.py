"""One search: opens generations, closes them with their results, and stores each step.

A step is the unit of progress and of recovery. It is computed from the state before it and the
results of training, and is stored in one transaction with the state after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from symact.engine.asynchronous import Asynchronous
from symact.engine.baselines import train_baselines
from symact.engine.costs import Costs
from symact.engine.feedback import feedback
from symact.engine.generation import Generation
from symact.engine.persistence import restored, store
from symact.engine.progress import OnProgress, progress_of
from symact.engine.refinement import proposed_variants
from symact.engine.schedule import Scheduler, Step, Synchronous
from symact.engine.screening import Screening, choose
from symact.engine.timetable import Timetable
from symact.engine.trial import Trial, TrialState, passed
from symact.evaluation import Ladder, Trained
from symact.evaluation.jobs import Tuned
from symact.grammar import Grammar
from symact.proposers import AbstractProposer
from symact.storage.records import Scored, SearchRecord
from symact.storage.repository import Repository

#: A search ends after so many generations in a row without a new candidate.
BARREN_GENERATIONS = 20

_MODES: dict[str, type[Scheduler]] = {"synchronous": Synchronous, "asynchronous": Asynchronous}


class Search:
    """One search of a run.

    Args:
        repository: The run.
        grammar: Its limits hold for variants of trials too.
        ladder: Trains candidates.
        proposer: Proposes them.
        on_progress: Called by :meth:`progress`.
        timetable: The time of the run.
    """

    def __init__(
        self,
        repository: Repository,
        grammar: Grammar,
        ladder: Ladder,
        proposer: AbstractProposer,
        on_progress: OnProgress,
        timetable: Timetable,
    ) -> None:
        self.grammar, self.ladder, self.plan = grammar, ladder, ladder.plan
        self.proposer, self._report = proposer, on_progress
        record = repository.search() or SearchRecord()
        if record.proposer is not None:
            proposer.restore(record.proposer)
        problem = ladder.problem
        self.timetable = timetable
        self._reference = problem.screen(problem.baselines[problem.reference]).fingerprint
        costs = Costs(record.costs, timetable.clock)
        baselines = train_baselines(repository, ladder, costs)
        fidelities = ladder.fidelities if self.plan.ladder else ladder.fidelities[-1:]
        self.state = restored(problem, repository, record, self.plan, fidelities, baselines, costs)
        self._screening = Screening(
            problem,
            grammar.max_slope,
            dedupe=self.plan.dedupe,
            mirrors=self.plan.dedupe_mirrors,
        )
        self._screening.remember(self.state.trials.values())
        self._scheduler = _MODES[self.plan.mode](self)
        self._train_again(record)  # what was under way when the state was stored
        for trial in self.state.trials.values():
            trial.settle()

    def _train_again(self, record: SearchRecord) -> None:
        for generation in record.under_way:
            trials = [Trial.pending(self.state.problem, row) for row in generation.trials]
            self._screening.remember(passed(trials))
            self._train(trials, generation.number, is_refined=generation.is_refined)
        trials_by_id = self.state.trials
        for fidelity in self.state.fidelities[1:]:
            if ids := record.promoted.get(fidelity.name):
                self._scheduler.promote([trials_by_id[i] for i in ids], fidelity)
        self._scheduler.tune([trials_by_id[i] for i in record.tuning])

    @property
    def looks_ahead(self) -> bool:
        """Whether the next generation may be opened before the last one is closed."""
        return self.plan.lookahead and self.proposer.looks_ahead

    @property
    def exhausted(self) -> bool:
        """Whether no new candidates are to come."""
        if self._scheduler.training:
            return False
        return self.state.barren >= BARREN_GENERATIONS or self.proposer.finished

    def open(self, room: int | None) -> Generation:
        """Ask for a generation, screen it and begin to train it.

        Args:
            room: How many trials may pass at most; None for any number.
        """
        state, count = self.state, self.plan.generation
        number, state.opened = state.opened, state.opened + 1
        is_choosy = self.plan.pool > 1 and self.proposer.looks_ahead and state.surrogate.is_ready
        asked = max(count, round(count * state.pool)) if is_choosy else count
        with state.costs.timed("propose", asked):
            proposals = self.proposer.ask(asked)
        with state.costs.timed("screen", len(proposals)):
            trials = self._screening.screen(proposals, None if is_choosy else room)
        if is_choosy:
            most = count if room is None else min(count, room)
            with state.costs.timed("surrogate", asked):
                trials, forgotten = choose(trials, state.surrogate, most, number)
            for outcome, times in forgotten.items():
                state.passed_over[outcome] = state.passed_over.get(outcome, 0) + times
        return self._train(self._screening.admit(trials), number)

    def _train(
        self, trials: Sequence[Trial], number: int, *, is_refined: bool = False
    ) -> Generation:
        """Begin to train the trials that passed the screen."""
        chosen = passed(trials)
        exprs = [trial.expr for trial in chosen]
        training = self.ladder.start(self.state.lowest.name, exprs, number)
        for trial in chosen:
            trial.state = TrialState.RUNNING
        generation = Generation(number, trials, training, is_refined)
        self._scheduler.watch(generation)
        return generation

    def close(self, generation: Generation, trained: Sequence[Trained], step: Step) -> None:
        """Number the trials of a generation and record the training results."""
        for trial in generation.trials:
            self.state.number(trial, generation.number)
        scores = self.state.record(self.state.lowest, generation.passed, trained)
        step.closed += generation.trials
        step.add(self.state.lowest, scores)
        if not generation.is_refined:
            step.asked += len(scores)
            self.state.barren = 0 if scores else self.state.barren + 1

    def open_variants(
        self,
        trials: Sequence[Trial],
        tuned: Sequence[Tuned],
        room: int | None,
        number: int | None = None,
    ) -> Generation:
        """Begin to train variants of trials: tuned, rounded, pruned.

        Args:
            trials: Which.
            tuned: For each the expression with tuned constants, if there is one.
            room: How many variants may pass at most; None for any number.
            number: Of their generation; None for the next one.
        """
        proposals = proposed_variants(self.state, self.grammar, trials, tuned)
        if number is None:
            number, self.state.opened = self.state.opened, self.state.opened + 1
        variants = self._screening.admit(self._screening.screen(proposals, room))
        return self._train(variants, number, is_refined=True)

    def step(self, room: int | None) -> None:
        """Take results, promote trials, tell the proposer, and store it all.

        Args:
            room: How many candidates may still be judged; None for any number.
        """
        state = self.state
        step = self._scheduler.step(room)
        with state.costs.timed("propose"):
            self.proposer.tell(feedback(state, step))
        if state.uses_surrogate and state.surrogate.is_due:
            with state.costs.timed("surrogate"):
                state.surrogate.fit()
                self.proposer.revalue(state.estimate)
        state.generation += 1
        state.judged += step.counts[state.lowest.name]
        self._store(step.closed, step.scores)

    def complete(self) -> None:
        """Wait for promoted trials; promote as many as there are finalists, if they are fewer."""
        scores = self._scheduler.complete()
        scores += self._scheduler.promote_missing(self.timetable.finalists)
        if scores:
            self._store([], scores)

    def store(self) -> None:
        """Store the state, with the time and the costs so far."""
        self._store([], [])

    def _store(self, closed: Sequence[Trial], scores: Sequence[Scored]) -> None:
        self.state.seconds = self.timetable.spent
        under_way = self._scheduler.under_way.values()
        store(self.state, closed, scores, under_way, self.proposer, exhausted=self.exhausted)

    def progress(self, phase: str, fraction: float, message: str = "") -> None:
        """Report the state of the search."""
        names = [own.name for own in self.ladder.fidelities]
        self._report(progress_of(self.state, names, self._reference, phase, fraction, message))
