"""Resolve runs, zoo names, formulas and programs to functions to compare."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from symact import zoo
from symact.engine.result import Found, Result, is_pointwise, load
from symact.errors import SymactError, ZooError
from symact.evaluation import Function, Trainable
from symact.expr import Expr, parameters, show, uses_statistics
from symact.storage.repository import is_run
from symact.tasks.protocol import COMPARED, REFERENCE
from symact.zoo import Known

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Competitor:
    """A function to compare.

    Attributes:
        name: Name in tables.
        kind: ``"found"``, ``"zoo"`` or ``"imported"``.
        function: The expression or module to train.
        key: A text that identifies the function: its formula, or a digest for modules.
        formula: The formula as text for readers.
        note: The source; "" if there is nothing to report.
        statistics: Whether the function reads statistics of the whole tensor.
        also: Names of the function in runs, if ``name`` is its name in the zoo.
    """

    name: str
    kind: str
    function: Function
    key: str
    formula: str
    note: str = ""
    statistics: bool = False
    also: str = ""


#: An item that :func:`competitors` accepts.
Item = Result | Known | Expr | str | os.PathLike[str]


def competitors(items: Sequence[Item], best: int) -> tuple[list[Competitor], list[Result]]:
    """Return the functions that items of a user stand for.

    Args:
        items: Results, run directories, names of the zoo, formulas in x, or programs to import. A
            text is looked up first as a name of the zoo, then as a path, then as a formula.
        best: Number of functions to take from each run.

    Returns:
        The distinct functions in order, and the runs among the items.

    Raises:
        SymactError: A name is unknown, a formula does not parse, or a run has no evaluated
            candidate.
    """
    resolved = [_resolve(item) for item in items]
    runs = [item for item in resolved if isinstance(item, Result)]
    found: list[Competitor] = []
    for item in resolved:
        if isinstance(item, Result):
            found += _of_run(item, best, len(runs) > 1)
        else:
            found += item
    return _named_apart(found), runs


def with_usual(items: Sequence[Item], best: int) -> tuple[list[Competitor], list[Result]]:
    """Return the functions of items as in :func:`competitors`, with known ones beside them.

    Runs alone stand beside :data:`symact.tasks.protocol.COMPARED`. Other items stand beside the
    reference.
    """
    found, runs = competitors(items, best)
    names = [competitor.name for competitor in found]
    usual = COMPARED if all(competitor.kind == "found" for competitor in found) else (REFERENCE,)
    found += [of_zoo(zoo.find(name)) for name in usual if name not in names]
    return merge_known(found), runs


def flat(items: Iterable[Item | Sequence[Item] | None]) -> list[Item]:
    """Return items without their nesting. None is left out."""
    found: list[Item] = []
    for item in items:
        if isinstance(item, list | tuple):
            found += item
        elif item is not None:
            found.append(item)  # type: ignore[arg-type]  # no sequence is left
    return found


def row_name(competitor: Competitor) -> str:
    """Return a function's name, with the zoo's name if it is a scaled function of the zoo."""
    if competitor.kind != "found" or competitor.also:
        return competitor.name
    known = known_as(competitor.function)
    return f"{competitor.name} = {known}" if known else competitor.name


def _named_apart(found: Iterable[Competitor]) -> list[Competitor]:
    """Return the distinct functions. Different functions with one name get numbers."""
    names: dict[str, Competitor] = {}
    for competitor in found:
        name, number = competitor.name, 1
        while name in names and names[name].key != competitor.key:
            number += 1
            name = f"{competitor.name} ({number})"
        names.setdefault(name, replace(competitor, name=name))
    return list(names.values())


def merge_known(found: Sequence[Competitor]) -> list[Competitor]:
    """Merge functions that runs found with equal functions of the zoo.

    A function in two rows would count twice in Holm's correction. The merged row has the zoo's name
    and the kind ``"found"``.
    """
    known = {one.name for one in found if one.kind == "zoo" and not _is_trained(one)}
    rediscovered: dict[str, list[str]] = {}
    kept = []
    for one in found:
        name = known_as(one.function) if one.kind == "found" else ""
        if name in known:
            rediscovered.setdefault(name, []).append(one.name)
        else:
            kept.append(one)
    return [
        replace(one, kind="found", also=", ".join(rediscovered[one.name]))
        if one.name in rediscovered
        else one
        for one in kept
    ]


def best_of(result: Result, count: int) -> list[Found]:
    """Return the best function of a run, then others of the front.

    Functions within the ID limit come first.
    """
    if not result.front or result.reference is None:
        return []
    pointwise = sorted(filter(is_pointwise, result.front), key=result.rank)
    return list({found.id: found for found in (*pointwise, *result.front)}.values())[:count]


def of_zoo(known: Known) -> Competitor:
    """Return a known function. Its learnable parameters are trained, as in its source.

    Raises:
        ZooError: The formula is unknown, or the function does not take a pre-activation.
    """
    if known.kind in ("pointwise", "statistics"):
        return _of_expr(known.name, "zoo", known.expr)
    if not known.is_activation:
        what = known.definition or "its formula is not known"
        raise ZooError(f"'{known.name}' cannot be judged ({known.kind}): {what}")

    def build(networks: int, seed: int) -> torch.nn.Module:
        from symact.zoo.modules import module

        return module(known, shape=(networks, 1, 1), dim=-2, axes=(-2, -1), seed=seed)

    inputs, outputs = known.units
    row = json.dumps([known.parametric, known.definition, dict(known.parameters), known.kind])
    digest = hashlib.sha256(row.encode()).hexdigest()[:12]
    notes = [known.kind] + ([f"trains {', '.join(known.learnable)}"] if known.learnable else [])
    # A formula trains in the compiled loops. The key is that of the module, which it equals.
    function = known.trained or Trainable(known.name, build, inputs, outputs)
    return Competitor(
        known.name,
        "zoo",
        function,
        f"zoo:{known.name}:{digest}",
        known.text if known.trained is None else show(known.trained),
        "; ".join(notes),
        known.statistics,
    )


def of_formula(text: str, expr: Expr) -> Competitor:
    """Return a formula, named by the text of the user."""
    return _of_expr(text, "imported", expr)


def _of_expr(name: str, kind: str, expr: Expr, note: str = "") -> Competitor:
    formula = show(expr)
    return Competitor(name, kind, expr, formula, formula, note, uses_statistics(expr))


def _resolve(item: Item) -> Result | list[Competitor]:
    if isinstance(item, Result):
        return item
    if isinstance(item, Known):
        return [of_zoo(item)]
    if isinstance(item, Expr):
        return [of_formula(show(item), item)]
    text = os.fspath(item)
    is_name = zoo.has(text)
    if not is_name and os.path.exists(text):
        return load(text) if is_run(text) or _is_empty(text) else _imported(Path(text))
    if not is_name and isinstance(item, os.PathLike):
        raise SymactError(f"{text}: no such run, program or folder")
    if is_name:
        return [of_zoo(zoo.find(text))]
    try:
        return [of_formula(text, zoo.function(text)[1])]
    except ZooError as error:
        raise SymactError(f"no run or program is called '{text}' here, and {error}") from None


def _is_empty(folder: str) -> bool:
    return os.path.isdir(folder) and not os.listdir(folder)


def _imported(path: Path) -> list[Competitor]:
    """Return the programs of a file or folder that could be imported."""
    from symact.importers import read

    records = read(path)
    understood = [one for one in records if one.expr is not None]
    if not understood:
        raise SymactError(f"{path}: {records[0].refusal or 'no program was understood'}")
    found = []
    for one in understood:
        assert one.expr is not None
        kind = "found" if one.system == "symact" else "imported"
        found.append(_of_expr(one.name, kind, one.expr, one.provenance))
    return found


def _of_run(result: Result, best: int, many: bool) -> Iterable[Competitor]:
    found = best_of(result, best)
    if not found:
        where = f"{result.path}: " if result.path is not None else ""
        raise SymactError(f"{where}the run has no evaluated candidate yet; give it a larger budget")
    for one in found:
        yield _of_expr(found_name(result, one, many), "found", one.expr)


def found_name(result: Result, found: Found, many: bool) -> str:
    """Return the name in tables of a function that a run found.

    Args:
        result: The run.
        found: The function.
        many: Whether several runs are compared.
    """
    place = f" of {result.path}" if many and result.path is not None else ""
    return f"found #{found.id}{place}"


def known_as(function: Function) -> str:
    """Return the name of the zoo's function equal up to scale and sign; ``""`` if there is none.

    A function with trained parameters is none of the zoo: its values change.
    """
    if not isinstance(function, Expr) or parameters(function):
        return ""
    return _recognised(function)


def _is_trained(competitor: Competitor) -> bool:
    function = competitor.function
    return not isinstance(function, Expr) or bool(parameters(function))


@lru_cache(maxsize=256)
def _recognised(expr: Expr) -> str:
    from symact.zoo.recognise import recognise

    found = recognise(expr)
    return "" if found is None else str(found)
