"""``symact zoo`` and ``symact correct``: known activation functions and their corrections."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symact.cli.console import print_json, print_table
from symact.cli.options import Json
from symact.errors import SymactError, choices
from symact.reporting.text_table import Column, numbers

if TYPE_CHECKING:
    from symact.zoo import Known, WhereItWins


def zoo(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The name of a function.")
    ] = None,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="List only functions of the founding papers.")
    ] = False,
    kind: Annotated[
        str | None, typer.Option(help="List only one kind, such as pointwise or gated.")
    ] = None,
    max_flops: Annotated[
        int | None,
        typer.Option(min=0, help="List only functions with at most this number of FLOPs."),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="List only entries whose text contains a word."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="FORMULA",
            help="A formula. Print the known function equal up to scale and sign.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the function and its derivative: .svg or .png.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the known activation functions, or describe one."""
    if plot is not None and name is None:
        raise SymactError("--plot needs the name of a function; use: symact zoo GELU --plot FILE")
    if like is not None and name is not None:
        raise SymactError(
            f"--like needs no NAME; use: symact zoo {name}, or symact zoo --like FORMULA"
        )
    if like is not None:
        _print_like(like, as_json)
    elif name is not None:
        _print_one(name, plot, as_json)
    else:
        _print_list(_filtered(seeds, kind, max_flops, search), as_json)


def correct(
    function: Annotated[
        str, typer.Argument(metavar="NAME|FORMULA", help="A zoo name or a formula.")
    ],
    eps: Annotated[
        float,
        typer.Option(help="The factor of the correction. A negative factor lowers the entropy."),
    ] = 0.01,
    form: Annotated[
        str | None,
        typer.Option(help="The method: inverse or held. Default: the first that is applicable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Derive a correction of a function from the entropy of its output."""
    from symact import zoo as functions
    from symact.zoo import entropy_correction as correction

    name, expr = functions.function(function)
    found = correction.correct(expr, eps=eps, form=form)
    if as_json:
        print_json(correction.to_json(found, name))
    else:
        print(correction.to_text(found, name))


def _filtered(
    seeds: bool, kind: str | None, max_flops: int | None, word: str | None
) -> list[Known]:
    """Return the entries of the zoo that pass all filters."""
    from symact import zoo as functions

    entries = functions.catalogue()
    kinds = list(dict.fromkeys(entry.kind for entry in entries))
    if kind is not None and kind not in kinds:
        raise SymactError(f"unknown kind '{kind}'; {choices(kind, kinds)}")
    return [
        entry
        for entry in entries
        if (entry.seed or not seeds)
        and kind in (None, entry.kind)
        and _is_cheap(entry, max_flops)
        and (word is None or word.casefold() in _text(entry))
    ]


def _is_cheap(entry: Known, most: int | None) -> bool:
    cost = _flops(entry)
    return most is None or (cost is not None and cost <= most)


def _flops(entry: Known) -> int | None:
    from symact.expr.cost import flops

    return flops(entry.expr) if entry.formula else None


def _text(entry: Known) -> str:
    """Return the text of an entry that is searched for words."""
    parts = (entry.name, *entry.aliases, entry.text, entry.source, entry.note, entry.kind)
    return "\n".join(parts).casefold()


def _print_list(entries: Sequence[Known], as_json: bool) -> None:
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    if not entries:
        print("no function of the zoo matches these filters")
        return
    columns = [Column("name"), Column("kind"), Column("FLOPs", number=True)]
    rows = [(entry.name, entry.kind, _cost(entry), entry.text) for entry in entries]
    print_table([*columns, Column("formula", wraps=True)], rows)


def _cost(entry: Known) -> str:
    cost = _flops(entry)
    return "-" if cost is None else str(cost)


def _print_like(formula: str, as_json: bool) -> None:
    from symact import zoo as functions
    from symact.expr import parameters
    from symact.zoo.recognise import recognise

    expr = functions.function(formula)[1]
    found = recognise(expr)
    if as_json:
        print_json({"formula": formula, "known": None if found is None else str(found)})
    elif parameters(expr):
        print(f"{found or 'not in the zoo'} (at the initial values of its parameters)")
    else:
        print(found or "not in the zoo")


def _print_one(name: str, plot: Path | None, as_json: bool) -> None:
    from symact import zoo as functions
    from symact.expr import show

    entry = functions.find(name)
    if plot is not None:
        from symact.reporting.report import draw_function

        draw_function(entry.name, entry.expr, plot)
    won = functions.where_it_wins(entry.name)
    if as_json:
        trained = None if entry.trained is None else show(entry.trained)
        where = None if won is None else asdict(won)
        print_json({**asdict(entry), "trained": trained, "where_it_wins": where})
        return
    print(entry.name)
    rows = [("", key, value) for key, value in _facts(entry).items() if value]
    print_table([Column(""), Column(""), Column("", wraps=True)], rows)
    if _is_plotted(entry):
        from symact.reporting.text_plot import text_plot

        print("\n" + text_plot(entry.expr, sys.stdout.encoding or "ascii"))
    if won is not None:
        _print_where(won)
    if plot is not None:
        print(f"\ndrawn: {plot}")


def _print_where(won: WhereItWins) -> None:
    """Print the OOD errors by kind of families, the best first."""
    print(
        f"\nWhere it wins: OOD error relative to {won.reference} by protocol {won.protocol}, "
        f"{won.families} generated families. Below 1 is better."
    )
    rows = [("all", won.ood), *sorted(won.kinds.items(), key=lambda own: own[1].ratio)]
    columns = [Column("kind of target"), *numbers("OOD", "95% interval")]
    print_table(
        columns,
        [(kind, f"{own.ratio:.2f}", f"{own.low:.2f} to {own.high:.2f}") for kind, own in rows],
    )


def _is_plotted(entry: Known) -> bool:
    return entry.formula is not None and not entry.statistics


def _facts(entry: Known) -> dict[str, str]:
    """Return known and computed facts about a function."""
    from symact.expr import show
    from symact.reporting.text_plot import behaviour

    facts = {"kind": entry.kind, **_definition(entry)}
    if entry.parametric is not None:
        facts["in full"] = entry.parametric
    if entry.trained is not None:
        facts["trained as"] = show(entry.trained)
    facts["parameters"] = ", ".join(
        f"{name} = {value:g}{' (trained)' if name in entry.learnable else ''}"
        for name, value in entry.parameters.items()
    )
    if _is_plotted(entry):
        facts |= behaviour(entry.expr)
    return facts | {
        "reads": "mean or deviation of the whole tensor" if entry.statistics else "",
        "also": ", ".join(entry.aliases),
        "source": entry.source,
        "certainty": entry.confidence,
        "note": entry.note,
    }


def _definition(entry: Known) -> dict[str, str]:
    from symact.backends import to_latex

    if entry.formula is None:
        return {"does": entry.text}
    return {"formula": entry.formula, "LaTeX": to_latex(entry.expr), "FLOPs": _cost(entry)}
