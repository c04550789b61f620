"""Settings of genetic programming."""

from __future__ import annotations

from dataclasses import dataclass

from symact.errors import SymactError, choices

SELECTIONS = ("nsga2", "nsga3", "lexicase")
DIVERSITIES = ("age", "novelty", "none")


@dataclass(frozen=True, slots=True)
class Evolution:
    """Settings of genetic programming.

    Attributes:
        population: Number of individuals on all islands together.
        islands: Number of separate populations.
        migration_every: Number of evaluated candidates between two migrations. A migration copies
            the best individuals of each island to the next island.
        migrants: Number of individuals that migrate from each island.
        selection: ``"nsga2"`` or ``"nsga3"`` on (OOD error, ID error, FLOPs): K. Deb et al., IEEE
            Trans. Evol. Comput. 6 (2002) and 18 (2014). ``"lexicase"``: epsilon-lexicase selection
            on the errors of the task families and the ID error: W. La Cava et al., GECCO 2016.
        diversity: Additional objective against premature convergence. ``"age"`` of the oldest
            ancestor: M. Schmidt and H. Lipson, "Age-fitness Pareto optimization", 2011.
            ``"novelty"``, the distance between function values and those of the nearest
            neighbours: J. Lehman and K. Stanley, Evol. Comput. 19, 2011. ``"none"`` for no
            additional objective.
        archive: Whether some parents come from a quality-diversity archive, which keeps the best
            function of each behaviour: J.-B. Mouret and J. Clune, arXiv 1504.04909.
        reshape: Whether a mutation dilates, bends or copies whole functions.

    Raises:
        SymactError: A value is out of range, or a name is unknown.
    """

    population: int = 96
    islands: int = 4
    migration_every: int = 400
    migrants: int = 2
    selection: str = "nsga2"
    diversity: str = "age"
    archive: bool = True
    reshape: bool = True

    def __post_init__(self) -> None:
        for name, known in (("selection", SELECTIONS), ("diversity", DIVERSITIES)):
            value = getattr(self, name)
            if value not in known:
                raise SymactError(f"evolution, {name}: unknown '{value}'; {choices(value, known)}")
        for name in ("population", "islands", "migration_every"):
            if getattr(self, name) < 1:
                raise SymactError(
                    f"evolution, {name}: expected at least 1, got {getattr(self, name)}"
                )
        if self.population < 2 * self.islands:
            raise SymactError(
                f"evolution, population: {self.islands} islands need at least "
                f"{2 * self.islands} individuals, got {self.population}"
            )
        if not 0 <= self.migrants <= self.population // self.islands:
            raise SymactError(
                f"evolution, migrants: expected 0 to {self.population // self.islands} "
                f"(the size of an island), got {self.migrants}"
            )
