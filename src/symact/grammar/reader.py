"""Reads a grammar from TOML; every complaint names the source, the key and the nearest choice."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from symact.errors import GrammarError, ParseError, choices
from symact.expr import Expr, parse, var, variables
from symact.expr.primitives import PRIMITIVES, TYPES, is_subtype
from symact.grammar.productions import HOLES, Constants, Grammar, Limits, Production
from symact.grammar.sizes import smallest_sentences

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
_DISTRIBUTIONS = ("normal", "uniform", "log-uniform", "choice")
_CONSTANT_TYPES = ("Const", "PositiveConst")
#: The largest parameter of a distribution is within these; below, every draw would round to 0.
_CONSTANT_RANGE = (1e-4, 1e9)


#: The largest weight or limit on a slope; sums of weights stay far from overflow.
_LARGEST = 1e9


def _is_number(value: Any) -> bool:
    """Whether a TOML value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_HUGE <= value <= _HUGE


#: Compared as they are, because converting a whole number of 400 digits overflows.
_HUGE = 1e300


class Reader:
    """Reads one grammar; every complaint names the source and the key."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.types: dict[str, tuple[str, ...]] = dict(TYPES)

    def fail(self, where: str, problem: str) -> NoReturn:
        line = f"{self.source}, {where}: {problem}"
        raise GrammarError(" ".join(line.split("\n")))

    def read(self, text: str) -> Grammar:
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise GrammarError(f"{self.source}: not TOML: {error}") from None
        for key in data:
            if key not in _KEYS:
                self.fail(f"key '{key}'", f"unknown; {choices(key, _KEYS)}")
        self._read_types(self._table(data, "types"))
        start = self._number_type("key 'start'", self._get(data, "start", str, "Real"))
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
                "key 'constraints.max_slope'",
                self._only(constraints, "constraints", "max_slope", 1e3),
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
        if not _is_number(value) or not 0 < value <= _LARGEST:
            self.fail(where, f"expected a number above 0, got {value!r:.40}")
        return float(value)

    def _type(self, where: str, name: Any) -> str:
        if not isinstance(name, str) or name not in self.types:
            self.fail(where, f"unknown type '{name}'; {choices(str(name), self.types)}")
        return name

    def _number_type(self, where: str, name: Any) -> str:
        """A type whose values are numbers that an expression computes."""
        known = self._type(where, name)
        for other in ("Bool", "Const"):
            if is_subtype(known, other, self.types):
                self.fail(where, f"expected a type below Real or a new one, got '{known}'")
        return known

    def _read_types(self, table: Mapping[str, Any]) -> None:
        for name, parents in table.items():
            listed = [parents] if isinstance(parents, str) else parents
            if name in TYPES or not name.isidentifier():
                self.fail(f"key 'types.{name}'", "a new type needs a new name")
            if not isinstance(listed, list):
                self.fail(f"key 'types.{name}'", f"expected a type or a list, got {parents!r}")
            self.types[name] = tuple(self._type(f"key 'types.{name}'", p) for p in listed)

    def _read_terminals(self, table: Mapping[str, Any]) -> str:
        entry = self._only(table, "terminals", "x", "Real")
        if not isinstance(entry, str):
            self.fail("key 'terminals.x'", f"expected a type, got {entry!r}")
        return self._number_type("key 'terminals.x'", entry)

    def _read_constants(self, data: Mapping[str, Any]) -> Constants | None:
        if "constants" not in data:
            return None
        table = self._table(data, "constants")
        known = ("distribution", "parameters", "digits")
        for key in table:
            if key not in known:
                self.fail(f"key 'constants.{key}'", f"unknown; {choices(key, known)}")
        kind = table.get("distribution", "normal")
        if kind not in _DISTRIBUTIONS:
            hint = choices(str(kind), _DISTRIBUTIONS)
            self.fail("key 'constants.distribution'", f"unknown '{kind}'; {hint}")
        parameters = table.get("parameters", [0.0, 1.0])
        where = "key 'constants.parameters'"
        numbers = isinstance(parameters, list) and all(map(_is_number, parameters))
        if not numbers or not parameters or (kind != "choice" and len(parameters) != 2):
            self.fail(where, f"expected {'numbers' if kind == 'choice' else 'two numbers'}")
        if kind == "log-uniform" and parameters[0] <= 0:
            self.fail(where, "the first number must be above 0 (log-uniform)")
        if kind != "choice" and parameters[1] <= (0 if kind == "normal" else parameters[0]):
            self.fail(
                where, "the second number must be larger (log-uniform, uniform) or above 0 (normal)"
            )
        low, high = _CONSTANT_RANGE
        if not low <= max(map(abs, parameters)) <= high:
            self.fail(where, f"the largest must have a size from {low:g} to {high:g}")
        digits = table.get("digits", 2)
        if not isinstance(digits, int) or isinstance(digits, bool) or not 1 <= digits <= 15:
            self.fail("key 'constants.digits'", f"expected 1 to 15, got {digits!r}")
        return Constants(kind, tuple(float(p) for p in parameters), digits)

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
            is_list = isinstance(args, list) and 1 <= len(args) <= len(HOLES)
            if not isinstance(text, str) or not is_list:
                self.fail(where, 'expected rule = "text" and args = [one to three types]')
            where = f"rule '{text}'"
            types = tuple(self._type(where, arg) for arg in args)
            holes = HOLES[: len(types)]
            template = self._template(where, text, holes)
            used = set(variables(template))
            for hole in holes:
                if hole not in used:
                    self.fail(where, f"argument '{hole}' is not used")
            if "Bool" in types:
                self.fail(where, "an argument of a rule is a number, got type 'Bool'")
            result = self._number_type(where, rule.get("result", "Real"))
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

    def _leaves(self, terminal: str, constants: Constants | None) -> list[str]:
        return [terminal, *(_CONSTANT_TYPES if constants else ())]

    def _feed(
        self,
        proposed: list[Production],
        start: str,
        terminal: str,
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
            same = [p for p in kept if _group(p) == _group(production)]
            if not same:
                missing = next(i for i, arg in enumerate(production.args) if not producible(arg))
                known = sorted(t for t in self.types if producible(t))
                group = _group(production)
                self.fail(
                    group if group.startswith("rule ") else f"production '{group}'",
                    f"argument {missing + 1} has type '{production.args[missing]}', which nothing "
                    f"produces. Known types: {', '.join(known)}",
                )
        if not producible(start):
            self.fail("key 'start'", f"nothing produces type '{start}'")
        counts = Counter(map(_group, kept))
        return tuple(replace(p, weight=p.weight / counts[_group(p)]) for p in kept)

    def _check_limits(
        self,
        limits: Limits,
        start: str,
        productions: tuple[Production, ...],
        terminal: str,
        constants: Constants | None,
    ) -> None:
        leaves = self._leaves(terminal, constants)
        smallest = smallest_sentences(self.types, productions, leaves)
        nodes, depth, flops = smallest[start]
        if is_subtype(terminal, start, self.types):
            nodes = depth = 1
        for key, least in (("nodes", nodes), ("depth", depth), ("flops", flops)):
            if getattr(limits, key) < least:
                self.fail(
                    f"key 'limits.{key}'",
                    f"{getattr(limits, key)} is below any sentence; the smallest has {least}",
                )


def _group(production: Production) -> str:
    """What shares one weight: the signatures of a primitive; a rule stands by itself."""
    is_rule = production.name.startswith("rule ")
    return production.name if is_rule else production.template.op
