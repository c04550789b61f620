"""Shell commands and command lines of symact on a small file system that nobody else sees.

Run as a script, it is one process in a mount namespace of its own. A line that begins with
``symact`` is called in that process; any other line is a command of the shell. In each, ``$DISK``
is the file system.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOM = "150k"


def in_small_filesystem(script: str, folder: Path) -> tuple[str, str]:
    """Run the lines of a script; return what they print and their errors.

    After each command line of symact its status is printed as ``status NUMBER``.
    """
    disk = folder / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={ROOM} none {disk}"
    private = ["unshare", "-rm", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*private, mount]).returncode:
        pytest.skip("this system lets nobody mount a small file system of their own")
    command = f"{mount} && exec {shlex.join([sys.executable, __file__, script])}"
    done = subprocess.run(
        [*private, command],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "DISK": str(disk)},
    )
    return done.stdout, done.stderr


def follow(script: str) -> None:
    """Do what the lines of a script say."""
    from command_line import called

    for line in script.splitlines():
        if not line.startswith("symact "):
            subprocess.run(line, shell=True, check=True)
            continue
        done = called(*shlex.split(os.path.expandvars(line))[1:])
        sys.stderr.write(done.stderr)
        print(f"{done.stdout}status {done.returncode}", flush=True)


if __name__ == "__main__":
    follow(sys.argv[1])
