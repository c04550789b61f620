"""Families of regression targets from a generator, for protocol 2.0.

A family is a template: a formula, a teacher network or a dynamical system, with a training range
and a level of noise. An instance of a family draws the constants of the template and its points.
Families come from twelve strata in turn (:data:`STRATA`). One template of each:

==============  =====================================================
stratum         formula
==============  =====================================================
linear          c1*x1 + c2*x2 + c3
piecewise       c6*relu(c1*x1 + c2*x2 + c3) + c7*relu(c4*x1 + c5)
polynomial      c1*x1**2*x2 + c2*x1 + c3*x2**2 + c4
rational        c6*(c1*x1 + c2)**3/(c3 + (c4*x1 + c5)**2)
exponential     c5*(c1*x1 + c2)*exp(c3*x1 + c4)
periodic        c5*exp(c1*x1 + c2)*cos(c3*x1 + c4)
saturating      c6*tanh((c1*x1 + c2*x2 + c3)*(c4*x1 + c5))
multiplicative  c2*(1/x1)*(1/x2)*(x4 + c1)
norm            c7*max(c1*x1 + c2, c3*x2 + c4) + c8*(c5*x1 + c6)
teacher         network 4-8-3-1 of tanh units
dynamical       x1(T) where dx1/dt = x2; dx2/dt = -c1*sin(x1) - c2*x2
mixed           sin(c5*(c2*tanh(c1*x1) + c4*abs(x2 + c3)) + c6)
==============  =====================================================

Splits of families are disjoint: a template belongs to one split by a hash of its form. Linear
templates have few forms. They coincide between splits in the form and differ in constants, number
of inputs, range or noise.
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
