"""Errors that a user can act on: one line with what, where, and the nearest valid choice."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: How many valid names a message lists at most, so that it stays on a line.
MOST_LISTED = 12


class SymactError(Exception):
    """Base of every error the command line prints as one line with exit status 2."""


class ParseError(SymactError):
    """The text of an expression does not parse."""


class GrammarError(SymactError):
    """A grammar file is malformed, or an expression is no sentence of a grammar."""


class TaskError(SymactError):
    """A task is unknown, or the data given for one is unusable."""


class DtypeError(SymactError, TypeError):
    """A tensor has a type that activation functions are not defined for."""


class ZooError(SymactError):
    """The zoo has no function of that name."""


class BudgetError(SymactError):
    """A budget is neither a time nor a number of candidates."""


class StoreError(SymactError):
    """A run directory or its database cannot be used as asked."""


class DamagedError(StoreError):
    """A run directory or its database is not what was written."""


class ImportRefusedError(SymactError):
    """A program has something that cannot be made an expression."""


class BatchError(SymactError):
    """A file of batch jobs is malformed."""


def choices(name: str, known: Iterable[str], command: str = "") -> str:
    """Return the hint that ends a message about an unknown name.

    Args:
        name: What the user wrote.
        known: The valid names, in the order they should be listed.
        command: The command that lists all of them, "" if there is none.

    Returns:
        ``"did you mean 'tanh'?"`` where one name is near. Else the known names, or their number
        where they are many.

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
