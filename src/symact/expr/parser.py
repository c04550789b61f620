"""The parser of the expression language.

:func:`parse` is the inverse of :func:`symact.expr.printer.show`: ``parse(show(e)) == e`` for every
well-sorted expression.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator

from symact.errors import ParseError, choices
from symact.expr.expression import Expr, call, const, param, sort_of, var
from symact.expr.primitives import CONST, PARAM
from symact.expr.printer import BY_INFIX, INFIX_LEVEL, POWERS

MAX_TEXT = 20_000
MAX_DEPTH = 100

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<symbol>\*\*|<=|>=|[-+*/()<>,]))"
)
#: Named constants of the language.
NAMED_NUMBERS = {"pi": math.pi}
#: Hints for characters that are operators in other languages.
_HINTS = {"^": "; write x**2 for a power"}


def parse(text: str, names: tuple[str, ...] = ("x",)) -> Expr:
    """Parse an expression such as ``"gelu(x) + 0.1*sin(x)"``.

    Args:
        text: Infix arithmetic, ``**2`` and ``**3``, comparisons inside ``where``, and calls of
            primitives. ``pi`` is a literal. ``param(1)`` is a trained parameter with the initial
            value 1; see :func:`.param`.
        names: The allowed variables.

    Raises:
        ParseError: The text is not an expression. The message states the column.

    Example:
        >>> expr = parse("relu(x) + (0.1*(x**2))")
        >>> str(expr), expr.depth
        ('relu(x) + 0.1*x**2', 4)
    """
    if len(text) > MAX_TEXT:
        raise ParseError(f"an expression may have {MAX_TEXT} characters, got {len(text)}")
    return _parsed(text, names)


def _named(token: str) -> str:
    """Return how an error calls a token; the last token is empty."""
    return f"'{token}'" if token else "the end"


@functools.lru_cache(maxsize=4096)  # a search parses formulas of promoted trials again
def _parsed(text: str, names: tuple[str, ...]) -> Expr:
    return _Parser(text, names).expression()


class _Parser:
    """A precedence-climbing parser over the tokens of one text."""

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        self.text = text
        self.names = names
        self.tokens = list(self._tokenize(text))
        self.position = 0
        self.nesting = 0

    def _tokenize(self, text: str) -> Iterator[tuple[str, str, int]]:
        start = 0
        end = len(text.rstrip())
        while start < end:
            match = _TOKEN.match(text, start)
            if match is None:
                column = start + len(text[start:]) - len(text[start:].lstrip())
                hint = _HINTS.get(text[column], "")
                raise self._error(f"unexpected '{text[column]}'{hint}", column)
            kind = str(match.lastgroup)
            yield kind, match.group(kind), match.start(kind)
            start = match.end()
        yield "end", "", end

    def _error(self, message: str, column: int) -> ParseError:
        line = re.sub(r"\s", " ", self.text)
        shown = line if len(line) <= 80 else line[:77] + "..."
        return ParseError(f"'{shown}', column {column + 1}: {message}")

    def _next(self) -> tuple[str, str, int]:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def _peek(self) -> str:
        return self.tokens[self.position][1]

    def _expect(self, symbol: str) -> None:
        _, found, column = self._next()
        if found != symbol:
            raise self._error(f"expected '{symbol}', found {_named(found)}", column)

    def expression(self) -> Expr:
        """Parse the complete text."""
        expr = self.infix(1)
        kind, found, column = self._next()
        if kind != "end":
            raise self._error(f"unexpected '{found}' after the expression", column)
        if sort_of(expr) == "Bool":
            raise self._error("a comparison is not a number; use where(a < b, c, d)", 0)
        if expr.depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH}", 0)
        return expr

    def infix(self, level: int) -> Expr:
        """Parse infix operators of at least a precedence level."""
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH}", self.tokens[self.position][2])
        left = self.sign()
        while (found := INFIX_LEVEL.get(self._peek(), 0)) >= level:
            _, symbol, column = self._next()
            right = self.infix(found + 1)
            left = self._call(BY_INFIX[symbol], (left, right), column)
        self.nesting -= 1
        return left

    def sign(self) -> Expr:
        """Parse an operand with any number of minus signs."""
        if self._peek() != "-":
            return self.power()
        _, _, column = self._next()
        kind, _, _ = self.tokens[self.position]
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH}", column)
        operand = self.sign()
        self.nesting -= 1
        if kind == "number" and operand.op == CONST:
            return const(-operand.number)
        return self._call("neg", (operand,), column)

    def power(self) -> Expr:
        """Parse an atom with an optional power."""
        base = self.atom()
        if self._peek() == "**":
            self._next()
            _, exponent, column = self._next()
            name = {str(power): name for name, power in POWERS.items()}.get(exponent)
            if name is None:
                raise self._error(f"the only powers are **2 and **3, got '**{exponent}'", column)
            base = self._call(name, (base,), column)
            if self._peek() == "**":
                raise self._error("powers of powers need parentheses", column)
        return base

    def atom(self) -> Expr:
        """Parse a number, a variable, a call or an expression in parentheses."""
        kind, found, column = self._next()
        if kind == "number":
            value = float(found)
            if not math.isfinite(value):
                raise self._error(f"the constant {found} is too large", column)
            return const(value)
        if kind == "name" and self._peek() == "(":
            self._next()
            make = self._parameter if found == PARAM else functools.partial(self._call, found)
            return make(self._arguments(), column)
        if kind == "name":
            return self._leaf(found, column)
        if found == "(":
            inner = self.infix(1)
            self._expect(")")
            return inner
        raise self._error(f"expected a number, 'x' or '(', found {_named(found)}", column)

    def _arguments(self) -> tuple[Expr, ...]:
        args = [self.infix(1)]
        while self._peek() == ",":
            self._next()
            args.append(self.infix(1))
        self._expect(")")
        return tuple(args)

    def _leaf(self, name: str, column: int) -> Expr:
        if name in self.names:
            return var(name)
        if name in NAMED_NUMBERS:
            return const(NAMED_NUMBERS[name])
        if name == PARAM:
            raise self._error("a parameter has an initial value, such as param(1)", column)
        known = [*self.names, *NAMED_NUMBERS]
        raise self._error(f"unknown name '{name}'; {choices(name, known)}", column)

    def _parameter(self, args: tuple[Expr, ...], column: int) -> Expr:
        if len(args) > 2 or any(arg.op != CONST for arg in args):
            raise self._error(
                "'param' takes an initial value and an index, as numbers: param(1) or param(1, 2)",
                column,
            )
        try:
            return param(args[0].number, *(arg.number for arg in args[1:]))
        except ParseError as error:
            raise self._error(str(error), column) from None

    def _call(self, name: str, args: tuple[Expr, ...], column: int) -> Expr:
        try:
            return call(name, *args)
        except ParseError as error:
            raise self._error(str(error), column) from None
