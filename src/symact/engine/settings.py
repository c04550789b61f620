"""The configuration of a search: one model for Python, TOML files, ``--set`` and stored runs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from symact._validation import problem_of
from symact.errors import SymactError, choices
from symact.evaluation import Plan
from symact.proposers import Evolution

#: Earlier names of settings.
_ALIASES = {"order": "mode"}
_SECTIONS: dict[str, Any] = {"plan": Plan, "evolution": Evolution}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a search.

    Attributes:
        name: As in ``--set NAME=VALUE`` and in job files.
        section: ``"plan"`` or ``"evolution"``.
        default: The default as text.
        meaning: What it does.
    """

    name: str
    section: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """The settings of a search.

    Attributes:
        plan: Sizes of the fidelities and switches of the loop.
        evolution: Settings of genetic programming.

    Example:
        >>> config = SearchConfig.of(["islands=1", "pool=4"])
        >>> config.evolution.islands, config.plan.pool
        (1, 4)
    """

    plan: Plan = field(default_factory=Plan)
    evolution: Evolution = field(default_factory=Evolution)

    @classmethod
    def of(cls, changes: Sequence[str] | Mapping[str, Any] = ()) -> SearchConfig:
        """Return the default configuration with some changes.

        Args:
            changes: Texts such as ``"islands=1"``, or a mapping of names to values.

        Raises:
            SymactError: An unknown name, or a value of the wrong type or out of range.
        """
        pairs = dict(changes) if isinstance(changes, Mapping) else dict(map(_split, changes))
        values: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
        for given, value in pairs.items():
            name = _ALIASES.get(given, given)
            section, info = _field(name)
            values[section][name] = _value(name, value, info)
        return cls(*(kind(**values[section]) for section, kind in _SECTIONS.items()))

    @classmethod
    def from_toml(cls, path: str | Path) -> SearchConfig:
        """Read a TOML file with tables ``[plan]`` and ``[evolution]``, such as a run's config.toml.

        Raises:
            SymactError: The file cannot be read, or a setting is wrong.
        """
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise SymactError(f"{path}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SymactError(f"{path}: not TOML: {error}") from None
        tables = [data.get(section, {}) for section in _SECTIONS]
        try:
            return cls.of({name: value for table in tables for name, value in table.items()})
        except SymactError as error:
            raise SymactError(f"{path}: {error}") from None

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return the settings of each section as JSON and TOML values."""
        return asdict(self)


def all_settings() -> list[Setting]:
    """Return every setting, in the order of the sections."""
    return [
        Setting(name, section, _text(info.default), info.description or "")
        for section, kind in _SECTIONS.items()
        for name, info in kind.__pydantic_fields__.items()
        if name not in _ALIASES
    ]


def _text(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _field(name: str) -> tuple[str, FieldInfo]:
    for section, kind in _SECTIONS.items():
        if name in kind.__pydantic_fields__ and name not in _ALIASES:
            return section, kind.__pydantic_fields__[name]
    raise SymactError(
        f"unknown setting '{name}'; {choices(name, [s.name for s in all_settings()])}"
    )


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SymactError(f"setting '{text}': expected NAME=VALUE, such as islands=1")
    return name.strip(), value.strip()


def _value(name: str, value: Any, info: FieldInfo) -> Any:
    """Return a value of the type of a field; a text is read as one."""
    annotation: Any = info.annotation
    for own in info.metadata:
        annotation = Annotated[annotation, own]
    adapter = TypeAdapter(annotation)
    try:
        if isinstance(value, str):
            return adapter.validate_strings(value)
        return adapter.validate_python(value, strict=True)
    except ValidationError as error:
        problem = problem_of(object, error)
        raise SymactError(f"setting '{name}': {problem}") from None
