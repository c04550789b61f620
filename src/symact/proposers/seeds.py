"""The seeds of a grammar: the functions that a search starts from."""

from __future__ import annotations

from symact import zoo
from symact.errors import GrammarError, ParseError, ZooError
from symact.expr import Expr, parse
from symact.grammar import Grammar


def seed_exprs(grammar: Grammar) -> tuple[Expr, ...]:
    """Return a grammar's seeds, names of the zoo or formulas of its terminals.

    Raises:
        GrammarError: One is neither.

    Example:
        >>> [str(expr) for expr in seed_exprs(Grammar.load("pointwise"))][:2]
        ['relu(x)', 'gelu(x)']
    """
    found = []
    for text in grammar.seeds:
        try:
            found.append(zoo.find(text).expr)
        except ZooError as unknown:
            try:
                found.append(parse(text, tuple(grammar.terminals)))
            except ParseError as error:
                raise GrammarError(
                    f"grammar '{grammar.name}', key 'seeds.zoo': {unknown}; as a formula, {error}"
                ) from None
    return tuple(found)
