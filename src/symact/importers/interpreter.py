"""Interpret the body of a module, and call its functions.

An unsupported construct in a function is refused. In the bodies of the module, of classes and of
``__init__`` an unsupported statement makes names unknown: those that it binds, and those of objects
that it may change (:mod:`symact.importers.effects`).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from symact.errors import ImportRefusedError
from symact.importers import signatures
from symact.importers.calls import Calls
from symact.importers.effects import definitions, effects
from symact.importers.expressions import MAX_STEPS, USUAL
from symact.importers.library import TABLE
from symact.importers.statements import SAME, Statements
from symact.importers.values import (
    MISSING,
    Array,
    Bound,
    Class,
    Closure,
    Dictionary,
    Instance,
    Layer,
    Library,
    Method,
    Partial,
    Property,
    Scope,
    Static,
    Super,
    TooLargeError,
    Unknown,
    Value,
    described,
    refused,
)

#: Maximum depth of calls, and maximum number of visited nodes for a statement of the module.
MAX_CALLS, MAX_STATEMENT = 20, 5_000
#: Methods that run when an object is called, including those of torch and Keras.
CALLED_METHODS = ("__call__", "forward", "call")
_MODULE_BASES = {"torch.nn.Module", "jax.nn.Module", "keras.layers.Layer", "keras.Layer"}
_PLAIN_BASES = {"builtins.object", "abc.ABC", "typing.Protocol", "typing.Generic"}
#: Methods that change the meaning of attributes or calls.
_MAGIC = {"__getattr__", "__getattribute__", "__setattr__", "__new__", "__init_subclass__"}


class Interpreter(Statements):
    """The interpreter of a program.

    Args:
        tree: The program.
    """

    def __init__(self, tree: ast.Module) -> None:
        super().__init__(definitions(tree))
        self._calls = Calls(self.arithmetic, self._may_change)
        self._active: list[Closure] = []
        self._functions: list[ast.AST] = []
        self._frames: list[Scope] = [self.module]
        self._follow_module(tree.body)

    # Bodies that may contain unsupported statements.
    def _follow(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        for node in body:
            try:
                if self.statement(node, scope) is not None:
                    raise refused(node, "'return' outside a function")
            except TooLargeError:
                raise
            except ImportRefusedError as error:
                self._forget(node, scope, str(error))

    def _follow_module(self, body: Sequence[ast.stmt]) -> None:
        """Run the statements of the module, each with its own limit of steps."""
        for node in body:
            start = self._steps
            self._limit = min(start + MAX_STATEMENT, MAX_STEPS)
            try:
                self._follow([node], self.module)
            except TooLargeError as error:
                self._forget(node, self.module, str(error))
        self._steps, self._limit = 0, MAX_STEPS

    def _forget(self, node: ast.stmt, scope: Scope, reason: str) -> None:
        """Mark as unknown everything that an unsupported statement may have changed."""
        found = effects(node, self.definitions)
        if found.is_anything:
            for each in (scope, self.module):
                each.names.update(dict.fromkeys(each.names, Unknown(reason)))
        for name, attribute in sorted(found.assigned):
            self._spoil(name, attribute, scope, reason, is_assigned=True)
        for name, attribute in sorted(found.called | found.given):
            self._spoil(name, attribute, scope, reason, is_assigned=False)
        for name, attribute in sorted(found.assigned | found.given):
            path = self._library_path(name, scope)
            if (name, attribute) in found.assigned or path in TABLE:
                self.patched[path.split(".")[0]] = reason
        scope.names.update(dict.fromkeys(found.names, Unknown(reason)))

    def _spoil(
        self, name: str, attribute: str, scope: Scope, reason: str, *, is_assigned: bool
    ) -> None:
        """Mark an object as unknown, because it may have been changed."""
        owner = scope.find(name)
        value = None if owner is None else owner.names[name]
        if isinstance(value, Class | Instance) and attribute:
            inner = value.attributes.get(attribute)
            if isinstance(inner, Class | Instance | Dictionary):
                inner.unknown = reason
            if is_assigned or not isinstance(inner, Closure | Property | Static):
                value.attributes[attribute] = Unknown(reason)
        elif isinstance(value, Class | Instance | Dictionary):
            value.unknown = reason
        elif isinstance(value, tuple | Array) or (is_assigned and isinstance(value, Closure)):
            for each in (scope, self.module):
                same = [other for other, own in each.names.items() if own is value]
                each.names.update(dict.fromkeys(same, Unknown(reason)))

    def _library_path(self, name: str, scope: Scope) -> str:
        """Return the path of the library that a name refers to; ``""`` if there is none."""
        owner = scope.find(name)
        value = USUAL.get(name) if owner is None else owner.names[name]
        return (
            value.path if isinstance(value, Library) else value if owner is None and value else ""
        )

    # Functions.
    def call_value(
        self, node: ast.AST, function: Value, args: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        """Call any value that can be called."""
        if isinstance(function, Closure):
            return self._apply(node, function, args, keywords)
        if isinstance(function, Bound):
            return self._apply(node, function.function, [function.instance, *args], keywords)
        if isinstance(function, Static):
            return self.call_value(node, function.function, args, keywords)
        if isinstance(function, Partial):
            merged = {**function.keywords, **keywords}
            return self.call_value(node, function.function, [*function.args, *args], merged)
        if isinstance(function, Class):
            return self._instance(node, function, args, keywords)
        if isinstance(function, Instance):
            return self._call_instance(node, function, args, keywords)
        if isinstance(function, Layer):
            if keywords:
                raise refused(node, f"'{function.path}' takes one tensor")
            return self._calls.layer(node, function, args)
        if isinstance(function, Method):
            kinds = self._tensor_kinds()
            return self._calls.method(node, function.owner, function.name, args, keywords, kinds)
        if isinstance(function, Library):
            return self._call_library(node, function.path, args, keywords)
        raise refused(node, f"a call of {described(function)}")

    def _call_library(
        self, node: ast.AST, path: str, args: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        if path == "functools.partial" and args:
            return Partial(args[0], args[1:], keywords)
        if path in SAME and args and isinstance(args[0], Closure | Class | Instance | Partial):
            return args[0]
        self._check_library(node, path)
        return self._calls.function(node, path, args, keywords)

    def _check_library(self, node: ast.AST, path: str) -> None:
        reason = self.patched.get(path.split(".")[0])
        if reason is not None:
            raise refused(node, f"'{path}' may have been changed: {reason}")

    def _tensor_kinds(self) -> tuple[str, ...]:
        """Return the possible types of a tensor, according to the libraries of the program."""
        kinds = {"torch": "Tensor", "numpy": "ndarray", "jax": "ndarray", "tensorflow": "none"}
        found = sorted({kinds[name] for name in self.libraries if name in kinds})
        return tuple(found) or ("Tensor", "ndarray")

    def _apply(
        self,
        node: ast.AST,
        function: Closure,
        args: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Value:
        name = function.name
        if any(active is function for active in self._active):
            raise refused(function.node, f"'{name}' calls itself")
        if len(self._active) >= MAX_CALLS:
            raise TooLargeError(str(refused(node, f"more than {MAX_CALLS} calls in one another")))
        if any(isinstance(part, ast.Yield | ast.YieldFrom) for part in _own_parts(function.node)):
            raise refused(function.node, f"'{name}' is a generator")
        scope = Scope(_bound(node, function, args, keywords), function.scope)
        self._active.append(function)
        self._frames.append(scope)
        self._functions.append(function.node)
        loops, self._loops = self._loops, 0
        try:
            if isinstance(function.node, ast.Lambda):
                return self.value(function.node.body, scope)
            if name == "__init__":
                self._follow(function.node.body, scope)
                return None
            returned = self._block(function.node.body, scope)
        finally:
            self._loops = loops
            self._functions.pop()
            self._frames.pop()
            self._active.pop()
        return None if returned is None else returned.value

    # Classes.
    def _instance(
        self, node: ast.AST, cls: Class, args: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Instance:
        if cls.unknown:
            raise refused(node, f"class '{cls.name}' is not known: {cls.unknown}")
        made = Instance(cls, {})
        start = cls.find("__init__")
        if isinstance(start, Closure):
            self._apply(node, start, [made, *args], keywords)
        elif start is not MISSING or args or keywords:
            raise refused(node, f"'{cls.name}' with arguments that are not understood")
        return made

    def _call_instance(
        self,
        node: ast.AST,
        instance: Instance,
        args: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Value:
        name = _called_method(instance.cls)
        function = self.instance_attribute(node, instance, name) if name else None
        if not isinstance(function, Bound | Closure | Static):
            raise refused(node, f"a call of an object of '{instance.cls.name}'")
        return self.call_value(node, function, args, keywords)

    def instance_attribute(self, node: ast.AST, instance: Instance, name: str) -> Value:
        if instance.unknown:
            raise refused(node, f"an object of '{instance.cls.name}': {instance.unknown}")
        if name in instance.attributes:
            return self._known(node, f"{instance.cls.name}.{name}", instance.attributes[name])
        value = self._known(node, f"{instance.cls.name}.{name}", instance.cls.find(name))
        if isinstance(value, Closure):
            return Bound(instance, value)
        if isinstance(value, Property):
            return self._apply(node, value.function, [instance], {})
        if value is MISSING:
            raise refused(node, f"'{instance.cls.name}' has no attribute '{name}'")
        return value.function if isinstance(value, Static) else value

    def make_class(self, node: ast.ClassDef, scope: Scope) -> Class:
        if node.keywords:
            raise refused(node, f"class '{node.name}' with a metaclass")
        bases = [self.value(base, scope) for base in node.bases]
        own = [base for base in bases if isinstance(base, Class)]
        paths = {base.path for base in bases if isinstance(base, Library)}
        if len(own) > 1 or len(own) + len(paths) < len(bases):
            raise refused(node, f"the bases of class '{node.name}' are not understood")
        paths = {signatures.resolved(path) for path in paths}
        if paths - _MODULE_BASES - _PLAIN_BASES:
            other = sorted(paths - _MODULE_BASES - _PLAIN_BASES)[0]
            raise refused(node, f"class '{node.name}' is a '{other}'")
        base = own[0] if own else None
        is_module = bool(paths & _MODULE_BASES) or (base is not None and base.is_module)
        inner = Scope({}, scope)
        made = Class(node.name, base, is_module, inner.names)
        for statement in node.body:
            self._follow([statement], inner)
        for name, value in inner.names.items():
            inner.names[name] = _owned(value, made, inner)
        if _MAGIC & inner.names.keys():
            raise refused(node, f"class '{node.name}' defines how attributes work")
        return made

    def super_of(self, node: ast.AST, scope: Scope) -> Super:
        function = self._active[-1] if self._active else None
        arguments = function.node.args.args if function is not None else []
        self_ = scope.names.get(arguments[0].arg) if arguments else None
        if function is None or function.owner is None or not isinstance(self_, Instance):
            raise refused(node, "'super' outside a method")
        return Super(self_, function.owner.base)

    # Changes in place.
    def names_bound_to(self, value: Value) -> int:
        """Return how many names and attributes are bound to one tensor."""
        return sum(_holds(own, value) for scope in self._scopes() for own in scope.names.values())

    def _scopes(self) -> list[Scope]:
        found: dict[int, Scope] = {}
        for frame in self._frames:
            scope: Scope | None = frame
            while scope is not None:
                found[id(scope)] = scope
                scope = scope.outer
        return list(found.values())

    def _may_change(self, node: ast.AST, value: Value) -> bool:
        """Return whether a call may change a tensor in place: no other name refers to it."""
        names = self.names_bound_to(value)
        if names != 1 or self._loops or not self._functions:
            return names == 0
        body = self._functions[-1]
        bound = [name for name, own in self._frames[-1].names.items() if own is value]
        loads = sum(
            isinstance(part, ast.Name) and part.id in bound and isinstance(part.ctx, ast.Load)
            for part in ast.walk(body)
        )
        return len(bound) == 1 and loads == 1


def _bound(
    node: ast.AST, function: Closure, args: Sequence[Value], keywords: Mapping[str, Value]
) -> dict[str, Value]:
    """Return the values of the parameters of a call."""
    spec, name = function.node.args, function.name
    places = [a.arg for a in [*spec.posonlyargs, *spec.args]]
    only = [a.arg for a in spec.kwonlyargs]
    if len(args) > len(places) and spec.vararg is None:
        raise refused(node, f"'{name}' is given {len(args)} arguments, takes {len(places)}")
    bound = dict(zip(places, args, strict=False))
    if spec.vararg is not None:
        bound[spec.vararg.arg] = tuple(args[len(places) :])
    others: dict[Value, Value] = {}
    by_name = {*places[len(spec.posonlyargs) :], *only}
    for key, value in keywords.items():
        if key in by_name and key not in bound:
            bound[key] = value
        elif key in by_name:
            raise refused(node, f"'{name}' is given '{key}' twice")
        elif spec.kwarg is None:
            raise refused(node, f"'{name}' has no parameter '{key}'")
        else:
            others[key] = value
    if spec.kwarg is not None:
        bound[spec.kwarg.arg] = Dictionary(others)
    bound = {**function.defaults, **bound}
    missing = [parameter for parameter in [*places, *only] if parameter not in bound]
    if missing:
        raise refused(node, f"'{name}' lacks a value for '{missing[0]}'")
    return bound


def _called_method(cls: Class) -> str:
    """Return the name of the method that runs when an object is called; ``""`` if there is none."""
    return next((n for n in CALLED_METHODS if cls.find(n) is not MISSING), "")


def _owned(value: Value, owner: Class, body: Scope) -> Value:
    """Return a method bound to its class. It does not see the names of the class body."""
    if isinstance(value, Closure) and value.owner is None:
        outer = value.scope.outer if value.scope is body else value.scope
        return Closure(value.node, outer or value.scope, value.defaults, owner)
    if isinstance(value, Property):
        return Property(_owned(value.function, owner, body))
    return value


def _holds(own: Value, value: Value) -> bool:
    if isinstance(own, tuple):
        return any(_holds(item, value) for item in own)
    if isinstance(own, Instance):
        return any(item is value for item in own.attributes.values())
    if isinstance(own, Dictionary):
        return any(item is value for item in own.items.values())
    return own is value


def _own_parts(node: ast.AST) -> list[ast.AST]:
    """Return the parts of a function, without those of nested functions."""
    waiting = [node.body] if isinstance(node, ast.Lambda) else list(getattr(node, "body", []))
    found = []
    while waiting:
        part = waiting.pop()
        found.append(part)
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(part)
    return found
