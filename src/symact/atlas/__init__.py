"""Judge functions over a population of settings, and recommend one for given data."""

from symact.atlas.board import Entry, Leaderboard, leaderboard

__all__ = ["Entry", "Leaderboard", "leaderboard"]
