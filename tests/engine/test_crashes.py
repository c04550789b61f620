"""A process that is killed at any moment costs only its time; others beside it are undisturbed."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import time
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest
from profiles import examples
from small_runs import ARGUMENTS, SHORT, ShortTraining, judge, judge_and_report

from symact.engine import resume, search
from symact.engine.result import load
from symact.errors import SymactError
from symact.evaluation import ThreadExecutor
from symact.evaluation.surrogate import Surrogate
from symact.reporting.table import to_json
from symact.storage.repository import is_run, open_run

pytestmark = pytest.mark.slow
#: Kills of a search that goes on each time.
KILLS = examples(5)
#: How far it has come when it is killed: at least so many different numbers of candidates.
PLACES = 3


def go_on(folder, **changes):
    """Do what a user would do who finds the run as it is."""

    def note(progress):
        phase_of(folder).write_text(progress.phase)

    if is_run(folder):
        own = {key: value for key, value in changes.items() if key != "plan"}
        resume(folder, **{"task": SHORT, "threads": 1, "on_progress": note, **own})
    else:
        search(out=folder, **{**ARGUMENTS, "on_progress": note, **changes})


def phase_of(folder):
    return folder.with_name(f"{folder.name}-phase")


def killed(server, work, folder, after=None):
    """Let a process work, kill it after some seconds, if any; return whether it was still alive."""
    child = server.Process(target=work, args=(folder,))
    child.start()
    child.join(after)
    was_alive = child.is_alive()
    child.kill()
    child.join()
    assert was_alive or child.exitcode == 0
    return was_alive


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """A run that nobody disturbed, and the seconds that one takes."""
    folder = tmp_path_factory.mktemp("whole")
    killed(server, is_run, folder)  # the server has to begin
    started = time.monotonic()
    killed(server, go_on, folder / "whole")
    return folder / "whole", time.monotonic() - started


def test_a_search_that_is_killed_again_and_again_ends_where_it_would_have_ended(
    server, whole, tmp_path
):
    folder, length = whole
    expected = load(folder)
    with closing(open_run(folder)) as store:
        assert store.search().fitted[0] > 0
    stream, kills, places, phases = random.Random(7), 0, set(), set()
    while kills < KILLS or len(places) < PLACES:
        assert kills < 10 * KILLS, (phases, places)
        own, place, reach = tmp_path / f"killed-{kills}", None, length / 6
        while killed(server, go_on, own, stream.uniform(0.0, reach)):
            kills += 1
            before, place = place, tuple(load(own).counts.values()) if is_run(own) else None
            # Where a generation takes longer than it was given it has to be given more.
            reach = 1.5 * reach if place == before else length / 6
            places.add(place)
            phases.add(phase_of(own).read_text() if phase_of(own).exists() else "before")
        ended = load(own)
        assert ended.front == expected.front
        assert ended.to_frame().equals(expected.to_frame())
        assert ended.counts == expected.counts
    print(f"{kills} kills in the phases {', '.join(sorted(phases))}")


def end_process():
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyExecutor(ThreadExecutor):
    """A thread whose process is killed when so many jobs of a fidelity were submitted."""

    def __init__(self, fidelity, count):
        super().__init__(1)
        self.fidelity, self.rest = fidelity, count

    def submit_all(self, jobs):
        self.rest -= sum(job.fidelity == self.fidelity for job in jobs)
        return end_process() if self.rest <= 0 else super().submit_all(jobs)


class DeadlySurrogate(Surrogate):
    def fit(self, *given, **named):
        end_process()


class DeadlyProblem(ShortTraining):
    """The problem of the search, whose process is killed when it does one of these."""

    def __init__(self, deadly):
        super().__init__(SHORT.task)
        self.deadly = deadly

    def simplify(self, expr, **named):
        return end_process() if self.deadly == "simplify" else super().simplify(expr, **named)

    def surrogate(self, least):
        kind = DeadlySurrogate if self.deadly == "fit" else Surrogate
        return kind(self.features, least, self.clip)


def jobs(fidelity, count):
    return {"executor": DeadlyExecutor(fidelity, count), "threads": None}


def limit_files(kilobytes):
    """Let the kernel end this process where it writes beyond so much of a file, the database."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * kilobytes,) * 2)
    return {}


