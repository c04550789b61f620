"""Benchmarks run, report what they measured, and say what was not; nothing here looks at a time."""

from __future__ import annotations

import itertools
import json
import math
import runpy
import time

import pytest
from command_line import called, strict_json, symact

from symact.cli.benchmark import Bench, machine, run, scripts
from symact.errors import SymactError

#: Ratios that need what no machine of the test suite has.
ELSEWHERE = {
    *("cuda_candidates_a_second", "full_judgements_an_hour", "full_trainings_a_second"),
    *("ranks_of_device_and_cpu", "ranks_with_tf32_and_cpu", "ranks_with_and_without_tf32"),
}
OPTIONAL = {"over_pyoperon_256", "over_pyoperon_1024"}


#: Compilers of torch stay in the process that used them.
BENCHMARKS = {
    **dict.fromkeys(("evaluator", "mini", "full", "proposer", "protocol2"), called),
    "activation": symact,
}


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_quick_benchmark_prints_one_json_object(name):
    done = BENCHMARKS[name]("bench", name, "--quick", "--json")
    assert done.returncode == 0, done.stderr
    report = strict_json(done.stdout)
    assert set(report) == {"machine", "rows", "ratios"}
    assert report["machine"]["cores"] >= 1
    assert all(row["name"] for row in report["rows"])
    for ratio, own in report["ratios"].items():
        assert set(own) == {"value", "goal", "bound", "met"}
        if ratio in ELSEWHERE | OPTIONAL:
            continue
        # A rank correlation of the few functions of a quick run may be negative.
        assert math.isfinite(own["value"])
        reaches = own["value"] >= own["goal"]
        assert own["met"] == (reaches if own["bound"] == "least" else own["value"] <= own["goal"])
    assert "measured: " in done.stderr


def test_every_script_can_be_found_and_loaded():
    assert {"evaluator", "mini", "full", "activation"} <= set(scripts())
    for file in scripts().values():
        assert callable(runpy.run_path(str(file))["measure"])


def test_an_unknown_benchmark_is_one_line():
    done = called("bench", "evaluatr")
    assert done.returncode != 0
    assert done.stderr.strip().splitlines() == [
        "symact: unknown benchmark 'evaluatr'; did you mean 'evaluator'?"
    ]
    with pytest.raises(SymactError, match="evaluator"):
        run("evaluatr")


def test_a_ratio_that_was_not_measured_meets_nothing():
    bench = Bench(quick=True)
    bench.ratio("absent", None, least=1.0)
    bench.ratio("high", 3.0, least=2.0)
    bench.ratio("low", 3.0, most=2.0)
    assert [own["met"] for own in bench.ratios.values()] == [False, True, False]
    text = bench.to_text()
    assert "not measured" in text
    assert json.loads(json.dumps(bench.to_json()))["ratios"]["absent"]["value"] is None


def test_work_is_done_in_turn_and_short_work_is_repeated():
    done: list[str] = []
    times = Bench(quick=True).times(
        {"a": lambda: done.append("a"), "b": lambda: done.append("b")}, rounds=9, quick_rounds=2
    )
    assert set(times) == {"a", "b"}
    assert done.count("a") > 100
    changes = sum(one != other for one, other in itertools.pairwise(done))
    assert changes == 5  # a first time each, then two rounds


def test_processor_time_excludes_waiting():
    def wait() -> None:
        time.sleep(0.02)

    times = Bench(quick=True).times({"wait": wait}, rounds=1, quick_rounds=1, processor=True)
    assert times["wait"] < 0.01


def test_the_table_has_a_block_for_each_kind_of_row():
    bench = Bench(quick=True)
    bench.row("one", ms=1.5)
    bench.row("two", rate=2e9)
    bench.row("three", ms=None)
    blocks = bench.to_text().split("\n\n")
    assert blocks[1].splitlines() == ["name    ms", "one    1.5", "three    -"]
    assert "2e+09" in blocks[2]


def test_a_report_names_no_host():
    assert {"cpu", "cores", "gpu", "python", "numpy"} <= set(machine())
    assert not {"host", "node", "path"} & set(machine())
