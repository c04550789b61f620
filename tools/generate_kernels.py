"""Write the kernels of the numba and Triton backends from the rules of the primitives.

Each primitive's rule (:mod:`symact.expr.rules`) becomes one function for numba and one for Triton,
and a branch in each interpreter. Triton's elementary functions are translated from
``backends/numba/single.py``.

Run: ``python tools/generate_kernels.py``; the results are part of the repository.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from symact.backends.numba import single
from symact.expr.primitives import PRIMITIVES, Primitive
from symact.expr.rules import ARGUMENTS, CALLS, Target, emit

ROOT = Path(__file__).parents[1]
BACKENDS = ROOT / "src" / "symact" / "backends"
NOTICE = "Written by ``tools/generate_kernels.py`` from the rules of the primitives; do not edit."

#: Scalar functions for numba. ``like(a, ...)`` gives a literal the dtype of ``a``.
NUMBA = Target(
    {**CALLS, "sqrt": "np.sqrt({0})", "select": "select({0}, {1}, {2})"},
    number="like(a, {})",
    names={"inf": "like(a, np.inf)", "nan": "like(a, np.nan)"},
)

#: Functions of tensors for Triton. There ``-a`` is ``0 - a``, which is +0 for a = 0.
TRITON = Target(
    {
        **CALLS,
        "abs": "tl.abs({0})",
        "sqrt": "tl.sqrt({0})",
        "select": "tl.where({0}, {1}, {2})",
    },
    names={"inf": 'float("inf")', "nan": 'float("nan")'},
    has_sign=False,
)

NUMBA_HEAD = f'''"""The rules of the primitives for numba, and their branches in the interpreter.

{NOTICE}

A rule returns the value and the partial derivatives of one point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from symact.backends.numba.elementary import (
{{names}}
)
from symact.backends.numba.intrinsics import like, select
from symact.backends.numba.loops import one, two, where
from symact.backends.numba.single import compiled
'''

NUMBA_TABLE = "#: The rule of each primitive of single elements; ``where`` has a loop instead."

NUMBA_INSTRUCTION = '''@njit(error_model="numpy", forceinline=True)
def instruction(op, w, v, t, dual, blocks, d, a, b, c):
    """Run one instruction on some blocks; see :mod:`symact.backends.numba.loops`."""
'''

TRITON_HEAD = f'''"""The elementary functions and the rules of the primitives for Triton.

{NOTICE}

The elementary functions are those of :mod:`symact.backends.numba.single`, which states their
accuracy. A rule returns the values and the partial derivatives of a tensor of points.
"""

from __future__ import annotations

import triton
import triton.language as tl
'''

TRITON_INSTRUCTION = '''@triton.jit
def along_one(rule, da, SLOPES: tl.constexpr):
    """Return a rule's value and tangent; without slopes the tangent is whatever stood there."""
    tangent = da
    if SLOPES:
        tangent = rule[1] * da
    return rule[0], tangent


@triton.jit
def along_two(rule, da, db, SLOPES: tl.constexpr):
    """Return value and tangent of a rule of two arguments."""
    tangent = da
    if SLOPES:
        tangent = rule[1] * da + rule[2] * db
    return rule[0], tangent


@triton.jit
def instruction(op, acc, dacc, a, da, b, db, SLOPES: tl.constexpr):
    """Return value and tangent of the primitive ``op`` of one or two arguments."""
