"""Typed grammars: the sets of expressions that a search may propose."""

from symact.grammar.counting import SentenceCount
from symact.grammar.derivation import DEFAULT_CONSTANTS, Group, Language, default_constants, union
from symact.grammar.productions import (
    HOLES,
    TRAINED_TYPE,
    Constants,
    Derivation,
    Grammar,
    Limits,
    Production,
    Trained,
    grammar_names,
)
from symact.grammar.sizes import smallest_sentences

__all__ = [
    "DEFAULT_CONSTANTS",
    "HOLES",
    "TRAINED_TYPE",
    "Constants",
    "Derivation",
    "Grammar",
    "Group",
    "Language",
    "Limits",
    "Production",
    "SentenceCount",
    "Trained",
    "default_constants",
    "grammar_names",
    "smallest_sentences",
    "union",
]
