"""The command line: arguments in, text out."""

from symact.cli.main import main

__all__ = ["main"]
