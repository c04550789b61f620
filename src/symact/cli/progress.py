"""Show the progress of a search: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symact.cli.console import note, quoted
from symact.reporting.text_table import one_line

if TYPE_CHECKING:
    from symact.engine import Progress

#: Interval between two plain lines of a phase, in seconds.
_EVERY = 10.0
#: Largest displayed share. A complete bar would stop its clock while the last trainings still run.
_NEARLY = 0.9999
#: Displayed names of the phases of a search.
_PHASES = {"diagnosis": "checking the task", "select": "judging finalists"}


class Reporter:
    """Context manager that shows the progress of a search into ``folder``."""

    def __init__(self, folder: Path | str, quiet: bool = False) -> None:
        self._folder = folder
        self._quiet = quiet
        self._bar: Any = None
        self._task: Any = None
        self._phase = ""
        self._shown_at = 0.0

    def __enter__(self) -> Reporter:
        if sys.stderr.isatty() and not self._quiet:
            self._bar = _bar()
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is KeyboardInterrupt:
            print(file=sys.stderr)
            note(f"stopped; continue with: symact resume {quoted(self._folder)}")

    def __call__(self, progress: Progress) -> None:
        """Show a step of the search."""
        if progress.message:
            self._say(progress.message)
        elif self._bar is not None:
            self._show(progress)
        elif not self._quiet:
            self._print(progress)

    def _show(self, progress: Progress) -> None:
        if progress.phase != self._phase:
            self._begin(progress.phase)
        if progress.phase == "done":
            return
        self._bar.update(
            self._task,
            total=1.0 if _is_measured(progress) else None,
            completed=min(progress.fraction, _NEARLY) if _is_measured(progress) else 0.0,
            status=one_line(status(progress)),
        )

    def _begin(self, phase: str) -> None:
        """End the bar of the last phase and start a bar for the next phase."""
        if self._task is not None:
            self._bar.update(self._task, total=1.0, completed=1.0)
        self._phase = phase
        if phase != "done":
            name = _PHASES.get(phase, phase)
            self._task = self._bar.add_task(name, total=None, status="")

    def _print(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._shown_at < _EVERY and progress.phase == self._phase:
            return
        share = f" {progress.fraction:4.0%}" if _is_measured(progress) else ""
        note(f"{_PHASES.get(progress.phase, progress.phase)}{share} {status(progress)}")
        self._shown_at, self._phase = now, progress.phase

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(one_line(line), markup=False, highlight=False)
        else:
            note(line)


def _is_measured(progress: Progress) -> bool:
    """Return whether the share of finished work in a phase is known and below 1."""
    return progress.phase == "search" or 0.0 < progress.fraction < 1.0


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        console=Console(stderr=True),
    )


def status(progress: Progress) -> str:
    """Return a text with counts, rate, remaining time and the best function so far."""
    counts = progress.counts
    trained = {name: n for name, n in counts.items() if name not in ("seen", "screened")}
    parts = [", ".join(f"{n} {name}" for name, n in {"seen": counts["seen"], **trained}.items())]
    lowest = next(iter(trained.values()), 0)
    if progress.seconds > 0 and lowest:
        parts.append(f"{lowest / progress.seconds:.1f} trained/s")
    if progress.phase == "search" and 0 < progress.fraction < 1:
        left = progress.seconds * (1 - progress.fraction) / progress.fraction
        parts.append(f"{left:.0f} s left")
    if progress.baseline:
        parts.append(f"best so far: {progress.baseline} itself")
    elif progress.ratio is not None:
        where = "" if progress.fidelity == [*trained, ""][-2] else f", {progress.fidelity}"
        reference = f"{progress.reference}'s" if progress.reference else "the reference's"
        parts.append(f"best OOD error {progress.ratio:.2f} of {reference}{where}: {progress.best}")
    return " | ".join(parts)
