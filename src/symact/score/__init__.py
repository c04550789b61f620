"""The ladder of judges, from microseconds to seconds: screen, forecast, mini, full."""

from symact.score._forecast import Forecast, apart, features
from symact.score._function import Function, Trainable
from symact.score._jobs import Failed, Trained, failure, whole
from symact.score._ladder import EXECUTORS, Ladder, check_device, check_executor
from symact.score._plan import Plan
from symact.score._screen import GRID, Outcome, Screened, fingerprint, screen
from symact.score._wire import as_stored, from_text, to_text

__all__ = [
    "EXECUTORS",
    "GRID",
    "Failed",
    "Forecast",
    "Function",
    "Ladder",
    "Outcome",
    "Plan",
    "Screened",
    "Trainable",
    "Trained",
    "apart",
    "as_stored",
    "check_device",
    "check_executor",
    "failure",
    "features",
    "fingerprint",
    "from_text",
    "screen",
    "to_text",
    "whole",
]
