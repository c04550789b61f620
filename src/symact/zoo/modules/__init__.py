"""Known functions and formulas as ``torch.nn.Module``, and wrappers around any function.

:func:`activation` makes a module from a name or a formula. Learnable functions train their
parameters, gated functions take or split a gate, stochastic functions choose in training only.
"""

from symact.zoo.modules.base import KnownModule, Pointwise
from symact.zoo.modules.features import TopK, top_afa, top_k
from symact.zoo.modules.gradients import StepGradient, WithGradient, WithSlope, fit_steps
from symact.zoo.modules.initialisation import siren_init
from symact.zoo.modules.learnable import Expansion, Formula
from symact.zoo.modules.registry import activation, module
from symact.zoo.modules.smoothing import Smoothed, kinks
from symact.zoo.modules.stochastic import Stochastic
from symact.zoo.modules.wrappers import Series, few_bit, keep_top, with_gradient

__all__ = [
    "Expansion",
    "Formula",
    "KnownModule",
    "Pointwise",
    "Series",
    "Smoothed",
    "StepGradient",
    "Stochastic",
    "TopK",
    "WithGradient",
    "WithSlope",
    "activation",
    "few_bit",
    "fit_steps",
    "keep_top",
    "kinks",
    "module",
    "siren_init",
    "top_afa",
    "top_k",
    "with_gradient",
]
