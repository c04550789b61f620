"""Random expressions for property tests: well-sorted, over all primitives."""

from __future__ import annotations

from hypothesis import strategies as st

from symact.expr import Expr, call, const, var
from symact.expr.primitives import PRIMITIVES

LITERALS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, 0.1, -0.25]),
    st.floats(-8, 8, allow_nan=False).map(lambda v: float(f"{v:.3g}")),
)


@st.composite
def exprs(draw: st.DrawFn, max_depth: int = 5, statistics: bool = False) -> Expr:
    """A random expression of x whose sort is Real."""
    return _of_sort(draw, "Real", max_depth, statistics)


def _of_sort(draw: st.DrawFn, sort: str, depth: int, statistics: bool) -> Expr:
    if sort == "Real" and (depth <= 1 or draw(st.integers(0, 4)) == 0):
        return draw(st.one_of(st.just(var()), LITERALS.map(const)))
    rows = [
        row for row in PRIMITIVES.values() if row.sort == sort and (statistics or not row.statistic)
    ]
    row = draw(st.sampled_from(rows))
    args = [_of_sort(draw, s, depth - 1, statistics) for s in row.argument_sorts]
    return call(row.name, *args)
