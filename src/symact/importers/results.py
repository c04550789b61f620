"""Read result folders of other systems, and files and folders of programs.

Supported systems are OpenEvolve, ShinkaEvolve, SkyDiscover, LLM-SR and the cloud service of
AlphaEvolve. The layouts follow their code and real result folders. Pickles are never opened.
Databases are opened for reading only.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from symact.errors import SymactError
from symact.importers.database import rows_of
from symact.importers.records import Record, finite, integer, numbers, record, records_of

#: Maximum size of a file in bytes.
MAX_BYTES = 50_000_000
#: Exceptions of a file that cannot be read.
_UNREADABLE = (OSError, EOFError, zlib.error, SymactError)
#: Maximum number of files of a folder that are read as programs.
MAX_FILES = 5_000


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of the programs of a file or folder.

    Attributes:
        programs: Number of distinct programs.
        understood: Number of imported programs.
        copies: Number of omitted copies.
        invalid: Number of omitted programs that their system considers invalid.
        unobserved: Number of iterations without a stored program; None if unknown.
    """

    programs: int
    understood: int
    copies: int
    invalid: int
    unobserved: int | None


def read(path: str | Path, *, entry: str | None = None, minimize: bool = False) -> list[Record]:
    """Read the programs of a file or a folder.

    Args:
        path: A ``.py`` file or a folder of them, a result folder of OpenEvolve, ShinkaEvolve,
            SkyDiscover or LLM-SR, an evolution trace, a program list of AlphaEvolve's service, or a
            ``.jsonl`` file of records.
        entry: Name of the function in every program; None to find it.
        minimize: Whether lower scores of the system are better. They are negated in the records.

    Returns:
        A record for each distinct valid program, sorted by the reported score, best first.

    Raises:
        SymactError: The path does not exist, or it has no readable program.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "candidate.py")
        ...     _ = path.write_text("def f(x): return x * np.tanh(x)")
        ...     [record.formula for record in read(path)]
        ['x*tanh(x)']
    """
    return read_with_summary(path, entry=entry, minimize=minimize)[0]


def read_with_summary(
    path: str | Path, *, entry: str | None = None, minimize: bool = False
) -> tuple[list[Record], Summary]:
    """Return the records of :func:`read` and their counts."""
    target = Path(path)
    if not target.exists():
        raise SymactError(f"{path}: no such file or folder")
    try:
        found, unobserved = _found(target, entry)
    except (OSError, EOFError, zlib.error) as error:
        raise SymactError(f"{path}: cannot be read: {error}") from None
    if not found:
        raise SymactError(
            f"{path}: no programs found; expected .py files or a supported results folder"
        )
    valid = [one for one in found if one.valid]
    distinct = _distinct(valid)
    if minimize:
        distinct = [
            one if one.score is None else replace(one, score=-one.score) for one in distinct
        ]
    distinct.sort(key=lambda one: -float("inf") if one.score is None else one.score, reverse=True)
    summary = Summary(
        programs=len(distinct),
        understood=sum(one.formula is not None for one in distinct),
        copies=len(valid) - len(distinct),
        invalid=len(found) - len(valid),
        unobserved=unobserved,
    )
    return distinct, summary


def _found(path: Path, entry: str | None) -> tuple[list[Record], int | None]:
    if path.is_file():
        return _file(path, entry), None
    checkpoints = [p for p in path.rglob("programs") if p.is_dir() and list(p.glob("*.json"))]
    if checkpoints or (path / "best" / "best_program_info.json").is_file():
        return _openevolve(path, checkpoints, entry)
    databases = _databases(path)
    if databases:
        return [one for file in databases for one in _shinka(file, entry)], None
    samples = sorted(path.rglob("samples_*.json"))
    if samples:
        return [one for file in samples for one in _sample(file, entry)], None
    programs = sorted(
        p for p in itertools.islice(path.rglob("*.py"), MAX_FILES) if not p.name.startswith("__")
    )
    return [_program_file(file, entry) for file in programs], None


def _program_file(path: Path, entry: str | None) -> Record:
    """Return the record of a program file. An unreadable file gives a refused record."""
    try:
        return record("file", path, path.stem, _text(path), entry)
    except _UNREADABLE as error:
        return Record("file", str(path), path.stem, "", refusal=f"cannot be read: {error}")


def _distinct(found: Iterable[Record]) -> list[Record]:
    """Return one of each set of equal programs: the earliest that is not a copy."""
    groups: dict[str, list[Record]] = {}
    for one in found:
        groups.setdefault(one.sha256 or one.formula or one.program, []).append(one)
    kept = []
    for group in groups.values():
        first = min(group, key=lambda r: (r.iteration in (None, 0), r.iteration or 0))
        kept.append(replace(first, copies=sum(one.copies for one in group)))
    return kept


