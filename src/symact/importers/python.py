"""Convert a Python function of one tensor to an expression, from its syntax tree.

No code is executed. The modules in the order of their work:

* :mod:`~symact.importers.source` parses the text within limits.
* :mod:`~symact.importers.entry` finds the activation function.
* :mod:`~symact.importers.interpreter` evaluates statements and expressions.
* :mod:`~symact.importers.effects` finds the effects of unsupported statements.
* :mod:`~symact.importers.calls` binds and checks arguments.
* :mod:`~symact.importers.library` is the table of library functions.
* :mod:`~symact.importers.rules` has the meanings that are not formulas.
"""

from __future__ import annotations

from dataclasses import dataclass

from symact.errors import ImportRefusedError
from symact.expr import Expr, uses_statistics
from symact.importers.entry import understood
from symact.importers.source import parsed


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported program.

    Attributes:
        expr: The function of x.
        entry: The name of the Python function or class.
        notes: Assumptions of the import.
    """

    expr: Expr
    entry: str
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``"statistics"`` if the function reads the whole tensor, else ``"pointwise"``."""
        return "statistics" if uses_statistics(self.expr) else "pointwise"


def from_source(text: str, *, entry: str | None = None) -> Imported:
    r"""Import the activation function of a Python program without running it.

    Args:
        text: The program, optionally in a Markdown fence. It may use torch, NumPy, JAX, TensorFlow,
            Keras, SciPy and math. The activation is a function of one tensor, or a class with
            callable objects such as a torch module.
        entry: Name of the function or class. None for the candidate that no other candidate uses.

    Returns:
        The function. Trained parameters have their initial values.

    Raises:
        ImportRefusedError: The program does not parse, is too large, or has an unsupported
            construct. The message names the line and the construct.

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
    except Exception as error:  # a bug in the import must not prevent the import of other programs
        raise ImportRefusedError(f"not understood ({type(error).__name__}: {error})") from error
    return Imported(found.expr, found.name, found.notes)
