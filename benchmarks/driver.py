"""What the loop itself costs: everything but training, which is simulated.

Workers answer at once with errors that depend on the function alone. What is left is proposing,
screening, dispatch, scoring, learning and the database: the most that one process can direct.

``python benchmarks/driver.py growth 1000000`` searches until so many are judged and prints, at
every power of two, candidates a second, memory and the size of the run; then the time that reading
takes.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from symact.bench import Bench
from symact.result import load

sys.path.insert(0, str(Path(__file__).parent))
from _simulated import timed

GOAL = 2000.0


def measure(bench: Bench) -> None:
    """Measure candidates a second with and without evolution, forecast and a file."""
    count = 4096 if bench.quick else 16384
    ways = {
        "random": {"proposer": "random"},
        "gp": {"proposer": "gp"},
        "gp, forecast of 4": {"proposer": "gp", "pool": 4},
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


def growth(most: int) -> None:
    """Search until ``most`` are judged; print a line of JSON at every power of two."""
    with tempfile.TemporaryDirectory() as folder:
        out, due, last = Path(folder) / "run", [1024], [(0, time.monotonic())]

        def note(progress):
            judged = progress.counts["mini"]
            if judged < due[0] and progress.phase != "done":
                return
            now = time.monotonic()
            before, then = last[0]
            size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                json.dumps(
                    {
                        "judged": judged,
                        "a_second": round((judged - before) / max(now - then, 1e-9), 1),
                        "peak_mib": round(peak),
                        "disk_mib": round(size / 2**20, 1),
                    }
                ),
                flush=True,
            )
            last[0] = (judged, now)
            due[0] = 2 * judged

        timed(most, "gp", out=out, on_progress=note)
        for name, read in (("load", lambda: load(out)), ("table", lambda: load(out).to_frame())):
            started = time.monotonic()
            read()
            print(json.dumps({f"{name}_seconds": round(time.monotonic() - started, 1)}), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["growth"] and sys.argv[2:]:
        growth(int(sys.argv[2]))
    else:
        report = Bench(quick=False, say=print)
        measure(report)
        print(report.to_text(), end="")
