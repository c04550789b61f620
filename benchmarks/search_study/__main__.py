"""``python benchmarks/search_study``: run, judge, report. Each step goes on where it was.

python benchmarks/search_study run      # methods x seeds, hours
python benchmarks/search_study judge    # what they found, on the test draws
python benchmarks/search_study report   # tables and figures from what is kept alone, seconds
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from judging import (
    SEEDS,
    WIDE,
    Judgements,
    judge_chosen,
    judge_curves,
    judge_finals,
    judge_fresh,
    records,
)
from methods import ABLATIONS, BY_NAME, METHODS, Method
from report import report
from runs import run

from symact.errors import SymactError, choices
from symact.evaluation import Plan

#: What the repository keeps: one record a run, errors on test draws, tables and figures.
KEPT = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


#: What is judged: the chosen functions by the whole protocol, or once more on other test instances;
#: the best so far, or the chosen ones, by the quick form.
PARTS = ("finals", "curves", "all", "fresh", "chosen")

#: For a look at whether all works: minutes, and figures that mean nothing.
QUICK = {"mini_networks": 1, "mini_draws": 1, "full_networks": 1, "full_draws": 1}
QUICK_PLAN = Plan(**QUICK, finalists=1, selection_networks=1)


def main() -> None:
    description = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog="benchmarks/search_study", description=description)
    parser.add_argument("step", choices=("run", "judge", "report"))
    parser.add_argument("--methods", default="main", help="names, 'main', or 'ablations'")
    parser.add_argument("--seeds", default="20-24", help="search seeds, such as 20-24")
    parser.add_argument("--budget", default="5m", help="of one search; judging finalists on top")
    parser.add_argument("--finalists", type=int, default=6)
    parser.add_argument("--selection-networks", type=int, default=96, help="for the finalists")
    parser.add_argument("--part", default="all", choices=PARTS)
    parser.add_argument("--training-seeds", type=int, default=SEEDS, help="for the finals")
    parser.add_argument("--quick", action="store_true", help="tiny draws, to see that it works")
    parser.add_argument("--runs", type=Path, help="for run directories")
    parser.add_argument("--results", type=Path, help="for what is kept")
    given = parser.parse_args()
    given.runs = given.runs or Path(f"runs/search-benchmark{'-quick' * given.quick}")
    given.results = given.results or (given.runs / "results" if given.quick else KEPT)
    groups = {"main": METHODS, "ablations": ABLATIONS}
    few, steps = (1, 100) if given.quick else (None, None)
    try:
        methods = groups.get(given.methods) or [_method(name) for name in given.methods.split(",")]
        kept = given.results / "runs"
        if given.step == "run":
            plan = Plan(finalists=given.finalists, selection_networks=given.selection_networks)
            plan = QUICK_PLAN if given.quick else plan
            run(methods, _seeds(given.seeds), given.budget, plan, given.runs, kept, _say)
        names = [method.name for method in methods]
        runs = [own for own in records(kept) if own["method"] in names]
        if given.step == "judge" and given.part in ("finals", "all"):
            known = Judgements(
                given.results / "finals.json", "full", few or given.training_seeds, few, steps=steps
            )
            judge_finals([*runs, *records(given.results / WIDE)], known, _say)
        if given.step == "judge" and given.part == "fresh":
            known = Judgements(given.results / "fresh.json", "full", few, few, draw=1, steps=steps)
            judge_fresh([*runs, *records(given.results / WIDE)], known, _say)
        if given.step == "judge" and given.part in ("curves", "all"):
            known = Judgements(given.results / "curves.json", "quick", few, few, steps=steps)
            judge_curves(runs, known, _say)
        if given.step == "judge" and given.part == "chosen":
            known = Judgements(given.results / "chosen.json", "quick", few, few, steps=steps)
            judge_chosen(runs, known, _say)
        if given.step == "report":
            report(given.results)
    except SymactError as error:
        raise SystemExit(f"error: {error}") from None


def _method(name: str) -> Method:
    if name not in BY_NAME:
        raise SymactError(f"unknown method '{name}'; {choices(name, BY_NAME)}")
    return BY_NAME[name]


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    if not first.isdigit() or not (last or first).isdigit():
        raise SymactError(f"--seeds {text}: expected such as 20-24")
    return range(int(first), int(last or first) + 1)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    main()
