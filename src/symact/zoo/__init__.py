"""Known activation functions: their formulas, modules, recognition and entropy corrections."""

from symact.zoo.catalogue import Known, catalogue, find, function, has, known, names
from symact.zoo.where import WhereItWins, where_it_wins

__all__ = [
    "Known",
    "WhereItWins",
    "catalogue",
    "find",
    "function",
    "has",
    "known",
    "names",
    "where_it_wins",
]
