"""What can be judged, by whatever it is called: runs, zoo names, formulas, imported programs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from symact import zoo
from symact.engine.result import Found, Result, is_pointwise, load
from symact.errors import SymactError, ZooError
from symact.evaluation import Function, Trainable
from symact.expr import Expr, show
from symact.storage.database import is_run
from symact.tasks.protocol import ID_LIMIT
from symact.zoo import Known

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Entrant:
    """A function to be judged.

    Attributes:
        name: What tables call it.
        kind: ``"found"``, ``"zoo"`` or ``"imported"``.
        function: What is trained.
        key: A text that is this function and no other; its formula, where it is one.
        formula: What people read.
        note: Where it comes from, "" for nothing to say.
    """

    name: str
    kind: str
    function: Function
    key: str
    formula: str
    note: str = ""


#: What :func:`entrants` takes, one or many.
Item = Result | Known | Expr | str | os.PathLike[str]


def entrants(items: Sequence[Item], best: int) -> tuple[list[Entrant], list[Result]]:
    """Turn what a user named into functions to be judged.

    Args:
        items: Results or run directories, of which the best functions compete; names of the zoo;
            formulas in x; programs to be imported. A text is a name of the zoo before it is a path,
            and a path before it is a formula.
        best: How many functions of each run.

    Returns:
        The functions in order, each once, and the runs among the items.

    Raises:
        SymactError: An unknown name, a formula that does not parse, a run without a judged
            candidate.
    """
    resolved = [_resolve(item) for item in items]
    runs = [item for item in resolved if isinstance(item, Result)]
    found: list[Entrant] = []
    for item in resolved:
        if isinstance(item, Result):
            found += _of_run(item, best, len(runs) > 1)
        else:
            found += item
    names: dict[str, Entrant] = {}
    for entrant in found:
        name, number = entrant.name, 1
        while name in names and names[name].key != entrant.key:
            number += 1
            name = f"{entrant.name} ({number})"
        names.setdefault(name, replace(entrant, name=name))
    return list(names.values()), runs


def best_of(result: Result, count: int) -> list[Found]:
    """Return the run's best function, then the front's others that keep the ID limit, by OOD."""
    if not result.front or result.reference is None:
        return []
    limit = ID_LIMIT * result.reference.id_error
    allowed = [found for found in result.front if found.id_error <= limit and is_pointwise(found)]
    ordered = [result.best, *sorted(allowed, key=lambda f: f.ood), *result.front]
    return list({found.id: found for found in ordered}.values())[:count]


def of_zoo(known: Known) -> Entrant:
    """Return a known function as its source uses it: what is learnable there is trained.

    Raises:
        ZooError: Its formula is not known, or it is no function of a pre-activation.
    """
    if known.kind in ("pointwise", "statistics"):
        return Entrant(known.name, "zoo", known.expr, show(known.expr), show(known.expr))
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
    return Entrant(
        known.name,
        "zoo",
        Trainable(known.name, build, inputs, outputs),
        f"zoo:{known.name}:{digest}",
        known.text,
        "; ".join(notes),
    )


def of_formula(text: str, expr: Expr) -> Entrant:
    """Return a formula under the text the user gave it."""
    return Entrant(text, "imported", expr, show(expr), show(expr))


def _resolve(item: Item) -> Result | list[Entrant]:
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


def _imported(path: Path) -> list[Entrant]:
    """Return the programs of a file or folder that were understood."""
    from symact.importers import read

    records = read(path)
    understood = [one for one in records if one.expr is not None]
    if not understood:
        raise SymactError(f"{path}: {records[0].refusal or 'no program was understood'}")
    found = []
    for one in understood:
        assert one.expr is not None
        formula = show(one.expr)
        kind = "found" if one.system == "symact" else "imported"
        found.append(Entrant(one.name, kind, one.expr, formula, formula, one.provenance))
    return found


def _of_run(result: Result, best: int, many: bool) -> Iterable[Entrant]:
    found = best_of(result, best)
    if not found:
        where = f"{result.path}: " if result.path is not None else ""
        raise SymactError(f"{where}the run has no judged candidate yet; give it a larger budget")
    place = f" of {result.path}" if many and result.path is not None else ""
    for one in found:
        yield Entrant(
            f"found #{one.id}{place}",
            "found",
            one.expr,
            show(one.expr),
            show(one.expr),
        )


def known_as(expr: Expr | None) -> str:
    """Return `` = NAME`` where the zoo has this function, up to scaling and sign, else ``""``."""
    from symact.zoo.recognise import recognise

    found = None if expr is None else recognise(expr)
    return "" if found is None else f" = {found}"
