"""The smallest expressions of each type, for checking limits and growing random trees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from symact.expr.primitives import PRIMITIVES, VAR, is_subtype
from symact.grammar.productions import HOLES, Production, hole_counts


def smallest_sentences(
    types: Mapping[str, tuple[str, ...]], productions: Iterable[Production], leaves: Iterable[str]
) -> dict[str, tuple[int, int, int]]:
    """Return the fewest nodes, the least depth and the fewest FLOPs for each type.

    The three minima are independent. For a type without expressions they are 10**9, above any
    limit.

    Args:
        types: The supertypes of each type.
        productions: The productions of the grammar.
        leaves: The types of the leaves.
    """
    infinity = 10**9
    known = list(types)
    best = dict.fromkeys(known, (infinity, infinity, infinity))
    for leaf in leaves:
        for wanted in known:
            if is_subtype(leaf, wanted, dict(types)):
                best[wanted] = (1, 1, 0)
    listed = [(p, *_template_size(p)) for p in productions]
    changed = True
    while changed:
        changed = False
        for p, own_nodes, own_depths, own_flops in listed:
            args = [best[arg] for arg in p.args]
            uses = hole_counts(p.template)
            nodes = own_nodes + sum(uses[h] * a[0] for h, a in zip(HOLES, args, strict=False))
            depth = max(
                [own_depths[""], *(own_depths[h] + a[1] for h, a in zip(HOLES, args, strict=False))]
            )
            flops = own_flops + sum(a[2] for a in args)
            for wanted in known:
                if is_subtype(p.result, wanted, dict(types)):
                    new = tuple(
                        min(x, y) for x, y in zip(best[wanted], (nodes, depth, flops), strict=True)
                    )
                    if new != best[wanted]:
                        best[wanted] = (new[0], new[1], new[2])
                        changed = True
    return best


def _template_size(production: Production) -> tuple[int, dict[str, int], int]:
    """Return the number of nodes without holes, depths, and FLOPs of a template.

    The depths are those above each hole. The key "" has the depth of the template without holes.
    """
    nodes, flops = 0, 0
    depths = {"": 0, **dict.fromkeys(HOLES, 0)}
    stack = [(production.template, 1)]
    while stack:
        node, depth = stack.pop()
        if node.op == VAR and node.value in HOLES:
            depths[str(node.value)] = max(depths[str(node.value)], depth - 1)
            continue
        nodes += 1
        depths[""] = max(depths[""], depth)
        if node.op in PRIMITIVES:
            flops += PRIMITIVES[node.op].flops
        stack.extend((arg, depth + 1) for arg in node.args)
    return nodes, depths, flops
