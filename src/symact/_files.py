"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def beside(path: Path) -> Path:
    """Return a name beside a file that nobody else takes, of the same kind of file."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(6)}{path.suffix}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a draft that replaces a file in the end, or goes away where that fails.

    A reader sees the old file or the new one, never half of one. Of several writers the last
    counts.
    """
    draft = beside(path)
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Write a text, in UTF-8, as :func:`replacing` does."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
