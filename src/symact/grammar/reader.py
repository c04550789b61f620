"""Read grammars from TOML. Errors name the source, the key and the nearest valid choice."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from symact._validation import Location, key_of, validated
from symact.errors import GrammarError, ParseError, choices
from symact.expr import Expr, parse, var, variables
from symact.expr.parser import NAMED_NUMBERS
from symact.expr.primitives import PARAM, PRIMITIVES, TYPES, is_subtype
from symact.expr.spellings import nearest_primitive
from symact.grammar.productions import (
    HOLES,
    TRAINED_TYPE,
    Constants,
    Grammar,
    Limits,
    Production,
    Trained,
)
from symact.grammar.schema import GrammarFile, RuleTable
from symact.grammar.sizes import smallest_sentences

_CONSTANT_TYPES = ("Const", "PositiveConst")


class Reader:
    """Reads one grammar file.

    Args:
        source: The name of the file in error messages.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.types: dict[str, tuple[str, ...]] = dict(TYPES)

    def read(self, text: str) -> Grammar:
        """Return the grammar that a TOML text defines.

        Raises:
            GrammarError: One line with the source, the key and the nearest valid choice.
        """
        file = self._parsed(text)
        self._add_types(file.types)
        start = self._number_type("key 'start'", file.start)
        terminals = self._terminals(file.terminals)
        leaves = [*terminals.values(), *(_CONSTANT_TYPES if file.constants else ())]
        leaves += [TRAINED_TYPE] if file.trained else []
        proposed = [*self._primitives(file.productions), *self._rules(file.rules, terminals)]
        productions = self._producible(proposed, start, leaves)
        limits = Limits(**file.limits.model_dump())
        self._check_limits(limits, start, productions, leaves)
        return Grammar(
            name=Path(self.source).stem if file.name is None else file.name,
            description=file.description,
            text=text,
            start=start,
            types=self.types,
            productions=productions,
            terminals=terminals,
            constants=Constants(**file.constants.model_dump()) if file.constants else None,
            trained=Trained(**file.trained.model_dump()) if file.trained else None,
            limits=limits,
            seeds=file.seeds.zoo,
            max_slope=file.constraints.max_slope,
        )

    def _parsed(self, text: str) -> GrammarFile:
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise GrammarError(f"{self.source}: not TOML: {error}") from None
        return validated(GrammarFile, data, error=GrammarError, source=self.source, where=_where)

    def _fail(self, where: str, problem: str) -> NoReturn:
        line = f"{self.source}, {where}: {problem}"
        raise GrammarError(" ".join(line.split("\n")))

    def _type(self, where: str, name: str) -> str:
        if name not in self.types:
            self._fail(where, f"unknown type '{name}'; {choices(name, self.types)}")
        return name

    def _number_type(self, where: str, name: str) -> str:
        """Return a known type after checking that its values are computed numbers."""
        known = self._type(where, name)
        for other in ("Bool", "Const"):
            if is_subtype(known, other, self.types):
                self._fail(
                    where, f"expected a subtype of Real or a type of this file, got '{known}'"
                )
        return known

    def _add_types(self, table: dict[str, tuple[str, ...]]) -> None:
        for name, parents in table.items():
            where = f"key 'types.{name}'"
            if name in TYPES or not name.isidentifier():
                self._fail(where, "a new type needs an unused name")
            self.types[name] = tuple(self._type(where, parent) for parent in parents)

    def _terminals(self, table: dict[str, str]) -> dict[str, str]:
        """Return the type of each input variable."""
        for name in table:
            where = f"key 'terminals.{name}'"
            if not (name.isidentifier() and name.isascii()):
                self._fail(where, "expected a name of letters, digits and underscores")
            if any(name in taken for taken in (HOLES, PRIMITIVES, NAMED_NUMBERS, TYPES, (PARAM,))):
                self._fail(where, f"'{name}' has another meaning in formulas; choose another name")
        return {
            name: self._number_type(f"key 'terminals.{name}'", type_)
            for name, type_ in table.items()
        }

    def _primitives(self, table: dict[str, float]) -> list[Production]:
        found = []
        for name, weight in table.items():
            primitive = PRIMITIVES.get(name)
            if primitive is None:
                self._fail(f"production '{name}'", f"unknown primitive; {nearest_primitive(name)}")
            template = Expr(name, tuple(var(hole) for hole in HOLES[: primitive.arity]))
            found += [
                Production(
                    f"{name} {signature}", template, signature.args, signature.result, weight
                )
                for signature in primitive.signatures
            ]
        return found

    def _rules(self, rules: Sequence[RuleTable], terminals: dict[str, str]) -> list[Production]:
        return [self._rule(number, rule, terminals) for number, rule in enumerate(rules, 1)]

    def _rule(self, number: int, rule: RuleTable, terminals: dict[str, str]) -> Production:
        where = f"rule '{rule.rule}'"
        types = tuple(self._type(where, arg) for arg in rule.args)
        holes = HOLES[: len(types)]
        template = self._template(where, rule.rule, (*terminals, *holes))
        unused = [hole for hole in holes if hole not in variables(template)]
        if unused:
            self._fail(where, f"argument '{unused[0]}' is not used")
        if "Bool" in types:
            self._fail(where, "an argument of a rule must be a number, got type 'Bool'")
        result = self._number_type(where, rule.result)
        return Production(f"rule {number}: {rule.rule}", template, types, result, rule.weight)

    def _template(self, where: str, text: str, names: tuple[str, ...]) -> Expr:
        try:
            return parse(text, names)
        except ParseError as error:
            self._fail(where, str(error))

    def _producible(
        self, proposed: Sequence[Production], start: str, leaves: Sequence[str]
    ) -> tuple[Production, ...]:
        """Return the productions whose arguments can be produced.

        The weight of a primitive is divided among its signatures.
        """
        made = self._made(proposed, leaves)
        kept = [p for p in proposed if all(arg in made for arg in p.args)]
        counts = Counter(map(_group, kept))
        for production in proposed:
            if not counts[_group(production)]:
                self._fail_unfed(production, made)
        if start not in made:
            self._fail("key 'start'", f"nothing produces type '{start}'")
        return tuple(replace(p, weight=p.weight / counts[_group(p)]) for p in kept)

    def _made(self, proposed: Sequence[Production], leaves: Sequence[str]) -> set[str]:
        """Return every type that the grammar can produce."""
        made: set[str] = set()
        new = set(leaves)
        while not new <= made:
            made |= {wanted for wanted in self.types for type_ in new if self._fits(type_, wanted)}
            new = {p.result for p in proposed if all(arg in made for arg in p.args)}
        return made

    def _fits(self, lower: str, upper: str) -> bool:
        return is_subtype(lower, upper, self.types)

    def _fail_unfed(self, production: Production, made: set[str]) -> NoReturn:
        missing = next(i for i, arg in enumerate(production.args) if arg not in made)
        group = _group(production)
        self._fail(
            group if group.startswith("rule ") else f"production '{group}'",
            f"argument {missing + 1} has type '{production.args[missing]}', which nothing "
            f"produces. Known types: {', '.join(sorted(made))}",
        )

    def _check_limits(
        self, limits: Limits, start: str, productions: Sequence[Production], leaves: Sequence[str]
    ) -> None:
        nodes, depth, flops = smallest_sentences(self.types, productions, leaves)[start]
        for key, least in (("nodes", nodes), ("depth", depth), ("flops", flops)):
            if getattr(limits, key) < least:
                self._fail(
                    f"key 'limits.{key}'",
                    f"{getattr(limits, key)} is too small; the smallest expression has {least}",
                )


def _where(location: Location) -> str:
    """Return the text of a location: productions by name, rules by number."""
    match location:
        case ("productions", name):
            return f"production '{name}'"
        case ("rules", int(index)):
            return f"rule {index + 1}"
        case ("rules", int(index), key):
            return f"rule {index + 1}, key '{key}'"
        case _:
            return key_of(location)


def _group(production: Production) -> str:
    """Return the key of the productions that share one weight.

    The signatures of a primitive share its weight. A rule has a weight of its own.
    """
    is_rule = production.name.startswith("rule ")
    return production.name if is_rule else production.template.op
