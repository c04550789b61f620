"""The command line interface."""

from symact.cli.main import main

__all__ = ["main"]
