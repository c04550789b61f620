"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from symact.errors import SymactError

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
Judge = Annotated[
    bool,
    typer.Option(
        "--compare/--no-compare",
        help="Finally, compare the functions found with known ones on the test draws.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="Device of full training: cpu or cuda. Default: cuda if available."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of candidates to train at the same time. Default: the number of CPU cores.",
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        help="Workers that train candidates: threads (default) or processes. With processes, "
        "a crash loses one candidate only."
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        help="Address of a Ray cluster that trains candidates; auto for one on this machine."
    ),
]


#: The options of commands that train candidates, in the order of ``--help``.
_TRAINING = {"device": Device, "workers": Workers, "executor": Executor, "ray": Ray}


@dataclass(frozen=True, slots=True)
class Training:
    """How a command trains candidates.

    Attributes:
        device: Device of full training; None for the default.
        threads: Number of workers; None for the number of cores.
        executor: Name of the executor.
    """

    device: str | None
    threads: int | None
    executor: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of :func:`symact.search` and :func:`symact.resume`."""
        return {"device": self.device, "threads": self.threads, "executor": self.executor}

    @property
    def local_device(self) -> str | None:
        """The device for work on this machine."""
        return local_device(self.device, self.executor)


def trains(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter ``training`` of a command by the options that make it.

    Args:
        command: Has a keyword-only parameter ``training``, a :class:`Training`.
    """

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:
        device, workers, executor, ray = (values.pop(name) for name in _TRAINING)
        training = Training(device, workers, _executor_name(executor, ray))
        command(**values, training=training)

    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    kept = [own[name].replace(annotation=hints[name]) for name in own if name != "training"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(name, keyword, default=None, annotation=annotation)
        for name, annotation in _TRAINING.items()
    ]
    del wrapped.__dict__["__wrapped__"]  # its signature would be read instead
    wrapped.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {own.name: own.annotation for own in (*kept, *added)}
    return wrapped


def _executor_name(executor: str | None, ray: str | None) -> str:
    """Return the name of the executor that ``--executor`` and ``--ray`` select.

    Raises:
        SymactError: Both options are given and differ.
    """
    from symact.evaluation.executors.named import RAY, is_ray

    if ray is None:
        return executor or "threads"
    if executor is not None and not is_ray(executor):
        raise SymactError("--ray and --executor cannot be combined")
    return f"{RAY}:{ray}"


def local_device(device: str | None, executor: str) -> str | None:
    """Return the device for work on this machine; None if a cluster trains."""
    from symact.evaluation.executors.named import is_ray

    return None if is_ray(executor) else device
