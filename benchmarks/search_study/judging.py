"""What the runs found, on the test draws: the errors that every figure and table is made from.

Two kinds of functions are judged. What a run chose, and what is known, by the whole protocol with
more training seeds than it asks for. And what full training called the best so far, for the curves,
by the protocol's quick form: one size of network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from symact import zoo
from symact.errors import SymactError
from symact.evaluation.judge import Judge
from symact.expr import parse, show
from symact.files import replacing
from symact.reporting.competitors import of_zoo
from symact.tasks import task
from symact.tasks.protocol import FORMS, REFERENCE

TASK = "ood-suite"
#: Training seeds of the final tables; the curves take the form's.
SEEDS = 5
#: What language models found, then what people use.
PUBLISHED = ("GELUSine", "GELU-Sinc-Perturbation", "GMTU")
BATCH = ("Turbulent",)
CLASSICS = ("GELU", "SiLU", "ReLU")
#: Where, beside the results, records of searches with more finalists are.
WIDE = "wide/runs"


class Judgements:
    """Errors of functions on the test draws of one form, in a file that only grows.

    Args:
        file: Where they are; made where there is none.
        form: Of the protocol.
        seeds: Training seeds of each instance; None for the form's.
        per_family: Test instances of a family; None for the form's.
        draw: Of the test instances.
        steps: Steps of each training; None for the form's.
    """

    def __init__(
        self,
        file: Path,
        form: str,
        seeds: int | None = None,
        per_family: int | None = None,
        draw: int = 0,
        steps: int | None = None,
    ) -> None:
        self.file, self.per_family, self.draw = file, per_family, draw
        self.form = replace(FORMS[form], steps=steps or FORMS[form].steps)
        stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self.seeds = stored.get("seeds", self.form.seeds if seeds is None else seeds)
        self._judge: Judge | None = None
        self.document: dict[str, Any] = {
            "protocol": self.form.version,
            "task": TASK,
            "seeds": self.seeds,
            "sizes": [list(size) for size in self.form.sizes],
            "columns": ["id", "near", "middle", "far"],
            "instances": [],
            "families": [],
            "functions": {},
        }
        if draw:
            self.document["draw"] = draw
        if stored and stored.get("draw", 0) != draw:
            raise SymactError(f"{file}: judged on draw {stored.get('draw', 0)}, asked is {draw}")
        self.document |= stored
        if self.document["protocol"] != self.form.version or seeds not in (None, self.seeds):
            raise SymactError(f"{file}: judged by another protocol or with other seeds")

    @property
    def families(self) -> list[str]:
        return list(self.document["families"])

    def __contains__(self, name: str) -> bool:
        return name in self.document["functions"]

    def errors(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return errors [instance, size, seed, 4], NaN where training diverged."""
        stored = self.document["functions"][name]["errors"]
        shape = (len(self.families), len(self.form.sizes), self.seeds, 4)
        values = [np.nan if value is None else value for value in stored]
        return np.array(values, dtype=np.float64).reshape(shape)

    def add(self, names: Sequence[str], say: Callable[[str], None]) -> None:
        """Judge what is not known yet: names of the zoo, and formulas."""
        todo = [name for name in dict.fromkeys(names) if name not in self]
        if not todo:
            return
        judge = self._judge or Judge(
            task(TASK), self.form, self.per_family, self.seeds, draw=self.draw
        )
        self._judge = judge
        instances = [instance.name for instance in judge.instances]
        if self.document["instances"] not in ([], instances):
            raise SymactError(f"{self.file}: judged on other instances")
        self.document["instances"] = instances
        self.document["families"] = [instance.family for instance in judge.instances]
        for place, name in enumerate(todo, start=1):
            say(f"{self.form.name} {place}/{len(todo)}: {name}")
            function = of_zoo(zoo.find(name)).function if zoo.has(name) else parse(name)
            rates = judge.rates([function])
            (errors,) = judge.errors([function], rates)
            self.document["functions"][name] = {
                "formula": show(zoo.find(name).expr) if zoo.has(name) else name,
                "rates": list(rates[0]),
                "errors": [_short(value) for value in errors.reshape(-1).tolist()],
            }
            self._write()

    def _write(self) -> None:
        """Write a line for each function, all at once."""
        head = {key: value for key, value in self.document.items() if key != "functions"}
        lines = [
            f"  {json.dumps(name)}: {json.dumps(own)}"
            for name, own in self.document["functions"].items()
        ]
        text = json.dumps(head)[:-1] + ',\n "functions": {\n' + ",\n".join(lines) + "\n }}\n"
        with replacing(self.file) as new:
            new.write_text(text, encoding="utf-8")


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def records(folder: Path) -> list[dict[str, Any]]:
    """Return what is kept of every run, methods and seeds in order."""
    found = [json.loads(f.read_text(encoding="utf-8")) for f in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda own: (own["method"], own["seed"]))


def judge_finals(
    runs: Sequence[dict[str, Any]], known: Judgements, say: Callable[[str], None]
) -> None:
    """Judge what runs chose, the cheap choice too, and what is known."""
    found = [own["best"]["formula"] for own in runs]
    found += [own["frugal"]["formula"] for own in runs if own["frugal"] is not None]
    known.add([REFERENCE, *PUBLISHED, *found, *CLASSICS, *BATCH], say)


def judge_fresh(
    runs: Sequence[dict[str, Any]], known: Judgements, say: Callable[[str], None]
) -> None:
    """Judge what this search chose, and what it has to beat, on other test instances."""
    found = [own["best"]["formula"] for own in runs if own["method"] == "symact"]
    known.add([REFERENCE, "SiLU", *PUBLISHED, *found], say)


def judge_chosen(
    runs: Sequence[dict[str, Any]], known: Judgements, say: Callable[[str], None]
) -> None:
    """Judge what runs chose."""
    known.add([REFERENCE, *(own["best"]["formula"] for own in runs)], say)


def judge_curves(
    runs: Sequence[dict[str, Any]], known: Judgements, say: Callable[[str], None]
) -> None:
    """Judge what full training called the best so far."""
    known.add([REFERENCE, *PUBLISHED, *CLASSICS, *BATCH], say)
    known.add([step["formula"] for own in runs for step in own["incumbents"]], say)
