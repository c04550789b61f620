"""Families of regression targets from a generator, for protocol 2.0.

A family is a template: a formula, a teacher network or a dynamical system, with a training range
and a level of noise. An instance of a family draws the constants of the template and its points.
Families come from twelve strata in turn (:data:`STRATA`).
"""

from symact.tasks.families.generator import (
    FAMILY_SPLITS,
    MAX_GROWTH,
    NOISE,
    STRATA,
    Family,
    families,
    population,
)
from symact.tasks.families.template import Box, Template

__all__ = [
    "FAMILY_SPLITS",
    "MAX_GROWTH",
    "NOISE",
    "STRATA",
    "Box",
    "Family",
    "Template",
    "families",
    "population",
]
