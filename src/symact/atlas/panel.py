"""The panel: the functions that a recommendation chooses between."""

from __future__ import annotations

import functools

from symact.reporting.competitors import Competitor, competitors
from symact.tasks.protocol2 import PopulationForm

#: The function to fall back to, with a trained shape parameter in each layer.
FALLBACK = "Swish-beta"
#: The fallback with its initial parameter.
UNTRAINED_FALLBACK = "SiLU"

#: The answer that is no activation function.
LINEAR = "linear model"

#: Names and formulas of fixed functions. Networks with them are trained on the user's data.
FIXED = (
    "ReLU",
    "GELU",
    "SiLU",
    "Mish",
    "Softplus",
    "ELU",
    "tanh",
    "sin",
    "x + sin(x)**2",
    "Quadratic",
    "SymAct-20",
    "SymAct-22",
    "SymAct-40",
    "SymAct-44",
    "GELUSine",
    "GELU-Sinc-Perturbation",
)


@functools.cache
def fixed() -> tuple[Competitor, ...]:
    """Return the fixed functions of the panel."""
    return tuple(competitors(FIXED, 1)[0])


def panel() -> tuple[Competitor, ...]:
    """Return the functions of the panel, with the fallback."""
    return (*fixed(), *competitors([FALLBACK], 1)[0])


def truth_form(families: int) -> PopulationForm:
    """Return the form that measures the true errors of the panel in generated families."""
    return PopulationForm(
        name="recommend",
        families=families,
        cells=4,
        instances=1,
        width=32,
        steps=600,
        points=128,
        judged_points=128,
        rates=(3e-3, 1e-2, 3e-2),
    )
