"""What a server of processes imports before it forks: a small search, so that all is compiled."""

from __future__ import annotations

from dataclasses import replace

from symact.engine import search
from test_engine import SMALL, TINY

search(
    "pointwise", "polynomial", budget=24, evolution=SMALL, threads=1,
    plan=replace(TINY, generation=6, full_share=0.2, refine_share=0.5),
)  # fmt: skip
