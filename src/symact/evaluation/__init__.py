"""Evaluate candidates: screen, surrogate, training at several fidelities, judge."""

from symact.backends.sampling import fingerprint
from symact.evaluation.activation import ActivationProblem
from symact.evaluation.draws import Draws
from symact.evaluation.executors import (
    EXECUTORS,
    Executor,
    InlineExecutor,
    ProcessExecutor,
    ThreadExecutor,
    check_executor,
)
from symact.evaluation.fidelity import Fidelity
from symact.evaluation.function import Function, Trainable
from symact.evaluation.jobs import Failed, Job, JobResult, Trained, failure, raise_on_failure
from symact.evaluation.ladder import Ladder, check_device
from symact.evaluation.plan import Plan
from symact.evaluation.problem import Problem
from symact.evaluation.screen import Outcome, Screened, screen
from symact.evaluation.surrogate import Surrogate, drop_near_duplicates, features
from symact.storage.codec import as_stored, from_text, to_text

__all__ = [
    "EXECUTORS",
    "ActivationProblem",
    "Draws",
    "Executor",
    "Failed",
    "Fidelity",
    "Function",
    "InlineExecutor",
    "Job",
    "JobResult",
    "Ladder",
    "Outcome",
    "Plan",
    "Problem",
    "ProcessExecutor",
    "Screened",
    "Surrogate",
    "ThreadExecutor",
    "Trainable",
    "Trained",
    "as_stored",
    "check_device",
    "check_executor",
    "drop_near_duplicates",
    "failure",
    "features",
    "fingerprint",
    "from_text",
    "raise_on_failure",
    "screen",
    "to_text",
]
