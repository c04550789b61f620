"""A Python function of one tensor becomes an expression by walking its syntax tree.

Nothing is executed. The modules read as a story: :mod:`~symact.importers.source` (text to tree,
within limits), :mod:`~symact.importers.entry` (which function it is),
:mod:`~symact.importers.interpreter` (statements and expressions),
:mod:`~symact.importers.effects` (what a statement that is not followed may change),
:mod:`~symact.importers.calls` (arguments are bound and checked),
:mod:`~symact.importers.library` (the table of functions) and :mod:`~symact.importers.rules`
(meanings that are no formula).
"""

from __future__ import annotations

from dataclasses import dataclass

from symact.errors import ImportRefusedError
from symact.expr import Expr, uses_statistics
from symact.importers.entry import understood
from symact.importers.source import parsed


@dataclass(frozen=True, slots=True)
class Imported:
    """A program that was understood.

    Attributes:
        expr: The function of x.
        entry: The name of the Python function or class.
        notes: What was assumed.
    """

    expr: Expr
    entry: str
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``"statistics"`` where it reads the whole tensor, else ``"pointwise"``."""
        return "statistics" if uses_statistics(self.expr) else "pointwise"


def from_source(text: str, *, entry: str | None = None) -> Imported:
    r"""Import the activation function of a Python program without running it.

    Args:
        text: The program, with or without one Markdown fence around it. Functions of one tensor
            in torch, NumPy, JAX, TensorFlow, Keras, SciPy or math are understood, and classes
            whose objects are called, such as torch modules.
        entry: The name of the function or class; None for the one that no other one uses.

    Returns:
        The function. Trained parameters have their first values.

    Raises:
        ImportRefusedError: It does not parse, is too large, or has a construct that is not
            understood; the message names line and construct.

    Example:
        >>> from symact.importers import from_source
        >>> str(from_source("def f(x):\n    return x * np.tanh(x)").expr)
        'x*tanh(x)'
    """
    try:
        found = understood(parsed(text), entry)
    except ImportRefusedError:
        raise
    except RecursionError:
        raise ImportRefusedError("nested too deeply") from None
    except Exception as error:  # a bug here costs one program, not all that are read with it
        raise ImportRefusedError(f"not understood ({type(error).__name__}: {error})") from error
    return Imported(found.expr, found.name, found.notes)
