"""The one record that every system's programs become, and its file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from symact.errors import ImportRefusedError, SymactError
from symact.expr import Expr, parse, show
from symact.importers.python import from_source


@dataclass(frozen=True, slots=True)
class Record:
    """A program of another system.

    Attributes:
        system: ``"OpenEvolve"``, ``"ShinkaEvolve"``, ``"file"`` and so on.
        path: Where it was read.
        program: Its identifier there.
        code: Its text.
        entry: The Python function, "" where none was understood.
        formula: The function in the expression language, None where it was refused.
        refusal: Why, "" where it was understood.
        kind: ``"pointwise"``, ``"statistics"`` or ``"refused"``.
        score: What its system reported, higher is better; None where it reported none.
        metrics: All that was reported, finite numbers only.
        valid: Whether its system called it valid.
        parents: Identifiers.
        iteration: Of the system's loop, None where not known.
        generation: The same.
        island: The same.
        model: Which model wrote it, "" where not known.
        cost: In dollars, None where not known.
        copies: How many equal programs (migrants, island copies) this one stands for.
        notes: What was assumed.
        sha256: Of the code.
    """

    system: str
    path: str
    program: str
    code: str
    entry: str = ""
    formula: str | None = None
    refusal: str = ""
    kind: str = "refused"
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    valid: bool = True
    parents: tuple[str, ...] = ()
    iteration: int | None = None
    generation: int | None = None
    island: int | None = None
    model: str = ""
    cost: float | None = None
    copies: int = 1
    notes: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def expr(self) -> Expr | None:
        """The formula, parsed; None where the program was refused."""
        return None if self.formula is None else parse(self.formula)

    @property
    def name(self) -> str:
        """A short label."""
        short = self.program[:8] if len(self.program) == 36 else self.program
        return f"{self.system} {short}" if self.system != "file" else short

    @property
    def provenance(self) -> str:
        """One line on where it comes from and what was reported."""
        parts = [f"{self.system}: {self.program}"]
        if self.score is not None:
            parts.append(f"reported {self.score:.6g}")
        if self.model:
            parts.append(self.model)
        return ", ".join([*parts, *self.notes])


def record(
    system: str, path: Path, program: str, code: str, entry: str | None, **more: Any
) -> Record:
    """Make a record, importing the code as far as it is understood."""
    digest = hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
    try:
        found = from_source(code, entry=entry)
        understood: dict[str, Any] = {
            "entry": found.entry,
            "formula": show(found.expr),
            "kind": found.kind,
            "notes": found.notes,
        }
    except ImportRefusedError as error:
        understood = {"refusal": str(error)}
    return Record(system, str(path), program, code, sha256=digest, **understood, **more)


def whole(value: Any) -> int | None:
    """Return a whole number, None for anything else."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def finite(value: Any) -> float | None:
    """Return a finite number as a float, None for anything else, truth values among it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def numbers(metrics: Any) -> dict[str, float]:
    """Return the finite numbers of a mapping."""
    if not isinstance(metrics, Mapping):
        return {}
    return {str(k): number for k, v in metrics.items() if (number := finite(v)) is not None}


def write_records(records: Iterable[Record], path: str | Path) -> None:
    """Write one JSON object a line.

    Raises:
        SymactError: The file exists or cannot be written.
    """
    try:
        with Path(path).open("x", encoding="utf-8") as handle:
            for one in records:
                handle.write(json.dumps(asdict(one), allow_nan=False) + "\n")
    except FileExistsError:
        raise SymactError(f"{path}: exists already; choose another --out") from None
    except OSError as error:
        raise SymactError(f"{path}: cannot be written: {error.strerror}") from None


def read_records(path: str | Path) -> list[Record]:
    """Read what :func:`write_records` wrote, or lines with at least ``formula`` or ``code``.

    Formulas are parsed, not trusted. A formula of somebody's own needs no more than
    ``{"name": ..., "formula": ...}``. A program or formula that is not understood becomes a
    record with its refusal.

    Raises:
        SymactError: The file cannot be read, a line is none of these, or no formula parses.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SymactError(f"{path}: cannot be read: {error}") from None
    return records_of(lines, Path(path))


def records_of(lines: Iterable[str], path: Path, entry: str | None = None) -> list[Record]:
    """Return the records of JSON lines.

    Args:
        lines: The lines; empty ones do not count.
        path: Where they were read.
        entry: The function's name in every program; None to look for it.

    Raises:
        SymactError: A line is no record, or no formula parses.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(_row(json.loads(line), path, number, entry))
        except (ValueError, TypeError, RecursionError) as error:
            raise SymactError(f"{path}, line {number}: no record: {error}") from None
    broken = [one for one in found if not one.code and one.formula is None]
    if broken and len(broken) == len(found):
        raise SymactError(broken[0].refusal)
    return found


def _row(row: Any, path: Path, number: int, entry: str | None) -> Record:
    if not isinstance(row, dict) or not (row.get("formula") or isinstance(row.get("code"), str)):
        raise ValueError("needs 'formula' or 'code'")
    name = str(row.get("program") or row.get("name") or row.get("id") or f"{path.stem}-{number}")
    system = str(row.get("system", "file"))
    if not row.get("formula") and "sha256" not in row:
        return record(system, path, name, row["code"], entry)
    given: dict[str, Any] = {
        "metrics": numbers(row.get("metrics")),
        "score": finite(row.get("score")),
        "system": system,
        "path": str(row.get("path", path)),
        "program": name,
        "code": str(row.get("code", "")),
        "parents": _texts(row.get("parents")),
        "notes": _texts(row.get("notes")),
        "iteration": whole(row.get("iteration")),
        "generation": whole(row.get("generation")),
        "island": whole(row.get("island")),
        "cost": finite(row.get("cost")),
        "copies": whole(row.get("copies")) or 1,
        "valid": bool(row.get("valid", True)),
    }
    values: dict[str, Any] = {
        key: str(row[key]) for key in ("entry", "kind", "refusal", "model", "sha256") if key in row
    }
    if not row.get("formula"):
        return Record(**{**values, **given})
    try:
        formula = show(parse(str(row["formula"])))
    except SymactError as error:
        refusal = f"{path}, line {number}: no record: {error}"
        return Record(**{**values, **given, "formula": None, "refusal": refusal, "kind": "refused"})
    return Record(**{"kind": "pointwise", **values, **given, "formula": formula, "refusal": ""})


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(map(str, values)) if isinstance(values, list | tuple) else ()
