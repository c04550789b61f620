"""Typed grammars: which expressions a search may propose."""

from symact.grammar._count import SentenceCount
from symact.grammar._grammar import (
    HOLES,
    Constants,
    Derivation,
    Grammar,
    Limits,
    Production,
    grammar_names,
)
from symact.grammar._language import DEFAULT_CONSTANTS, Group, Language, default_constants, union
from symact.grammar._sizes import smallest_sentences

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
