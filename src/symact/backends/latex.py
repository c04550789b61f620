"""The LaTeX printer. It keeps the order of terms and factors."""

from __future__ import annotations

from collections.abc import Sequence

from symact.expr import Expr, parameters, var, variables, with_parameters
from symact.expr.primitives import CONST
from symact.expr.printer import ATOM, Printed, Printer, Template

# Precedence levels: comparison 1, sum 2, sign 3, product 4, fraction 5, power 6.

_SIGN, _PRODUCT = 3, 4

_TEMPLATES = {
    "add": Template("{0} + {1}", 2, (2, 4)),
    "sub": Template("{0} - {1}", 2, (2, 4)),
    "mul": Template("{0} {1}", 4, (3, 5)),
    "div": Template(r"\frac{{{0}}}{{{1}}}", 5, (0, 0)),
    "neg": Template("-{0}", 3, (4,)),
    "abs": Template(r"\left|{0}\right|", ATOM, (0,)),
    "square": Template("{0}^{{2}}", 6, (7,)),
    "cube": Template("{0}^{{3}}", 6, (7,)),
    "sqrt": Template(r"\sqrt{{{0}}}", ATOM, (0,)),
    "exp": Template("e^{{{0}}}", 6, (0,)),
    "log1p": Template(r"\ln\left(1 + {0}\right)", ATOM, (4,)),
    "gaussian": Template("e^{{-{0}^{{2}}}}", 6, (7,)),
    "where": Template(
        r"\begin{{cases}} {1} & \text{{if }} {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
        1,
        (0, 0, 0),
    ),
    "lt": Template("{0} < {1}", 1, (2, 2)),
    "le": Template(r"{0} \le {1}", 1, (2, 2)),
    "gt": Template("{0} > {1}", 1, (2, 2)),
    "ge": Template(r"{0} \ge {1}", 1, (2, 2)),
}
#: The names of functions in LaTeX, if they differ from ``\operatorname{name}``.
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


class _LatexPrinter(Printer):
    """Prints an expression in LaTeX for math mode.

    The printer of sympy is not used, because it reorders and rewrites formulas.
    """

    def printed(self, node: Expr, args: Sequence[Printed]) -> Printed:
        if node.op == "mul" and node.args[1].op == CONST != node.args[0].op:
            args = args[::-1]  # print the number first
        return super().printed(node, args)

    def template(self, node: Expr, args: Sequence[Printed]) -> Template | None:
        template = self.templates.get(node.op)
        if template is None or node.op != "mul":
            return template
        text, level = args[1]
        is_bare = level >= template.needs[1]
        needs_dot = is_bare and (text[0].isdigit() or text.startswith(r"\frac"))
        return Template(r"{0} \cdot {1}", template.level, template.needs) if needs_dot else template

    def variable(self, name: str) -> str:
        """Return a variable, with Greek letters by name and trailing digits as a subscript."""
        stem = name.rstrip("0123456789")
        roman = stem if len(stem) == 1 else rf"\mathrm{{{stem}}}"
        letter = rf"\{stem}" if stem in _GREEK else roman
        return letter if stem == name else rf"{letter}_{{{name[len(stem) :]}}}"

    def number(self, value: float) -> Printed:
        """Return a number with six digits."""
        mantissa, _, exponent = f"{value:.6g}".partition("e")
        text = rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
        return text, _SIGN if value < 0 else _PRODUCT if exponent else ATOM

    def call(self, name: str, args: Sequence[str]) -> str:
        head = _HEADS.get(name, rf"\operatorname{{{name}}}")
        return head + self.parentheses(", ".join(args))

    def parentheses(self, text: str) -> str:
        is_tall = any(mark in text for mark in (r"\frac", r"\left", r"\sqrt", r"\begin", "^"))
        return rf"\left({text}\right)" if is_tall else f"({text})"


_latex = _LatexPrinter(_TEMPLATES)
#: Letters for trained parameters. The first that no variable has is used.
_STEMS = ("theta", "omega", "kappa", "rho")


def to_latex(expr: Expr) -> str:
    r"""Return the LaTeX source of an expression for math mode. Numbers have six digits.

    A trained parameter is printed as a Greek letter without its initial value: \theta for one,
    \theta_{1}, \theta_{2}, ... for several.

    Example:
        >>> from symact.expr import parse
        >>> to_latex(parse("x*sigmoid(1.7*x)"))
        'x \\sigma(1.7 x)'
    """
    trained = parameters(expr)
    stem = next((name for name in _STEMS if _is_free(name, expr)), _STEMS[0])
    names = [stem] if len(trained) == 1 else [f"{stem}{i}" for i, _ in enumerate(trained, 1)]
    return _latex(with_parameters(expr, [var(name) for name in names]))


def _is_free(stem: str, expr: Expr) -> bool:
    return all(name.rstrip("0123456789") != stem for name in variables(expr))
