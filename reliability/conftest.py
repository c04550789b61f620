"""What lasts too long for the tests of every change; ``make reliability`` runs it."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "support")]
