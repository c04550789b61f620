"""Figures for reports and papers.

The only home of matplotlib. Figures are drawn on ``Figure`` objects with the Agg canvas, so no
window system and no pyplot state is touched. The suffix of the path, ``.svg`` or ``.png``, decides
the format; equal data gives equal files. Values that are not finite are not drawn.
"""

from symact.figures._critical import critical
from symact.figures._curves import curves
from symact.figures._distance import distance
from symact.figures._families import families
from symact.figures._front import Point, front
from symact.figures._functions import Curve, functions

__all__ = ["Curve", "Point", "critical", "curves", "distance", "families", "front", "functions"]
