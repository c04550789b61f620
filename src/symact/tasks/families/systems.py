"""Dynamical systems: one component of a right-hand side, or of the flow over a finite time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symact.expr import Expr, parse, show
from symact.tasks.families.form import form_of, is_linear
from symact.tasks.families.template import (
    Box,
    Function,
    Rule,
    Sketch,
    Template,
    bound,
    draw_constants,
    variable,
)
from symact.tasks.instance import FloatArray

#: The number of steps of the Runge-Kutta method of order 4 over the time of a flow.
FLOW_STEPS = 16


@dataclass(frozen=True, slots=True)
class System:
    """An autonomous system of ordinary differential equations.

    Attributes:
        name: The name of the system.
        equations: The right-hand side of each state ``x1``, ``x2``, ...
        constants: The range of each constant ``c1``, ``c2``, ...
        low: The lower end of each state.
        high: The upper end of each state.
        time: The range of the time of a flow.
        centred: As for :class:`Box`.
    """

    name: str
    equations: tuple[str, ...]
    constants: tuple[tuple[float, float], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    time: tuple[float, float] = (0.3, 1.0)
    centred: bool = True


def _centred(
    name: str,
    equations: tuple[str, ...],
    constants: tuple[tuple[float, float], ...],
    half: tuple[float, ...],
    time: tuple[float, float] = (0.3, 1.0),
) -> System:
    """Return a system on a box around the origin with the given half widths."""
    return System(name, equations, constants, tuple(-h for h in half), half, time)


SYSTEMS: tuple[System, ...] = (
    _centred("pendulum", ("x2", "-c1*sin(x1) - c2*x2"), ((0.5, 3), (0.05, 0.5)), (1.5, 2)),
    System(
        "Lorenz",
        ("c1*(x2 - x1)", "x1*(c2 - x3) - x2", "x1*x2 - c3*x3"),
        ((8, 12), (20, 32), (2, 3.5)),
        low=(-15, -20, 10),
        high=(15, 20, 40),
        time=(0.03, 0.15),
    ),
    System(
        "Lotka-Volterra",
        ("c1*x1 - c2*x1*x2", "c3*x1*x2 - c4*x2"),
        ((0.5, 1.5),) * 4,
        low=(0.2, 0.2),
        high=(2, 2),
        centred=False,
    ),
    _centred("Van der Pol", ("x2", "c1*(1 - x1**2)*x2 - x1"), ((0.3, 2),), (1.5, 1.5)),
    _centred(
        "Duffing",
        ("x2", "-c1*x2 + c2*x1 - c3*x1**3"),
        ((0.1, 0.5), (0.5, 1.5), (0.3, 1.5)),
        (1.3, 1.3),
    ),
    _centred(
        "FitzHugh-Nagumo",
        ("x1 - c1*x1**3 - x2 + c2", "c3*(x1 + c4 - c5*x2)"),
        ((0.2, 0.5), (0.2, 1), (0.05, 0.3), (0.5, 0.9), (0.5, 1)),
        (1.5, 1),
    ),
    System(
        "Roessler",
        ("-x2 - x3", "x1 + c1*x2", "c2 + x3*(x1 - c3)"),
        ((0.1, 0.3), (0.1, 0.3), (3, 6)),
        low=(-6, -6, 0),
        high=(6, 6, 8),
    ),
    System(
        "SIR",
        ("-c1*x1*x2/(x1 + x2 + x3)", "c1*x1*x2/(x1 + x2 + x3) - c2*x2", "c2*x2"),
        ((0.8, 3), (0.3, 1)),
        low=(0.2, 0.1, 0.1),
        high=(1, 1, 1),
        centred=False,
    ),
    _centred(
        "rigid body",
        ("c1*x2*x3", "-c2*x1*x3", "c3*x1*x2"),
        ((0.3, 1), (0.3, 1.2), (0.3, 1)),
        (1, 1, 1),
    ),
    _centred(
        "coupled oscillators",
        ("c1*sin(x2 - x1) + c2*sin(x3 - x1)", "c1*sin(x1 - x2)", "c3 + c2*sin(x1 - x3)"),
        ((0.5, 1.5), (0.5, 1.5), (0.2, 1)),
        (1.2, 1.2, 1.2),
    ),
    System(
        "chemostat",
        ("c1*x1*x2/(c2 + x2) - c3*x1", "c3*(c4 - x2) - c5*x1*x2/(c2 + x2)"),
        ((0.8, 2), (0.3, 1), (0.3, 0.8), (2, 4), (0.8, 2)),
        low=(0.1, 0.1),
        high=(1.5, 2),
        centred=False,
    ),
    System(
        "Brusselator",
        ("c1 + x1**2*x2 - c2*x1", "c3*x1 - x1**2*x2"),
        ((0.5, 1.5), (2, 4), (1, 3)),
        low=(0.2, 0.2),
        high=(1.5, 2),
        time=(0.05, 0.3),
        centred=False,
    ),
    _centred(
        "bead on a hoop",
        ("x2", "c1*sin(x1)*cos(x1) - c2*sin(x1) - c3*x2"),
        ((0.5, 2), (0.5, 2), (0.1, 0.4)),
        (1.5, 2),
    ),
    System(
        "toggle switch",
        ("c1/(1 + x2**2) - x1", "c2/(1 + x1**3) - x2"),
        ((1, 3), (1, 3)),
        low=(0.1, 0.1),
        high=(2, 2),
        centred=False,
    ),
)


def random_quadratic(s: Sketch) -> System:
    """Draw the terms of a damped system with quadratic terms, of two to four states."""
    states, constants = s.count(2, 4), list[tuple[float, float]]()

    def constant(low: float, high: float) -> str:
        constants.append((low, high))
        return f"c{len(constants)}"

    def equation(index: int) -> str:
        terms = [f"-{constant(0.3, 1.0)}*{variable(index)}"]
        for _ in range(s.count(1, 2)):
            first, second = sorted((s.count(1, states), s.count(1, states)))
            product = f"x{first}**2" if first == second else f"x{first}*x{second}"
            terms.append(f"{constant(-1.2, 1.2)}*{product}")
        if s.chance(0.5):
            terms.append(f"{constant(-1.0, 1.0)}*x{s.count(1, states)}")
        return " + ".join(terms)

    equations = tuple(equation(index) for index in range(states))
    half = (1.0,) * states
    return _centred("quadratic system", equations, tuple(constants), half, (0.3, 0.8))


def dynamical(s: Sketch) -> tuple[Box, Template]:
    """Draw a system, one of its components, and whether to take its derivative or its flow.

    The box belongs to the system. It has the states as inputs, scaled by a common factor.
    """
    system = s.one_of(SYSTEMS) if s.chance(0.6) else random_quadratic(s)
    factor, low, high = s.rng.uniform(0.7, 1.2), np.array(system.low), np.array(system.high)
    middle = (low + high) / 2 if system.centred else low
    ends = [middle + factor * (end - middle) for end in (low, high)]
    box = Box.between(ends[0], ends[1], centred=system.centred)
    is_flow = s.chance(0.5)
    component = s.one_of(_curved(system) if not is_flow else range(len(system.equations)))
    return box, (_flow if is_flow else _derivative)(system, component)


def _curved(system: System) -> list[int]:
    """Return the components whose right-hand side is not linear."""
    forms = [form_of(expr) for expr in _parsed(system)]
    return [index for index, form in enumerate(forms) if not is_linear(form)]


def _parsed(system: System) -> list[Expr]:
    return [parse(text, (*_states(system), *_rules(system))) for text in system.equations]


def _states(system: System) -> tuple[str, ...]:
    return tuple(map(variable, range(len(system.equations))))


def _rules(system: System) -> dict[str, Rule]:
    """Return uniform rules for the constants of a system."""

    def uniform(low: float, high: float) -> Rule:
        return lambda rng, _: float(rng.uniform(low, high))

    return {f"c{i}": uniform(*ends) for i, ends in enumerate(system.constants, 1)}


def _derivative(system: System, component: int) -> Template:
    expr, rules = _parsed(system)[component], _rules(system)

    def draw(rng: np.random.Generator) -> Function:
        return bound(expr, _states(system), draw_constants(rules, rng))

    return Template(show(expr), form_of(expr), tuple(rules), draw)


def _flow(system: System, component: int) -> Template:
    exprs, rules = _parsed(system), _rules(system)

    def draw(rng: np.random.Generator) -> Function:
        constants = draw_constants(rules, rng)
        equations = [bound(expr, _states(system), constants) for expr in exprs]
        return _integrated(equations, component, float(rng.uniform(*system.time)))

    equations = "; ".join(
        f"d{state}/dt = {show(expr)}" for state, expr in zip(_states(system), exprs, strict=True)
    )
    others = sorted(form_of(expr) for index, expr in enumerate(exprs) if index != component)
    form = f"flow of {form_of(exprs[component])} with {'; '.join(others)}"
    return Template(f"{variable(component)}(T) where {equations}", form, (*rules, "T"), draw)


def _integrated(equations: Sequence[Function], component: int, time: float) -> Function:
    """Return one state after a time, by the classical Runge-Kutta method."""
    step = time / FLOW_STEPS

    def slope(x: FloatArray) -> FloatArray:
        return np.hstack([equation(x) for equation in equations])

    def function(x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(FLOW_STEPS):
                k1 = slope(x)
                k2 = slope(x + step / 2 * k1)
                k3 = slope(x + step / 2 * k2)
                x = x + step / 6 * (k1 + 2 * k2 + 2 * k3 + slope(x + step * k3))
        return x[:, [component]]

    return function
