"""Figures for reports and papers.

The only home of matplotlib. Figures are drawn on ``Figure`` objects with the Agg canvas, so no
window system and no pyplot state is touched. The suffix of the path, ``.svg`` or ``.png``, decides
the format; equal data gives equal files. Values that are not finite are not drawn.
"""

from symact.reporting.figures.critical import critical
from symact.reporting.figures.curves import curves
from symact.reporting.figures.distance import distance
from symact.reporting.figures.families import families
from symact.reporting.figures.front import Point, front
from symact.reporting.figures.functions import Curve, functions

__all__ = ["Curve", "Point", "critical", "curves", "distance", "families", "front", "functions"]
