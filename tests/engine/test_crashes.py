"""A process that is killed at any moment costs only its time; others beside it are undisturbed."""

from __future__ import annotations

import os
import pkgutil
import random
import shutil
import signal
import time
from contextlib import closing
from dataclasses import replace

import pytest
from profiles import examples
from small_runs import ARGUMENTS, judge, judge_and_report

from symact.engine import resume, search
from symact.engine.result import load
from symact.errors import SymactError
from symact.reporting.table import to_json
from symact.storage.repository import is_run, open_run

pytestmark = pytest.mark.slow
#: Kills of a search that goes on each time.
KILLS = examples(10)
#: How far it has come when it is killed: at least so many different numbers of candidates.
PLACES = 4


def go_on(folder, **changes):
    """Do what a user would do who finds the run as it is."""

    def note(progress):
        phase_of(folder).write_text(progress.phase)

    if is_run(folder):
        resume(folder, threads=1, on_progress=note)
    else:
        search(out=folder, on_progress=note, **{**ARGUMENTS, **changes})


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
        own, place, reach = tmp_path / f"killed-{kills}", None, length / 12
        while killed(server, go_on, own, stream.uniform(0.0, reach)):
            kills += 1
            before, place = place, tuple(load(own).counts.values()) if is_run(own) else None
            # Where a generation takes longer than it was given it has to be given more.
            reach = 1.5 * reach if place == before else length / 12
            places.add(place)
            phases.add(phase_of(own).read_text() if phase_of(own).exists() else "before")
        ended = load(own)
        assert ended.front == expected.front
        assert ended.to_frame().equals(expected.to_frame())
        assert ended.counts == expected.counts
    print(f"{kills} kills in the phases {', '.join(sorted(phases))}")


#: Where in the code work of each kind begins, and which of its calls is the last.
MOMENTS = {
    "baselines": ("symact.evaluation:Ladder.start", 1),
    "mini-training": ("symact.evaluation:Ladder.start", 8),
    "full training": ("symact.engine.schedule:Scheduler.start", 3),
    "tuning": ("symact.evaluation:Ladder.start_tuning", 1),
    "a fit of the surrogate": ("symact.evaluation:Surrogate.fit", 1),
    "a transaction": ("symact.storage.repository:Repository.add_scores", 3),
    "full training on the other draws": ("symact.engine.finalists:_repeated", 1),
    "sympy": ("symact.backends.simplify:_by_sympy", 1),
    "the finalists": ("symact.evaluation.finals:ProtocolTrainer.start", 1),
}


def go_on_until(folder, place, count):
    """Go on and be killed in the beginning of a piece of work."""
    owner, _, name = place.replace(":", ".").rpartition(".")
    owner = pkgutil.resolve_name(owner)
    genuine, calls = getattr(owner, name), iter(range(1, count))

    def work(*given, **named):
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return genuine(*given, **named)

    setattr(owner, name, work)
    go_on(folder)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_search_that_is_killed_at_any_kind_of_work_ends_where_it_would_have_ended(
    moment, server, whole, tmp_path
):
    own = tmp_path / "run"
    child = server.Process(target=go_on_until, args=(own, *MOMENTS[moment]))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
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
    own, stream, kills, reach = tmp_path / "run", random.Random(5), 0, length / 8
    columns = ["formula", "outcome", "mini_ood", "mini_id"]
    kept = None
    while killed(server, as_it_comes, own, stream.uniform(0.0, reach)):
        kills += 1
        assert kills < 4 * KILLS
        before = kept
        found = load(own).to_frame() if is_run(own) else ()
        kept = found if len(found) else None
        if before is not None:
            assert kept[: len(before)][columns].equals(before[columns])
            full = before["full_ood"].dropna()
            assert kept.loc[full.index, "full_ood"].equals(full)
        is_further = kept is not None and (before is None or len(kept) > len(before))
        reach = length / 8 if is_further else 1.5 * reach
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
    stream, kills, reach = random.Random(3), 0, 0.4
    while killed(server, judge, tmp_path / "killed", stream.uniform(0, reach)):
        kills, reach = kills + 1, 1.2 * reach
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
