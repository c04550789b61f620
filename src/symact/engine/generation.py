"""A pending generation: its trials are screened, and the trials that passed are training."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from symact.engine.trial import Trial, passed
from symact.evaluation import Trained


@dataclass(frozen=True, slots=True)
class Generation:
    """Trials that were opened together and are closed together.

    Attributes:
        number: It selects the draw of tasks that they train on.
        trials: All of them, in the order of proposal.
        training: A future for each that passed the screen.
        is_refined: Whether they are variants of other trials and not proposals.
    """

    number: int
    trials: Sequence[Trial]
    training: Sequence[Future[Trained]]
    is_refined: bool = False

    @property
    def passed(self) -> list[Trial]:
        """The trials that passed the screen."""
        return passed(self.trials)

    def trained(self) -> list[Trained]:
        """Wait for the results of the trials that passed."""
        return [future.result() for future in self.training]

    def cut(self, room: int | None) -> Generation:
        """Leave out the trials for which a budget has no room.

        A resumed run may have another budget.
        """
        places = [index for index, trial in enumerate(self.trials) if trial.passed]
        if room is None or len(places) <= room:
            return self
        return replace(self, trials=self.trials[: places[room]], training=self.training[:room])
