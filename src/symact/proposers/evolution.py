"""Settings of genetic programming."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from symact._validation import one_line_errors

Selection = Literal["nsga2", "nsga3", "lexicase"]
Diversity = Literal["age", "novelty", "none"]
Count = Annotated[int, Field(ge=1)]


@one_line_errors("evolution")
@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Evolution:
    """Settings of genetic programming.

    Each field is a setting of the command line (``--set NAME=VALUE``), of job files and of
    :class:`symact.SearchConfig`.

    Sources: NSGA-II and NSGA-III, K. Deb et al., IEEE Trans. Evol. Comput. 6 (2002) and 18 (2014);
    epsilon-lexicase, W. La Cava et al., GECCO 2016; age, M. Schmidt and H. Lipson, "Age-fitness
    Pareto optimization", 2011; novelty, J. Lehman and K. Stanley, Evol. Comput. 19, 2011; archive,
    J.-B. Mouret and J. Clune, arXiv 1504.04909.

    Raises:
        SymactError: A value is of the wrong type or out of range, or a name is unknown.

    Example:
        >>> Evolution(islands=1, diversity="novelty").population
        96
    """

    population: Count = Field(default=96, description="individuals on all islands together")
    islands: Count = Field(default=4, description="separate populations")
    migration_every: Count = Field(
        default=400, description="evaluated candidates between two migrations"
    )
    migrants: int = Field(
        default=2, description="best individuals copied from each island to the next"
    )
    selection: Selection = Field(
        default="nsga2",
        description="nsga2 or nsga3 on (OOD error, ID error, FLOPs); lexicase on family errors",
    )
    diversity: Diversity = Field(
        default="age", description="objective against premature convergence: age, novelty or none"
    )
    archive: bool = Field(
        default=True, description="some parents come from the best of each behaviour"
    )
    reshape: bool = Field(
        default=True, description="mutations that dilate, bend or copy whole functions"
    )

    @model_validator(mode="after")
    def _check_sizes(self) -> Evolution:
        if self.population < 2 * self.islands:
            raise ValueError(
                f"population: {self.islands} islands need at least {2 * self.islands} "
                f"individuals, got {self.population}"
            )
        most = self.population // self.islands
        if not 0 <= self.migrants <= most:
            raise ValueError(
                f"migrants: expected 0 to {most} (the size of an island), got {self.migrants}"
            )
        return self
