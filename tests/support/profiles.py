"""How thoroughly the tests look, by the environment variable ``HYPOTHESIS_PROFILE``.

``fixed``, the default, draws the same examples in each run. ``explore`` draws new examples, ten
times as many, and tests each module of the zoo where ``fixed`` tests representatives.
"""

from __future__ import annotations

import os

from hypothesis import settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "fixed")
IS_EXPLORING = PROFILE == "explore"

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)


def examples(count: int) -> int:
    """Return how many examples to draw where ``fixed`` draws this count."""
    return 10 * count if IS_EXPLORING else count
