"""What lasts too long for the tests of every change; ``make reliability`` runs it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
