"""The part of a source printer that all languages share.

Operators and elementary functions are written inline. Every other primitive becomes a helper
function, generated from its rule (:mod:`symact.expr.rules`). A subexpression with several uses is
computed once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence

from symact.expr import Expr, distinct, parameters, var, variables, with_parameters
from symact.expr.expression import fold
from symact.expr.primitives import PRIMITIVES
from symact.expr.printer import ATOM, BY_INFIX, Printed, Printer, Template, infix
from symact.expr.rules import FUNCTIONS, Target, emit


class Source(Printer):
    """Writes the source code of one function.

    A subclass defines the layout of functions and files.

    Args:
        target: The target language of the rules.
        templates: Additional templates of the language.

    Attributes:
        has_statistics: Whether the language has arrays and thus batch statistics.
        has_defaults: Whether arguments can have default values, as trained parameters need.
    """

    has_statistics = True
    has_defaults = True

    def __init__(self, target: Target, templates: dict[str, Template]) -> None:
        inline = {
            name: Template(target.functions[name]) for name in FUNCTIONS if name in PRIMITIVES
        }
        operators = {name: infix(operator) for operator, name in BY_INFIX.items()}
        super().__init__({**inline, **operators, "neg": Template("-{0}", 4, (4,)), **templates})
        self._target = target

    def write(self, expr: Expr, name: str) -> str:
        """Return the source code of a function with one argument for each variable.

        Trained parameters are further arguments. Their initial values are the defaults.
        """
        names = variables(expr) or ("x",)
        trained = {_free(f"p{i}", names): own for i, own in enumerate(parameters(expr))}
        expr = with_parameters(expr, [var(name) for name in trained])
        uses = Counter(arg for node in distinct(expr) for arg in node.args)
        args = (*names, *(f"{name}={own.parameter[0]!r}" for name, own in trained.items()))
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
        return self.module([*parts, self.function(name, args, lines[:-1], lines[-1][1])])

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


def _free(name: str, taken: Sequence[str]) -> str:
    """Return a name that is not taken."""
    return _free(f"{name}_", taken) if name in taken else name


def _occurs(op: str, expr: Expr) -> bool:
    return any(node.op == op for node in distinct(expr))
