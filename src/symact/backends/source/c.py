"""C source code."""

from __future__ import annotations

from collections.abc import Sequence

from symact.backends.source.base import Source
from symact.expr.printer import Template
from symact.expr.rules import CALLS, Target

#: C99 with ``<math.h>``. All variables are ``double``; a comparison is an ``int``.
C = Target(
    {
        **CALLS,
        "abs": "fabs({0})",
        "bell": "exp(-({0})*({0}))",
        "normal_pdf": "(0.3989422804014327*exp(-0.5*({0})*({0})))",
        "normal_sf": "(0.5*erfc(0.7071067811865476*({0})))",
        "select": "(({0}) ? ({1}) : ({2}))",
    },
    names={"inf": "INFINITY", "nan": "NAN"},
)


class CSource(Source):
    """Writes C99 in double precision."""

    has_statistics = False
    has_defaults = False

    def __init__(self) -> None:
        super().__init__(C, {"where": Template("({0} ? {1} : {2})", needs=(2, 2, 2))})

    def helper_name(self, op: str) -> str:
        return f"{op}_"  # avoids clashes with names of other C code, such as relu

    def function(
        self, name: str, args: Sequence[str], steps: Sequence[tuple[str, str]], result: str
    ) -> str:
        head = f"double {name}({', '.join(f'double {arg}' for arg in args)}) {{"
        lines = [head, *(f"    const double {step} = {text};" for step, text in steps)]
        return "\n".join([*lines, f"    return {result};", "}"]) + "\n"

    def module(self, functions: Sequence[str]) -> str:
        helpers = [f"static {helper}" for helper in functions[:-1]]
        return "\n".join(["#include <math.h>\n", *helpers, functions[-1]])


C_SOURCE = CSource()
