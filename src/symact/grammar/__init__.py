"""Typed grammars: which expressions a search may propose."""

from symact.grammar._grammar import (
    HOLES,
    Constants,
    Derivation,
    Grammar,
    Limits,
    Production,
    grammar_names,
)
from symact.grammar._sizes import smallest_sentences

__all__ = [
    "HOLES",
    "Constants",
    "Derivation",
    "Grammar",
    "Limits",
    "Production",
    "grammar_names",
    "smallest_sentences",
]
