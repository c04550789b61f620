"""Printers of expressions by templates and precedence levels.

:func:`show` prints the canonical text. It is the inverse of :func:`symact.expr.parser.parse`.
Other languages have their own tables of templates.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from symact.expr.expression import Expr, fold
from symact.expr.primitives import CONST, PARAM, PRIMITIVES, VAR

#: The precedence level of a text that never needs parentheses.
ATOM = 100


@dataclass(frozen=True, slots=True)
class Template:
    """The text and the precedence of one primitive.

    Attributes:
        text: A format string of the arguments, such as ``"{0} + {1}"``.
        level: The precedence level of the result. A higher level binds tighter.
        needs: For each argument, the lowest level that needs no parentheses.
    """

    text: str
    level: int = ATOM
    needs: tuple[int, ...] = (0, 0, 0)


#: A text and its precedence level.
Printed = tuple[str, int]


class Printer:
    """Prints expressions by a table of templates.

    A primitive without a template is printed as a call. A subclass overrides methods for the syntax
    of its language.

    Args:
        templates: Templates by the name of the primitive.
    """

    def __init__(self, templates: Mapping[str, Template]) -> None:
        self.templates = templates

    def __call__(self, expr: Expr) -> str:
        """Return the text of an expression."""
        return fold(expr, self.printed)[0]

    def printed(self, node: Expr, args: Sequence[Printed]) -> Printed:
        """Return the text and the level of a node, given the texts and levels of its arguments."""
        if node.op == VAR:
            return self.variable(str(node.value)), ATOM
        if node.op == CONST:
            return self.number(node.number)
        if node.op == PARAM:
            return self.parameter(*node.parameter), ATOM
        template = self.template(node, args)
        if template is None:
            return self.call(node.op, [text for text, _ in args]), ATOM
        texts = [
            text if level >= need else self.parentheses(text)
            for (text, level), need in zip(args, template.needs, strict=False)
        ]
        return template.text.format(*texts), template.level

    def template(self, node: Expr, args: Sequence[Printed]) -> Template | None:
        """Return the template of a node, or None for a call."""
        return self.templates.get(node.op)

    def variable(self, name: str) -> str:
        """Return the text of a variable."""
        return name

    def number(self, value: float) -> Printed:
        """Return the text and the level of a literal."""
        raise NotImplementedError

    def parameter(self, initial: float, index: int) -> str:
        """Return the text of a trained parameter."""
        raise NotImplementedError

    def call(self, name: str, args: Sequence[str]) -> str:
        """Return a call of a function."""
        return f"{name}({', '.join(args)})"

    def parentheses(self, text: str) -> str:
        """Return a text in parentheses."""
        return f"({text})"


#: The precedence of each infix operator: comparison 1, sum 2, product 3, sign 4, power 5.
INFIX_LEVEL = {"<": 1, "<=": 1, ">": 1, ">=": 1, "+": 2, "-": 2, "*": 3, "/": 3}
_SIGN, _POWER = 4, 5
#: Exponents of the primitives that are printed as powers.
POWERS = {"square": 2, "cube": 3}
#: The primitive of each infix operator.
BY_INFIX = {row.infix: row.name for row in PRIMITIVES.values() if row.infix}


def infix(operator: str) -> Template:
    """Return the template of an infix operator of the expression language."""
    level = INFIX_LEVEL[operator]
    space = " " if level < INFIX_LEVEL["*"] else ""
    left = level + 1 if level == INFIX_LEVEL["<"] else level
    return Template(f"{{0}}{space}{operator}{space}{{1}}", level, (left, level + 1))


class _TextPrinter(Printer):
    """Prints the canonical text. :func:`symact.expr.parser.parse` reads it."""

    def template(self, node: Expr, args: Sequence[Printed]) -> Template | None:
        # "-2" is a negative literal, so neg(2) is printed as a call.
        is_signed_literal = node.op == "neg" and node.args[0].op == CONST
        return None if is_signed_literal else self.templates.get(node.op)

    def number(self, value: float) -> Printed:
        is_whole = value.is_integer() and abs(value) < 1e15
        return repr(int(value)) if is_whole else repr(value), _SIGN if value < 0 else ATOM

    def parameter(self, initial: float, index: int) -> str:
        number, _ = self.number(initial)
        return self.call(PARAM, [number, str(index)] if index else [number])


_text = _TextPrinter(
    {
        "neg": Template("-{0}", _SIGN, (_SIGN,)),
        **{name: Template(f"{{0}}**{n}", _POWER, (_POWER + 1,)) for name, n in POWERS.items()},
        **{name: infix(operator) for operator, name in BY_INFIX.items()},
    }
)


@functools.lru_cache(maxsize=4096)  # a search prints each expression several times
def show(expr: Expr) -> str:
    """Return the canonical text of an expression, with the fewest possible parentheses.

    Example:
        >>> from symact.expr import parse
        >>> show(parse("(x*sigmoid(x)) + ((1))"))
        'x*sigmoid(x) + 1'
    """
    return _text(expr)
