"""What a search reports while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symact.tasks import scores as stats

if TYPE_CHECKING:
    from symact.engine.state import SearchState


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a search after a step.

    Attributes:
        phase: ``"diagnosis"``, ``"search"``, ``"select"`` or ``"done"``.
        fraction: Of the search done, in [0, 1].
        seconds: Wall time of the run so far, over all sessions.
        counts: As in :attr:`Result.counts`.
        best: The best formula so far, on the highest fidelity that was reached; empty at first.
        ratio: Its OOD error over the reference's on that fidelity, or None. Draws differ, so the
            ratio of the reference to itself is not exactly 1.
        message: A line for the log, possibly empty.
        fidelity: The fidelity that ``best`` was trained on; empty at first.
        baseline: The name of the reference, where ``best`` is that function; else empty.
        reference: The name of the reference; empty before the first result.
    """

    phase: str
    fraction: float
    seconds: float
    counts: dict[str, int]
    best: str = ""
    ratio: float | None = None
    message: str = ""
    fidelity: str = ""
    baseline: str = ""
    reference: str = ""


OnProgress = Callable[[Progress], None]


def progress_of(
    state: SearchState,
    fidelities: Sequence[str],
    reference: str,
    phase: str,
    fraction: float,
    message: str = "",
) -> Progress:
    """Return the progress of a search.

    Args:
        state: The state.
        fidelities: Names of all fidelities that are counted.
        reference: The fingerprint of the reference function.
        phase: As :attr:`Progress.phase`.
        fraction: As :attr:`Progress.fraction`.
        message: As :attr:`Progress.message`.
    """
    counts = {"seen": state.next_id - 1, "screened": state.screened}
    counts |= {name: len(state.evaluated.get(name, ())) for name in fidelities}
    best = state.best_so_far()
    if best is None:
        return Progress(phase, fraction, state.seconds, counts, message=message)
    fidelity, trial = best
    return Progress(
        phase,
        fraction,
        state.seconds,
        counts,
        best=trial.formula,
        ratio=stats.plain(state.above_reference(trial, fidelity)),
        message=message,
        fidelity=fidelity,
        baseline=state.problem.reference if trial.fingerprint == reference else "",
        reference=state.problem.reference,
    )
