"""The functions that a search starts from: the seeds of its grammar, and known functions."""

from __future__ import annotations

from symact import zoo
from symact.errors import GrammarError, ParseError, ZooError
from symact.expr import Expr, parse
from symact.grammar import Grammar

#: Language models searched activation functions from this year on. Their functions are no start.
_FIRST_FOUND = 2026


def known_exprs(grammar: Grammar) -> tuple[Expr, ...]:
    """Return the pointwise functions of the zoo that were published before 2026.

    There are none for a grammar of other terminals than ``x``. A grammar with trained parameters
    has the learnable functions too. Not all are sentences of the grammar; proposers skip the
    others.

    Example:
        >>> len(known_exprs(Grammar.load("pointwise"))) > 50
        True
    """
    if set(grammar.terminals) != {"x"}:
        return ()
    earlier = [known for known in zoo.known() if (known.year or 0) < _FIRST_FOUND]
    fixed = [known.expr for known in earlier if known.kind == "pointwise"]
    trained = [known.trained for known in earlier] if grammar.trained is not None else []
    return (*fixed, *(expr for expr in trained if expr is not None))


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
