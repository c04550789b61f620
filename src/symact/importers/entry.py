"""Find the activation function of a program.

A candidate is a function of one required argument, or a class with callable objects. The activation
is the candidate that no other candidate uses, because it uses the helpers. A candidate uses all
names in its body, including methods, nested functions and classes.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from symact.errors import ImportRefusedError, choices
from symact.expr import MAX_DEPTH, Expr, var
from symact.importers.effects import mentions, reachable
from symact.importers.interpreter import CALLED_METHODS, Interpreter
from symact.importers.values import (
    Bound,
    Class,
    Closure,
    Instance,
    Layer,
    Library,
    Partial,
    Static,
    Unknown,
    Value,
    refused,
)

#: Common names of the activation in lower case without underscores, the most common first.
_USUAL = ("activation", "activationfunction", "activationfn", "act", "forward", "f", "fn")
#: Types and names of parameters that are not tensors.
_NO_TENSORS = {"int", "str", "bool", "dict", "list", "tuple", "bytes", "Path", "Namespace"}
_NO_TENSOR_NAMES = {
    *("seed", "n", "steps", "epochs", "path", "config", "cfg", "args", "argv", "lr", "model"),
    *("net", "name", "program_path", "results_dir"),
}
#: Maximum number of candidates to try.
MAX_TRIED = 8


@dataclass(frozen=True, slots=True)
class Understood:
    """The imported function: its name, expression and notes."""

    name: str
    expr: Expr
    notes: tuple[str, ...]


def understood(tree: ast.Module, wanted: str | None) -> Understood:
    """Return the activation of a program.

    Args:
        tree: The program.
        wanted: Name of the function or class; None to find it.

    Raises:
        ImportRefusedError: There is no function, several are possible, or it is not supported.
    """
    program = Interpreter(tree)
    known = _callables(program)
    if wanted is not None:
        if wanted not in program.module.names:
            raise ImportRefusedError(f"no function '{wanted}'; {choices(wanted, known)}")
        return _applied(program, wanted)
    candidates = [name for name in known if _takes_tensor(program.module.names[name])]
    if not candidates:
        return _without_candidates(tree, program, known)
    return _tried(tree, program, _roots(program, candidates), candidates)


def _without_candidates(tree: ast.Module, program: Interpreter, known: list[str]) -> Understood:
    reasons = [
        value.reason if isinstance(value, Unknown) else value.unknown
        for value in program.module.names.values()
        if isinstance(value, Unknown) or (isinstance(value, Class) and value.unknown)
    ]
    if not known:
        why = f": {reasons[0]}" if reasons else ""
        raise ImportRefusedError(f"no function in it{why}")
    if len(known) == 1:
        return _applied(program, known[0])
    raise ImportRefusedError(
        f"no function of one tensor; say which by --entry: {', '.join(known[:20])}"
    )


def _tried(
    tree: ast.Module, program: Interpreter, roots: Sequence[str], candidates: Sequence[str]
) -> Understood:
    usual = [name for name in roots if _rank(name) < len(_USUAL)]
    chosen = min(usual, key=_rank) if usual else None
    tried = [chosen] if chosen else list(roots)[:MAX_TRIED]
    found: list[Understood] = []
    refusals: list[str] = []
    for place, name in enumerate(tried):
        try:
            found.append(_applied(program if place == 0 else Interpreter(tree), name))
        except ImportRefusedError as error:
            refusals.append(str(error) if len(tried) == 1 else f"'{name}': {error}")
    others = [name for name in candidates if name not in tried]
    if not found:
        hint = f"; --entry chooses another: {', '.join(others[:20])}" if others else ""
        raise ImportRefusedError("; ".join(refusals[:3]) + hint)
    if any(one.expr != found[0].expr for one in found):
        raise ImportRefusedError(
            f"several functions; say which by --entry: {', '.join(candidates[:20])}"
        )
    left = [name for name in roots if name != found[0].name]
    if left and len(found) < len(roots):
        note = f"'{found[0].name}' was taken; --entry chooses another: {', '.join(left[:20])}"
        return Understood(found[0].name, found[0].expr, (*found[0].notes, note))
    return found[0]


def _rank(name: str) -> int:
    plain = name.lower().replace("_", "")
    return _USUAL.index(plain) if plain in _USUAL else len(_USUAL)


def _roots(program: Interpreter, candidates: Sequence[str]) -> list[str]:
    """Return the candidates that no other one uses; all candidates if they use each other."""
    graph = mentions(program.definitions)
    reached = {*candidates, *reachable(candidates, graph)}
    used = {target for name in reached for target in graph.get(name, ()) if target != name}
    free = [name for name in candidates if name not in used]
    public = [name for name in free if not name.startswith("_")]
    return public or free or list(candidates)


def _callables(program: Interpreter) -> list[str]:
    """Return the callable names of the module, with functions and classes first."""
    named = program.module.names.items()
    defined = [name for name, value in named if _is_defined(value)]
    if defined:
        usual = [n for n, v in named if isinstance(v, _OBJECTS) and _rank(n) < len(_USUAL)]
        return [*defined, *usual]
    return [name for name, value in named if isinstance(value, _OBJECTS)]


_OBJECTS = Instance | Layer | Partial


def _is_defined(value: Value) -> bool:
    if isinstance(value, Class):
        return any(isinstance(value.find(name), Closure | Static) for name in CALLED_METHODS)
    return isinstance(value, Closure)


def _takes_tensor(value: Value) -> bool:
    """Return whether a value may be called with one tensor."""
    if isinstance(value, Class):
        start = value.find("__init__")
        method = next((m for n in CALLED_METHODS if isinstance(m := value.find(n), Closure)), None)
        is_made = not isinstance(start, Closure) or len(_required(start)) == 1
        return is_made and method is not None and len(_required(method)) == 2
    if isinstance(value, Closure):
        required = _required(value)
        if not required:
            return value.node.args.vararg is not None
        return len(required) == 1 and not _is_no_tensor(required[0])
    return isinstance(value, Instance | Layer | Partial)


def _takes_anything(function: Closure) -> bool:
    spec = function.node.args
    return bool(spec.posonlyargs or spec.args or spec.vararg)


def _required(function: Closure) -> list[ast.arg]:
    spec = function.node.args
    given = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
    return [a for a in given if a.arg not in function.defaults]


def _is_no_tensor(parameter: ast.arg) -> bool:
    is_typed = isinstance(parameter.annotation, ast.Name)
    named = parameter.annotation.id if isinstance(parameter.annotation, ast.Name) else ""
    return parameter.arg in _NO_TENSOR_NAMES or (is_typed and named in _NO_TENSORS)


def _applied(program: Interpreter, name: str) -> Understood:
    """Return the result of a function of the module for a tensor."""
    value = program.module.names[name]
    if isinstance(value, Unknown):
        raise ImportRefusedError(f"'{name}' is not known: {value.reason}")
    node = value.node if isinstance(value, Closure) else None
    if isinstance(value, Closure) and not _takes_anything(value):
        raise refused(node, f"'{name}' takes no tensor")
    if not isinstance(value, Closure | Class | Instance | Layer | Partial | Bound | Library):
        raise ImportRefusedError(f"'{name}' is no function")
    statement = program.definitions[name][-1]
    function = program.call_value(statement, value, [], {}) if isinstance(value, Class) else value
    result = program.call_value(node or statement, function, [var()], {})
    if result is None:
        raise refused(node or statement, f"'{name}' returns nothing")
    expr = program.arithmetic.real(result, node or statement)
    if expr.depth > MAX_DEPTH:
        raise refused(node or statement, f"an expression nested deeper than {MAX_DEPTH}")
    return Understood(name, expr, tuple(program.arithmetic.notes))
