"""Figures for reports and papers.

This is the only package that imports matplotlib. Figures are ``Figure`` objects with the Agg
canvas, so they use neither a window system nor the state of pyplot. The suffix of the path,
``.svg`` or ``.png``, is the format. Equal data gives equal files. Values that are not finite are
left out.
"""

# First, because it imports matplotlib.
from symact.reporting.figures import canvas  # noqa: F401
from symact.reporting.figures.critical import critical
from symact.reporting.figures.curves import curves
from symact.reporting.figures.distance import distance
from symact.reporting.figures.families import families
from symact.reporting.figures.front import Point, front
from symact.reporting.figures.functions import Curve, functions

__all__ = ["Curve", "Point", "critical", "curves", "distance", "families", "front", "functions"]
