"""Read user arrays, data frames and tensors as float64 matrices with named columns.

The module imports no data library. It recognises containers by their attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symact.errors import TaskError, choices
from symact.tasks.instance import FloatArray

#: The largest absolute value.
LARGEST = 1e30


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A finite matrix with the names of its columns.

    Attributes:
        name: The name of the argument, such as ``"X_train"``.
        values: float64 ``[row, column]``.
        columns: The column names; None if the container has none.
    """

    name: str
    values: FloatArray
    columns: tuple[str, ...] | None = None

    def in_order_of(self, other: Table) -> Table:
        """Return the table with its columns in the order of another table.

        Raises:
            TaskError: The number of columns or their names differ.
        """
        here, there = self.values.shape[1], other.values.shape[1]
        if here != there:
            raise TaskError(f"{self.name} has {here} column(s), {other.name} has {there}")
        if self.columns is None or other.columns is None or self.columns == other.columns:
            return self
        refuse_repeated(self.name, self.columns)
        refuse_repeated(other.name, other.columns)
        for column in other.columns:
            if column not in self.columns:
                near = choices(column, self.columns)
                raise TaskError(f"{self.name} lacks the column '{column}' of {other.name}; {near}")
        order = [self.columns.index(column) for column in other.columns]
        return Table(self.name, self.values[:, order], other.columns)


def read_table(data: Any, name: str) -> Table:
    """Read finite real numbers of shape ``[row]`` or ``[row, column]``.

    Args:
        data: An array, nested sequence, data frame, series or tensor on any device. A tensor is
            detached from its graph.
        name: The name of the argument in error messages.

    Raises:
        TaskError: The data is unusable. The message names the argument, row and column.
    """
    columns = _column_names(data)
    raw = _as_array(data, name)
    if raw.ndim not in (1, 2):
        raise TaskError(f"{name} has {raw.ndim} dimensions, expected [row] or [row, column]")
    raw = raw[:, None] if raw.ndim == 1 else raw
    if raw.shape[1] == 0:
        raise TaskError(f"{name} has no columns")
    if columns is not None and len(columns) != raw.shape[1]:
        columns = None
    _refuse_masked(raw, name, columns)
    values = _as_floats(raw, name, columns)
    _refuse(
        ~np.isfinite(values), f"{name} holds NaN or infinity", columns, "drop or fill such rows"
    )
    _refuse(np.abs(values) > LARGEST, f"{name} holds numbers above {LARGEST:g}", columns,
            "use larger units")  # fmt: skip
    return Table(name, values, columns)


def _column_names(data: Any) -> tuple[str, ...] | None:
    """Return the column names of a data frame, None for other containers."""
    names = getattr(data, "columns", None)
    if names is None or callable(names) or not hasattr(data, "shape"):
        return None
    return tuple(str(name) for name in names)


def _as_array(data: Any, name: str) -> np.ndarray[Any, Any]:
    """Return an array of any real dtype.

    Raises:
        TaskError: The data is sparse, structured, complex or not rectangular.
    """
    if hasattr(data, "detach") and hasattr(data, "cpu"):
        data = _from_tensor(data, name)
    elif hasattr(data, "tocsr") or hasattr(data, "sparse"):
        raise TaskError(f"{name} is sparse; pass a dense array, such as {name}.toarray()")
    try:
        array = data if isinstance(data, np.ma.MaskedArray) else np.asarray(data)
    except (TypeError, ValueError):
        raise TaskError(f"{name} is not a rectangular array of real numbers") from None
    if array.dtype.names is not None:
        raise TaskError(f"{name} is a structured array; pass a plain matrix of its fields")
    if np.iscomplexobj(array):
        raise TaskError(f"{name} holds complex numbers; pass real and imaginary parts as columns")
    return array


def _from_tensor(tensor: Any, name: str) -> Any:
    """Return a torch tensor as an array. Floats become float64, as NumPy has no bfloat16."""
    if str(tensor.layout) != "torch.strided":
        raise TaskError(f"{name} is sparse; pass a dense tensor, such as {name}.to_dense()")
    tensor = tensor.detach().cpu()
    return (tensor.double() if tensor.is_floating_point() else tensor).resolve_conj().numpy()


def _refuse_masked(array: np.ndarray[Any, Any], name: str, columns: Sequence[str] | None) -> None:
    if isinstance(array, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(array)
        _refuse(masked, f"{name} has masked values", columns, "drop or fill such rows")


def _as_floats(array: np.ndarray[Any, Any], name: str, columns: Sequence[str] | None) -> FloatArray:
    """Return the values in float64.

    Raises:
        TaskError: A column holds something other than numbers.
    """
    if array.dtype.kind in "biuf":
        return np.ma.getdata(array).astype(np.float64)
    values = np.empty(array.shape)
    for index in range(array.shape[1]):
        try:
            values[:, index] = _floats(array[:, index])
        except (TypeError, ValueError) as error:
            raise TaskError(
                f"{name}, column {_column(index, columns)}, holds {error}; encode it as numbers"
            ) from None
    return values


def _floats(column: np.ndarray[Any, Any]) -> FloatArray:
    """Return a column as float64. Missing values become NaN.

    Raises:
        ValueError: The column does not hold numbers. The message is the kind of its values.
    """
    if column.dtype.kind in "mM":
        raise ValueError("dates or times")
    found = np.empty(len(column))
    for row, value in enumerate(column):
        if isinstance(value, str | bytes):
            raise ValueError(f"text ({value[:20]!r} in row {row})")
        try:
            found[row] = np.nan if value is None or _is_missing(value) else float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{type(value).__name__} in row {row}") from None
    return found


def _is_missing(value: Any) -> bool:
    """Whether a value marks a missing entry of a data frame, such as ``pandas.NA``."""
    return type(value).__name__ in ("NAType", "NaTType")


def _refuse(
    bad: np.ndarray[Any, Any], what: str, columns: Sequence[str] | None, advice: str
) -> None:
    """Raise if any entry of ``bad`` ``[row, column]`` is True. The message names the first one."""
    if bad.any():
        row, column = np.argwhere(bad)[0]
        where = f"first in row {row}, column {_column(int(column), columns)}"
        raise TaskError(f"{what}, {where}; {advice}")


def refuse_repeated(name: str, columns: Sequence[str]) -> None:
    """Refuse a table with two columns of one name.

    Raises:
        TaskError: There are such columns.
    """
    for column in columns:
        if columns.count(column) > 1:
            raise TaskError(f"{name} has more than one column '{column}'; give each its own name")


def _column(index: int, columns: Sequence[str] | None) -> str:
    return str(index) if columns is None else f"'{columns[index]}'"
