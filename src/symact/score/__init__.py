"""The ladder of judges, from microseconds to seconds: screen, forecast, mini, full."""

from symact.score._forecast import Forecast, apart, features
from symact.score._function import Function, Trainable
from symact.score._ladder import Ladder, Plan, check_device
from symact.score._screen import GRID, Outcome, Screened, fingerprint, screen

__all__ = [
    "GRID",
    "Forecast",
    "Function",
    "Ladder",
    "Outcome",
    "Plan",
    "Screened",
    "Trainable",
    "apart",
    "check_device",
    "features",
    "fingerprint",
    "screen",
]
