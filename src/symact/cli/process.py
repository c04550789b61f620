"""Run a command: exit status, one-line errors, interrupts and encodings."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from symact.errors import SymactError
from symact.reporting.text_table import one_line

#: System errors that are not bugs: full disks, permissions, broken media.
_SURROUNDINGS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO,
}  # fmt: skip

#: Exit statuses for an error of the user and for an interrupt.
_MISTAKE, _INTERRUPTED = 2, 130


def run(command: Callable[[], object]) -> NoReturn:
    """Run a command and exit. An error of the user is printed as one line, with exit status 2.

    Args:
        command: The command. It returns an exit status or None, and may raise exceptions of click.
    """
    _accept_any_encoding()
    arrived = _insist_on_interrupts()
    try:
        status = command()
        sys.stdout.flush()
    except SymactError as error:
        _quit(f"symact: {error}", _MISTAKE)
    except KeyboardInterrupt:
        arrived.set()
        _quit("symact: interrupted", _INTERRUPTED)
    except BrokenPipeError:
        _end_without_reader()
    except SystemExit as ended:
        # Click maps a broken pipe to exit status 1.
        if isinstance(ended.__context__, BrokenPipeError):
            _end_without_reader()
        raise
    except OSError as error:
        if error.errno not in _SURROUNDINGS:
            raise
        _quit(f"symact: {error.filename or 'output'}: {error.strerror}", _MISTAKE)
    except Exception as error:
        _quit_by_click(error)
    sys.exit(status if isinstance(status, int) else 0)


def _accept_any_encoding() -> None:
    """Replace characters that the encoding of an output does not contain."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # no text stream, or a closed one
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def _end_without_reader() -> NoReturn:
    """Exit with status 0 after the reader of the output has closed it, as ``head`` does."""
    # Python flushes the output at exit, which would fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
    sys.exit(0)


def _quit_by_click(error: Exception) -> NoReturn:
    """Print an error of click as one line. All other errors are bugs and keep their traceback."""
    # Some versions of typer contain a copy of click. Errors are therefore identified by their names
    # and methods.
    if type(error).__name__ == "Abort":
        _quit("symact: interrupted", _INTERRUPTED)
    if not hasattr(error, "format_message"):
        raise error
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        sys.exit(_MISTAKE)
    _quit(f"symact: {' '.join(str(error.format_message()).split())}", _MISTAKE)


def _insist_on_interrupts() -> threading.Event:
    """Repeat the interrupt of a Ctrl-C every few seconds until it takes effect.

    Python drops an exception that is raised inside a destructor or a callback, and some libraries
    catch every exception. A search would then ignore the interrupt.

    Returns:
        An event. Setting it ends the repetition.
    """
    arrived = threading.Event()

    def repeat() -> None:
        while not arrived.wait(4):
            os.kill(os.getpid(), signal.SIGINT)

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if not any(thread.name == "interrupts" for thread in threading.enumerate()):
            threading.Thread(target=repeat, name="interrupts", daemon=True).start()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    return arrived


def _quit(line: str, status: int) -> NoReturn:
    print(one_line(line), file=sys.stderr)
    sys.exit(status)
