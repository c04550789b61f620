"""The smallest sentences of a grammar, exhaustively, each function once."""

from symact.grammar.enumeration.report import report, to_text, up_to_scale
from symact.grammar.enumeration.sentences import (
    LIMIT,
    Enumeration,
    Found,
    Sentence,
    SizeCount,
    enumerate_grammar,
)

__all__ = [
    "LIMIT",
    "Enumeration",
    "Found",
    "Sentence",
    "SizeCount",
    "enumerate_grammar",
    "report",
    "to_text",
    "up_to_scale",
]
