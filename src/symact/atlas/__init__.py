"""Judge functions over a population of settings, and recommend one for given data."""

from symact.atlas.board import Entry, Leaderboard, leaderboard
from symact.atlas.comparison import compare

__all__ = ["Entry", "Leaderboard", "compare", "leaderboard"]
