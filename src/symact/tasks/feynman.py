"""Forty-eight equations of the Feynman Lectures, dealt to the three splits once and for all.

Identifiers (volume, chapter, equation), formulas and ranges are those of the AI Feynman database:
S.-M. Udrescu and M. Tegmark, "AI Feynman: a physics-inspired method for symbolic regression",
Science Advances 6, eaay2631 (2020), arXiv:1905.11481, file ``FeynmanEquations.csv``.

Chosen are equations whose formula is finite and real on the extended box
``[low, high + (high - low)]`` (so none with ``sqrt(1 - v**2/c**2)``, whose published ranges meet
the pole there), that a GELU network learns inside the box, and of which no two are one formula
under other names. Dealt so that each split has two equations of two variables, five of three,
five of four, four of five or six, three of all with a sine or cosine, and about the same mean
log error of a GELU network in the far shell. Kin stay together: I.6.2 and I.6.2b are both test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symact.tasks.instance import FloatArray, Raw, Source, stream
from symact.tasks.synthetic import on_box

#: The number of the random streams; no other family has it.
_FEYNMAN_STREAM = 2

#: The index of the stream that orders a split's equations; no instance has it.
_ORDER = 2**32 - 1

#: A sampled box has at least this part of the published width in each variable.
MIN_WIDTH = 0.5


@dataclass(frozen=True, slots=True)
class Equation:
    """One row of the database.

    Attributes:
        identifier: Volume, chapter and number in the Feynman Lectures.
        formula: As published, readable by sympy.
        variables: The names in the formula, in the order that ``function`` takes them.
        low: The lower end of each published range.
        high: The upper ends.
        function: Columns ``[point]``, one for each variable, to values ``[point]``.
    """

    identifier: str
    formula: str
    variables: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    function: Callable[..., FloatArray]


def _row(
    identifier: str, formula: str, ranges: str, function: Callable[..., FloatArray]
) -> Equation:
    """Read ranges written as ``"theta: 0 5; r F: 1 5"``."""
    rows: list[tuple[str, float, float]] = []
    for group in ranges.split("; "):
        names, ends = group.split(": ")
        low, high = map(float, ends.split())
        rows += [(name, low, high) for name in names.split()]
    variables, lows, highs = zip(*rows, strict=True)
    return Equation(identifier, formula, variables, lows, highs, function)


#: In pairs of kin in size and difficulty: rows 0 and 1, 2 and 3, and so on; see ``_order``.
EQUATIONS: dict[str, tuple[Equation, ...]] = {
    "search": (
        _row("I.12.1", "mu*Nn", "mu Nn: 1 5", lambda mu, nn: mu * nn),
        _row("II.3.24", "Pwr/(4*pi*r**2)", "Pwr r: 1 5", lambda pwr, r: pwr / (4 * np.pi * r**2)),
        _row(
            "III.17.37",
            "beta*(1+alpha*cos(theta))",
            "beta alpha theta: 1 5",
            lambda beta, alpha, theta: beta * (1 + alpha * np.cos(theta)),
        ),
        _row(
            "I.18.14",
            "m*r*v*sin(theta)",
            "m r v theta: 1 5",
            lambda m, r, v, theta: m * r * v * np.sin(theta),
        ),
        _row(
            "I.12.11",
            "q*(Ef+B*v*sin(theta))",
            "q Ef B v theta: 1 5",
            lambda q, ef, b, v, theta: q * (ef + b * v * np.sin(theta)),
        ),
        _row(
            "I.11.19",
            "x1*y1+x2*y2+x3*y3",
            "x1 x2 x3 y1 y2 y3: 1 5",
            lambda x1, x2, x3, y1, y2, y3: x1 * y1 + x2 * y2 + x3 * y3,
        ),
        _row(
            "II.27.16",
            "epsilon*c*Ef**2",
            "epsilon c Ef: 1 5",
            lambda epsilon, c, ef: epsilon * c * ef**2,
        ),
        _row(
            "II.10.9",
            "sigma_den/epsilon*1/(1+chi)",
            "sigma_den epsilon chi: 1 5",
            lambda sigma_den, epsilon, chi: sigma_den / epsilon * 1 / (1 + chi),
        ),
        _row("I.27.6", "1/(1/d1+n/d2)", "d1 d2 n: 1 5", lambda d1, d2, n: 1 / (1 / d1 + n / d2)),
        _row(
            "I.39.11",
            "1/(gamma-1)*pr*V",
            "gamma: 2 5; pr V: 1 5",
            lambda gamma, pr, v: 1 / (gamma - 1) * pr * v,
        ),
        _row(
            "I.24.6",
            "1/2*m*(omega**2+omega_0**2)*1/2*x**2",
            "m omega omega_0 x: 1 3",
            lambda m, omega, omega_0, x: 1 / 2 * m * (omega**2 + omega_0**2) * 1 / 2 * x**2,
        ),
        _row("I.39.22", "n*kb*T/V", "n T V kb: 1 5", lambda n, t, v, kb: n * kb * t / v),
        _row(
            "I.8.14",
            "sqrt((x2-x1)**2+(y2-y1)**2)",
            "x1 x2 y1 y2: 1 5",
            lambda x1, x2, y1, y2: np.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2),
        ),
        _row(
            "III.4.33",
            "(h/(2*pi))*omega/(exp((h/(2*pi))*omega/(kb*T))-1)",
            "h omega kb T: 1 5",
            lambda h, omega, kb, t: (
                (h / (2 * np.pi)) * omega / (np.exp((h / (2 * np.pi)) * omega / (kb * t)) - 1)
            ),
        ),
        _row(
            "II.35.18",
            "n_0/(exp(mom*B/(kb*T))+exp(-mom*B/(kb*T)))",
            "n_0 kb T mom B: 1 3",
            lambda n_0, kb, t, mom, b: (
                n_0 / (np.exp(mom * b / (kb * t)) + np.exp(-mom * b / (kb * t)))
            ),
        ),
        _row(
            "II.2.42",
            "kappa*(T2-T1)*A/d",
            "kappa T1 T2 A d: 1 5",
            lambda kappa, t1, t2, a, d: kappa * (t2 - t1) * a / d,
        ),
    ),
    "selection": (
        _row(
            "I.14.4",
            "1/2*k_spring*x**2",
            "k_spring x: 1 5",
            lambda k_spring, x: 1 / 2 * k_spring * x**2,
        ),
        _row("I.25.13", "q/C", "q C: 1 5", lambda q, c: q / c),
        _row(
            "II.15.4",
            "-mom*B*cos(theta)",
            "mom B theta: 1 5",
            lambda mom, b, theta: -mom * b * np.cos(theta),
        ),
        _row(
            "II.6.11",
            "1/(4*pi*epsilon)*p_d*cos(theta)/r**2",
            "epsilon p_d theta r: 1 3",
            lambda epsilon, p_d, theta, r: 1 / (4 * np.pi * epsilon) * p_d * np.cos(theta) / r**2,
        ),
        _row(
            "I.29.16",
            "sqrt(x1**2+x2**2-2*x1*x2*cos(theta1-theta2))",
            "x1 x2 theta1 theta2: 1 5",
            lambda x1, x2, theta1, theta2: np.sqrt(
                (x1 - x2) ** 2 + 4 * x1 * x2 * np.sin((theta1 - theta2) / 2) ** 2
            ),
        ),
        _row(
            "I.13.4",
            "1/2*m*(v**2+u**2+w**2)",
            "m v u w: 1 5",
            lambda m, v, u, w: 1 / 2 * m * (v**2 + u**2 + w**2),
        ),
        _row(
            "I.18.4",
            "(m1*r1+m2*r2)/(m1+m2)",
            "m1 m2 r1 r2: 1 5",
            lambda m1, m2, r1, r2: (m1 * r1 + m2 * r2) / (m1 + m2),
        ),
        _row(
            "I.38.12",
            "4*pi*epsilon*(h/(2*pi))**2/(m*q**2)",
            "m q h epsilon: 1 5",
            lambda m, q, h, epsilon: 4 * np.pi * epsilon * (h / (2 * np.pi)) ** 2 / (m * q**2),
        ),
        _row("I.14.3", "m*g*z", "m g z: 1 5", lambda m, g, z: m * g * z),
        _row(
            "III.15.14",
            "(h/(2*pi))**2/(2*E_n*d**2)",
            "h E_n d: 1 5",
            lambda h, e_n, d: (h / (2 * np.pi)) ** 2 / (2 * e_n * d**2),
        ),
        _row(
            "I.47.23",
            "sqrt(gamma*pr/rho)",
            "gamma pr rho: 1 5",
            lambda gamma, pr, rho: np.sqrt(gamma * pr / rho),
        ),
        _row(
            "II.8.7",
            "3/5*q**2/(4*pi*epsilon*d)",
            "q epsilon d: 1 5",
            lambda q, epsilon, d: 3 / 5 * q**2 / (4 * np.pi * epsilon * d),
        ),
        _row(
            "I.44.4",
            "n*kb*T*ln(V2/V1)",
            "n kb T V1 V2: 1 5",
            lambda n, kb, t, v1, v2: n * kb * t * np.log(v2 / v1),
        ),
        _row(
            "II.6.15a",
            "p_d/(4*pi*epsilon)*3*z/r**5*sqrt(x**2+y**2)",
            "epsilon p_d r x y z: 1 3",
            lambda epsilon, p_d, r, x, y, z: (
                p_d / (4 * np.pi * epsilon) * 3 * z / r**5 * np.sqrt(x**2 + y**2)
            ),
        ),
        _row(
            "III.14.14",
            "I_0*(exp(q*Volt/(kb*T))-1)",
            "I_0: 1 5; q Volt kb T: 1 2",
            lambda i_0, q, volt, kb, t: i_0 * (np.exp(q * volt / (kb * t)) - 1),
        ),
        _row(
            "II.11.20",
            "n_rho*p_d**2*Ef/(3*kb*T)",
            "n_rho p_d Ef kb T: 1 5",
            lambda n_rho, p_d, ef, kb, t: n_rho * p_d**2 * ef / (3 * kb * t),
        ),
    ),
    "test": (
        _row(
            "I.6.2",
            "exp(-(theta/sigma)**2/2)/(sqrt(2*pi)*sigma)",
            "sigma theta: 1 3",
            lambda sigma, theta: np.exp(-((theta / sigma) ** 2) / 2) / (np.sqrt(2 * np.pi) * sigma),
        ),
        _row("II.38.14", "Y/(2*(1+sigma))", "Y sigma: 1 5", lambda y, sigma: y / (2 * (1 + sigma))),
        _row(
            "I.37.4",
            "I1+I2+2*sqrt(I1*I2)*cos(delta)",
            "I1 I2 delta: 1 5",
            lambda i1, i2, delta: i1 + i2 + 2 * np.sqrt(i1 * i2) * np.cos(delta),
        ),
        _row(
            "II.6.15b",
            "p_d/(4*pi*epsilon)*3*cos(theta)*sin(theta)/r**3",
            "epsilon p_d theta r: 1 3",
            lambda epsilon, p_d, theta, r: (
                p_d / (4 * np.pi * epsilon) * 3 * np.cos(theta) * np.sin(theta) / r**3
            ),
        ),
        _row(
            "II.11.17",
            "n_0*(1+p_d*Ef*cos(theta)/(kb*T))",
            "n_0 kb T theta p_d Ef: 1 3",
            lambda n_0, kb, t, theta, p_d, ef: n_0 * (1 + p_d * ef * np.cos(theta) / (kb * t)),
        ),
        _row(
            "I.40.1",
            "n_0*exp(-m*g*x/(kb*T))",
            "n_0 m x T g kb: 1 5",
            lambda n_0, m, x, t, g, kb: n_0 * np.exp(-m * g * x / (kb * t)),
        ),
        _row(
            "I.6.2b",
            "exp(-((theta-theta1)/sigma)**2/2)/(sqrt(2*pi)*sigma)",
            "sigma theta theta1: 1 3",
            lambda sigma, theta, theta1: (
                np.exp(-(((theta - theta1) / sigma) ** 2) / 2) / (np.sqrt(2 * np.pi) * sigma)
            ),
        ),
        _row("II.34.2a", "q*v/(2*pi*r)", "q v r: 1 5", lambda q, v, r: q * v / (2 * np.pi * r)),
        _row(
            "I.16.6",
            "(u+v)/(1+u*v/c**2)",
            "c v u: 1 5",
            lambda c, v, u: (u + v) / (1 + u * v / c**2),
        ),
        _row(
            "I.12.4",
            "q1*r/(4*pi*epsilon*r**3)",
            "q1 epsilon r: 1 5",
            lambda q1, epsilon, r: q1 * r / (4 * np.pi * epsilon * r**3),
        ),
        _row(
            "III.10.19",
            "mom*sqrt(Bx**2+By**2+Bz**2)",
            "mom Bx By Bz: 1 5",
            lambda mom, bx, by, bz: mom * np.sqrt(bx**2 + by**2 + bz**2),
        ),
        _row(
            "III.13.18",
            "2*E_n*d**2*k/(h/(2*pi))",
            "E_n d k h: 1 5",
            lambda e_n, d, k, h: 2 * e_n * d**2 * k / (h / (2 * np.pi)),
        ),
        _row(
            "I.43.43",
            "1/(gamma-1)*kb*v/A",
            "gamma: 2 5; kb A v: 1 5",
            lambda gamma, kb, a, v: 1 / (gamma - 1) * kb * v / a,
        ),
        _row(
            "I.12.2",
            "q1*q2*r/(4*pi*epsilon*r**3)",
            "q1 q2 epsilon r: 1 5",
            lambda q1, q2, epsilon, r: q1 * q2 * r / (4 * np.pi * epsilon * r**3),
        ),
        _row(
            "II.35.21",
            "n_rho*mom*tanh(mom*B/(kb*T))",
            "n_rho mom B kb T: 1 5",
            lambda n_rho, mom, b, kb, t: n_rho * mom * np.tanh(mom * b / (kb * t)),
        ),
        _row(
            "I.13.12",
            "G*m1*m2*(1/r2-1/r1)",
            "m1 m2 r1 r2 G: 1 5",
            lambda m1, m2, r1, r2, g: g * m1 * m2 * (1 / r2 - 1 / r1),
        ),
    ),
}


def _order(split: str, seed: int) -> list[int]:
    """Return the seeded order of a split's equations: one of each pair, then the others.

    So eight instances, the default number, are of all kinds; a plain permutation once gave a
    test draw without a single sine.
    """
    rng = stream(_FEYNMAN_STREAM, split, seed, _ORDER)
    pairs = rng.permutation(len(EQUATIONS[split]) // 2)
    first = 2 * pairs + rng.integers(2, size=len(pairs))
    return [*first.tolist(), *(first ^ 1).tolist()]


def _feynman(split: str, seed: int, index: int, attempt: int) -> Raw:
    """Draw an equation of the split, in seeded order, on a random part of its published box."""
    equations = EQUATIONS[split]
    equation = equations[_order(split, seed)[index % len(equations)]]
    rng = stream(_FEYNMAN_STREAM, split, seed, index, attempt)
    published = np.subtract(equation.high, equation.low)
    width = rng.uniform(MIN_WIDTH, 1.0, len(published)) * published
    low = np.asarray(equation.low) + rng.random(len(published)) * (published - width)

    def function(x: FloatArray) -> FloatArray:
        values: FloatArray = equation.function(*x.T)[:, None]
        return values

    lap = index // len(equations)
    label = f"{equation.identifier}-{lap + 1}" if lap else equation.identifier
    return on_box(label, function, low, low + width, rng)


FEYNMAN = Source("feynman", _feynman)
