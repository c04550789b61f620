"""Calls of the command line, in a process of its own or in this one."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from symact.cli import main

SYMACT = [sys.executable, "-m", "symact.cli"]


def symact(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SYMACT, *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=cwd,
        timeout=180,
    )


def called(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Do the same in this process: a new one takes seconds to load what it needs."""
    out, err = io.StringIO(), io.StringIO()
    interrupt = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["symact", *map(str, arguments)])
        patch.chdir(cwd or Path.cwd())
        streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
        try:
            with streams[0], streams[1], pytest.raises(SystemExit) as ended:
                main()
        finally:
            signal.signal(signal.SIGINT, interrupt)
    return subprocess.CompletedProcess(arguments, ended.value.code, out.getvalue(), err.getvalue())


def strict_json(text: str) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)
