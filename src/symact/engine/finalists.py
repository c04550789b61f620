"""Who is judged at the end, and the judging."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symact.backends.simplify import simplify
from symact.engine.loop import Search
from symact.engine.result import merit
from symact.evaluation import Failed, as_stored, drop_near_duplicates, failure, raise_on_failure
from symact.evaluation.pareto import non_dominated
from symact.expr import parse, show
from symact.storage.database import Scored
from symact.tasks import scores as stats
from symact.tasks.protocol import REFERENCE, VERSION

#: Seconds of computing that sympy may spend on a finalist.
SIMPLIFY_SECONDS = 2.0
#: Candidates that are fully trained on every draw at the end, for each finalist.
SEMIFINALISTS = 2


def select(search: Search) -> None:
    """Judge the finalists on the selection draws, unless that was done for this very search.

    Each is stored when it was judged, whatever comes in between.
    """
    search.progress("select", 1.0)
    ids = finalists(search)
    store, ladder = search.store, search.ladder
    known = store.get("selected")
    if not ids or (known is not None and known["ids"] == ids):
        return
    formulas = simplified(search, ids)
    judged = {scored.candidate for scored in store.scores("selection")}
    new = [number for number in ids if number not in judged]
    base = store.get("yardstick")
    exprs = [] if base is not None else [search.reference]
    final = ladder.final.name
    waiting = ladder.start(final, [*exprs, *[parse(formulas[i]) for i in new]])
    families = ladder.families(final)
    if base is None:
        (own,) = raise_on_failure([waiting.pop(0).result()], [REFERENCE])
        reference = stats.score(as_stored(own), families)
        base = {
            "families": families,
            "reference": {
                "ood": reference.ood,
                "id_error": reference.id_error,
                "families": reference.families,
            },
        }
        with store.transaction():
            store.put("yardstick", base)
    nothing = np.full(ladder.error_shape(final), np.nan)
    for number, future in zip(new, waiting, strict=True):
        trained = future.result()
        if isinstance(trained, Failed):
            search.failures.append((number, "selection", trained.reason))
            own = nothing
        else:
            own = as_stored(trained)
        score = stats.score(own, families)
        with store.transaction():
            store.add_scores([Scored(number, "selection", score.ood, score.id_error, own)], VERSION)
            search.store_failures()
    with store.transaction():
        store.put("selected", {"ids": ids, **base})


def finalists(search: Search) -> list[int]:
    """Return who is judged on the selection draws: the best, and the front of those near them.

    One full training has luck in it. So first the best by the mean of measurement and forecast
    are fully trained on the other draws too; what is nearly the same function as another is
    tried once.
    """
    base = search.references["full"]
    merits = {i: search.merit("full", i) - base[0] for i in search.full}
    if search.forecast.is_ready and search.full:
        known = [i for i in search.full if i in search.mini]
        for i, forecast in zip(known, search.forecast_merits(known), strict=True):
            merits[i] = (merits[i] + float(forecast)) / 2
    ranked = sorted(search.full, key=lambda i: (merits[i], i))
    exprs = (parse(search.formulas[i]) for i in ranked)
    most = SEMIFINALISTS * search.plan.finalists
    tried = [ranked[index] for index in drop_near_duplicates(exprs, most)]
    scores = _repeated(search, tried)
    top = sorted(tried, key=lambda i: (merit(scores[i], base), i))
    points = [(*scores[i], float(search.flops[i])) for i in top]
    front = [i for i, keep in zip(top, non_dominated(points), strict=True) if keep]
    half = (search.plan.finalists + 1) // 2
    return list(dict.fromkeys([*top[:half], *front, *top]))[: search.plan.finalists]


def _repeated(search: Search, numbers: Sequence[int]) -> dict[int, tuple[float, float]]:
    """Return OOD and ID errors of candidates, means over all draws of full training."""
    known: dict[str, list[float]] = search.store.get("repeated") or {}
    new = [number for number in numbers if str(number) not in known]
    draws = range(search.plan.full_draws)
    # On one of the draws each was trained already.
    trained = {s.candidate: s.errors for s in search.store.scores("full")}
    own = {c.id: search.draw("full", c.id, c.generation) for c in search.store.candidates()}
    wanted = [
        (number, draw)
        for number in new
        for draw in draws
        if draw != own[number] % search.plan.full_draws
    ]
    waiting = dict(zip(wanted, search.start_full(wanted), strict=True))
    base = search.bases["full"]
    for number in new:
        above = []
        for draw in draws:
            future = waiting.get((number, draw))
            errors = (
                trained[number]
                if future is None
                else search.errors("full", number, future.result())
            )
            above.append(base.above(errors, draw)[0])
        means = np.mean(above, axis=0) + np.array(base.reference)
        known[str(number)] = [float(value) for value in means]
        with search.store.transaction():
            search.store.put("repeated", known)
            search.store_failures()
    return {number: (known[str(number)][0], known[str(number)][1]) for number in numbers}


def simplified(search: Search, numbers: Sequence[int]) -> dict[int, str]:
    """Return the simplified formulas of finalists, which are remembered one by one."""
    known = search.store.simplified()
    for number in numbers:
        if number in known:
            continue
        known[number] = search.formulas[number]
        try:
            expr = simplify(parse(search.formulas[number]), seconds=SIMPLIFY_SECONDS)
            known[number] = show(expr)
        except Exception as error:  # it stays as it is
            search.failures.append((number, "short form", failure(error).reason))
        with search.store.transaction():
            search.store.add_simplified({number: known[number]})
            search.store_failures()
    return known
