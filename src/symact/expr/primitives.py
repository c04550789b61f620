"""The vocabulary: one row for each primitive of the expression language.

A row states the name, argument types, result type, cost and rule of a primitive. The numba and
Triton kernels, constant folding and source code are derived from the rules
(:mod:`symact.expr.rules`). Run ``python tools/generate_kernels.py`` after a change.

Types are ranges of values: ``Unit <: Signed <: Real``, ``Divisor <: Positive <: NonNegative <:
Real`` and ``Unit <: NonNegative``. Grammars use the types in the signatures to propose finite
candidates. The parser uses only the *sorts* Real and Bool: every well-sorted expression has an
IEEE 754 value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from textwrap import dedent

from symact.expr.rules import Rule, parse_rule

#: The direct supertypes of each type. Supertypes come before subtypes.
TYPES: dict[str, tuple[str, ...]] = {
    "Real": (),
    "Signed": ("Real",),  # [-1, 1]
    "NonNegative": ("Real",),  # [0, inf)
    "Unit": ("Signed", "NonNegative"),  # [0, 1]
    "Positive": ("NonNegative",),  # (0, inf)
    "Divisor": ("Positive",),  # bounded away from zero
    "Stat": ("Real",),  # a statistic of the whole tensor, the same for every element
    "Bool": (),
    "Const": (),  # a numeric literal
    "PositiveConst": ("Const",),  # a numeric literal above zero
}


@dataclass(frozen=True, slots=True)
class Signature:
    """Argument types and result type of one use of a primitive."""

    args: tuple[str, ...]
    result: str

    def __str__(self) -> str:
        return f"({', '.join(self.args)}) -> {self.result}"


@dataclass(frozen=True)
class Primitive:
    """One row of the vocabulary.

    Attributes:
        opcode: The number of the instruction in programs. Numbers are stable: each new primitive
            takes an unused number, and a removed number is never reused.
        name: The name in formulas and grammars.
        signatures: Valid typings, the most general first.
        flops: Cost of one evaluation in floating-point operations (see :data:`PRIMITIVES`).
        meaning: The definition in words or mathematics.
        definition: The text of the rule (:mod:`symact.expr.rules`); empty for a statistic.
        infix: The infix operator, or None if the primitive is written as a call.
        commutative: Whether the two arguments may be swapped.
        statistic: Whether the primitive reduces the whole tensor instead of single elements.
    """

    opcode: int
    name: str
    signatures: tuple[Signature, ...]
    flops: int
    meaning: str
    definition: str
    infix: str | None = None
    commutative: bool = False
    statistic: bool = False

    @cached_property
    def rule(self) -> Rule:
        """The rule for the value and the partial derivatives of one element."""
        return parse_rule(self.definition)

    @cached_property
    def arity(self) -> int:
        return len(self.signatures[0].args)

    @cached_property
    def sort(self) -> str:
        """``"Bool"`` for comparisons, else ``"Real"``."""
        return "Bool" if self.signatures[0].result == "Bool" else "Real"

    @cached_property
    def argument_sorts(self) -> tuple[str, ...]:
        return tuple("Bool" if a == "Bool" else "Real" for a in self.signatures[0].args)


_SHORT = {
    "R": "Real",
    "S": "Signed",
    "U": "Unit",
    "N": "NonNegative",
    "P": "Positive",
    "D": "Divisor",
    "T": "Stat",
    "B": "Bool",
    "C": "Const",
    "K": "PositiveConst",
}


def _signatures(text: str) -> tuple[Signature, ...]:
    """Read signatures written as ``"RR>R SS>S"``, one letter for each type."""
    pairs = (item.split(">") for item in text.split())
    return tuple(Signature(tuple(_SHORT[a] for a in args), _SHORT[r]) for args, r in pairs)


def _row(
    opcode: int,
    name: str,
    signatures: str,
    flops: int,
    meaning: str,
    definition: str = "",
    *,
    infix: str | None = None,
    commutative: bool = False,
    statistic: bool = False,
) -> Primitive:
    typings, rule = _signatures(signatures), dedent(definition).strip()
    return Primitive(opcode, name, typings, flops, meaning, rule, infix, commutative, statistic)


_COMPARED = "RR>B RC>B"
_BOUNDED = "R>S"
_EXTREMUM = "RR>R SS>S UU>U NN>N PP>P DD>D RC>R CR>R"

#: The primitives by name. FLOPs: 1 for an addition, product, comparison or sign change; 4 for a
#: division or root; 10 for an elementary transcendental function. A composite primitive costs the
#: sum of the parts of its definition.
PRIMITIVES: dict[str, Primitive] = {
    row.name: row
    for row in (
        _row(
            0,
            "add",
            "RR>R NN>N PN>P NP>P DN>D ND>D RC>R CR>R NK>D KN>D",
            1,
            "a + b",
            "value = a + b; da = 1; db = 1",
            infix="+",
            commutative=True,
        ),
        _row(1, "sub", "RR>R RC>R CR>R", 1, "a - b", "value = a - b; da = 1; db = -1", infix="-"),
        _row(
            2,
            "mul",
            "RR>R SS>S UU>U NN>N PP>P DD>D RC>R CR>R NK>N KN>N PK>P KP>P DK>D KD>D",
            1,
            "a * b",
            "value = a*b; da = b; db = a",
            infix="*",
            commutative=True,
        ),
        _row(
            3,
            "div",
            "RD>R ND>N PD>P CD>R KD>P",
            4,
            "a / b",
            "value = a/b; da = 1/b; db = -value*da",
            infix="/",
        ),
        _row(4, "neg", "R>R S>S", 1, "-a", "value = -a; da = -1"),
        _row(
            5,
            "abs",
            "R>N S>U P>P D>D",
            1,
            "the absolute value of a",
            "value = abs(a); da = select(a < 0, -1, select(a > 0, 1, 0))",
        ),
        _row(6, "square", "R>N S>U P>P D>D", 1, "a**2", "value = a*a; da = a + a"),
        _row(7, "cube", "R>R S>S U>U N>N P>P D>D", 2, "a**3", "s = a*a; value = s*a; da = 3*s"),
        _row(
            8,
            "sqrt",
            "N>N U>U P>P D>D",
            4,
            "the square root; NaN below 0",
            "value = sqrt(a); da = 0.5/value",
        ),
        _row(9, "exp", "R>P N>D", 10, "e**a", "value = exp(a); da = value"),
        _row(
            10,
            "log",
            "P>R",
            10,
            "the natural logarithm; -inf at 0, NaN below",
            "value = log(a); da = 1/a",
        ),
        _row(
            11,
            "log1p",
            "N>N",
            10,
            "log(1 + a), accurate near 0",
            "value = log1p(a); da = 1/(a + 1)",
        ),
        _row(12, "sin", _BOUNDED, 10, "the sine", "value = sin(a); da = cos(a)"),
        _row(13, "cos", _BOUNDED, 10, "the cosine", "value = cos(a); da = -sin(a)"),
        _row(
            14,
            "sinc",
            _BOUNDED,
            15,
            "sin(pi a) / (pi a), 1 at 0",
            """
            z = pi*a
            u = z*z
            near = abs(z) < 0.3
            far = abs(z) == inf
            safe = select(near, 1, z)
            quotient = sin(z)/safe
            slope = (cos(z) - quotient)*pi*(1/safe)
            high = u*u*u*u
            low = 1 - u*(1/6 - u*(1/120 - u*(1/5040 - u*(1/362880))))
            series = low - high*u*(1/39916800)
            low_slope = 1/3 - u*(1/30 - u*(1/840 - u*(1/45360)))
            series_slope = -pi*z*low_slope - pi*z*high*(1/3991680)
            value = select(far, 0, select(near, series, quotient))
            da = select(far, 0, select(near, series_slope, slope))
            """,
        ),
        _row(
            15,
            "tanh",
            _BOUNDED,
            10,
            "the hyperbolic tangent",
            "value = tanh(a); da = (1 - value)*(1 + value)",
        ),
        _row(16, "atan", "R>R N>N", 10, "the inverse tangent", "value = atan(a); da = 1/(1 + a*a)"),
        _row(
            17,
            "asinh",
            "R>R N>N",
            16,
            "the inverse hyperbolic sine",
            """
            m = abs(a)
            huge = m > 1e9
            safe = select(huge, 1, m)
            root = sqrt(safe*safe + 1)
            moderate = log1p(safe + safe*safe/(1 + root))
            size = select(huge, log(m) + log(2), moderate)
            value = select(a < 0, -size, size)
            da = 1/select(huge, m, root)
            """,
        ),
        _row(
            18,
            "erf",
            "R>S N>U",
            10,
            "the error function",
            "value = erf(a); da = 2/sqrt(pi)*bell(a)",
        ),
        _row(
            19,
            "sigmoid",
            "R>U",
            15,
            "1 / (1 + e**-a)",
            """
            e = exp(-abs(a))
            q = 1/(1 + e)
            logistic = select(a >= 0, q, e*q)
            value = select(a == a, logistic, a)
            da = e*q*q
            """,
        ),
        _row(
            20,
            "softplus",
            "R>P",
            21,
            "log(1 + e**a)",
            """
            e = exp(-abs(a))
            q = 1/(1 + e)
            value = select(a == a, select(a > 0, a, 0) + log1p(e), a)
            da = select(a >= 0, q, e*q)
            """,
        ),
        _row(
            21,
            "softsign",
            "R>S N>U",
            6,
            "a / (1 + abs(a))",
            """
            q = 1/(1 + abs(a))
            limit = select(a > 0, 1, -1)
            value = select(abs(a) == inf, limit, a*q)
            da = q*q
            """,
        ),
        _row(
            22,
            "relu",
            "R>N S>U",
            1,
            "max(a, 0)",
            "value = select(a == a, select(a > 0, a, 0), a); da = select(a > 0, 1, 0)",
        ),
        _row(
            23,
            "gelu",
            "R>R",
            14,
            "a Phi(a), Phi the normal distribution function",
            """
            z = select(abs(a) > 39, 39, abs(a))
            tail = normal_sf(z)
            value = select(a < 0, 0, a) - z*tail
            slope = tail - z*normal_pdf(z)
            da = select(a < 0, slope, 1 - slope)
            """,
        ),
        _row(
            24,
            "silu",
            "R>R",
            16,
            "a sigmoid(a)",
            """
            e = exp(-abs(a))
            q = 1/(1 + e)
            gate = select(a >= 0, q, e*q)
            infinite = abs(a) == inf
            limit = select(a < 0, 0, a)
            value = select(infinite, limit, a*gate)
            da = select(infinite, gate, gate + a*(e*q*q))
            """,
        ),
        _row(
            25,
            "gaussian",
            "R>U",
            12,
            "e**(-a**2)",
            "value = bell(a); da = select(abs(a) == inf, 0, -2*(a*value))",
        ),
        _row(
            26,
            "sign",
            _BOUNDED,
            1,
            "-1, 0 or 1; its derivative is 0",
            """
            signum = select(a < 0, -1, select(a > 0, 1, 0))
            value = select(a == a, signum, a)
            da = 0
            """,
        ),
        _row(
            27,
            "min",
            _EXTREMUM,
            1,
            "the smaller; NaN if either is",
            """
            chosen = select(a < b, a, b)
            value = select(a != a, a, chosen)
            da = select(a == b, 0.5, select(a < b, 1, 0))
            db = 1 - da
            """,
            commutative=True,
        ),
        _row(
            28,
            "max",
            _EXTREMUM + " RK>D KR>D",
            1,
            "the larger; NaN if either is",
            """
            chosen = select(a > b, a, b)
            value = select(a != a, a, chosen)
            da = select(a == b, 0.5, select(a > b, 1, 0))
            db = 1 - da
            """,
            commutative=True,
        ),
        _row(
            29,
            "where",
            "BRR>R BSS>S BUU>U BNN>N BPP>P BDD>D BRC>R BCR>R BCC>R",
            1,
            "a ? b : c",
            "value = select(a != 0, b, c); tangent = select(a != 0, tb, tc)",
        ),
        _row(
            30,
            "lt",
            _COMPARED,
            1,
            "a < b",
            "value = select(a < b, 1, 0); da = 0; db = 0",
            infix="<",
        ),
        _row(
            31,
            "le",
            _COMPARED,
            1,
            "a <= b",
            "value = select(a <= b, 1, 0); da = 0; db = 0",
            infix="<=",
        ),
        _row(
            32,
            "gt",
            _COMPARED,
            1,
            "a > b",
            "value = select(a > b, 1, 0); da = 0; db = 0",
            infix=">",
        ),
        _row(
            33,
            "ge",
            _COMPARED,
            1,
            "a >= b",
            "value = select(a >= b, 1, 0); da = 0; db = 0",
            infix=">=",
        ),
        _row(34, "mean", "R>T N>N", 1, "the mean over the whole tensor", statistic=True),
        _row(
            35, "std", "R>N", 3, "the population standard deviation over the tensor", statistic=True
        ),
    )
}

#: The primitive of each opcode.
BY_OPCODE: dict[int, Primitive] = {row.opcode: row for row in PRIMITIVES.values()}

#: Operations of the leaves: a variable, a literal and a trained parameter.
VAR = "var"
CONST = "const"
PARAM = "param"


def is_subtype(lower: str, upper: str, types: dict[str, tuple[str, ...]] = TYPES) -> bool:
    """Whether every value of type ``lower`` also has type ``upper``."""
    return lower == upper or any(is_subtype(parent, upper, types) for parent in types[lower])