#: Kinds of work in the order of a search, and how the process is killed that begins with it.
MOMENTS = {
    "baselines": partial(jobs, "mini", 1),
    "full training of baselines": partial(jobs, "full", 1),
    "mini-training": partial(jobs, "mini", 14),
    "a fit of the surrogate": lambda: {"task": DeadlyProblem("fit")},
    "tuning": partial(jobs, "tuning", 1),
    "a transaction": partial(limit_files, 200),
    "full training": partial(jobs, "full", 2),
    "short forms": lambda: {"task": DeadlyProblem("simplify")},
    "the finalists": partial(jobs, "selection", 1),
}


def go_on_until(folder, moment):
    go_on(folder, **MOMENTS[moment]())


def test_a_search_that_is_killed_at_any_kind_of_work_ends_where_it_would_have_ended(
    server, whole, tmp_path
):
    own = tmp_path / "run"
    for moment in MOMENTS:
        child = server.Process(target=go_on_until, args=(own, moment))
        child.start()
        child.join()
        assert child.exitcode in (-signal.SIGKILL, -signal.SIGXFSZ), moment
    killed(server, go_on, own)
    expected = load(whole[0])
    assert load(own).front == expected.front
    assert load(own).to_frame().equals(expected.to_frame())


def as_it_comes(folder):
    go_on(folder, plan=replace(ARGUMENTS["plan"], mode="asynchronous"))


def test_a_search_in_the_order_of_arrival_keeps_all_that_it_had_when_it_is_killed(
    server, whole, tmp_path
):
    """What was judged stays as it was; the budget is met to the last candidate."""
    _, length = whole
    own, stream, kills, reach = tmp_path / "run", random.Random(5), 0, length / 4
    columns = ["formula", "outcome", "mini_ood", "mini_id"]
    kept = None
    while killed(server, as_it_comes, own, stream.uniform(0.0, reach)):
        kills += 1
        assert kills < 10 * KILLS
        before = kept
        found = load(own).to_frame() if is_run(own) else ()
        kept = found if len(found) else None
        if before is not None:
            assert kept[: len(before)][columns].equals(before[columns])
            full = before["full_ood"].dropna()
            assert kept.loc[full.index, "full_ood"].equals(full)
        is_further = kept is not None and (before is None or len(kept) > len(before))
        reach = length / 4 if is_further else 1.5 * reach
    ended = load(own)
    assert kills > 2
    assert ended.finished
    assert ended.counts["mini"] == ended.counts["screened"] == ARGUMENTS["budget"]
    assert ended.to_frame()[: len(kept)][columns].equals(kept[columns])


def test_a_comparison_that_is_killed_loses_nothing_and_says_the_same_in_the_end(
    server, whole, tmp_path
):
    for name in ("killed", "expected"):
        shutil.copytree(whole[0], tmp_path / name)
    expected = to_json(judge(tmp_path / "expected"))
    stream, kills, reach = random.Random(3), 0, 1.0
    while killed(server, judge, tmp_path / "killed", stream.uniform(0, reach)):
        kills, reach = kills + 1, 1.5 * reach
    assert kills > 0
    assert to_json(judge(tmp_path / "killed")) == expected
    assert load(tmp_path / "killed").to_frame().equals(load(whole[0]).to_frame())


def test_two_comparisons_of_one_run_at_once_do_not_disturb_each_other(server, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    work = {"target": judge_and_report, "args": (tmp_path / "run",)}
    children = [server.Process(**work) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert not [path.name for path in (tmp_path / "run").iterdir() if path.name[0] == "."]
    shutil.copytree(whole[0], tmp_path / "alone")
    assert to_json(judge(tmp_path / "run")) == to_json(judge(tmp_path / "alone"))
    assert load(tmp_path / "run").to_frame().equals(load(whole[0]).to_frame())


def test_of_two_searches_into_one_directory_one_is_refused_and_the_other_undisturbed(
    server, tmp_path
):
    (tmp_path / "errors").mkdir()
    children = [
        server.Process(target=search_and_report, args=(tmp_path, number)) for number in range(3)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    said = [(tmp_path / "errors" / str(number)).read_text() for number in range(3)]
    assert said.count("") == 1
    assert sum("holds a run already" in text for text in said) == 2
    whole = search(**ARGUMENTS | {"budget": 16})
    assert load(tmp_path / "run").to_frame().equals(whole.to_frame())


def search_and_report(folder, number):
    said = ""
    try:
        search(out=folder / "run", **ARGUMENTS | {"budget": 16})
    except SymactError as error:
        said = str(error)
    (folder / "errors" / str(number)).write_text(said)
