"""Compare a language model with genetic programming and random proposals, at equal budgets.

    python examples/compare_proposers.py --budget 200 --seeds 3 --model llama3.1

All proposers search the same task with the same seeds and the same number of judged candidates.
Options that ``--help`` does not list go to ``llm_proposer.py``. The same command continues an
interrupted comparison.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

from symact.engine.result import load
from symact.storage.repository import is_run

MODEL = Path(__file__).with_name("llm_proposer.py")


def symact(*arguments: object) -> None:
    """Print and run a command of symact; end with its status if it fails."""
    words = [str(argument) for argument in arguments]
    print(f"$ {shlex.join(['symact', *words])}", flush=True)
    done = subprocess.run([sys.executable, "-m", "symact", *words])
    if done.returncode:
        sys.exit(done.returncode)


def search(run: Path, proposer: str, seed: int, given: argparse.Namespace) -> None:
    """Search, or continue the search, with one proposer and one seed."""
    shared = ["--budget", given.budget, "--no-compare", "--quiet"]
    if is_run(str(run)):
        named = ["--proposer", proposer] if proposer.startswith("exec:") else []
        symact("resume", run, *named, *shared)
    else:
        changes = [word for text in given.set for word in ("--set", text)]
        place = ["--grammar", given.grammar, "--task", given.task, "--seed", seed, "--out", run]
        symact("search", *place, *changes, "--proposer", proposer, *shared)
    judged = load(str(run)).counts.get("mini", 0)
    if judged < given.budget:
        sys.exit(f"{run}: {judged} of {given.budget} candidates judged; repeat after a repair")


def summary(run: Path, record: Path) -> str:
    """Return the numbers of candidates, tokens and the cost of a run as one line."""
    counts = load(str(run)).counts
    text = f"{run.name:12} {counts['mini']:6} judged of {counts['seen']:6} proposed"
    if not record.exists():
        return text
    totals = json.loads(record.read_text("utf-8"))["totals"]
    tokens = f"{totals['prompt_tokens']} + {totals['completion_tokens']} tokens"
    return f"{text}, {tokens} in {totals['calls']} requests, cost {totals['cost']:g}"


def options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    about = "Compare a language model with gp and random. Other options go to llm_proposer.py."
    parser = argparse.ArgumentParser(description=about, allow_abbrev=False)
    parser.add_argument("--budget", type=int, default=200, help="judged candidates of each run")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--out", type=Path, default=Path("runs/proposers"), help="folder of it all")
    parser.add_argument("--task", default="generalist", help="the task of all searches")
    parser.add_argument("--grammar", default="pointwise", help="the grammar of all searches")
    parser.add_argument("--beside", nargs="+", default=["GELU"], help="known functions to compare")
    parser.add_argument("--families", type=int, help="number of families of the comparison")
    parser.add_argument("--set", action="append", default=[], help="a setting of all searches")
    return parser


def main() -> None:
    given, rest = options().parse_known_args()
    runs = {}
    for seed in range(given.seeds):
        record = given.out / f"model-{seed}.json"
        model = [sys.executable, MODEL, *rest, "--seed", seed, "--record", record]
        command = "exec:" + shlex.join(map(str, model))
        # The model comes first: its failures are the most likely.
        for name, proposer in (("model", command), ("gp", "gp"), ("random", "random")):
            run = given.out / f"{name}-{seed}"
            search(run, proposer, seed, given)
            runs[run] = record if name == "model" else run / "none"
    families = ["--families", given.families] if given.families else []
    form = ["--best", 1, *families, "--out", given.out / "comparison", "--quiet"]
    symact("compare", "--curves", *runs, "--out", given.out / "curves")
    symact("compare", *runs, *given.beside, *form)
    print(*(summary(run, record) for run, record in runs.items()), sep="\n")


if __name__ == "__main__":
    main()
