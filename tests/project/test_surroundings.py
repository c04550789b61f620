"""What surrounds a run: full disks, lost permissions, other processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from command_line import called
from small_disk import in_small_filesystem
from small_runs import ARGUMENTS, go_on

from symact.cli.search import new_folder
from symact.engine import search
from symact.engine.result import load
from symact.errors import StoreError

pytestmark = pytest.mark.slow
SETTINGS = [
    *("mini_networks=1", "mini_draws=1", "full_networks=1", "full_draws=1", "generation=8"),
    *("finalists=1", "selection_networks=1", "pool=1", "refine_share=0"),
]


def searched(budget, folder):
    """Return the command line of a search of seconds."""
    changes = " ".join(f"--set {setting}" for setting in SETTINGS)
    place = f"--budget {budget} --out {folder} --no-compare"
    return f"search --task polynomial --seed 5 {place} {changes}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a finished run."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert called(*searched(16, folder).split()).returncode == 0
    return folder


def test_a_full_disk_is_said_in_one_line_and_the_run_goes_on_when_there_is_space(tmp_path):
    out, err = in_small_filesystem(
        f"symact {searched(36, '$DISK/run')}\n"
        "mount -o remount,size=50m $DISK\n"
        "symact resume $DISK/run --no-compare\n"
        "symact doctor $DISK/run\n"
        "cp -r $DISK/run $DISK/../kept",
        tmp_path,
    )
    assert re.findall(r"status (\d)", out) == ["2", "0", "0"], out + err
    (line,) = [line for line in err.splitlines() if line.startswith("symact: ")]
    assert "the disk is full; free some space, then go on with 'symact resume" in line
    assert "Traceback" not in err
    assert "sound" in out
    whole = tmp_path / "whole"
    assert called(*searched(36, whole).split()).returncode == 0
    assert load(tmp_path / "kept").to_frame().equals(load(whole).to_frame())


def test_a_run_that_cannot_be_written_is_shown_but_not_continued_and_stays_as_it_is(
    finished, tmp_path
):
    out, err = in_small_filesystem(
        "mount -o remount,size=50m $DISK\n"
        f"cp -r {finished} $DISK/run\n"
        "sha256sum $DISK/run/run.db\n"
        "mount -o remount,ro $DISK\n"
        "symact show $DISK/run\n"
        "symact doctor $DISK/run\n"
        "symact resume $DISK/run --budget 24\n"
        f"symact {searched(16, '$DISK/other')}\n"
        "sha256sum $DISK/run/run.db\n"
        "mount -o remount,rw $DISK\n"
        "symact resume $DISK/run --budget 24 --no-compare\n",
        tmp_path,
    )
    assert re.findall(r"status (\d)", out) == ["0", "0", "2", "2", "0"], out + err
    assert "16 mini-trained" in out
    assert "run: sound" in out
    refused = [line for line in err.splitlines() if line.startswith("symact: ")]
    assert len(refused) == 2
    assert "Read-only file system" in refused[0] or "cannot be" in refused[0]
    assert "cannot make a run here" in refused[1]
    sums = re.findall(r"^[0-9a-f]{64}", out, re.M)
    assert len(sums) == 2
    assert sums[0] == sums[1]
    assert "Traceback" not in err


def test_searches_that_begin_at_once_below_one_directory_get_one_of_their_own_each(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_folder("pointwise", "polynomial", 0), range(24)))
    assert len(set(made)) == 24
    assert sorted(made) == sorted(folder.relative_to(tmp_path) for folder in tmp_path.glob("*/*"))


def test_a_run_is_searched_by_one_process_at_a_time_and_read_by_any(tmp_path):
    folder = tmp_path / "run"
    seen = []

    def look(progress):
        if progress.phase != "search":
            return
        seen.append(load(folder).counts["seen"])
        with pytest.raises(StoreError, match="is being searched by another process"):
            go_on(folder, threads=1)

    search(out=folder, on_progress=look, **ARGUMENTS | {"budget": 24})
    assert len(seen) > 2
    assert seen == sorted(seen)
    assert go_on(folder, threads=1).finished  # it was given back


#: Leaves changes in the log of a run, as a process that is killed does.
LEAVE_A_LOG = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE later (a)")
connection.commit()
os._exit(0)
"""


def test_a_run_of_a_killed_search_on_a_read_only_medium_is_shown(finished, tmp_path):
    (tmp_path / "leave.py").write_text(LEAVE_A_LOG)
    out, err = in_small_filesystem(
        "mount -o remount,size=50m $DISK\n"
        f"cp -r {finished} $DISK/run\n"
        f"{sys.executable} $DISK/../leave.py $DISK/run/run.db\n"
        "rm $DISK/run/run.db-shm; ls $DISK/run >$DISK/../before\n"
        "mount -o remount,ro $DISK\n"
        "symact show $DISK/run\n"
        "symact compare $DISK/run ReLU --families 2 --out $DISK/../compared\n",
        tmp_path,
    )
    assert "run.db-wal" in (tmp_path / "before").read_text()
    assert re.findall(r"status (\d)", out) == ["0", "0"], out + err
    assert "16 mini-trained" in out
    assert (tmp_path / "compared" / "report.html").exists()


def test_figures_need_no_backend_of_matplotlib(tmp_path):
    environment = {**os.environ, "MPLBACKEND": "module://no_such_package.backend"}
    done = subprocess.run(
        [sys.executable, "-m", "symact.cli", "zoo", "Mish", "--plot", tmp_path / "mish.png"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mish.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("first", ["symact.reporting.figures", "matplotlib"])
def test_the_backend_of_a_users_process_stays_what_it_was(first):
    code = f"import {first}, symact.reporting.figures, matplotlib; print(matplotlib.get_backend())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MPLBACKEND": "svg"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.stdout.strip() == "svg", done.stderr
