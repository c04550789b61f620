"""Run the command line as ``python -m symact.cli``."""

from symact.cli import main

main()
