"""Crossover and mutations of typed trees.

All operators change a tree in place and draw from ``trees.rng``. :func:`replace_node`,
:func:`insert_node` and :func:`shrink` follow DEAP's ``mutNodeReplacement``, ``mutInsert`` and
``mutShrink``, which draw from the global ``random`` module.

DEAP's crossover draws a type from a set of classes, so it is not reproducible (DEAP issue 190).
:func:`cross` draws positions from ordered lists, and it also accepts subtypes. DEAP's
``mutUniform`` grows a branch of the old branch's type. :func:`replace_branch` grows the type that
the position requires; otherwise only gates could grow below a gate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from deap import gp

from symact.proposers.reshape import reshape
from symact.proposers.trees import Tree, Trees, number_of, rounded, set_number

#: Maximum number of attempts of a crossover to find a branch of a suitable type.
_TRIES = 40
#: Probability that crossover takes a branch with more than one node, if there is one.
_INNER_SHARE = 0.9
#: Height of a new branch.
_BRANCH_HEIGHTS = (1, 4)
#: Standard deviations of the logarithm of a literal's factor.
_STEPS = (0.1, 0.3, 0.8)
#: Probability that all literals of a function change at once.
_ALL_SHARE = 0.3
#: Probability that a literal is scaled; otherwise it is drawn anew.
_SCALED_SHARE = 0.8
#: Probability that :func:`wrap` takes the whole function, whose scale the next layer sees.
_WHOLE_SHARE = 0.4


def cross(tree: Tree, other: Tree, trees: Trees) -> None:
    """Replace a branch by a branch of ``other`` of the required type or a subtype."""
    rng = trees.rng
    for _ in range(_TRIES):
        index = rng.randrange(len(tree))
        below = trees.below[tree.asked(index)]
        fitting = [i for i, node in enumerate(other) if node.ret in below]
        inner = [i for i in fitting if other.parts[i].span > 1]
        pool = inner if inner and rng.random() < _INNER_SHARE else fitting
        if pool:
            donor = other.searchSubtree(rng.choice(pool))
            tree.put(index, other[donor], other.parts[donor])
            return


def replace_branch(tree: Tree, trees: Trees) -> None:
    """Replace a random branch by a new one of the type that its position requires."""
    index = trees.rng.randrange(len(tree))
    branch = trees.grow(trees.rng.randint(*_BRANCH_HEIGHTS), tree.asked(index))
    tree.put(index, branch, trees.parts(branch))


def wrap(tree: Tree, trees: Trees) -> None:
    """Scale, shift or clip a branch by a primitive and a literal."""
    index = 0 if trees.rng.random() < _WHOLE_SHARE else trees.rng.randrange(len(tree))
    old = tree[tree.searchSubtree(index)]
    new = trees.wrapped(old, tree.asked(index), shifts=index > 0)
    if new is not None:
        tree.put(index, new, trees.parts(new))


def reshape_whole(tree: Tree, trees: Trees) -> None:
    """Dilate, bend or copy the whole function, if the result is a sentence within the limits."""
    spec = trees.grammar.constants
    if spec is None or spec.distribution == "choice":
        return
    made = reshape(tree.parts[0].expr, spec.digits, trees.rng)
    limits = trees.grammar.limits
    if made.size > limits.nodes or made.depth > limits.depth:
        return
    new = trees.from_expr(made)
    if new is not None:
        tree.put(0, new, new.parts)


def perturb_constants(tree: Tree, trees: Trees) -> None:
    """Scale one or all literals, or draw them anew. Without literals, replace a branch.

    Initial values of trained parameters are literals here.
    """
    indices = [i for i, node in enumerate(tree) if isinstance(type(node), gp.MetaEphemeral)]
    rng = trees.rng
    if not indices:
        replace_branch(tree, trees)
        return
    if rng.random() >= _ALL_SHARE:
        indices = [rng.choice(indices)]
    step = rng.choice(_STEPS)
    for index in indices:
        new, spec = type(tree[index])(), trees.spec(tree[index])
        if spec.distribution != "choice" and rng.random() < _SCALED_SHARE:
            scaled = number_of(tree[index]) * math.exp(rng.gauss(0.0, step))
            set_number(new, rounded(scaled, spec.digits))
        tree[index] = new


def replace_node(tree: Tree, trees: Trees) -> None:
    """Replace a node below the root by another node of the same types."""
    if len(tree) < 2:
        return
    index = trees.rng.randrange(1, len(tree))
    node = tree[index]
    if node.arity == 0:
        leaf = _leaf(node.ret, trees)
        if leaf is not None:
            tree[index] = leaf
        return
    same = [other for other in trees.pset.primitives[node.ret] if other.args == node.args]
    tree[index] = trees.rng.choice(same)


def insert_node(tree: Tree, trees: Trees) -> None:
    """Put a primitive of a branch's own type above the branch; leaves fill its other arguments."""
    index = trees.rng.randrange(len(tree))
    own = tree[index].ret
    primitives = [node for node in trees.pset.primitives[own] if own in node.args]
    if not primitives:
        return
    new = trees.rng.choice(primitives)
    position = trees.rng.choice([i for i, type_ in enumerate(new.args) if type_ == own])
    branch = [new]
    for i, type_ in enumerate(new.args):
        if i == position:
            branch += tree[tree.searchSubtree(index)]
            continue
        leaf = _leaf(type_, trees)
        if leaf is None:
            return
        branch.append(leaf)
    tree.put(index, branch, trees.parts(branch))


def shrink(tree: Tree, trees: Trees) -> None:
    """Replace a branch below the root by one of its arguments of the same type."""
    if len(tree) < 3 or tree.height <= 1:
        return
    nodes = [
        (i, node)
        for i, node in enumerate(tree)
        if i and isinstance(node, gp.Primitive) and node.ret in node.args
    ]
    if not nodes:
        return
    index, node = trees.rng.choice(nodes)
    position = trees.rng.choice([i for i, type_ in enumerate(node.args) if type_ == node.ret])
    argument = index + 1
    for _ in range(position):
        argument += tree.parts[argument].span
    kept = tree.searchSubtree(argument)
    tree.put(index, tree[kept], tree.parts[kept])


def _leaf(type_: Any, trees: Trees) -> Any:
    """Draw a leaf; None if only primitives make the type."""
    leaves = trees.pset.terminals[type_]
    if not leaves:
        return None
    leaf = trees.rng.choice(leaves)
    return leaf() if isinstance(leaf, type) else leaf


MUTATIONS: dict[str, Callable[[Tree, Trees], None]] = {
    "uniform": replace_branch,
    "constants": perturb_constants,
    "wrap": wrap,
    "reshape": reshape_whole,
    "replacement": replace_node,
    "insert": insert_node,
    "shrink": shrink,
}
