"""Exhaustive enumeration of the smallest sentences of a grammar, without duplicate functions."""

from symact.grammar.enumeration.report import report, to_text, up_to_scale
from symact.grammar.enumeration.sentences import (
    LIMIT,
    Enumeration,
    Placement,
    Sentence,
    SizeCount,
    enumerate_grammar,
)

__all__ = [
    "LIMIT",
    "Enumeration",
    "Placement",
    "Sentence",
    "SizeCount",
    "enumerate_grammar",
    "report",
    "to_text",
    "up_to_scale",
]