# Files.
def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise SymactError(f"{path}: larger than {MAX_BYTES // 1_000_000} MB")
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as handle:
            return handle.read(MAX_BYTES).decode("utf-8-sig", "replace")
    return path.read_text(encoding="utf-8-sig", errors="replace")


def _loaded(path: Path) -> Any:
    """Return the content of a JSON file, which may contain NaN and Infinity."""
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError):
        return None


def _loaded_of_many(path: Path) -> Any:
    """Return the content of a JSON file of a folder; None if it cannot be read."""
    with contextlib.suppress(*_UNREADABLE):
        return _loaded(path)
    return None


def _file(path: Path, entry: str | None) -> list[Record]:
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return _lines(path, entry)
    if path.suffix in (".json", ".gz"):
        return _json(path, entry)
    if path.suffix in (".sqlite", ".db"):
        return _shinka(path, entry)
    if path.suffix in (".pkl", ".pickle"):
        raise SymactError(
            f"{path}: a pickle runs code when it is opened; give the .py files instead"
        )
    return [record("file", path, path.stem, _text(path), entry)]


def _lines(path: Path, entry: str | None) -> list[Record]:
    text = _text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    with contextlib.suppress(ValueError, RecursionError):
        row = json.loads(first)
        if isinstance(row, dict) and ("child_id" in row or "child_code" in row):
            rows = []
            for line in text.splitlines():
                with contextlib.suppress(ValueError, RecursionError):
                    rows.append(json.loads(line))
            return _trace(path, rows, entry)
    return records_of(text.splitlines(), path, entry)


def _sample(path: Path, entry: str | None) -> list[Record]:
    with contextlib.suppress(*_UNREADABLE):
        return _json(path, entry)
    return []


def _json(path: Path, entry: str | None) -> list[Record]:
    content = _loaded(path)
    if isinstance(content, dict) and isinstance(content.get("traces"), list):
        return _trace(path, content["traces"], entry)
    if isinstance(content, dict) and isinstance(content.get("function"), str):
        order, score = content.get("sample_order"), finite(content.get("score"))
        return [record("LLM-SR", path, f"sample {order}", content["function"], entry, score=score)]
    if isinstance(content, dict):
        for key in ("programs", "alphaEvolvePrograms", "alpha_evolve_programs"):
            if isinstance(content.get(key), list):
                return list(_cloud(path, content[key], entry))
        one = _program(path, content, entry)
        return [] if one is None else [one]
    return []


# OpenEvolve and SkyDiscover.
def _openevolve(
    path: Path, checkpoints: list[Path], entry: str | None
) -> tuple[list[Record], int | None]:
    """Read the union of all checkpoints, the best program and traces.

    A checkpoint contains only the surviving programs, so some iterations are unobserved.
    """
    found: dict[str, Record] = {}
    last = 0
    for folder in sorted(checkpoints):
        meta = (
            _loaded_of_many(folder.parent / "metadata.json")
            if (folder.parent / "metadata.json").is_file()
            else None
        )
        if isinstance(meta, dict):
            last = max(last, integer(meta.get("last_iteration")) or 0)
        for file in sorted(folder.glob("*.json")):
            content = _loaded_of_many(file)
            one = _program(file, content, entry) if isinstance(content, dict) else None
            if one is not None:
                found.setdefault(one.program, one)
    for info in sorted(path.rglob("best_program_info.json")):
        content = _loaded_of_many(info)
        sources = [p for p in info.parent.glob("best_program.*") if p.suffix != ".json"]
        if isinstance(content, dict) and sources and str(content.get("id")) not in found:
            with contextlib.suppress(*_UNREADABLE):
                one = _program(info, {**content, "code": _text(sources[0])}, entry)
                if one is not None:
                    found.setdefault(one.program, one)
    for pattern in ("evolution_trace.jsonl", "evolution_trace.jsonl.gz", "evolution_trace.json"):
        for file in path.rglob(pattern):
            with contextlib.suppress(*_UNREADABLE):
                for one in _file(file, entry):
                    found.setdefault(one.program, one)
    iterations = {one.iteration for one in found.values() if one.iteration}
    return list(found.values()), max(0, last - len(iterations)) if last else None


