"""A problem: everything that a search needs to know about the functions that it searches.

The engine screens, trains, ranks and stores candidates. It learns their variables, the data that
they are evaluated on and the functions that they are compared with from a problem.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from symact.backends.simplify import simplify
from symact.errors import GrammarError
from symact.evaluation.behaviour import kind
from symact.evaluation.draws import Draws
from symact.evaluation.executors import Executor, make_executor
from symact.evaluation.fidelity import Fidelity
from symact.evaluation.plan import Plan
from symact.evaluation.screen import MAX_SLOPE, Screened, screen
from symact.evaluation.surrogate import Surrogate, features
from symact.expr import Expr, parse, show
from symact.grammar import Grammar
from symact.storage.records import ProblemRecord

if TYPE_CHECKING:
    from symact.evaluation.ladder import Ladder

#: The objectives of a search of activation functions.
OBJECTIVES = ("ood", "id_error", "flops")


class Problem(ABC):
    """What is searched: functions of which variables, evaluated on what, compared with what.

    A subclass sets the attributes and defines the abstract methods. The errors of a candidate have
    four columns: the first is the error in distribution, the others are errors out of distribution.

    Attributes:
        name: Name of the problem, which is stored with a run.
        description: What messages call a search of this problem.
        variables: Names of the inputs of a candidate. They equal the terminals of the grammar.
        baselines: Known functions by name. A score is the error relative to theirs.
        reference: The name of the baseline that results are compared with.
        clip: A candidate counts as at most so many decades better or worse than the baselines.
        objectives: Names of the minimised quantities: the error out of distribution, the error in
            distribution, and the cost.
    """

    name: str
    description: str
    variables: tuple[str, ...]
    baselines: Mapping[str, Expr]
    reference: str
    clip: float
    objectives: tuple[str, str, str] = OBJECTIVES

    @abstractmethod
    def fidelities(self, plan: Plan) -> tuple[Fidelity, ...]:
        """Return the fidelities that candidates climb, cheapest first."""

    @abstractmethod
    def final_fidelity(self, plan: Plan) -> Fidelity:
        """Return the fidelity of finalists; its name is ``"selection"``."""

    @abstractmethod
    def draws(self, seed: int, fidelities: Sequence[Fidelity]) -> Draws:
        """Return the data of all fidelities.

        Args:
            seed: Seed of the search.
            fidelities: Those that candidates climb, and that of finalists.
        """

    def executor(self, executor: str | Executor, threads: int | None) -> Executor:
        """Return the executor that evaluates candidates.

        Args:
            executor: The executor or the name that the user gave.
            threads: Number of workers of an executor that is given by name.

        Raises:
            SymactError: The executor is unknown or not installed.
        """
        return make_executor(executor, threads)

    def warnings(self, ladder: Ladder) -> tuple[str, ...]:
        """Return reasons not to search this problem, found before a search; the default is none."""
        return ()

    def screen(
        self, expr: Expr, *, max_slope: float = MAX_SLOPE, mirrors: bool = False
    ) -> Screened:
        """Reject functions that cannot be evaluated well; see :func:`.screen.screen`."""
        return screen(expr, max_slope=max_slope, inputs=self.variables, mirrors=mirrors)

    def simplify(self, expr: Expr, *, seconds: float) -> Expr:
        """Return a shorter form with the same values; see :func:`.simplify.simplify`.

        Args:
            expr: A candidate that passed the screen.
            seconds: Time for slow methods; 0 for the fast rules only.
        """
        return simplify(expr, seconds=seconds)

    def kind(self, expr: Expr) -> str:
        """Return the key of the behaviour of a function, for diversity."""
        return kind(expr, inputs=self.variables)

    def features(self, expr: Expr) -> NDArray[np.float64]:
        """Return what the surrogate learns from, float64 ``[feature]``."""
        return features(expr, self.variables)

    def surrogate(self, least: int) -> Surrogate:
        """Return a surrogate without data.

        Args:
            least: Minimum number of trained candidates for a fit.
        """
        return Surrogate(self.features, least, self.clip)

    def parse(self, formula: str) -> Expr:
        """Read a formula of the variables.

        Raises:
            ParseError: It is none.
        """
        return parse(formula, self.variables)

    def check_grammar(self, grammar: Grammar) -> None:
        """Refuse a grammar with other terminals.

        Raises:
            GrammarError: The terminals are not the variables.
        """
        terminals = tuple(grammar.terminals)
        if set(terminals) == set(self.variables):
            return
        only = " only" if len(self.variables) < len(terminals) else ""
        raise GrammarError(
            f"grammar '{grammar.name}' has terminals {', '.join(terminals)}; "
            f"{self.description} needs {', '.join(self.variables)}{only}"
        )

    def record(self) -> ProblemRecord:
        """Return what a run stores of the problem, to be read without it."""
        formula = show(self.baselines[self.reference])
        return ProblemRecord(self.variables, self.objectives, self.reference, formula)
