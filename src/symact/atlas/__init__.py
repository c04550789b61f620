"""Judge functions over a population of settings, and recommend one for given data."""

from symact.atlas.board import Entry, Leaderboard, leaderboard
from symact.atlas.comparison import compare
from symact.atlas.recommendation import Answer, Recommendation, recommend

__all__ = [
    "Answer",
    "Entry",
    "Leaderboard",
    "Recommendation",
    "compare",
    "leaderboard",
    "recommend",
]
