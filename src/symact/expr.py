"""The expression: the one value that everything else is made from or turned into.

``parse`` and ``show`` are inverse: ``parse(show(e)) == e`` for every well-sorted expression.
Lowerings and checks are each a table and a ``fold``, which meets every distinct node once.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from symact.errors import ParseError, choices
from symact.ops import CONST, PRIMITIVES, VAR

T = TypeVar("T")

MAX_TEXT = 20_000
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Expr:
    """An immutable expression tree.

    Attributes:
        op: A primitive's name, ``"var"`` or ``"const"``.
        args: The argument expressions, in order.
        value: The number of a constant, the name of a variable, None for a primitive.
        size: Nodes, leaves included, shared ones counted at each use.
        depth: The height of the tree; a leaf has depth 1.
        varies: Whether it contains a variable.
    """

    op: str
    args: tuple[Expr, ...]
    value: float | str | None
    size: int = field(repr=False)
    depth: int = field(repr=False)
    varies: bool = field(repr=False)
    _hash: int = field(repr=False)

    # Evolution makes and compares expressions by the hundred thousand. What a generated constructor
    # and a generated comparison cost was a third of its time.
    def __init__(
        self, op: str, args: tuple[Expr, ...] = (), value: float | str | None = None
    ) -> None:
        size, depth, varies = 1, 0, op == VAR
        for arg in args:
            size += arg.size
            if arg.depth > depth:
                depth = arg.depth
            varies = varies or arg.varies
        # A slot's own setter takes half the time of object.__setattr__.
        _set_op(self, op)
        _set_args(self, args)
        _set_value(self, value)
        _set_size(self, size)
        _set_depth(self, depth + 1)
        _set_varies(self, varies)
        _set_hash(self, hash((op, args, value)))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Expr):
            return NotImplemented
        return (
            self._hash == other._hash
            and self.op == other.op
            and self.value == other.value
            and self.args == other.args
        )

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Expr], tuple[str, tuple[Expr, ...], float | str | None]]:
        # Through the constructor: a stored hash is wrong in another process.
        return Expr, (self.op, self.args, self.value)

    def __str__(self) -> str:
        return show(self)

    @property
    def number(self) -> float:
        """The value of a constant."""
        assert isinstance(self.value, float)
        return self.value


_set_op, _set_args, _set_value, _set_size, _set_depth, _set_varies, _set_hash = (
    vars(Expr)[slot].__set__ for slot in ("op", "args", "value", "size", "depth", "varies", "_hash")
)


def const(value: float) -> Expr:
    """Return a literal; its value must be finite, and -0.0 becomes 0.0."""
    number = float(value)
    if not math.isfinite(number):
        raise ParseError(f"a constant must be finite, got {value}")
    return Expr(CONST, (), number + 0.0)


def var(name: str = "x") -> Expr:
    """Return a variable; ``x`` is the input of an activation function."""
    return Expr(VAR, (), name)


def call(name: str, *args: Expr) -> Expr:
    """Apply a primitive, checking its name, its arity and the sorts of its arguments.

    Raises:
        ParseError: No such primitive, or arguments that do not fit it.
    """
    primitive = PRIMITIVES.get(name)
    if primitive is None:
        raise ParseError(f"unknown function '{name}'; {choices(name, PRIMITIVES)}")
    if len(args) != primitive.arity:
        raise ParseError(f"'{name}' takes {primitive.arity} argument(s), got {len(args)}")
    for position, (arg, sort) in enumerate(zip(args, primitive.argument_sorts, strict=True), 1):
        if sort_of(arg) != sort:
            expected = "a comparison" if sort == "Bool" else "a number"
            raise ParseError(f"argument {position} of '{name}' must be {expected}")
    return Expr(name, args)


def sort_of(expr: Expr) -> str:
    """Return ``"Bool"`` for a comparison, else ``"Real"``."""
    return "Real" if expr.op in (VAR, CONST) else PRIMITIVES[expr.op].sort


def fold(expr: Expr, visit: Callable[[Expr, Sequence[T]], T]) -> T:
    """Compute ``visit(node, results of its arguments)`` bottom-up, once per distinct node.

    Equal subexpressions share one result, so a fold does common-subexpression elimination by
    itself. It is iterative: depth is no limit.
    """
    done: dict[Expr, T] = {}
    stack = [expr]
    while stack:
        node = stack[-1]
        for arg in node.args:
            if arg not in done:
                if arg.args:
                    stack.append(arg)
                    break
                done[arg] = visit(arg, [])
        else:
            done[node] = visit(node, [done[arg] for arg in node.args])
            stack.pop()
    return done[expr]


def literals(expr: Expr) -> list[float]:
    """Return the different numbers of an expression in the order of :func:`fold`."""
    found: list[float] = []

    def visit(node: Expr, args: Sequence[None]) -> None:
        if node.op == CONST:
            found.append(node.number)

    fold(expr, visit)
    return list(dict.fromkeys(found))


def with_literals(expr: Expr, values: Sequence[float]) -> Expr:
    """Return an expression with other numbers for its different literals, in their order."""
    new = dict(zip(literals(expr), values, strict=True))

    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        if node.op == CONST:
            return const(new[node.number])
        return Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)


def distinct(expr: Expr) -> list[Expr]:
    """Return each distinct subexpression once, arguments before what uses them."""
    nodes: dict[Expr, None] = {}
    stack = [expr]
    while stack:
        node = stack[-1]
        for arg in node.args:
            if arg not in nodes:
                if arg.args:
                    stack.append(arg)
                    break
                nodes[arg] = None
        else:
            nodes[node] = None
            stack.pop()
    return list(nodes)


def uses_statistics(expr: Expr) -> bool:
    """Whether the value at one element depends on the other elements of the tensor."""
    return any(node.op in PRIMITIVES and PRIMITIVES[node.op].statistic for node in distinct(expr))


def variables(expr: Expr) -> tuple[str, ...]:
    """Return the names of the variables, each once, sorted."""
    return tuple(sorted(str(node.value) for node in distinct(expr) if node.op == VAR))


def substitute(expr: Expr, bindings: Mapping[str, Expr]) -> Expr:
    """Replace variables by expressions; names without a binding stay."""

    def visit(node: Expr, args: Sequence[Expr]) -> Expr:
        if node.op == VAR:
            return bindings.get(str(node.value), node)
        return Expr(node.op, tuple(args), node.value)

    return fold(expr, visit)


# Printing. Precedences: comparison 1, sum 2, product 3, sign 4, power 5, atom 6.
_INFIX_LEVEL = {"<": 1, "<=": 1, ">": 1, ">=": 1, "+": 2, "-": 2, "*": 3, "/": 3}
_POWERS = {"square": 2, "cube": 3}
_BY_INFIX = {row.infix: row.name for row in PRIMITIVES.values() if row.infix}
_LEVELS = {"neg": 4, **dict.fromkeys(_POWERS, 5)} | {
    name: _INFIX_LEVEL[infix] for infix, name in _BY_INFIX.items()
}


def _infix_form(infix: str) -> tuple[tuple[int, int] | str, ...]:
    level = _INFIX_LEVEL[infix]
    space = " " if level < 3 else ""
    left = level + 1 if level == 1 else level
    return (1, level + 1), f"{space}{infix}{space}", (0, left)


#: The text of a node that is no call, from its end: strings, and arguments with their least level.
_FORMS: dict[str, tuple[tuple[int, int] | str, ...]] = {
    "neg": ((0, 4), "-"),
    **{name: (f"**{power}", (0, 6)) for name, power in _POWERS.items()},
    **{name: _infix_form(infix) for infix, name in _BY_INFIX.items()},
}


@functools.lru_cache(maxsize=4096)  # a search writes what it wrote a moment ago
def show(expr: Expr) -> str:
    """Return the canonical text of an expression, with as few parentheses as parsing allows."""
    done: list[str] = []
    waiting: list[Expr | str] = [expr]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            done.append(item)
        else:
            waiting += _reversed_pieces(item)
    return "".join(done)


def _level(node: Expr) -> int:
    """Return how strongly the text of an expression holds together."""
    if node.op == CONST:
        return 6 if node.number >= 0 else 4
    if node.op == "neg" and node.args[0].op == CONST:
        return 6
    return _LEVELS.get(node.op, 6)


def _reversed_pieces(node: Expr) -> list[Expr | str]:
    """Return the pieces of a node's text, the last first."""
    op, args = node.op, node.args
    if op == VAR:
        return [str(node.value)]
    if op == CONST:
        return [_show_number(node.number)]
    form = _FORMS.get(op)
    if form is None or (op == "neg" and args[0].op == CONST):
        # A literal would swallow the sign, so neg of a literal keeps its name.
        pieces: list[Expr | str] = [")"]
        for arg in reversed(args):
            pieces += (arg, ", ")
        pieces[-1] = f"{op}("
        return pieces
    pieces = []
    for piece in form:
        if isinstance(piece, str):
            pieces.append(piece)
        else:
            position, least = piece
            arg = args[position]
            pieces += (arg,) if _level(arg) >= least else (")", arg, "(")
    return pieces


