"""Check user input against a pydantic model and report the first error in one line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from symact.errors import SymactError, choices

Model = TypeVar("Model", bound=BaseModel)
Class = TypeVar("Class", bound=type)
#: The path of a value inside the data: keys and list indices.
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
    """Return data as an instance of a pydantic model.

    Args:
        model: A pydantic model that forbids unknown keys.
        data: The values from the user.
        error: The class of the exception to raise.
        source: The file or argument that holds the data; "" to leave it out of the message.
        where: Returns the text of a location for the message.

    Raises:
        SymactError: The data is invalid. The exception is an ``error`` with a one-line message.
    """
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        location, problem = _first_error(model, invalid)
        line = f"{where(location)}: {problem}"
        line = f"{source}, {line}" if source else line
        raise error(" ".join(line.split("\n"))) from None


def _first_error(model: type[BaseModel], invalid: ValidationError) -> tuple[Location, str]:
    """Return the location and the description of the error to report: an unknown key if any."""
    errors = invalid.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    location = tuple(part for part in first["loc"] if not _is_union_branch(part))
    if first["type"] == "extra_forbidden":
        return location, f"unknown; {choices(str(location[-1]), _names(model, location[:-1]))}"
    return location, _problem(first)


def one_line_errors(what: str, error: type[SymactError] = SymactError) -> Callable[[Class], Class]:
    """Return a decorator of a pydantic dataclass whose constructor raises a one-line error.

    Args:
        what: The name of the class in messages.
        error: The class of the exception to raise.
    """

    def decorate(kind: Class) -> Class:
        construct = kind.__init__  # type: ignore[misc]

        @functools.wraps(construct)
        def checked(self: Any, *args: Any, **values: Any) -> None:
            try:
                construct(self, *args, **values)
            except ValidationError as invalid:
                raise error(f"{what}, {problem_of(kind, invalid)}") from None

        kind.__init__ = checked  # type: ignore[misc]
        return kind

    return decorate


def problem_of(kind: type, invalid: ValidationError) -> str:
    """Return the name of the first invalid field of a dataclass and a description of the error."""
    errors = invalid.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "unexpected_keyword_argument"), errors[0])
    if not first["loc"]:  # the message of a check of several fields names the field
        return _problem(first)
    name = str(first["loc"][0])
    if first["type"] == "unexpected_keyword_argument":
        return f"{name}: unknown; {choices(name, kind.__dataclass_fields__)}"  # type: ignore[attr-defined]
    return f"{name}: {_problem(first)}"


def _is_union_branch(part: str | int) -> bool:
    """Whether a part of a location is the name that pydantic gives to a branch of a union."""
    return isinstance(part, str) and (part.endswith("]") or part in ("str", "int", "float", "bool"))


def _problem(error: Any) -> str:
    """Return the description of one error of pydantic."""
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
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
        return str(error["msg"])
    return f"expected {expected.format(**context)}, got {value!r:.40}"


def _names(model: type[BaseModel], location: Location) -> list[str]:
    """Return the keys of the table at a location."""
    table: Any = model
    for part in location:
        if isinstance(part, str) and hasattr(table, "model_fields"):
            table = _model_in(table.model_fields[part].annotation)
    return [field.alias or name for name, field in table.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    """Return the model inside an annotation such as ``list[Model]`` or ``Model | None``."""
    inner = getattr(annotation, "__args__", ())
    return next((a for a in (annotation, *inner) if hasattr(a, "model_fields")), annotation)
