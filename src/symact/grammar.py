"""Typed grammars: which expressions a search may propose. Data, in TOML, checked on load.

A grammar names productions. Most are primitives, which bring every signature of theirs that the
grammar can feed; the rest are rules with a template, for structured spaces such as the core units
of the Swish search. Constants have types of their own that are no numbers' subtypes, so that they
enter only where a signature asks for one and ``sin(0.3)`` is never proposed.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from symact.errors import GrammarError, ParseError, choices
from symact.expr import Expr, distinct, parse, show, var, variables
from symact.ops import CONST, PRIMITIVES, TYPES, VAR, is_subtype

HOLES = ("a", "b", "c")

_KEYS = (
    "name",
    "description",
    "start",
    "types",
    "terminals",
    "constants",
    "productions",
    "rules",
    "limits",
    "seeds",
    "constraints",
)
_DISTRIBUTIONS = ("normal", "uniform", "choice")
_CONSTANT_TYPES = ("Const", "PositiveConst")


@dataclass(frozen=True, slots=True)
class Production:
    """One way to make a value of type ``result`` from values of types ``args``.

    Attributes:
        name: Unique in its grammar.
        template: An expression whose variables a, b, c stand for the arguments.
        args: The types of a, b, c, as many as there are.
        result: The type it produces.
        weight: Its share when a production is drawn at random.
    """

    name: str
    template: Expr
    args: tuple[str, ...]
    result: str
    weight: float

    @property
    def simple(self) -> bool:
        """Whether it applies one primitive to its arguments in order."""
        holes = tuple(var(hole) for hole in HOLES[: len(self.args)])
        return self.template.args == holes and bool(holes)


@dataclass(frozen=True, slots=True)
class Constants:
    """How numeric literals are drawn: ``normal`` (mean, deviation), ``uniform`` (low, high) or a
    ``choice`` among values; then rounded to ``digits`` significant digits."""

    distribution: str = "normal"
    parameters: tuple[float, ...] = (0.0, 1.0)
    digits: int = 2
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What no candidate exceeds: nodes of the tree, its depth, FLOPs of one evaluation."""

    nodes: int = 24
    depth: int = 9
    flops: int = 150


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a grammar makes an expression: a production with derivations of its arguments, or a leaf.

    Attributes:
        expr: What is derived.
        production: None for a leaf.
        children: One for each argument type of the production.
        type: The type of a leaf or the result of the production.
    """

    expr: Expr
    production: Production | None
    children: tuple[Derivation, ...]
    type: str


@dataclass(frozen=True, eq=False)
class Grammar:
    """A checked grammar.

    Attributes:
        name: What reports call it.
        description: One sentence.
        text: The TOML it was read from.
        start: The type of a whole candidate.
        types: Every type with its supertypes.
        productions: In the order of the file.
        terminal: Type and weight of the variable x.
        constants: How literals are drawn, None for none.
        limits: Size, depth and cost.
        seeds: Names of the zoo or formulas to start from.
        max_slope: A candidate steeper than this within [-8, 8] is rejected.
    """

    name: str
    description: str
    text: str
    start: str
    types: Mapping[str, tuple[str, ...]]
    productions: tuple[Production, ...]
    terminal: tuple[str, float]
    constants: Constants | None
    limits: Limits
    seeds: tuple[str, ...]
    max_slope: float
    _memo: dict[tuple[Expr, str], Derivation | None] = field(default_factory=dict, repr=False)

    @staticmethod
    def load(source: str | Path) -> Grammar:
        """Read a grammar by packaged name or from a file.

        Raises:
            GrammarError: With file, key and the nearest valid choice.
        """
        path = Path(source)
        if path.suffix != ".toml":
            names = grammar_names()
            if str(source) not in names:
                raise GrammarError(
                    f"unknown grammar '{source}'; {choices(str(source), names)} "
                    "(a file's name ends in .toml)"
                )
            path = _folder() / f"{source}.toml"
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise GrammarError(f"{path}: cannot be read: {error}") from None
        return Grammar.parse(text, source=path.name)

    @staticmethod
    def parse(text: str, source: str = "<text>") -> Grammar:
        """Read a grammar from TOML text; ``source`` is what messages call it.

        Raises:
            GrammarError: As for :meth:`load`.
        """
        return _Reader(source).read(text)

    def is_subtype(self, lower: str, upper: str) -> bool:
        """Whether every value of type ``lower`` is one of type ``upper``."""
        return is_subtype(lower, upper, dict(self.types))

    @cached_property
    def by_type(self) -> dict[str, tuple[Production, ...]]:
        """The productions whose result is of each type."""
        return {
            wanted: tuple(p for p in self.productions if self.is_subtype(p.result, wanted))
            for wanted in self.types
        }

    def leaf_type(self, expr: Expr, wanted: str) -> str | None:
        """Return the type a leaf has where ``wanted`` is asked for, None if it does not fit."""
        if expr.op == VAR:
            own = self.terminal[0]
            return own if expr.value == "x" and self.is_subtype(own, wanted) else None
        if expr.op == CONST and self.constants is not None:
            own = "PositiveConst" if expr.number > 0 and wanted == "PositiveConst" else "Const"
            return own if self.is_subtype(own, wanted) else None
        return None

    def derive(self, expr: Expr, wanted: str | None = None) -> Derivation | None:
        """Return a derivation of an expression, None if it is no sentence.

        Args:
            expr: Any expression of x.
            wanted: The type to derive; None for the start type.
        """
        target = self.start if wanted is None else wanted
        key = (expr, target)
        if key not in self._memo:
            if len(self._memo) > 100_000:
                self._memo.clear()
            self._memo[key] = None  # guards against rules that produce themselves
            self._memo[key] = self._derive(expr, target)
        return self._memo[key]

    def _derive(self, expr: Expr, wanted: str) -> Derivation | None:
        leaf = self.leaf_type(expr, wanted)
        if leaf is not None:
            return Derivation(expr, None, (), leaf)
        for production in self.by_type[wanted]:
            bindings = _match(production.template, expr, {})
            if bindings is None:
                continue
            children = []
            for hole, type_ in zip(HOLES, production.args, strict=False):
                child = self.derive(bindings[hole], type_)
                if child is None:
                    break
                children.append(child)
            else:
                return Derivation(expr, production, tuple(children), production.result)
        return None

    def check(self, expr: Expr) -> None:
        """Refuse an expression that is no sentence.

        Raises:
            GrammarError: Naming the smallest part that nothing produces.
        """
        if self.derive(expr) is not None:
            return
        for node in distinct(expr):
            if not any(self.derive(node, wanted) for wanted in self.types):
                raise GrammarError(f"grammar '{self.name}' does not produce '{show(node)}'")
        raise GrammarError(f"grammar '{self.name}' does not produce '{show(expr)}' as {self.start}")


def grammar_names() -> tuple[str, ...]:
    """Return the packaged grammars, the default first."""
    names = sorted(file.stem for file in _folder().glob("*.toml"))
    return tuple(sorted(names, key=lambda name: name != "pointwise"))


def _folder() -> Path:
    """The folder of grammars: inside an installed package, at the top of a checkout."""
    here = Path(__file__).resolve()
    packaged = here.parent / "_grammars"
    return packaged if packaged.is_dir() else here.parents[2] / "grammars"


def _match(template: Expr, expr: Expr, bindings: dict[str, Expr]) -> dict[str, Expr] | None:
    """Bind the holes of a template so that it equals an expression, None if it cannot."""
    if template.op == VAR and template.value in HOLES:
        hole = str(template.value)
        if bindings.setdefault(hole, expr) != expr:
            return None
        return bindings
    if (template.op, template.value, len(template.args)) != (expr.op, expr.value, len(expr.args)):
        return None
    for part, own in zip(template.args, expr.args, strict=True):
        if _match(part, own, bindings) is None:
            return None
    return bindings


class _Reader:
    """Reads one grammar; every complaint names the source and the key."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.types: dict[str, tuple[str, ...]] = dict(TYPES)

    def fail(self, where: str, problem: str) -> NoReturn:
        raise GrammarError(f"{self.source}, {where}: {problem}")

    def read(self, text: str) -> Grammar:
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise GrammarError(f"{self.source}: not TOML: {error}") from None
        for key in data:
            if key not in _KEYS:
                self.fail(f"key '{key}'", f"unknown; {choices(key, _KEYS)}")
        self._read_types(self._table(data, "types"))
        start = self._type("key 'start'", self._get(data, "start", str, "Real"))
        terminal = self._read_terminals(self._table(data, "terminals"))
        constants = self._read_constants(data)
        proposed = self._read_productions(self._table(data, "productions"))
        rules = self._read_rules(self._get(data, "rules", list, []))
        productions = self._feed([*proposed, *rules], start, terminal, constants)
        limits = self._read_limits(self._table(data, "limits"))
        self._check_limits(limits, start, productions, terminal, constants)
        constraints = self._table(data, "constraints")
        return Grammar(
            name=self._get(data, "name", str, Path(self.source).stem),
            description=self._get(data, "description", str, ""),
            text=text,
            start=start,
            types=self.types,
            productions=productions,
            terminal=terminal,
            constants=constants,
            limits=limits,
            seeds=self._read_seeds(self._table(data, "seeds")),
            max_slope=self._positive(
                "key 'constraints.max_slope'", self._only(constraints, "constraints", "max_slope", 1e3)
            ),
        )

    def _get(self, data: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
        value = data.get(key, default)
        if not isinstance(value, kind):
            self.fail(f"key '{key}'", f"expected a {kind.__name__}, got {value!r}")
        return value

    def _table(self, data: Mapping[str, Any], key: str) -> dict[str, Any]:
        value: dict[str, Any] = self._get(data, key, dict, {})
        return value

    def _only(self, table: Mapping[str, Any], name: str, known: str, default: Any) -> Any:
        for key in table:
            if key != known:
                self.fail(f"key '{name}.{key}'", f"unknown; {choices(key, [known])}")
        return table.get(known, default)

    def _positive(self, where: str, value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value <= 0:
            self.fail(where, f"expected a number above 0, got {value!r}")
        return float(value)

    def _type(self, where: str, name: Any) -> str:
        if not isinstance(name, str) or name not in self.types:
            self.fail(where, f"unknown type '{name}'; {choices(str(name), self.types)}")
        return name

    def _read_types(self, table: Mapping[str, Any]) -> None:
        for name, parents in table.items():
            listed = [parents] if isinstance(parents, str) else parents
            if name in TYPES or not name.isidentifier():
                self.fail(f"key 'types.{name}'", "a new type needs a new name")
            if not isinstance(listed, list):
                self.fail(f"key 'types.{name}'", f"expected a type or a list, got {parents!r}")
            self.types[name] = tuple(self._type(f"key 'types.{name}'", p) for p in listed)

    def _read_terminals(self, table: Mapping[str, Any]) -> tuple[str, float]:
        entry = self._only(table, "terminals", "x", "Real")
        if isinstance(entry, str):
            return self._type("key 'terminals.x'", entry), 1.0
        if not isinstance(entry, dict) or not set(entry) <= {"type", "weight"}:
            self.fail("key 'terminals.x'", "expected a type, or {type, weight}")
        weight = self._positive("key 'terminals.x.weight'", entry.get("weight", 1.0))
        return self._type("key 'terminals.x.type'", entry.get("type", "Real")), weight

    def _read_constants(self, data: Mapping[str, Any]) -> Constants | None:
        if "constants" not in data:
            return None
        table = self._table(data, "constants")
        known = ("distribution", "parameters", "digits", "weight")
        for key in table:
            if key not in known:
                self.fail(f"key 'constants.{key}'", f"unknown; {choices(key, known)}")
        kind = table.get("distribution", "normal")
        if kind not in _DISTRIBUTIONS:
            hint = choices(str(kind), _DISTRIBUTIONS)
            self.fail("key 'constants.distribution'", f"unknown '{kind}'; {hint}")
        parameters = table.get("parameters", [0.0, 1.0])
        where = "key 'constants.parameters'"
        numbers = isinstance(parameters, list) and all(
            isinstance(p, int | float) and not isinstance(p, bool) and math.isfinite(p)
            for p in parameters
        )
        if not numbers or not parameters or (kind != "choice" and len(parameters) != 2):
            self.fail(where, f"expected {'numbers' if kind == 'choice' else 'two numbers'}")
        spread = parameters[1] - (parameters[0] if kind == "uniform" else 0)
        if kind != "choice" and spread <= 0:
            self.fail(where, "the second number must be larger (uniform) or above 0 (normal)")
        if kind == "choice" and not any(p != 0 for p in parameters):
            self.fail(where, "one of the values must differ from 0")
        digits = table.get("digits", 2)
        if not isinstance(digits, int) or not 1 <= digits <= 15:
            self.fail("key 'constants.digits'", f"expected 1 to 15, got {digits!r}")
        weight = self._positive("key 'constants.weight'", table.get("weight", 1.0))
        return Constants(kind, tuple(float(p) for p in parameters), digits, weight)

    def _read_productions(self, table: Mapping[str, Any]) -> list[Production]:
        found = []
        for name, weight in table.items():
            where = f"production '{name}'"
            primitive = PRIMITIVES.get(name)
            if primitive is None:
                self.fail(where, f"unknown primitive; {choices(name, PRIMITIVES)}")
            share = self._positive(where, weight)
            holes = [var(hole) for hole in HOLES[: primitive.arity]]
            template = Expr(name, tuple(holes))
            found += [
                Production(f"{name} {signature}", template, signature.args, signature.result, share)
                for signature in primitive.signatures
            ]
        return found

    def _read_rules(self, rules: Iterable[Any]) -> list[Production]:
        found = []
        for number, rule in enumerate(rules, 1):
            where = f"rule {number}"
            known = ("rule", "args", "result", "weight")
            if not isinstance(rule, dict):
                self.fail(where, "expected a table with rule, args, result")
            for key in rule:
                if key not in known:
                    self.fail(f"{where}, key '{key}'", f"unknown; {choices(key, known)}")
            text, args = rule.get("rule"), rule.get("args", [])
            if not isinstance(text, str) or not isinstance(args, list) or len(args) > len(HOLES):
                self.fail(where, "expected rule = \"text\" and args = [at most three types]")
            where = f"rule '{text}'"
            types = tuple(self._type(where, arg) for arg in args)
            holes = HOLES[: len(types)]
            template = self._template(where, text, holes)
            used = set(variables(template))
            for hole in holes:
                if hole not in used:
                    self.fail(where, f"argument '{hole}' is not used")
            result = self._type(where, rule.get("result", "Real"))
            weight = self._positive(where, rule.get("weight", 1.0))
            found.append(Production(f"rule {number}: {text}", template, types, result, weight))
        return found

    def _template(self, where: str, text: str, holes: tuple[str, ...]) -> Expr:
        try:
            return parse(text, ("x", *holes))
        except ParseError as error:
            self.fail(where, str(error))

    def _read_limits(self, table: Mapping[str, Any]) -> Limits:
        known = ("nodes", "depth", "flops")
        for key, value in table.items():
            if key not in known:
                self.fail(f"key 'limits.{key}'", f"unknown; {choices(key, known)}")
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                self.fail(f"key 'limits.{key}'", f"expected a whole number above 0, got {value!r}")
        return Limits(**table)

    def _read_seeds(self, table: Mapping[str, Any]) -> tuple[str, ...]:
        seeds = self._only(table, "seeds", "zoo", [])
        if not isinstance(seeds, list) or not all(isinstance(seed, str) for seed in seeds):
            self.fail("key 'seeds.zoo'", "expected a list of names or formulas")
        return tuple(seeds)

    def _leaves(self, terminal: tuple[str, float], constants: Constants | None) -> list[str]:
        return [terminal[0], *(_CONSTANT_TYPES if constants else ())]

    def _feed(
        self,
        proposed: list[Production],
        start: str,
        terminal: tuple[str, float],
        constants: Constants | None,
    ) -> tuple[Production, ...]:
        """Keep the productions whose arguments can be produced; share weights among signatures."""
        made = set(self._leaves(terminal, constants))
        grown = True

        def producible(wanted: str) -> bool:
            return any(is_subtype(own, wanted, self.types) for own in made)

        while grown:
            found = {p.result for p in proposed if all(producible(arg) for arg in p.args)}
            grown = not found <= made
            made |= found
        kept = [p for p in proposed if all(producible(arg) for arg in p.args)]
        for production in proposed:
            same = [p for p in kept if p.template == production.template]
            if not same:
                missing = next(i for i, arg in enumerate(production.args) if not producible(arg))
                known = sorted(t for t in self.types if producible(t))
                self.fail(
                    f"production '{production.name.split(' ')[0]}'"
                    if not production.name.startswith("rule")
                    else production.name,
                    f"argument {missing + 1} has type '{production.args[missing]}', which nothing "
                    f"produces. Known types: {', '.join(known)}",
                )
        if not producible(start):
            self.fail("key 'start'", f"nothing produces type '{start}'")
        counts: dict[Expr, int] = {}
        for p in kept:
            if not p.name.startswith("rule"):
                counts[p.template] = counts.get(p.template, 0) + 1
        return tuple(
            Production(p.name, p.template, p.args, p.result, p.weight / counts.get(p.template, 1))
            for p in kept
        )

    def _check_limits(
        self,
        limits: Limits,
        start: str,
        productions: tuple[Production, ...],
        terminal: tuple[str, float],
        constants: Constants | None,
    ) -> None:
        leaves = self._leaves(terminal, constants)
        smallest = smallest_sentences(self.types, productions, leaves)
        nodes, depth, flops = smallest[start]
        if is_subtype(terminal[0], start, self.types):
            nodes = depth = 1
        for key, least in (("nodes", nodes), ("depth", depth), ("flops", flops)):
            if getattr(limits, key) < least:
                self.fail(
                    f"key 'limits.{key}'",
                    f"{getattr(limits, key)} is below any sentence; the smallest has {least}",
                )


def smallest_sentences(
    types: Mapping[str, tuple[str, ...]], productions: Iterable[Production], leaves: Iterable[str]
) -> dict[str, tuple[int, int, int]]:
    """Return for each type the fewest nodes, least depth and fewest FLOPs of a value of it.

    The three minima are taken by themselves. Types that nothing produces have infinity, as a
    number larger than any limit.
    """
    endless = 10**9
    known = list(types)
    best = {name: (endless, endless, endless) for name in known}
    for leaf in leaves:
        for wanted in known:
            if is_subtype(leaf, wanted, dict(types)):
                best[wanted] = (1, 1, 0)
    listed = [(p, *_template_size(p)) for p in productions]
    changed = True
    while changed:
        changed = False
        for p, own_nodes, own_depths, own_flops in listed:
            args = [best[arg] for arg in p.args]
            uses = _uses(p)
            nodes = own_nodes + sum(uses[h] * a[0] for h, a in zip(HOLES, args, strict=False))
            depth = max(
                [own_depths[""], *(own_depths[h] + a[1] for h, a in zip(HOLES, args, strict=False))]
            )
            flops = own_flops + sum(a[2] for a in args)
            for wanted in known:
                if is_subtype(p.result, wanted, dict(types)):
                    new = tuple(
                        min(x, y)
                        for x, y in zip(best[wanted], (nodes, depth, flops), strict=True)
                    )
                    if new != best[wanted]:
                        best[wanted] = (new[0], new[1], new[2])
                        changed = True
    return best


def _uses(production: Production) -> dict[str, int]:
    """How often each hole occurs in the template."""
    counts = dict.fromkeys(HOLES, 0)
    stack = [production.template]
    while stack:
        node = stack.pop()
        if node.op == VAR and node.value in counts:
            counts[str(node.value)] += 1
        stack.extend(node.args)
    return counts


def _template_size(production: Production) -> tuple[int, dict[str, int], int]:
    """Nodes that are no holes, depth above each hole (and of the rest, under ""), FLOPs."""
    nodes, flops = 0, 0
    depths = {"": 0, **dict.fromkeys(HOLES, 0)}
    stack = [(production.template, 1)]
    while stack:
        node, depth = stack.pop()
        if node.op == VAR and node.value in HOLES:
            depths[str(node.value)] = max(depths[str(node.value)], depth - 1)
            continue
        nodes += 1
        depths[""] = max(depths[""], depth)
        if node.op in PRIMITIVES:
            flops += PRIMITIVES[node.op].flops
        stack.extend((arg, depth + 1) for arg in node.args)
    return nodes, depths, flops
