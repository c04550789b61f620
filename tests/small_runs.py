"""A small search with everything in it, and a small comparison, for tests of what disturbs them."""

from __future__ import annotations

from dataclasses import replace

from symact.engine.result import load
from symact.reporting.comparison import compare
from symact.reporting.report import write_report
from test_engine import SMALL, TINY

#: Every rung, tuning, pruning and simplification, several times each.
ARGUMENTS = {
    "grammar": "pointwise",
    "task": "polynomial",
    "budget": 60,
    "seed": 5,
    "plan": replace(TINY, generation=6, full_share=0.2, refine_share=0.08, pool=6),
    "evolution": SMALL,
    "threads": 1,
}


def judge(run):
    """Judge what a run found beside two known functions, on few instances."""
    return compare(run, "ReLU", "SiLU", form="quick", per_family=2, best=2)


def judge_and_report(run):
    """Do so and write what users read into the run."""
    write_report(load(run), judge(run), run)
