"""Records of the programs of all systems, and files of records."""

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
        path: File of the program.
        program: Identifier of the program in its system.
        code: Source code of the program.
        entry: Name of the Python function; "" if the program was refused.
        formula: Formula of the function; None if the program was refused.
        refusal: Reason of the refusal; "" if the program was imported.
        kind: ``"pointwise"``, ``"statistics"`` or ``"refused"``.
        score: Score that the system reported, higher is better; None if unknown.
        metrics: All reported numbers that are finite.
        valid: Whether the system considers the program valid.
        parents: Identifiers of the parents.
        iteration: Iteration of the system's loop; None if unknown.
        generation: Generation; None if unknown.
        island: Island; None if unknown.
        model: Name of the model that wrote the program; "" if unknown.
        cost: Cost in dollars; None if unknown.
        copies: Number of equal programs that this record represents, such as migrants.
        notes: Assumptions of the import.
        sha256: SHA-256 digest of the code.
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
        """The parsed formula; None if the program was refused."""
        return None if self.formula is None else parse(self.formula)

    @property
    def name(self) -> str:
        """A short label."""
        short = self.program[:8] if len(self.program) == 36 else self.program
        return f"{self.system} {short}" if self.system != "file" else short

    @property
    def provenance(self) -> str:
        """One line with the source of the program and its reported score."""
        parts = [f"{self.system}: {self.program}"]
        if self.score is not None:
            parts.append(f"reported {self.score:.6g}")
        if self.model:
            parts.append(self.model)
        return ", ".join([*parts, *self.notes])


def record(
    system: str, path: Path, program: str, code: str, entry: str | None, **more: Any
) -> Record:
    """Import code and return its record."""
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


def integer(value: Any) -> int | None:
    """Return an integer; None for other values."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def finite(value: Any) -> float | None:
    """Return a finite number as a float; None for other values, including truth values."""
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
    """Write records as JSON lines.

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
    """Read JSON lines of :func:`write_records`, or objects with ``formula`` or ``code``.

    Formulas are parsed, never run. ``{"name": ..., "formula": ...}`` is a complete object. A
    refused program or formula becomes a record with the reason.

    Raises:
        SymactError: The file cannot be read, a line is invalid, or no formula parses.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SymactError(f"{path}: cannot be read: {error}") from None
    return records_of(lines, Path(path))


def records_of(lines: Iterable[str], path: Path, entry: str | None = None) -> list[Record]:
    """Return the records of JSON lines.

    Args:
        lines: The lines. Empty lines are skipped.
        path: Path of the file, for messages.
        entry: Name of the function in every program; None to find it.

    Raises:
        SymactError: A line is not a record, or no formula parses.
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
        "iteration": integer(row.get("iteration")),
        "generation": integer(row.get("generation")),
        "island": integer(row.get("island")),
        "cost": finite(row.get("cost")),
        "copies": integer(row.get("copies")) or 1,
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
