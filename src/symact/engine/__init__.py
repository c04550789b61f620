"""The loop of a search: ask, screen, train and promote, tell, store; then evaluate the finalists.

:class:`.trial.Trial` is a candidate, :class:`.state.SearchState` holds them, a
:class:`.schedule.Scheduler` promotes them, and :class:`.loop.Search` runs the steps.
"""

from symact.engine.progress import OnProgress, Progress
from symact.engine.run import resume, search
from symact.proposers.seeds import seed_exprs

__all__ = ["OnProgress", "Progress", "resume", "search", "seed_exprs"]
