"""The ladder of judges, from microseconds to seconds: screen, ridge, mini, full."""

from symact.score._function import Function, Trainable
from symact.score._ladder import Ladder, Plan, check_device
from symact.score._screen import GRID, Outcome, Screened, fingerprint, screen

__all__ = [
    "GRID",
    "Function",
    "Ladder",
    "Outcome",
    "Plan",
    "Screened",
    "Trainable",
    "check_device",
    "fingerprint",
    "screen",
]
