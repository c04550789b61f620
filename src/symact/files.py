"""Atomic file writes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def beside(path: Path) -> Path:
    """Return an unused path in the directory of a file, with the same suffix."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(6)}{path.suffix}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path; at the end of the block, move it over ``path``.

    A reader sees either the old file or the new one. If several writers replace the same file, the
    last one wins. If the block raises, the old file stays and the temporary file is deleted.
    """
    temporary = beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
