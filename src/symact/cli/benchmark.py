"""Tools for the benchmark scripts: timing, tables, goals and JSON output.

A script is a file in ``benchmarks/`` that defines ``measure(bench)``. ``symact bench NAME`` runs
it. Absolute times depend on the machine and its load. Scripts therefore measure alternatives in
turn, in one process, and report the ratios of the times.
"""

from __future__ import annotations

import json
import os
import platform
import runpy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from symact.errors import SymactError, choices
from symact.reporting.text_table import Column, numbers, plain

#: Significant digits of numbers in tables.
DIGITS = 4

#: Pause before each measurement, in seconds. Threads of some libraries spin after their work.
SETTLE = 0.02


class Bench:
    """Collects the times, rows and ratios of one script.

    Attributes:
        quick: Whether to finish within 45 s, with fewer rounds and candidates.
        rows: Rows of the table, in order of measurement.
        ratios: For each name the value, the goal, the kind of the goal (``"bound"``, ``"least"`` or
            ``"most"``), and whether the goal is met.
    """

    def __init__(self, quick: bool, say: Callable[[str], None] = lambda line: None) -> None:
        self.quick = quick
        self.say = say
        self.rows: list[dict[str, Any]] = []
        self.ratios: dict[str, dict[str, Any]] = {}

    def times(
        self,
        works: Mapping[str, Callable[[], object]],
        *,
        rounds: int,
        quick_rounds: int = 3,
        processor: bool = False,
        smallest: bool = False,
    ) -> dict[str, float]:
        """Return the time of each piece of work in seconds. All are measured in turn.

        A measurement repeats short work until it takes about 10 ms.

        Args:
            works: The pieces of work by name.
            rounds: The number of measurements of each.
            quick_rounds: Their number in a quick run.
            processor: False for the median of the wall time. True for the smallest processor time
                of the process, which other processes disturb less. It suits work of one thread.
            smallest: True for the smallest wall time, without repetition of short work.
        """
        clock = time.process_time if processor else time.perf_counter
        statistic = min if processor or smallest else statistics.median
        repeats: dict[str, int] = {}
        for name, work in works.items():
            work()
            start = time.perf_counter()
            work()
            taken_once = time.perf_counter() - start
            repeats[name] = 1 if smallest else max(1, round(0.01 / taken_once))
        taken: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(quick_rounds if self.quick else rounds):
            for name, work in works.items():
                if not smallest:
                    time.sleep(SETTLE)
                start = clock()
                for _ in range(repeats[name]):
                    work()
                taken[name].append((clock() - start) / repeats[name])
        return {name: float(statistic(own)) for name, own in taken.items()}

    def row(self, name: str, **columns: float | str | None) -> None:
        """Add a row to the table."""
        self.rows.append({"name": name, **columns})
        self.say(name)

    def ratio(
        self,
        name: str,
        value: float | None,
        *,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        """Add a ratio and its goal.

        None is a value that this machine cannot measure; it meets no goal.
        """
        goal, bound = (least, "least") if most is None else (most, "most")
        assert goal is not None
        met = value is not None and (value >= goal if bound == "least" else value <= goal)
        self.ratios[name] = {"value": value, "goal": goal, "bound": bound, "met": met}

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"machine": machine(), "rows": self.rows, "ratios": self.ratios}

    def to_text(self) -> str:
        """Return the report as text.

        It contains the machine, a table for each kind of row, and the ratios with their goals.
        """
        facts = ", ".join(f"{key} {value}" for key, value in machine().items())
        # Rows of one kind have the same columns.
        kinds: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in self.rows:
            kinds.setdefault(tuple(row), []).append(row)
        tables = [
            _table(names, [[row[name] for name in names] for row in rows])
            for names, rows in kinds.items()
        ]
        ratios = [[name, *_result(own)] for name, own in self.ratios.items()]
        tables.append(_table(("ratio", "value", "goal", "met"), ratios))
        return "\n\n".join([facts, *tables]) + "\n"


def _result(ratio: Mapping[str, Any]) -> tuple[Any, str, str]:
    """Return the value of a ratio, its goal as text, and whether the goal is met."""
    met = "not measured" if ratio["value"] is None else "yes" if ratio["met"] else "no"
    return ratio["value"], f"at {ratio['bound']} {_text(ratio['goal'])}", met


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    first, *others = names
    return plain([Column(first), *numbers(*others)], [list(map(_text, row)) for row in rows])


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell:.{DIGITS}g}" if isinstance(cell, float) else str(cell)


def machine() -> dict[str, Any]:
    """Return the processor, the GPU and the versions of libraries, without the name of the host."""
    from symact.evaluation.training.torch_mlp import gpu_name

    versions = {}
    for package in ("numpy", "numba", "torch", "deap", "pyoperon", "triton"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "gpu": gpu_name(),
        "python": platform.python_version(),
        **versions,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def scripts() -> dict[str, Path]:
    """Return the benchmark scripts by name, from the wheel or from the checkout."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "_benchmarks", here.parents[3] / "benchmarks" / "speed"):
        found = {f.stem: f for f in sorted(folder.glob("*.py")) if not f.stem.startswith("_")}
        if found:
            return found
    return {}


def run(name: str, *, quick: bool = False, say: Callable[[str], None] = lambda line: None) -> Bench:
    """Run a benchmark script.

    Args:
        name: Name of the script's file without its suffix.
        quick: Whether to finish within 45 s.
        say: Called with a line of text after each row.

    Raises:
        SymactError: There is no such script.
    """
    known = scripts()
    if name not in known:
        raise SymactError(f"unknown benchmark '{name}'; {choices(name, known)}")
    bench = Bench(quick, say)
    runpy.run_path(str(known[name]))["measure"](bench)
    return bench


def dump(bench: Bench) -> str:
    """Return the report as JSON text."""
    return json.dumps(bench.to_json(), indent=1, allow_nan=False)
