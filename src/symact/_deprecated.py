"""Forward earlier public names to the present ones, with a deprecation warning.

An import of an earlier name returns a module that forwards every attribute. The present module is
loaded at that import.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

V = TypeVar("V")

#: Present name of each earlier module of ``symact``.
MOVED = {
    "behaviour": "evaluation.behaviour",
    "comparison": "reporting.comparison",
    "enumeration": "grammar.enumeration",
    "lower": "backends",
    "modules": "zoo.modules",
    "propose": "proposers",
    "score": "evaluation",
}
#: Members that moved to a different module than the rest of their earlier module.
MOVED_MEMBERS = {"symact.comparison.write_report": "symact.reporting.report"}
#: Members that have another name today.
RENAMED_MEMBERS = {
    "symact.enumeration.Found": "Placement",
    "symact.propose.process": "ProcessProposer",
    "symact.propose.random": "RandomProposer",
    "symact.propose.replay": "ReplayProposer",
    "symact.score.Forecast": "Surrogate",
    "symact.score.apart": "drop_near_duplicates",
    "symact.score.whole": "raise_on_failure",
}


class RenamedKeys(dict[str, V]):
    """A dictionary that finds values under earlier keys too, with a deprecation warning.

    Args:
        values: By their present keys.
        renamed: The present key of each earlier key.
    """

    def __init__(self, values: Mapping[str, V], renamed: Mapping[str, str]) -> None:
        super().__init__(values)
        self._renamed = dict(renamed)

    def __missing__(self, key: str) -> V:
        present = self._renamed.get(key)
        if present is None or present not in self:
            raise KeyError(key)
        warnings.warn(f"'{key}' is now '{present}'", DeprecationWarning, stacklevel=2)
        return self[present]


class _Forward(Loader):
    """Loads a module whose ``__getattr__`` reads from the present module."""

    def __init__(self, present: str) -> None:
        self._present = present

    def create_module(self, spec: ModuleSpec) -> None:
        """Return None: Python creates the module."""

    def exec_module(self, module: ModuleType) -> None:
        present = import_module(self._present)
        warnings.warn(f"{module.__name__} is now {self._present}", DeprecationWarning, stacklevel=2)

        def forward(name: str) -> Any:
            earlier = f"{module.__name__}.{name}"
            home = MOVED_MEMBERS.get(earlier, self._present)
            return getattr(import_module(home), RENAMED_MEMBERS.get(earlier, name))

        module.__doc__ = present.__doc__
        vars(module)["__getattr__"] = forward
        moved = [key.rpartition(".")[2] for key in MOVED_MEMBERS if key.startswith(module.__name__)]
        vars(module)["__dir__"] = lambda: sorted([*dir(present), *moved])


class _Finder(MetaPathFinder):
    """Finds modules by their earlier names and ignores all other names."""

    def __init__(self, package: str) -> None:
        self._specs = {
            f"{package}.{earlier}": f"{package}.{present}" for earlier, present in MOVED.items()
        }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        present = self._specs.get(fullname)
        return None if present is None else ModuleSpec(fullname, _Forward(present))


def install(package: str) -> None:
    """Make the earlier names of a package importable."""
    sys.meta_path.append(_Finder(package))
