"""The torch backend: expressions as tensor functions and as ``torch.nn`` modules."""

from symact.backends.torch.functional import STATISTICS, TORCH, lower, lower_in_dtype
from symact.backends.torch.module import Activation, ActivationOfSeveral
from symact.backends.torch.parameters import TrainedParameters, bound_of, shortest

__all__ = [
    "STATISTICS",
    "TORCH",
    "Activation",
    "ActivationOfSeveral",
    "TrainedParameters",
    "bound_of",
    "lower",
    "lower_in_dtype",
    "shortest",
]
