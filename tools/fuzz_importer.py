"""Feed the importer hostile programs and measure the worst call and the memory.

    python tools/fuzz_importer.py [COUNT] [SEED]

Fails if a call takes over a second of its own, memory grows over 500 MB, a file was made, a
refusal hides an exception of the importer's own, or anything was executed, imported, opened or
started while a program was read (by Python's audit events).
"""

from __future__ import annotations

import contextlib
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import hostile

from symact.errors import ImportRefusedError
from symact.importers import from_source

WATCHED = ("exec", "import", "open", "os.", "subprocess.", "socket.", "shutil.", "ctypes.")


def fuzz(count: int, seed: int) -> dict[str, object]:
    """Return what was measured over ``count`` programs."""
    rng = random.Random(seed)
    for harmless in ("def f(x):\n    return x\n", "def f(\xe4):\n    return \xe4 +\n"):
        with contextlib.suppress(ImportRefusedError):
            from_source(harmless)  # what Python imports for itself, it has now
    seen: list[str] = []
    is_watching = False

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        # For a syntax error Python itself looks for a file of the name it was given.
        is_parser = event == "open" and arguments[:1] == ("<unknown>",)
        if is_watching and event.startswith(WATCHED) and not is_parser:
            seen.append(f"{event} {arguments}"[:200])

    sys.addaudithook(watch)
    worst, slowest, outcomes = 0.0, "", Counter()
    before = _peak()
    with tempfile.TemporaryDirectory() as folder:
        canary = str(Path(folder) / "canary")
        for _ in range(count):
            text = hostile.program(rng, canary)
            start = time.process_time()  # what others do on the machine is not its fault
            is_watching = True
            try:
                from_source(text)
                outcome = "imported"
            except ImportRefusedError as error:
                outcome = "refused" if "\n" not in str(error) else "refused in several lines"
                if error.__cause__ is not None:  # an exception of the importer's own
                    outcome = "bug"
                    print(f"{error}: {text[:300]!r}")
            finally:
                is_watching = False
            seconds = time.process_time() - start
            outcomes[outcome] += 1
            if seconds > worst:
                worst, slowest = seconds, text[:300]
        made = [path.name for path in Path(folder).iterdir()]
    return {
        "programs": count,
        "outcomes": dict(outcomes),
        "worst_seconds": worst,
        "slowest": slowest,
        "memory_mb": _peak(),
        "grown_mb": _peak() - before,
        "files_made": made,
        "events": seen,
    }


def _peak() -> float:
    """Return this program's largest memory so far in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says includes the process that started this one
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    measured = fuzz(count, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for key, value in measured.items():
        print(f"{key}: {value!r}")
    is_fine = (
        measured["worst_seconds"] < 1
        and measured["memory_mb"] < 500
        and not {"bug", "refused in several lines"} & measured["outcomes"].keys()
        and not measured["files_made"]
        and not measured["events"]
    )
    sys.exit(0 if is_fine else 1)


if __name__ == "__main__":
    main()
