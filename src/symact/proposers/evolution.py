"""How evolution is run: its parts, each with a switch."""

from __future__ import annotations

from dataclasses import dataclass

from symact.errors import SymactError, choices

SELECTIONS = ("nsga2", "nsga3", "lexicase")
DIVERSITIES = ("age", "novelty", "none")


@dataclass(frozen=True, slots=True)
class Evolution:
    """The parts of genetic programming and their sizes.

    Attributes:
        population: Individuals of all islands together.
        islands: Populations that evolve apart; 1 for a single one.
        migration_every: After so many candidates told the best of each island are copied to the
            next one.
        migrants: How many.
        selection: ``"nsga2"`` or ``"nsga3"`` over (OOD, ID, FLOPs): K. Deb et al., IEEE Trans.
            Evol. Comput. 6 (2002) and 18 (2014); or ``"lexicase"``: epsilon-lexicase over the task
            families and the ID error, W. La Cava et al., GECCO 2016.
        diversity: Against premature convergence, a further objective: ``"age"`` of the oldest
            ancestor (M. Schmidt and H. Lipson, "Age-fitness Pareto optimization", 2011),
            ``"novelty"``, the distance of values to those of the nearest neighbours (J. Lehman and
            K. Stanley, Evol. Comput. 19, 2011); or ``"none"``.
        archive: Whether parents also come from a quality-diversity archive, which holds the best
            function of every behaviour (J.-B. Mouret and J. Clune, arXiv 1504.04909).
        reshape: Whether a mutation changes whole functions where training hardly notices: wider,
            bent beyond a knee, echoed further out.
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
