"""The ladder of judges, from microseconds to seconds: screen, forecast, mini, full."""

from symact.backends.sampling import fingerprint
from symact.evaluation.function import Function, Trainable
from symact.evaluation.jobs import Failed, Trained, failure, whole
from symact.evaluation.ladder import EXECUTORS, Ladder, check_device, check_executor
from symact.evaluation.plan import Plan
from symact.evaluation.screen import Outcome, Screened, screen
from symact.evaluation.surrogate import Forecast, apart, features
from symact.storage.codec import as_stored, from_text, to_text

__all__ = [
    "EXECUTORS",
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
