"""Generate source code in NumPy, JAX or C from an expression. The code does not need symact.

Operators and elementary functions are written inline. Every other primitive becomes a helper
function, generated from its rule (:mod:`symact.expr.rules`). A subexpression with several uses is
computed once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence

from symact.backends.targets import JAX, NUMPY, C
from symact.errors import SymactError, choices
from symact.expr import Expr, distinct, uses_statistics, variables
from symact.expr.expression import fold
from symact.expr.primitives import PRIMITIVES
from symact.expr.printer import ATOM, BY_INFIX, Printed, Printer, Template, infix
from symact.expr.rules import FUNCTIONS, Target, emit


class _Source(Printer):
    """Writes the source code of one function.

    Args:
        target: The target language of the rules.
        templates: Additional templates of the language.
    """

    def __init__(self, target: Target, templates: dict[str, Template]) -> None:
        inline = {
            name: Template(target.functions[name]) for name in FUNCTIONS if name in PRIMITIVES
        }
        operators = {name: infix(operator) for operator, name in BY_INFIX.items()}
        super().__init__({**inline, **operators, "neg": Template("-{0}", 4, (4,)), **templates})
        self._target = target

    def write(self, expr: Expr, name: str) -> str:
        """Return the source code of a function with one argument for each variable."""
        uses = Counter(arg for node in distinct(expr) for arg in node.args)
        names = variables(expr) or ("x",)
        lines: list[tuple[str, str]] = []

        def visit(node: Expr, args: Sequence[Printed]) -> Printed:
            text, level = self.printed(node, args)
            if uses[node] < 2 or not node.args:
                return text, level
            lines.append((f"t{len(lines)}", text))
            return lines[-1][0], ATOM

        lines.append(("", fold(expr, visit)[0]))
        helpers = [op for op in PRIMITIVES if op not in self.templates and _occurs(op, expr)]
        parts = [self.helper(op) for op in helpers]
        return self.module([*parts, self.function(name, names, lines[:-1], lines[-1][1])])

    def helper(self, op: str) -> str:
        """Return the helper function of a primitive."""
        row = PRIMITIVES[op]
        steps = emit(row.rule, self._target)
        return self.function(
            self.helper_name(op), ("a", "b", "c")[: row.arity], steps[:-1], steps[-1][1]
        )

    def number(self, value: float) -> Printed:
        return repr(value), 4 if value < 0 else ATOM

    def call(self, name: str, args: Sequence[str]) -> str:
        return super().call(self.helper_name(name), args)

    def helper_name(self, op: str) -> str:
        """Return the name of the helper function of a primitive."""
        return f"_{op}"

    @abstractmethod
    def function(
        self, name: str, args: Sequence[str], steps: Sequence[tuple[str, str]], result: str
    ) -> str:
        """Return the source code of a function: assignments and the returned expression."""

    @abstractmethod
    def module(self, functions: Sequence[str]) -> str:
        """Return the source code of a file with some functions."""


class _Python(_Source):
    """Writes Python code for an array library.

    Args:
        target: The target of the library.
        module: The name of the library in the code.
        imports: The import statements that the code may need.
    """

    def __init__(self, target: Target, module: str, *imports: str) -> None:
        templates = {
            "square": Template(f"{module}.square({{0}})"),
            "where": Template(f"{module}.where({{0}}, {{1}}, {{2}})"),
            "mean": Template(f"{module}.mean({{0}})"),
            "std": Template(f"{module}.std({{0}})"),
        }
        super().__init__(target, templates)
        self._imports = imports

    def function(
        self, name: str, args: Sequence[str], steps: Sequence[tuple[str, str]], result: str
    ) -> str:
        lines = [
            f"def {name}({', '.join(args)}):",
            *(f"    {step} = {text}" for step, text in steps),
        ]
        return "\n".join([*lines, f"    return {result}"]) + "\n"

    def module(self, functions: Sequence[str]) -> str:
        text = "\n\n".join(functions)
        used = [line for line in self._imports if f"{line.split()[-1]}." in text]
        return "\n".join([*used, "\n", text])


class _C(_Source):
    """Writes C99 in double precision."""

    def __init__(self) -> None:
        super().__init__(C, {"where": Template("({0} ? {1} : {2})", needs=(2, 2, 2))})

    def helper_name(self, op: str) -> str:
        return f"{op}_"  # avoids clashes with names of other C code, such as relu

    def function(
        self, name: str, args: Sequence[str], steps: Sequence[tuple[str, str]], result: str
    ) -> str:
        head = f"double {name}({', '.join(f'double {arg}' for arg in args)}) {{"
        lines = [head, *(f"    const double {step} = {text};" for step, text in steps)]
        return "\n".join([*lines, f"    return {result};", "}"]) + "\n"

    def module(self, functions: Sequence[str]) -> str:
        helpers = [f"static {helper}" for helper in functions[:-1]]
        return "\n".join(["#include <math.h>\n", *helpers, functions[-1]])


_LANGUAGES: dict[str, _Source] = {
    "numpy": _Python(NUMPY, "np", "import numpy as np", "from scipy import special"),
    "jax": _Python(JAX, "jnp", "import jax.numpy as jnp", "from jax.scipy import special"),
    "c": _C(),
}
#: The names of the supported languages.
LANGUAGES = tuple(_LANGUAGES)


def to_source(expr: Expr, language: str = "numpy", *, name: str = "activation") -> str:
    """Return the source code of a function that computes an expression.

    The function has one argument for each variable, in alphabetical order. In NumPy and JAX the
    arguments are arrays of any shape. In C they are of type ``double``.

    Args:
        expr: The expression.
        language: One of :data:`LANGUAGES`.
        name: The name of the function, an identifier.

    Raises:
        SymactError: The language is unknown, ``name`` is not an identifier, or the expression has
            batch statistics and the language is C.

    Example:
        >>> from symact.expr import parse
        >>> print(to_source(parse("x*tanh(2*x)")))
        import numpy as np
        <BLANKLINE>
        <BLANKLINE>
        def activation(x):
            return x*np.tanh(2.0*x)
        <BLANKLINE>
    """
    if language not in _LANGUAGES:
        raise SymactError(f"unknown language '{language}'; {choices(language, LANGUAGES)}")
    if not name.isidentifier():
        raise SymactError(
            f"'{name}' is not a valid function name; use letters, digits and underscores"
        )
    if language == "c" and uses_statistics(expr):
        raise SymactError(
            "C source code supports single elements only; this function has batch statistics"
        )
    return _LANGUAGES[language].write(expr, name)


def _occurs(op: str, expr: Expr) -> bool:
    return any(node.op == op for node in distinct(expr))
