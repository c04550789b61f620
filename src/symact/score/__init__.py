"""The ladder of judges, from microseconds to seconds: screen, ridge, mini, full."""

from symact.score._ladder import Ladder, Plan
from symact.score._screen import GRID, Outcome, Screened, screen

__all__ = ["GRID", "Ladder", "Outcome", "Plan", "Screened", "screen"]
