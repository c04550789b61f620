"""The smallest sentences of a grammar, exhaustively, each function once."""

from symact.enumeration._enumeration import (
    LIMIT,
    Enumeration,
    Found,
    Sentence,
    SizeCount,
    enumerate_grammar,
)
from symact.enumeration._report import report, to_text, up_to_scale

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
