"""The canonical text of an expression.

:func:`show` is the inverse of :func:`symact.expr.parser.parse`.
"""

from __future__ import annotations

import functools

from symact.expr.expression import Expr
from symact.expr.primitives import CONST, PRIMITIVES, VAR

#: The precedence of each infix operator: comparison 1, sum 2, product 3, sign 4, power 5, atom 6.
INFIX_LEVEL = {"<": 1, "<=": 1, ">": 1, ">=": 1, "+": 2, "-": 2, "*": 3, "/": 3}
#: The primitives that print as powers, with their exponents.
POWERS = {"square": 2, "cube": 3}
#: The primitive of each infix operator.
BY_INFIX = {row.infix: row.name for row in PRIMITIVES.values() if row.infix}
_LEVELS = {"neg": 4, **dict.fromkeys(POWERS, 5)} | {
    name: INFIX_LEVEL[infix] for infix, name in BY_INFIX.items()
}


def _infix_form(infix: str) -> tuple[tuple[int, int] | str, ...]:
    level = INFIX_LEVEL[infix]
    space = " " if level < 3 else ""
    left = level + 1 if level == 1 else level
    return (1, level + 1), f"{space}{infix}{space}", (0, left)


#: The text of a node that is no call, from its end: strings, and arguments with their least level.
_FORMS: dict[str, tuple[tuple[int, int] | str, ...]] = {
    "neg": ((0, 4), "-"),
    **{name: (f"**{power}", (0, 6)) for name, power in POWERS.items()},
    **{name: _infix_form(infix) for infix, name in BY_INFIX.items()},
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
