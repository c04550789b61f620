"""Effects of a statement, from its syntax: names that it uses, binds and may change.

An unsupported statement makes the names that it binds unknown, and the objects that it may change.
A call of a function of the program has all effects of its body.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
#: Functions that change none of their arguments.
_HARMLESS = {"print", "len", "repr", "str", "type", "isinstance", "id", "hasattr", "getattr"}
#: Names and attributes that give access to arbitrary names.
_ANYTHING = {"exec", "eval", "globals", "locals", "vars", "__import__", "__builtins__", "builtins"}
_ANY_ATTRIBUTE = {"__dict__", "modules", "__globals__", "reload"}
#: Methods that change a list or dict.
_MUTATORS = {"append", "extend", "insert", "pop", "remove", "clear", "update", "setdefault"}

#: An object that may be changed: a name, or a name and an attribute of it.
Place = tuple[str, str]


@dataclass(slots=True)
class Effects:
    """The possible effects of a statement.

    Attributes:
        names: Names that the statement may bind.
        assigned: Objects with an assignment to an attribute or item.
        called: Objects with a call of a method.
        given: Objects that are arguments of a call.
        is_anything: Whether the statement may change any name.
    """

    names: set[str] = field(default_factory=set)
    assigned: set[Place] = field(default_factory=set)
    called: set[Place] = field(default_factory=set)
    given: set[Place] = field(default_factory=set)
    is_anything: bool = False


def effects(statement: ast.stmt, definitions: Mapping[str, Sequence[ast.stmt]]) -> Effects:
    """Return the possible effects of a statement.

    Args:
        statement: The statement.
        definitions: The statements that bind each name of the module.
    """
    found = Effects(names=bound_names(statement))
    _add_changes(statement, found)
    for other in _reached(statement, definitions):
        found.names |= {name for node in _globals(other) for name in node.names}
        _add_changes(other, found)
    return found


def bound_names(node: ast.AST) -> set[str]:
    """Return the names that a syntax node may bind in its own scope or as globals."""
    found: set[str] = set()
    for part in _own_scope(node):
        found.update(_bound_by(part))
    for declared in _globals(node):
        found.update(declared.names)
    return found


def free_names(node: ast.AST) -> set[str]:
    """Return the names that a syntax node reads from outside its own functions."""
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    found: set[str] = set()
    if isinstance(node, _FUNCTIONS):
        for part in _body(node):
            found |= free_names(part)
        found -= _locals(node)
        for part in _header(node):
            found |= free_names(part)
        return found
    for part in ast.iter_child_nodes(node):
        found |= free_names(part)
    return found


def definitions(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    """Return the statements of a module that bind each name."""
    found: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in bound_names(statement):
            found.setdefault(name, []).append(statement)
    return found


def reachable(names: Iterable[str], edges: Mapping[str, set[str]]) -> set[str]:
    """Return the nodes of a graph that are reachable by at least one edge."""
    waiting = [target for name in names for target in edges.get(name, ())]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += edges.get(name, ())
    return found


def mentions(definitions: Mapping[str, Sequence[ast.stmt]]) -> dict[str, set[str]]:
    """Return the graph of names whose definitions mention other names of the module."""
    return {
        name: set().union(*map(free_names, statements)) & definitions.keys()
        for name, statements in definitions.items()
    }


def _reached(statement: ast.stmt, definitions: Mapping[str, Sequence[ast.stmt]]) -> list[ast.stmt]:
    """Return the statements that define the names in a statement, transitively."""
    found: dict[int, ast.stmt] = {}
    waiting = sorted(free_names(statement))
    seen = set(waiting)
    while waiting:
        for other in definitions.get(waiting.pop(), ()):
            if id(other) not in found and other is not statement:
                found[id(other)] = other
                new = free_names(other) - seen
                seen |= new
                waiting += sorted(new)
    return list(found.values())


def _own_scope(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a syntax node in its own scope."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, _FUNCTIONS):
            waiting += _header(part)
        elif isinstance(part, ast.ClassDef):
            waiting += [*part.decorator_list, *part.bases, *(k.value for k in part.keywords)]
        else:
            waiting += ast.iter_child_nodes(part)


def _bound_by(part: ast.AST) -> Iterator[str]:
    if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
        yield part.id
    elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield part.name
    elif isinstance(part, ast.Import | ast.ImportFrom):
        for alias in part.names:
            yield alias.asname or alias.name.split(".")[0]
    elif isinstance(part, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and part.name:
        yield part.name
    elif isinstance(part, ast.MatchMapping) and part.rest:
        yield part.rest


def _globals(node: ast.AST) -> Iterator[ast.Global | ast.Nonlocal]:
    return (part for part in ast.walk(node) if isinstance(part, ast.Global | ast.Nonlocal))


def _body(node: Functions) -> list[ast.AST]:
    return [node.body] if isinstance(node, ast.Lambda) else list(node.body)


def _header(node: Functions) -> list[ast.AST]:
    """Return the parts of a function that are evaluated at its definition."""
    spec = node.args
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return [*decorators, *spec.defaults, *(d for d in spec.kw_defaults if d is not None)]


def _locals(node: Functions) -> set[str]:
    spec = node.args
    given = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]
    names = {a.arg for a in given if a is not None}
    declared = {name for part in _body(node) for own in _globals(part) for name in own.names}
    return names | set().union(*(_assigned_in(part) for part in _body(node))) - declared


def _assigned_in(node: ast.AST) -> set[str]:
    return {name for part in _own_scope(node) for name in _bound_by(part)}


def _add_changes(node: ast.AST, found: Effects) -> None:
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute | ast.Subscript) and not isinstance(part.ctx, ast.Load):
            found.assigned |= _places(part)
            found.is_anything |= _is_of_call(part)
        elif isinstance(part, ast.Call):
            _add_call(part, found)
        elif isinstance(part, ast.Name) and part.id in _ANYTHING:
            found.is_anything = True
        if isinstance(part, ast.Attribute) and part.attr in _ANY_ATTRIBUTE:
            found.is_anything = True


def _add_call(part: ast.Call, found: Effects) -> None:
    name = part.func.id if isinstance(part.func, ast.Name) else ""
    given = [*part.args, *(k.value for k in part.keywords)]
    if name in ("setattr", "delattr") and given:
        found.assigned |= _places(given[0])
    elif name not in _HARMLESS:
        for argument in given:
            found.given |= _places(argument)
    if isinstance(part.func, ast.Attribute):
        found.called |= _places(part.func.value)
        found.is_anything |= part.func.attr in _MUTATORS and _is_of_call(part.func)


def _is_of_call(node: ast.AST) -> bool:
    """Return whether an expression is a part of the result of a call."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return isinstance(node, ast.Call)


def _places(node: ast.AST) -> set[Place]:
    """Return the objects that an expression such as ``a.b[0].c`` is a part of."""
    if isinstance(node, ast.Starred):
        return _places(node.value)
    if isinstance(node, ast.Tuple | ast.List):
        return set().union(*map(_places, node.elts))
    attribute = ""
    while isinstance(node, ast.Attribute | ast.Subscript):
        attribute = node.attr if isinstance(node, ast.Attribute) else ""
        node = node.value
    return {(node.id, attribute)} if isinstance(node, ast.Name) else set()