def _show_number(value: float) -> str:
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


# Parsing.
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<symbol>\*\*|<=|>=|[-+*/()<>,]))"
)
_NAMED_NUMBERS = {"pi": math.pi}


def parse(text: str, names: tuple[str, ...] = ("x",)) -> Expr:
    """Read an expression such as ``"gelu(x) + 0.1*sin(x)"``.

    Args:
        text: Infix arithmetic, ``**2`` and ``**3``, comparisons inside ``where``, and calls of
            primitives. ``pi`` stands for its value.
        names: The variables that may occur.

    Raises:
        ParseError: With the column and what was expected.
    """
    if len(text) > MAX_TEXT:
        raise ParseError(f"an expression may have {MAX_TEXT} characters, got {len(text)}")
    return _parsed(text, names)


@functools.lru_cache(maxsize=4096)  # a search reads what it wrote a moment ago
def _parsed(text: str, names: tuple[str, ...]) -> Expr:
    return _Parser(text, names).whole()


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
                raise self._error(f"unexpected '{text[column]}'", column)
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
            raise self._error(f"expected '{symbol}', found '{found or 'the end'}'", column)

    def whole(self) -> Expr:
        expr = self.infix(1)
        kind, found, column = self._next()
        if kind != "end":
            raise self._error(f"unexpected '{found}' after the expression", column)
        if sort_of(expr) == "Bool":
            raise self._error("a comparison is no activation; use where(a < b, c, d)", 0)
        if expr.depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH}", 0)
        return expr

    def infix(self, level: int) -> Expr:
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH}", self.tokens[self.position][2])
        left = self.sign()
        while (own := _INFIX_LEVEL.get(self._peek(), 0)) >= level:
            _, symbol, column = self._next()
            right = self.infix(own + 1)
            left = self._call(_BY_INFIX[symbol], (left, right), column)
        self.nesting -= 1
        return left

    def sign(self) -> Expr:
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
        base = self.atom()
        if self._peek() == "**":
            self._next()
            _, exponent, column = self._next()
            name = {str(power): name for name, power in _POWERS.items()}.get(exponent)
            if name is None:
                raise self._error(f"only **2 and **3 exist, got '**{exponent}'", column)
            base = self._call(name, (base,), column)
            if self._peek() == "**":
                raise self._error("powers of powers need parentheses", column)
        return base

    def atom(self) -> Expr:
        kind, found, column = self._next()
        if kind == "number":
            value = float(found)
            if not math.isfinite(value):
                raise self._error(f"the constant {found} is too large", column)
            return const(value)
        if kind == "name" and self._peek() == "(":
            self._next()
            return self._call(found, self._arguments(), column)
        if kind == "name":
            return self._leaf(found, column)
        if found == "(":
            inner = self.infix(1)
            self._expect(")")
            return inner
        raise self._error(f"expected a number, 'x' or '(', found '{found or 'the end'}'", column)

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
        if name in _NAMED_NUMBERS:
            return const(_NAMED_NUMBERS[name])
        known = [*self.names, *_NAMED_NUMBERS]
        raise self._error(f"unknown name '{name}'; {choices(name, known)}", column)

    def _call(self, name: str, args: tuple[Expr, ...], column: int) -> Expr:
        try:
            return call(name, *args)
        except ParseError as error:
            raise self._error(str(error), column) from None
