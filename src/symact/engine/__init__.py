"""The one loop: ask, climb the ladder, tell, store; then judge the finalists on fresh draws.

A step is the unit of progress and of recovery: it is computed from the state before it and what was
trained, and stored in one transaction together with the state after it.
"""

from symact.engine.progress import OnProgress, Progress
from symact.engine.run import resume, search, seed_exprs

__all__ = ["OnProgress", "Progress", "resume", "search", "seed_exprs"]
