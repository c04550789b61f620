"""The commands and their registration. Each group of commands has its own module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from symact import __version__
from symact.cli import (
    batch,
    bench,
    compare,
    grammar,
    imports,
    leaderboard,
    process,
    recommend,
    search,
    show,
    tasks,
    zoo,
)

_EXAMPLES = """Examples:

symact search --budget 2m --out runs/first

symact show runs/first

symact compare runs/first SiLU "x*tanh(x)"
"""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Search activation functions that generalise out of distribution.",
    epilog=_EXAMPLES,
)
grammar_app = typer.Typer(no_args_is_help=True, help="List, print or check grammars.")

#: Commands by name, in the groups of ``symact --help``.
_COMMANDS: dict[str, dict[str, Callable[..., Any]]] = {
    "Search": {
        "search": search.search,
        "show": show.show,
        "compare": compare.compare,
        "resume": search.resume,
        "batch": batch.batch,
    },
    "Functions": {
        "recommend": recommend.recommend,
        "zoo": zoo.zoo,
        "leaderboard": leaderboard.leaderboard,
        "import": imports.import_programs,
        "enumerate": grammar.enumerate_grammar,
        "correct": zoo.correct,
    },
    "Tasks, grammars and checks": {
        "tasks": tasks.list_tasks,
        "doctor": tasks.doctor,
        "bench": bench.bench,
    },
}
_GRAMMAR_COMMANDS: dict[str, Callable[..., Any]] = {
    "list": grammar.list_grammars,
    "show": grammar.show_grammar,
    "check": grammar.check_grammar,
    "primitives": grammar.list_primitives,
}

for _group, _commands in _COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, rich_help_panel=_group)(_command)
for _name, _command in _GRAMMAR_COMMANDS.items():
    grammar_app.command(_name)(_command)
app.add_typer(grammar_app, name="grammar", rich_help_panel="Tasks, grammars and checks")


def main() -> NoReturn:
    """Run the command line. An error of the user is printed as one line, with exit status 2."""
    command = typer.main.get_command(app)
    process.run(lambda: command.main(standalone_mode=False))


def _print_version(value: bool) -> None:
    if value:
        print(f"symact {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass
