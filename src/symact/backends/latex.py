"""Expressions as LaTeX, as they stand."""

from __future__ import annotations

from collections.abc import Sequence

from symact.expr import Expr, fold
from symact.expr.primitives import CONST, VAR

# Levels: comparison 1, sum 2, sign 3, product 4, fraction 5, power 6, atom 7.

#: For each operator its template, its level, and the level each argument needs to go bare.
_TEMPLATES: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "add": ("{0} + {1}", 2, (2, 4)),
    "sub": ("{0} - {1}", 2, (2, 4)),
    "mul": ("{0} {1}", 4, (3, 5)),
    "div": (r"\frac{{{0}}}{{{1}}}", 5, (0, 0)),
    "neg": ("-{0}", 3, (4,)),
    "abs": (r"\left|{0}\right|", 7, (0,)),
    "square": ("{0}^{{2}}", 6, (7,)),
    "cube": ("{0}^{{3}}", 6, (7,)),
    "sqrt": (r"\sqrt{{{0}}}", 7, (0,)),
    "exp": ("e^{{{0}}}", 6, (0,)),
    "log1p": (r"\ln\left(1 + {0}\right)", 7, (4,)),
    "gaussian": ("e^{{-{0}^{{2}}}}", 6, (7,)),
    "where": (
        r"\begin{{cases}} {1} & \text{{if }} {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
        1,
        (0, 0, 0),
    ),
    "lt": ("{0} < {1}", 1, (2, 2)),
    "le": (r"{0} \le {1}", 1, (2, 2)),
    "gt": ("{0} > {1}", 1, (2, 2)),
    "ge": (r"{0} \ge {1}", 1, (2, 2)),
}
#: The functions that LaTeX or custom writes otherwise than ``\operatorname{name}``.
_HEADS = {
    "log": r"\ln",
    "sin": r"\sin",
    "cos": r"\cos",
    "tanh": r"\tanh",
    "atan": r"\arctan",
    "asinh": r"\operatorname{arsinh}",
    "sigmoid": r"\sigma",
    "relu": r"\operatorname{ReLU}",
    "gelu": r"\operatorname{GELU}",
    "silu": r"\operatorname{SiLU}",
    "sign": r"\operatorname{sgn}",
    "min": r"\min",
    "max": r"\max",
}

_GREEK = frozenset(
    (
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "eta",
        "theta",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "rho",
        "sigma",
        "tau",
        "omega",
    )
)


def to_latex(expr: Expr) -> str:
    """Return the formula as it stands, in LaTeX for math mode, numbers to six digits."""
    # Not sympy's printer: sympy would reorder and rewrite the formula, or fail to build it.
    return fold(expr, _latex_node)[0]


def _latex_node(node: Expr, args: Sequence[tuple[str, int]]) -> tuple[str, int]:
    if node.op == VAR:
        return _latex_name(str(node.value)), 7
    if node.op == CONST:
        return _latex_number(node.number)
    if node.op not in _TEMPLATES:
        head = _HEADS.get(node.op, rf"\operatorname{{{node.op}}}")
        return head + _in_parentheses(", ".join(text for text, _ in args)), 7
    template, level, needs = _TEMPLATES[node.op]
    if node.op == "mul" and node.args[1].op == CONST != node.args[0].op:
        args = args[::-1]  # a number stands before what it multiplies
    bare = zip(args, needs, strict=True)
    texts = [text if own >= need else _in_parentheses(text) for (text, own), need in bare]
    if node.op == "mul" and (texts[1][0].isdigit() or texts[1].startswith(r"\frac")):
        template = r"{0} \cdot {1}"
    return template.format(*texts), level


def _latex_name(name: str) -> str:
    """Return a variable: Greek where it is so called, digits at its end as a subscript."""
    stem = name.rstrip("0123456789")
    letter = rf"\{stem}" if stem in _GREEK else stem if len(stem) == 1 else rf"\mathrm{{{stem}}}"
    return letter if stem == name else rf"{letter}_{{{name[len(stem) :]}}}"


def _latex_number(value: float) -> tuple[str, int]:
    mantissa, _, exponent = f"{value:.6g}".partition("e")
    text = rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
    return text, 3 if value < 0 else 4 if exponent else 7


def _in_parentheses(text: str) -> str:
    is_tall = any(mark in text for mark in (r"\frac", r"\left", r"\sqrt", r"\begin", "^"))
    return rf"\left({text}\right)" if is_tall else f"({text})"
