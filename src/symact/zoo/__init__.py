"""Known activation functions: their formulas, modules, recognition and entropy corrections."""

from symact.zoo.catalogue import Known, catalogue, find, function, has, known, names

__all__ = ["Known", "catalogue", "find", "function", "has", "known", "names"]
