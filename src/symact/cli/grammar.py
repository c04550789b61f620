"""``symact grammar`` and ``symact enumerate``: typed grammars and their smallest sentences."""

from __future__ import annotations

from typing import Annotated

import typer

from symact.cli.console import print_json, print_table
from symact.cli.options import Json
from symact.reporting.text_table import Column

GrammarName = Annotated[
    str, typer.Argument(metavar="GRAMMAR", help="A packaged grammar or a TOML file.")
]


def list_grammars() -> None:
    """List the packaged grammars."""
    from symact.grammar import Grammar, grammar_names

    rows = [(name, Grammar.load(name).description) for name in grammar_names()]
    print_table([Column("grammar"), Column("description", wraps=True)], rows)


def show_grammar(grammar: GrammarName) -> None:
    """Print a grammar as TOML, as a template for your own."""
    from symact.grammar import Grammar

    print(Grammar.load(grammar).text, end="")


def check_grammar(grammar: GrammarName) -> None:
    """Check a grammar and print some of its sentences."""
    from symact.grammar import Grammar
    from symact.proposers import RandomProposer

    found = Grammar.load(grammar)
    limits = found.limits
    print(
        f"{found.name}: {len(found.productions)} typed productions, at most {limits.nodes} nodes, "
        f"depth {limits.depth}, {limits.flops} FLOPs; some sentences:"
    )
    for proposal in RandomProposer(found, seed=0).ask(8):
        print(f"  {proposal.expr}")


def list_primitives() -> None:
    """List the primitives of grammars and formulas."""
    from symact.expr.primitives import PRIMITIVES

    rows = [
        (one.name, str(one.flops), str(one.signatures[0]), one.meaning)
        for one in PRIMITIVES.values()
    ]
    columns = [Column("primitive"), Column("FLOPs", number=True), Column("most general type")]
    print_table([*columns, Column("meaning", wraps=True)], rows)


def enumerate_grammar(
    grammar: GrammarName,
    nodes: Annotated[int | None, typer.Option(min=1, help="The maximum number of nodes.")] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            min=1, help="The maximum depth of nested productions; 2 is one core unit of 'swish'."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="The maximum number of distinct expressions in memory.")
    ] = 500_000,
    constant: Annotated[
        list[float] | None,
        typer.Option(help="A literal that replaces those of the grammar; repeatable."),
    ] = None,
    find: Annotated[
        list[str] | None,
        typer.Option(help="A zoo name or formula to find in the list; repeatable."),
    ] = None,
    first: Annotated[int, typer.Option(min=0, help="Number of sentences to print.")] = 20,
    scaled: Annotated[
        bool,
        typer.Option("--up-to-scale", help="Omit sentences that are multiples of earlier ones."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the smallest sentences of a grammar, without equal functions."""
    from symact import zoo as functions
    from symact.grammar import enumeration

    wanted = [functions.function(text) for text in find or []]
    found = enumeration.enumerate_grammar(
        grammar, nodes=nodes, depth=depth, limit=limit, constants=constant or None
    )
    report = enumeration.report(found, wanted, first=first, scaled=scaled)
    if as_json:
        print_json(report)
    else:
        print(enumeration.to_text(report))
