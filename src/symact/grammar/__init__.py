"""Typed grammars: the sets of expressions that a search may propose."""

from symact.grammar.counting import SentenceCount
from symact.grammar.derivation import DEFAULT_CONSTANTS, Group, Language, default_constants, union
from symact.grammar.productions import (
    HOLES,
    Constants,
    Derivation,
    Grammar,
    Limits,
    Production,
    grammar_names,
)
from symact.grammar.sizes import smallest_sentences

__all__ = [
    "DEFAULT_CONSTANTS",
    "HOLES",
    "Constants",
    "Derivation",
    "Grammar",
    "Group",
    "Language",
    "Limits",
    "Production",
    "SentenceCount",
    "default_constants",
    "grammar_names",
    "smallest_sentences",
    "union",
]
