"""The torch lowering: expressions as tensor functions, and as modules to drop into a model."""

from symact.backends.torch.functional import STATISTICS, TORCH, lower
from symact.backends.torch.module import Activation, ActivationOfSeveral

__all__ = ["STATISTICS", "TORCH", "Activation", "ActivationOfSeveral", "lower"]
