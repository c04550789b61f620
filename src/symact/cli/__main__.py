"""``python -m symact.cli``."""

from symact.cli import main

main()
