"""The on-disk cache of compiled functions.

numba invalidates a cached function when its source file changes. The functions of this package
depend on several files: kernels, intrinsics, the interpreter and the table of primitives. The key
of this cache is therefore a digest of all these files. A change to any of them recompiles all
functions.

The cache is in the first writable directory of this list:

1. ``NUMBA_CACHE_DIR``, if set;
2. ``__pycache__`` beside the source file;
3. the user's cache directory;
4. a private directory below the temporary directory.

If none is writable, functions are compiled for the current process only.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import caching, config
from numba.core.ccallback import CFunc
from numba.misc.appdirs import AppDirs

from symact.expr import primitives

_LOG = logging.getLogger(__name__)


def cached(function: Callable[..., Any]) -> Any:
    """Compile a function with numba at its first call and cache it on disk.

    The function runs without the GIL. Division by zero follows NumPy.
    """
    dispatcher: Any = njit(nogil=True, error_model="numpy")(function)
    cache = _cache_of(function)
    # With NUMBA_DISABLE_JIT, numba returns the function unchanged.
    if cache is not None and hasattr(dispatcher, "enable_caching"):
        dispatcher._cache = cache
    return dispatcher


def cached_callback(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a C callback with the given numba signature and cache it on disk."""
    callback: Any = CFunc(function, (signature.args, signature.return_type), {}, _OPTIONS)
    cache = _cache_of(function)
    if cache is not None:
        callback._cache = cache
    callback.compile()
    return callback


_OPTIONS = {"error_model": "numpy"}


@lru_cache
def _stamp(folder: Path) -> str:
    """Return the SHA-256 digest of the sources of the compiled functions of a folder.

    The sources are the table of primitives, the kernels and the files of the folder.
    """
    digest = hashlib.sha256(repr(sorted(primitives.PRIMITIVES.items())).encode())
    kernels, table = Path(__file__).parent, Path(primitives.__file__)
    for path in (table, *sorted(kernels.glob("*.py")), *sorted(folder.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _cache_of(function: Callable[..., Any]) -> _Cache | None:
    """Return the cache of a function, None if no directory is writable."""
    try:
        return _Cache(function)
    except RuntimeError:  # numba's error for "no locator available"
        _warn_once()
        return None


@lru_cache
def _warn_once() -> None:
    _LOG.warning("symact: no writable cache directory; set NUMBA_CACHE_DIR to start faster")


def _directories(source: Path) -> Iterator[Path]:
    """Yield the possible cache directories of a source file, in order of preference."""
    folder = f"{source.parent.name}-{hashlib.sha256(str(source.parent).encode()).hexdigest()[:16]}"
    named: str = vars(config)["CACHE_DIR"]
    if named:
        yield Path(named) / folder
    yield source.parent / "__pycache__"
    yield Path(AppDirs(appname="symact", appauthor=False).user_cache_dir) / folder
    private = _private_directory()
    if private is not None:
        yield private / folder


def _private_directory() -> Path | None:
    """Return a directory below the temporary one that only this user can write to, or None.

    numba loads cached code by pickle, so a directory of another user is not safe.
    """
    if not hasattr(os, "getuid"):
        return None
    directory = Path(tempfile.gettempdir()) / f"symact-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError:
        return None
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return directory if is_own and not found.st_mode & 0o022 else None


class _Locator(caching._CacheLocator):
    """The location and the source digest of the cache of a function."""

    def __init__(self, directory: Path, line: int, stamp: str) -> None:
        self._directory, self._line, self._stamp = str(directory), str(line), stamp

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator | None:
        source = Path(py_file).absolute()
        for directory in _directories(source):
            self = cls(directory, py_func.__code__.co_firstlineno, _stamp(source.parent))
            try:
                self.ensure_cache_path()
            except OSError:
                continue
            return self
        return None

    def get_cache_path(self) -> str:
        return self._directory

    def get_source_stamp(self) -> str:
        return self._stamp

    def get_disambiguator(self) -> str:
        return self._line


class _Files(caching.CompileResultCacheImpl):
    _locator_classes: list[Any] = [_Locator]  # noqa: RUF012


class _Cache(caching.FunctionCache):
    """A cache that is disabled, instead of raising, if a file cannot be written."""

    _impl_class = _Files

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            self.disable()
