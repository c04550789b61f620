"""What the loop itself costs: everything but training, which is simulated.

Workers answer at once with errors that depend on the function alone. What is left is proposing,
screening, dispatch, scoring, learning and the database: the most that one process can direct.

``driver.py growth 1000000 FILE`` searches until so many are judged and writes, at every power of
two, processor time of a candidate, memory and the size of the run; then the time that reading and
resuming take. ``driver.py draw FILE`` draws it. FILE is ``benchmarks/results/growth.jsonl``.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from symact.cli.benchmark import Bench
from symact.engine import resume
from symact.engine.result import load
from symact.evaluation import InlineExecutor
from symact.reporting.figures.style import COLOURS, save, styled

sys.path.insert(0, str(Path(__file__).parent))
from _simulated import errors, timed

GOAL = 2000.0


def measure(bench: Bench) -> None:
    """Measure candidates a second with and without evolution, surrogate and a file."""
    count = 4096 if bench.quick else 16384
    ways = {
        "random": {"proposer": "random"},
        "gp": {"proposer": "gp"},
        "gp, surrogate among 4": {"proposer": "gp", "pool": 4},
    }
    for name, arguments in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            seen = []
            timed(
                count,
                out=Path(folder) / "run",
                on_progress=lambda p, seen=seen: seen.append((p.phase, p.seconds)),
                **arguments,
            )
            seconds = next(s for phase, s in reversed(seen) if phase == "search")
        rate = count / seconds
        bench.row(name, **{"judged": count, "seconds": seconds, "a second": rate})
        bench.ratio(f"{name}: judged a second over {GOAL:g}", rate / GOAL, least=1.0)


def growth(most: int, record: Path) -> None:
    """Search until ``most`` are judged; write a line of JSON at every power of two.

    The last line has the seconds that reading the run takes, and what going on with it does.
    """
    page = resource.getpagesize()
    with tempfile.TemporaryDirectory() as folder, record.open("x") as lines:
        out, due, last = Path(folder) / "run", [1024], [(0, time.process_time())]

        def write(**values):
            print(json.dumps(values), file=lines, flush=True)
            print(values, flush=True)

        def note(progress):
            judged = progress.counts["mini"]
            if judged < due[0] and progress.phase != "done":
                return
            now = time.process_time()
            before, then = last[0]
            size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
            used = int(Path("/proc/self/statm").read_text().split()[1]) * page
            each = (now - then) / max(judged - before, 1)
            write(judged=judged, ms=1e3 * each, memory_mib=used / 2**20, disk_mib=size / 2**20)
            last[0] = (judged, now)
            due[0] = 2 * judged

        timed(most, "gp", out=out, on_progress=note)

        def go_on():
            # The budget is spent: it reads all that it would go on from.
            resume(out, executor=InlineExecutor(errors))

        readers = {
            "load": lambda: load(out),
            "table": lambda: load(out).to_frame(),
            "go_on": go_on,
        }
        seconds = {}
        for name, read in readers.items():
            started = time.process_time()
            read()
            seconds[f"{name}_seconds"] = time.process_time() - started
        write(**seconds)


def draw(record: Path) -> None:
    """Draw what ``growth`` has written, beside it."""
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    # A step of a few generations says little of what one takes.
    rows = [row for row in rows if "judged" in row and row["judged"] >= 4096]
    judged = [row["judged"] for row in rows]
    with styled((7.2, 2.6)) as figure:
        left, right = (figure.add_axes((x, 0.18, 0.38, 0.72)) for x in (0.08, 0.58))
        left.plot(judged, [row["ms"] for row in rows], color=COLOURS[0], marker="o", ms=3)
        left.set_ylim(0)
        left.set_ylabel("processor ms of a candidate")
        for name, colour in (("memory", COLOURS[0]), ("disk", COLOURS[1])):
            values = [row[f"{name}_mib"] for row in rows]
            right.plot(judged, values, color=colour, marker="o", ms=3)
            # In the end both may be the same.
            right.annotate(
                name, (judged[0], values[0]), (0, 12), textcoords="offset points", color=colour
            )
        right.set_yscale("log")
        right.set_ylabel("MiB")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xlabel("candidates judged")
        save(figure, record.with_suffix(".png"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["growth"] and len(sys.argv) == 4:
        growth(int(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["draw"] and len(sys.argv) == 3:
        draw(Path(sys.argv[2]))
    else:
        report = Bench(quick=False, say=print)
        measure(report)
        print(report.to_text(), end="")
