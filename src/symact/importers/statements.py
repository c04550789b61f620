"""Run Python statements, which bind names."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from symact.expr import Expr
from symact.importers.effects import bound_names
from symact.importers.expressions import Expressions
from symact.importers.rules import MAX_ROUNDS
from symact.importers.values import (
    Array,
    Bound,
    Class,
    Closure,
    Instance,
    Library,
    Opaque,
    Property,
    Scope,
    Static,
    TensorNumber,
    Unknown,
    Value,
    described,
    kind_of,
    refused,
)

#: Decorators that do not change the values of a function.
SAME = {
    *("jax.jit", "torch.jit.script", "torch.compile", "torch.jit.export", "tensorflow.function"),
    *("numba.jit", "numba.njit", "numba.vectorize", "numpy.vectorize", "functools.cache"),
    *("functools.lru_cache", "functools.wraps", "torch.jit.ignore", "torch.jit.unused"),
    *("typing.no_type_check", "typing.final", "typing.override"),
}
SAME_CONTEXTS = {"numpy.errstate", "warnings.catch_warnings", "jax.named_scope"}


@dataclass(frozen=True, slots=True)
class Returned:
    """The value that a statement returned from its function."""

    value: Value


class Statements(Expressions):
    """Runs statements in a scope."""

    @abstractmethod
    def names_bound_to(self, value: Value) -> int:
        """Return how many names and attributes are bound to one tensor."""

    @abstractmethod
    def make_class(self, node: ast.ClassDef, scope: Scope) -> Class:
        """Return a class without applying its decorators."""

    def _block(self, body: Sequence[ast.stmt], scope: Scope) -> Returned | None:
        for node in body:
            returned = self.statement(node, scope)
            if returned is not None:
                return returned
        return None

    def statement(self, node: ast.stmt, scope: Scope) -> Returned | None:
        """Run a statement. Return the value that it returns from its function, if any."""
        self._count(node)
        if isinstance(node, ast.Return):
            return Returned(None if node.value is None else self.value(node.value, scope))
        if isinstance(node, ast.If):
            test = self.arithmetic.truth(self.value(node.test, scope), node, "if")
            return self._block(node.body if test else node.orelse, scope)
        if isinstance(node, ast.For):
            return self._loop(node, scope)
        if isinstance(node, ast.With):
            return self._with(node, scope)
        if isinstance(node, ast.Try):
            return self._try(node, scope)
        run = self._STATEMENTS.get(type(node))
        if run is None:
            raise refused(node, f"{kind_of(node)} is not understood")
        run(self, node, scope)
        return None

    def _assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self.value(node.value, scope)
        for target in node.targets:
            self.bind(target, value, scope)

    def _annotated(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self.bind(node.target, self.value(node.value, scope), scope)

    def _augmented(self, node: ast.AugAssign, scope: Scope) -> None:
        if isinstance(node.target, ast.Subscript):
            raise refused(node, "assignment to a part of something")
        old = self._target_value(node.target, scope)
        is_tensor = isinstance(old, Expr | TensorNumber | Array)
        if is_tensor and self.names_bound_to(old) > (1 if isinstance(node.target, ast.Name) else 0):
            raise refused(node, "a change in place of a tensor that has another name")
        new = self.arithmetic.binary(node, node.op, old, self.value(node.value, scope))
        self.bind(node.target, new, scope)

    def _target_value(self, target: ast.Name | ast.Attribute, scope: Scope) -> Value:
        if isinstance(target, ast.Name):
            return self._name(ast.copy_location(ast.Name(target.id, ast.Load()), target), scope)
        return self._attribute_of(target, self.value(target.value, scope), target.attr)

    def _delete(self, node: ast.Delete, scope: Scope) -> None:
        for target in node.targets:
            if not isinstance(target, ast.Name):
                raise refused(node, "'Delete' of a part of something")
            scope.names[target.id] = Unknown(f"line {node.lineno}: it is deleted")

    def _function(self, node: ast.FunctionDef, scope: Scope) -> None:
        value: Value = Closure(node, scope, self._defaults(node, scope))
        for decorator in reversed(node.decorator_list):
            value = self._decorated(decorator, value, scope)
        scope.names[node.name] = value

    def _define_class(self, node: ast.ClassDef, scope: Scope) -> None:
        value: Value = self.make_class(node, scope)
        for decorator in reversed(node.decorator_list):
            value = self._decorated(decorator, value, scope)
        scope.names[node.name] = value

    def _decorated(self, node: ast.expr, value: Value, scope: Scope) -> Value:
        called = node.func if isinstance(node, ast.Call) else node
        path = self.value(called, scope)
        if isinstance(path, Library):
            if path.path in ("builtins.property", "builtins.staticmethod") and called is node:
                return Property(value) if path.path.endswith("property") else Static(value)
            if path.path == "functools.partial" and isinstance(node, ast.Call) and node.args:
                return self._decorated(node.args[0], value, scope)
            if path.path not in SAME:
                raise refused(node, f"decorator '{path.path}' is not understood")
            return value
        return self.call_value(node, self.value(node, scope), [value], {})

    def _import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            path = alias.name if alias.asname else alias.name.split(".")[0]
            scope.names[alias.asname or path] = Library(path)
            self.libraries.add(path.split(".")[0])

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = "." * node.level + (node.module or "")
        self.libraries.add(module.split(".")[0])
        for alias in node.names:
            if alias.name == "*":
                self._import_all(node, module, scope)
            else:
                scope.names[alias.asname or alias.name] = Library(f"{module}.{alias.name}")

    def _import_all(self, node: ast.ImportFrom, module: str, scope: Scope) -> None:
        reason = f"line {node.lineno}: '{module}' may define it"
        for name in scope.names:
            scope.names[name] = Unknown(reason)
        self.stars.append(module)

    def _expression(self, node: ast.Expr, scope: Scope) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        if not isinstance(node.value, ast.Call):
            raise refused(node, f"{kind_of(node)} is not understood")
        function = self.value(node.value.func, scope)
        if isinstance(function, Opaque) and function.what == "a registration":
            args, keywords = self._arguments(node.value, scope)
            self._register(node, function.of, args, keywords)
        elif function in (Opaque("no effect"), Library("builtins.print")):
            self._arguments(node.value, scope)
        elif isinstance(function, Closure | Bound | Static):
            args, keywords = self._arguments(node.value, scope)
            self.call_value(node, function, args, keywords)
        else:
            raise refused(node, f"{kind_of(node)} is not understood")

    def _register(
        self,
        node: ast.AST,
        instance: Instance,
        args: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> None:
        given = [*args, *(v for k, v in keywords.items() if k != "persistent")]
        if len(given) < 2 or not isinstance(given[0], str):
            raise refused(node, "a registration that is not understood")
        instance.attributes[given[0]] = given[1]

    def _pass(self, node: ast.stmt, scope: Scope) -> None:
        """Do nothing."""

    def _loop(self, node: ast.For, scope: Scope) -> Returned | None:
        items = self.value(node.iter, scope)
        items = items.items if isinstance(items, Array) else items
        if not isinstance(items, tuple) or node.orelse:
            raise refused(node, "a loop over something else than a constant range or list")
        if len(items) > MAX_ROUNDS:
            raise refused(node, f"a loop of {len(items)} rounds; at most {MAX_ROUNDS}")
        self._loops += 1
        try:
            for item in items:
                self.bind(node.target, item, scope)
                returned = self._block(node.body, scope)
                if returned is not None:
                    return returned
        finally:
            self._loops -= 1
        return None

    def _with(self, node: ast.With, scope: Scope) -> Returned | None:
        for item in node.items:
            call = item.context_expr
            function = self.value(call.func, scope) if isinstance(call, ast.Call) else None
            is_same = isinstance(function, Library) and function.path in SAME_CONTEXTS
            if not is_same or item.optional_vars is not None:
                raise refused(node, f"{kind_of(node)} is not understood")
        return self._block(node.body, scope)

    def _try(self, node: ast.Try, scope: Scope) -> Returned | None:
        """Run the imports in a ``try`` statement. They are assumed to succeed."""
        if not all(isinstance(part, ast.Import | ast.ImportFrom) for part in node.body):
            raise refused(node, f"{kind_of(node)} is not understood")
        self.arithmetic.note(f"line {node.lineno}: the imports that are tried are taken to succeed")
        for name in _names_of_handlers(node) - _names_of_imports(node):
            scope.names[name] = Unknown(f"line {node.lineno}: 'Try' is not understood")
        return self._block([*node.body, *node.orelse, *node.finalbody], scope)

    def bind(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Bind the target of an assignment to a value."""
        if isinstance(target, ast.Name):
            scope.names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, tuple | Array):
            items = value.items if isinstance(value, Array) else value
            if len(target.elts) != len(items):
                raise refused(target, "names and values differ in number")
            for one, own in zip(target.elts, items, strict=True):
                self.bind(one, own, scope)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, scope)
            if not isinstance(owner, Instance) or isinstance(owner.cls.find(target.attr), Property):
                raise refused(target, f"assignment to an attribute of {described(owner)}")
            owner.attributes[target.attr] = value
        else:
            raise refused(target, "assignment to something else than a name")

    _STATEMENTS: ClassVar[dict[type[ast.stmt], Callable[[Any, Any, Scope], None]]] = {
        ast.Assign: _assign,
        ast.AnnAssign: _annotated,
        ast.AugAssign: _augmented,
        ast.Delete: _delete,
        ast.FunctionDef: _function,
        ast.ClassDef: _define_class,
        ast.Import: _import,
        ast.ImportFrom: _import_from,
        ast.Expr: _expression,
        ast.Pass: _pass,
    }


def _names_of_handlers(node: ast.Try) -> set[str]:
    return set().union(*map(bound_names, node.handlers))


def _names_of_imports(node: ast.Try) -> set[str]:
    return set().union(*map(bound_names, node.body))
