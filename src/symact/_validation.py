"""Check what a user wrote against a pydantic model; report one line that says what and where."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from symact.errors import SymactError, choices

Model = TypeVar("Model", bound=BaseModel)
Class = TypeVar("Class", bound=type)
#: The path of a value inside the data: keys and list positions.
Location = tuple[str | int, ...]

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "too_short": "at least {min_length} item(s)",
    "too_long": "at most {max_length} item(s)",
}


def key_of(location: Location) -> str:
    """Return a location as ``key 'limits.nodes'``."""
    return f"key '{'.'.join(map(str, location))}'" if location else "the file"


def validated(
    model: type[Model],
    data: Mapping[str, Any],
    *,
    error: type[SymactError],
    source: str = "",
    where: Callable[[Location], str] = key_of,
) -> Model:
    """Return the model of some data.

    Args:
        model: A pydantic model that forbids unknown keys.
        data: What the user wrote.
        error: The kind of error to raise.
        source: The file or argument that the data came from.
        where: Names a location for the reader.

    Raises:
        SymactError: Of the given kind, one line about the first fault.
    """
    try:
        return model.model_validate(data)
    except ValidationError as found:
        location, problem = _first_fault(model, found)
        line = (
            f"{source}, {where(location)}: {problem}" if source else f"{where(location)}: {problem}"
        )
        raise error(" ".join(line.split("\n"))) from None


def _first_fault(model: type[BaseModel], found: ValidationError) -> tuple[Location, str]:
    """Return the location and the description of the fault to report: unknown keys come first."""
    faults = found.errors(include_url=False)
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    location = tuple(part for part in fault["loc"] if not _is_union_branch(part))
    if fault["type"] == "extra_forbidden":
        return location, f"unknown; {choices(str(location[-1]), _names(model, location[:-1]))}"
    return location, _problem(fault)


def one_line_errors(what: str, error: type[SymactError] = SymactError) -> Callable[[Class], Class]:
    """Return a decorator of a pydantic dataclass whose constructor raises a one-line error.

    Args:
        what: The name of the class in messages.
        error: The kind of error to raise.
    """

    def decorate(kind: Class) -> Class:
        construct = kind.__init__  # type: ignore[misc]

        @functools.wraps(construct)
        def checked(self: Any, *args: Any, **values: Any) -> None:
            try:
                construct(self, *args, **values)
            except ValidationError as found:
                raise error(f"{what}, {problem_of(kind, found)}") from None

        kind.__init__ = checked  # type: ignore[misc]
        return kind

    return decorate


def problem_of(kind: type, found: ValidationError) -> str:
    """Return the name of the first wrong field of a dataclass and what is wrong with it."""
    faults = found.errors(include_url=False)
    fault = next((f for f in faults if f["type"] == "unexpected_keyword_argument"), faults[0])
    if not fault["loc"]:  # a check of several fields, which names the field itself
        return _problem(fault)
    name = str(fault["loc"][0])
    if fault["type"] == "unexpected_keyword_argument":
        return f"{name}: unknown; {choices(name, kind.__dataclass_fields__)}"  # type: ignore[attr-defined]
    return f"{name}: {_problem(fault)}"


def _is_union_branch(part: str | int) -> bool:
    """Whether pydantic put this part into a location to name a branch of a union."""
    return isinstance(part, str) and (part.endswith("]") or part in ("str", "int", "float", "bool"))


def _problem(fault: Any) -> str:
    kind, context, value = fault["type"], fault.get("ctx", {}), fault["input"]
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "required, but not given"
    if kind == "literal_error":
        known = [
            word.strip().strip("'") for word in context["expected"].replace(" or ", ", ").split(",")
        ]
        return f"unknown '{value}'; {choices(str(value), known)}"
    expected = _EXPECTED.get(kind)
    if expected is None:
        return str(fault["msg"])
    return f"expected {expected.format(**context)}, got {value!r:.40}"


def _names(model: type[BaseModel], location: Location) -> list[str]:
    """Return the keys of the table at a location."""
    own: Any = model
    for part in location:
        if isinstance(part, str) and hasattr(own, "model_fields"):
            own = _model_in(own.model_fields[part].annotation)
    return [field.alias or name for name, field in own.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    """Return the model inside an annotation such as ``list[Model]`` or ``Model | None``."""
    inner = getattr(annotation, "__args__", ())
    return next((a for a in (annotation, *inner) if hasattr(a, "model_fields")), annotation)
