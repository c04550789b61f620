"""Exceptions for user errors. Each message is one line: what, where, the nearest valid choice."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: The largest number of valid names that a message lists.
MOST_LISTED = 12


class SymactError(Exception):
    """Base class. The command line prints such an error as one line and exits with status 2."""


class ParseError(SymactError):
    """The text of an expression does not parse."""


class GrammarError(SymactError):
    """A grammar file is malformed, or a grammar does not produce an expression."""


class TaskError(SymactError):
    """A task is unknown, or the data of a task is unusable."""


class DtypeError(SymactError, TypeError):
    """A tensor has an unsupported dtype, such as a complex one."""


class ZooError(SymactError):
    """The zoo has no function of the given name."""


class BudgetError(SymactError):
    """A budget is not a time or a number of candidates."""


class StoreError(SymactError):
    """A run directory or its database cannot be used for the requested operation."""


class DamagedError(StoreError):
    """A run directory or its database is corrupt."""


class ImportRefusedError(SymactError):
    """A program has an operation without a counterpart in the expression language."""


class BatchError(SymactError):
    """A file of batch jobs is malformed."""


def choices(name: str, known: Iterable[str], command: str = "") -> str:
    """Return a hint about valid names, for the end of a message about an unknown name.

    Args:
        name: The unknown name.
        known: The valid names, in the order to list them.
        command: The command that lists all valid names; "" if there is none.

    Returns:
        ``"did you mean 'tanh'?"`` if a valid name is similar. Otherwise the first
        :data:`MOST_LISTED` names, or the number of names and the command if there are more.

    >>> choices("tanhh", ["sin", "tanh"])
    "did you mean 'tanh'?"
    >>> choices("q", map(str, range(100)), "symact zoo")
    "100 names are known; list them with 'symact zoo'"
    """
    names = list(known)
    folded = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    if near:
        return f"did you mean '{folded[near[0]]}'?"
    rest = len(names) - MOST_LISTED
    if rest > 0 and command:
        return f"{len(names)} names are known; list them with '{command}'"
    listed = ", ".join(names[:MOST_LISTED])
    return f"known: {listed}" + (f" and {rest} more" if rest > 0 else "")