def _program(path: Path, content: Mapping[str, Any], entry: str | None) -> Record | None:
    code = content.get("code", content.get("solution"))
    if not isinstance(code, str):
        return None
    metrics = content.get("metrics")
    values = numbers(metrics)
    stored = content.get("metadata")
    metadata: dict[str, Any] = stored if isinstance(stored, dict) else {}
    is_copy = bool(metadata.get("migrant")) or "_migrant" in str(content.get("id"))
    iteration = content.get("iteration_found", content.get("iteration"))
    return record(
        "SkyDiscover" if "solution" in content and "code" not in content else "OpenEvolve",
        path,
        str(content.get("id", path.stem)),
        code,
        entry,
        score=_fitness(values),
        metrics=values,
        parents=tuple(str(p) for p in [content.get("parent_id")] if p),
        iteration=0 if is_copy else integer(iteration),
        generation=integer(content.get("generation")),
        island=integer(metadata.get("island")),
    )


#: Dimensions of OpenEvolve's grid of programs, which are not part of the fitness.
_DIMENSIONS = ("complexity", "diversity")


def _fitness(metrics: Mapping[str, float]) -> float | None:
    if "combined_score" in metrics:
        return metrics["combined_score"]
    values = [value for name, value in metrics.items() if name not in _DIMENSIONS]
    return sum(values) / len(values) if values else None


def _trace(path: Path, rows: Iterable[Any], entry: str | None) -> list[Record]:
    found = []
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("child_code"), str):
            continue
        values = numbers(row.get("child_metrics"))
        found.append(
            record(
                "OpenEvolve",
                path,
                str(row.get("child_id")),
                row["child_code"],
                entry,
                score=_fitness(values),
                metrics=values,
                parents=tuple(str(p) for p in [row.get("parent_id")] if p),
                iteration=integer(row.get("iteration")),
                generation=integer(row.get("generation")),
                island=integer(row.get("island_id")),
            )
        )
    if not found:
        raise SymactError(
            f"{path}: a trace without code; set include_code in the system's settings"
        )
    return found


# ShinkaEvolve.
def _databases(path: Path) -> list[Path]:
    names = ("programs.sqlite", "evolution_db.sqlite", "None")
    return [path / name for name in names if (path / name).is_file()]


def _shinka(path: Path, entry: str | None) -> list[Record]:
    """Read the table of programs. It contains all programs, and marks invalid ones."""
    try:
        rows = rows_of(path, "programs")
    except sqlite3.Error as error:
        raise SymactError(f"{path}: no table of programs: {error}") from None
    found = []
    for values in rows:
        if not isinstance(values.get("code"), str):
            continue
        metadata = _mapping(values.get("metadata"))
        metrics = numbers(_mapping(values.get("public_metrics")))
        score = finite(values.get("combined_score"))
        costs = [finite(metadata.get(k)) for k in ("api_costs", "embed_cost", "novelty_cost")]
        is_copy = bool(metadata.get("_is_island_copy"))
        found.append(
            record(
                "ShinkaEvolve",
                path,
                str(values.get("id")),
                values["code"],
                entry,
                score=score,
                metrics=metrics | ({} if score is None else {"combined_score": score}),
                valid=bool(values.get("correct")),
                parents=tuple(str(p) for p in [values.get("parent_id")] if p),
                iteration=0 if is_copy else (integer(values.get("generation")) or 0) + 1,
                generation=integer(values.get("generation")),
                island=integer(values.get("island_idx")),
                model=str(metadata.get("model_name") or ""),
                cost=sum(c for c in costs if c is not None)
                if any(c is not None for c in costs)
                else None,
            )
        )
    return found


def _mapping(text: Any) -> dict[str, Any]:
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        content = json.loads(text)
        if isinstance(content, dict):
            return content
    return {}


# AlphaEvolve's cloud service.
def _cloud(path: Path, rows: Iterable[Any], entry: str | None) -> Iterator[Record]:
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            continue
        files = _list(_dict(row.get("content")).get("files"))
        code = next((f.get("content") for f in files if isinstance(f, dict)), None)
        if not isinstance(code, str):
            continue
        scores = _list(_dict(_dict(row.get("evaluation")).get("scores")).get("scores"))
        metrics = {
            str(s.get("metric")): number
            for s in scores
            if isinstance(s, dict) and (number := finite(s.get("score"))) is not None
        }
        yield record(
            "AlphaEvolve",
            path,
            str(row.get("name", place)),
            code,
            entry,
            score=next(iter(metrics.values()), None),
            metrics=metrics,
            parents=tuple(map(str, _list(row.get("parent_programs")))),
        )


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def refusals(records: Iterable[Record]) -> list[tuple[str, int]]:
    """Return the reasons of refusals, without line numbers, and their counts."""
    reasons = Counter(
        one.refusal.split(": ", 1)[-1] for one in records if one.formula is None and one.refusal
    )
    return reasons.most_common()