'''


def elementwise() -> list[Primitive]:
    return [row for row in PRIMITIVES.values() if row.definition]


def rule_function(row: Primitive, target: Target, decorator: str) -> str:
    """Return the source of one rule as a function of the target."""
    outputs = ("value", *row.rule.partials)
    texts = dict(emit(row.rule, target, outputs))
    lines = [f"@{decorator}", f"def {row.name}_rule({', '.join(ARGUMENTS[: row.arity])}):"]
    lines += [f"    {name} = {text}" for name, text in texts.items()]
    return "\n".join([*lines, f"    return {', '.join(outputs)}"])


def rule_functions(target: Target, decorator: str) -> Iterator[str]:
    for row in elementwise():
        if "tangent" not in row.rule.steps:
            if len(row.rule.partials) != row.arity:
                raise SystemExit(f"{row.name}: a rule assigns da, db, ... for each argument")
            yield rule_function(row, target, decorator)


def branches(calls: dict[int, str]) -> str:
    """Return a chain of comparisons of ``op`` with opcodes, each with its statement."""
    lines = []
    for place, (opcode, call) in enumerate(calls.items()):
        keyword = "elif" if place else "if"
        lines += [f"    {keyword} op == {opcode}:", f"        {call}"]
    return "\n".join(lines)


def numba_source() -> str:
    elementary = (BACKENDS / "numba" / "elementary.py").read_text(encoding="utf-8")
    rules = list(rule_functions(NUMBA, "compiled"))
    defined = [
        node.targets[0].id
        for node in ast.parse(elementary).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    used = {node.id for node in ast.walk(ast.parse("\n".join(rules))) if isinstance(node, ast.Name)}
    calls = {row.opcode: numba_call(row) for row in elementwise()}
    head = NUMBA_HEAD.format(
        names="\n".join(f"    {name}," for name in sorted(used & set(defined)))
    )
    names = [row.name for row in elementwise() if "tangent" not in row.rule.steps]
    rows = [f'    "{name}": {name}_rule,' for name in names]
    table = "\n".join([NUMBA_TABLE, "RULES: dict[str, Any] = {", *rows, "}"])
    parts = [head.rstrip(), *rules, table, NUMBA_INSTRUCTION + branches(calls)]
    return "\n\n\n".join(parts) + "\n"


def numba_call(row: Primitive) -> str:
    if "tangent" in row.rule.steps:  # such a primitive has a loop of its own
        return f"{row.name}(w, v, t, dual, blocks, d, a, b, c)"
    loop = {1: "one", 2: "two"}[row.arity]
    registers = ", ".join(("d", *ARGUMENTS[: row.arity]))
    return f"{loop}({row.name}_rule, w, v, t, dual, blocks, {registers})"


def triton_source() -> str:
    calls = {row.opcode: triton_call(row) for row in elementwise() if row.arity < 3}
    instruction = TRITON_INSTRUCTION + branches(calls) + "\n    return acc, dacc"
    parts = [*elementary_functions(), *rule_functions(TRITON, "triton.jit"), instruction]
    return "\n\n\n".join([TRITON_HEAD.rstrip(), *parts]) + "\n"


def triton_call(row: Primitive) -> str:
    loop = {1: "along_one", 2: "along_two"}[row.arity]
    names = ARGUMENTS[: row.arity]
    tangents = ", ".join(f"d{name}" for name in names)
    return f"acc, dacc = {loop}({row.name}_rule({', '.join(names)}), {tangents}, SLOPES)"


def elementary_functions() -> Iterator[str]:
    """Translate the functions of the float32 kernels to Triton, in their order."""
    for node in ast.parse(inspect.getsource(single)).body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            found = Translation().visit(node)
            found.decorator_list = [ast.Name("triton.jit")]
            yield ast.unparse(ast.fix_missing_locations(found))


class Translation(ast.NodeTransformer):
    """Replaces what a numba kernel in float32 calls by what Triton has for it."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.local = {arg.arg for arg in node.args.args}
        self.local |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and is_stored(n)}
        has_text = ast.get_docstring(node) is not None
        body = node.body[1:] if has_text else node.body
        node.body = node.body[:has_text] + [part for own in body for part in self.statement(own)]
        return node

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """Translate a statement; a polynomial becomes one statement for each coefficient."""
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Name("horner"), args=[ast.Name(id=table), argument]),
            ):
                first, *others = map(float, map(str, getattr(single, table)))
                x = ast.unparse(self.visit(argument))
                lines = [f"{name} = {first!r}", *(f"{name} = {name} * {x} + {c!r}" for c in others)]
                return ast.parse("\n".join(lines)).body
        return [self.visit(node)]

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.local or callable(value := getattr(single, node.id, None)):
            return node
        return number(value)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if not names_of(node) & self.local:
            return number(eval(ast.unparse(node), vars(single)))
        return ast.BinOp(self.visit(node.operand), ast.Mult(), ast.Constant(-1.0))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = ast.unparse(node.func)
        if name in ("f32", "i32") and not names_of(node) & self.local:
            return number(eval(ast.unparse(node), vars(single)))
        args = [self.visit(arg) for arg in node.args]
        if name == "i32":
            return args[0]
        template = FUNCTIONS.get(name)
        if template is None:
            if name not in vars(single):
                raise SystemExit(f"no translation to Triton is known for {ast.unparse(node)}")
            return ast.Call(node.func, args, [])
        return ast.Name(template.format(*map(operand, args)))


FUNCTIONS = {
    "abs": "tl.abs({0})",
    "select": "tl.where({0}, {1}, {2})",
    "float_bits": "{0}.to(tl.int32, bitcast=True)",
    "bits_float": "{0}.to(tl.float32, bitcast=True)",
    "f32": "{0}.to(tl.float32)",
}


def number(value: object) -> ast.expr:
    """Return a number of the kernels as a literal; the shortest that is the same float32."""
    if isinstance(value, np.int32 | int):
        return ast.Constant(int(value))
    found = float(str(value))
    return ast.Constant(found) if np.isfinite(found) else ast.Name(f'float("{found}")')


def is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def operand(node: ast.expr) -> str:
    text = ast.unparse(node)
    return f"({text})" if isinstance(node, ast.BinOp) else text


def names_of(node: ast.expr) -> set[str]:
    return {own.id for own in ast.walk(node) if isinstance(own, ast.Name)}


def sources() -> dict[Path, str]:
    """Return the text of each file that this tool writes."""
    return {
        BACKENDS / "numba" / "kernels.py": numba_source(),
        BACKENDS / "triton_kernels.py": triton_source(),
    }


def main() -> None:
    for path, text in sources().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
