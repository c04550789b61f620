"""Evaluate Python expressions to values."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from symact.errors import ImportRefusedError, choices
from symact.expr import Expr
from symact.importers import signatures
from symact.importers.arithmetic import Arithmetic
from symact.importers.library import NUMBER_MODULES, NUMBERS
from symact.importers.values import (
    MISSING,
    Array,
    Bound,
    Class,
    Closure,
    Dictionary,
    Equal,
    Instance,
    Library,
    Method,
    Opaque,
    Property,
    Scope,
    Static,
    Super,
    TensorNumber,
    TooLargeError,
    Unknown,
    Value,
    described,
    is_plain,
    kind_of,
    refused,
)

#: Maximum number of visited nodes.
MAX_STEPS = 50_000
#: Usual modules of names in snippets without imports.
USUAL = {
    "np": "numpy",
    "numpy": "numpy",
    "jnp": "jax.numpy",
    "jax": "jax",
    "lax": "jax.lax",
    "torch": "torch",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "math": "math",
    "tf": "tensorflow",
    "keras": "keras",
}
_SHAPES = {"dtype": "a dtype", "device": "a device", "shape": "a shape"}
_REGISTERED = {"register_buffer", "register_parameter", "add_module", "register_module"}

#: Built-in functions that are not in the table of library functions.
_BUILTINS = ("property", "staticmethod", "object", "super", "dict", "print")


class Expressions(ABC):
    """Evaluates expressions in a scope.

    Attributes:
        arithmetic: Creates expressions and collects notes.
        module: The names of the module.
        definitions: The statements that bind each name of the module.
        libraries: Libraries that the program imports.
        stars: Modules that it imports with ``*``.
        patched: Libraries that it may have changed, with the reasons.
    """

    def __init__(self, definitions: Mapping[str, Sequence[ast.stmt]]) -> None:
        self.arithmetic = Arithmetic()
        self.module = Scope()
        self.definitions = definitions
        self.libraries: set[str] = set()
        self.stars: list[str] = []
        self.patched: dict[str, str] = {}
        self._steps, self._limit, self._loops = 0, MAX_STEPS, 0

    @abstractmethod
    def call_value(
        self, node: ast.AST, function: Value, args: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        """Return the result of a call of a value."""

    @abstractmethod
    def bind(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Bind the target of an assignment to a value."""

    @abstractmethod
    def instance_attribute(self, node: ast.AST, instance: Instance, name: str) -> Value:
        """Return an attribute of an object."""

    @abstractmethod
    def super_of(self, node: ast.AST, scope: Scope) -> Super:
        """Return the value of ``super()`` in a method."""

    def value(self, node: ast.expr, scope: Scope) -> Value:
        """Return the value of an expression."""
        self._count(node)
        evaluate = self._EXPRESSIONS.get(type(node))
        if evaluate is None:
            raise refused(node, f"{kind_of(node)} is not understood")
        return evaluate(self, node, scope)

    def _constant(self, node: ast.Constant, scope: Scope) -> Value:
        value = node.value
        if isinstance(value, bool | str) or value is None:
            return value
        if isinstance(value, int):
            return self.arithmetic.number(node, value)
        if isinstance(value, float):
            return self.arithmetic.number(node, value)
        raise refused(node, f"a {type(value).__name__} literal")

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        name = node.id
        owner = scope.find(name)
        if owner is not None:
            value = self._known(node, name, owner.names[name])
            return self._library_number(value)
        for module in reversed(self.stars):
            if signatures.find(f"{module}.{name}") is not None:
                return Library(f"{module}.{name}")
            if name in NUMBERS and module in NUMBER_MODULES:
                return NUMBERS[name]
            if not signatures.names_of(module):
                raise refused(node, f"'{name}' is not known: '{module}' may define it")
        if name in self.definitions:
            raise refused(node, f"'{name}' is used before it is bound")
        if name in USUAL:
            self.libraries.add(USUAL[name].split(".")[0])
            return Library(USUAL[name])
        if name == "__name__":
            return "imported"
        is_builtin = signatures.find(f"builtins.{name}") is not None
        if is_builtin or name in _BUILTINS:
            return Library(f"builtins.{name}")
        known = list(dict.fromkeys([*scope.names, *self.module.names]))
        raise refused(
            node, f"unknown name '{name}'" + (f"; {choices(name, known)}" if known else "")
        )

    def _known(self, node: ast.AST, name: str, value: Value) -> Value:
        if isinstance(value, Unknown):
            raise refused(node, f"'{name}' is not known: {value.reason}")
        if isinstance(value, Dictionary) and value.unknown:
            raise refused(node, f"'{name}' is not known: {value.unknown}")
        return value

    def _library_number(self, value: Value) -> Value:
        if isinstance(value, Library):
            module, _, last = signatures.resolved(value.path).rpartition(".")
            if (
                last in NUMBERS
                and module in NUMBER_MODULES
                and module.split(".")[0] not in self.patched
            ):
                return NUMBERS[last]
        return value

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        if node.attr.startswith("__") and node.attr not in ("__init__", "__call__"):
            raise refused(node, f"attribute '{node.attr}'")
        return self._attribute_of(node, self.value(node.value, scope), node.attr)

    def _attribute_of(self, node: ast.AST, owner: Value, name: str) -> Value:
        if isinstance(owner, Library):
            return self._library_number(Library(f"{owner.path}.{name}"))
        if isinstance(owner, Instance):
            if name in _REGISTERED and owner.cls.is_module:
                return Opaque("a registration", owner)
            return self.instance_attribute(node, owner, name)
        if isinstance(owner, Class):
            value = self._known(node, f"{owner.name}.{name}", owner.find(name))
            if value is not MISSING and not isinstance(value, Property):
                return value.function if isinstance(value, Static) else value
        if isinstance(owner, Super):
            return self._super_attribute(node, owner, name)
        if isinstance(owner, Expr | TensorNumber | Array):
            if name in _SHAPES:
                return Opaque(_SHAPES[name], owner)
            return owner if name == "data" and isinstance(owner, float) else Method(owner, name)
        raise refused(node, f"attribute '{name}' of {described(owner)}")

    def _super_attribute(self, node: ast.AST, owner: Super, name: str) -> Value:
        value = MISSING if owner.base is None else self._known(node, name, owner.base.find(name))
        if isinstance(value, Closure):
            return Bound(owner.instance, value)
        if value is MISSING and name == "__init__":
            return Opaque("no effect")
        raise refused(node, f"'super' has no '{name}' that is understood")

    def _item(self, node: ast.Subscript, scope: Scope) -> Value:
        owner = self.value(node.value, scope)
        if isinstance(owner, Expr):
            raise refused(node, "indexing a tensor: a function over features, not of one element")
        if isinstance(node.slice, ast.Slice):
            raise refused(node, f"a slice of {described(owner)}")
        place = self.value(node.slice, scope)
        items = owner.items if isinstance(owner, Array) else owner
        is_place = isinstance(place, int) and isinstance(items, tuple)
        if is_place and -len(items) <= place < len(items):
            return items[place]
        if isinstance(owner, Dictionary) and is_plain(place) and place in owner.items:
            return self._known(node, str(place), owner.items[place])
        raise refused(node, f"indexing {described(owner)}")

    def _tuple(self, node: ast.Tuple | ast.List, scope: Scope) -> tuple[Value, ...]:
        if any(isinstance(item, ast.Starred) for item in node.elts):
            raise refused(node, "a starred item")
        return tuple([self.value(item, scope) for item in node.elts])

    def _comprehension(
        self, node: ast.ListComp | ast.GeneratorExp, scope: Scope
    ) -> tuple[Value, ...]:
        if any(isinstance(part, ast.NamedExpr) for part in ast.walk(node)):
            raise refused(node, f"{kind_of(node)} with ':=' is not understood")
        found: list[Value] = []
        self._comprehend(node, node.generators, Scope({}, scope), found)
        return tuple(found)

    def _comprehend(
        self,
        node: ast.ListComp | ast.GeneratorExp,
        generators: Sequence[ast.comprehension],
        scope: Scope,
        found: list[Value],
    ) -> None:
        if not generators:
            found.append(self.value(node.elt, scope))
            return
        first, *others = generators
        items = self.value(first.iter, scope)
        items = items.items if isinstance(items, Array) else items
        if not isinstance(items, tuple) or first.is_async:
            raise refused(node, f"{kind_of(node)} is not understood over {described(items)}")
        for item in items:
            self.bind(first.target, item, scope)
            tests = (self.value(test, scope) for test in first.ifs)
            if all(self.arithmetic.truth(test, node, "if") for test in tests):
                self._comprehend(node, others, scope, found)

    def _dict(self, node: ast.Dict, scope: Scope) -> Dictionary:
        items: dict[Value, Value] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            name = None if key is None else self.value(key, scope)
            if not isinstance(name, str | int):
                raise refused(node, "a dict with keys other than texts and integers")
            items[name] = self.value(value, scope)
        return Dictionary(items)

    def _binary(self, node: ast.BinOp, scope: Scope) -> Value:
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        return self.arithmetic.binary(node, node.op, left, right)

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Value:
        return self.arithmetic.unary(node, self.value(node.operand, scope))

    def _compare(self, node: ast.Compare, scope: Scope) -> Value:
        if len(node.ops) != 1:
            raise refused(node, "a chained comparison; use two")
        left, right = self.value(node.left, scope), self.value(node.comparators[0], scope)
        return self.arithmetic.compare(node, node.ops[0], left, right)

    def _bool(self, node: ast.BoolOp, scope: Scope) -> Value:
        value: Value = None
        for item in node.values:
            value = self.value(item, scope)
            if isinstance(value, Expr | Equal):
                raise refused(node, "and/or of tensors; use & or nested where")
            if self.arithmetic.truth(value, node, "and/or") == isinstance(node.op, ast.Or):
                return value
        return value

    def _conditional(self, node: ast.IfExp, scope: Scope) -> Value:
        test = self.arithmetic.truth(self.value(node.test, scope), node, "a conditional")
        return self.value(node.body if test else node.orelse, scope)

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Closure:
        return Closure(node, scope, self._defaults(node, scope))

    def _named(self, node: ast.NamedExpr, scope: Scope) -> Value:
        value = self.value(node.value, scope)
        scope.names[node.target.id] = value
        return value

    def _formatted(self, node: ast.JoinedStr, scope: Scope) -> Opaque:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.value(part.value, scope)
        return Opaque("a formatted text")

    def _call(self, node: ast.Call, scope: Scope) -> Value:
        function = self.value(node.func, scope)
        if isinstance(function, Library) and function.path == "builtins.super":
            return self.super_of(node, scope)
        args, keywords = self._arguments(node, scope)
        if isinstance(function, Library) and function.path == "builtins.dict" and not args:
            return Dictionary(dict(keywords))
        return self.call_value(node, function, args, keywords)

    def _arguments(self, node: ast.Call, scope: Scope) -> tuple[list[Value], dict[str, Value]]:
        args: list[Value] = []
        for item in node.args:
            if isinstance(item, ast.Starred):
                several = self.value(item.value, scope)
                if not isinstance(several, tuple):
                    raise refused(node, f"starred arguments of {described(several)}")
                args += several
            else:
                args.append(self.value(item, scope))
        keywords: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            elif isinstance(value, Dictionary) and all(isinstance(k, str) for k in value.items):
                keywords |= value.items
            else:
                raise refused(node, f"starred arguments of {described(value)}")
        return args, keywords

    _EXPRESSIONS: ClassVar[dict[type[ast.expr], Callable[[Any, Any, Scope], Value]]] = {
        ast.Constant: _constant,
        ast.Name: _name,
        ast.Attribute: _attribute,
        ast.Subscript: _item,
        ast.Tuple: _tuple,
        ast.List: _tuple,
        ast.Dict: _dict,
        ast.ListComp: _comprehension,
        ast.GeneratorExp: _comprehension,
        ast.BinOp: _binary,
        ast.UnaryOp: _unary,
        ast.Compare: _compare,
        ast.BoolOp: _bool,
        ast.IfExp: _conditional,
        ast.Lambda: _lambda,
        ast.NamedExpr: _named,
        ast.JoinedStr: _formatted,
        ast.Call: _call,
    }

    def _defaults(self, node: ast.FunctionDef | ast.Lambda, scope: Scope) -> dict[str, Value]:
        spec = node.args
        places = [*spec.posonlyargs, *spec.args]
        plain = zip(places[len(places) - len(spec.defaults) :], spec.defaults, strict=True)
        only = zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
        pairs = [*plain, *((a, default) for a, default in only if default is not None)]
        return {a.arg: self._default(default, scope) for a, default in pairs}

    def _default(self, node: ast.expr, scope: Scope) -> Value:
        """Return the value of a default. An unsupported default is refused on use."""
        if any(isinstance(part, ast.NamedExpr) for part in ast.walk(node)):
            return self.value(node, scope)
        try:
            return self.value(node, scope)
        except TooLargeError:
            raise
        except ImportRefusedError as error:
            return Unknown(str(error))

    def _count(self, node: ast.AST) -> None:
        self._steps += 1
        if self._steps > self._limit:
            raise TooLargeError(str(refused(node, f"more than {self._limit} steps")))
