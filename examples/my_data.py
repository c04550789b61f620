"""Search on measurements of one's own: arrays inside and outside the range one has trained on.

Run: ``python examples/my_data.py`` (about two minutes on two cores).
"""

from __future__ import annotations

import numpy as np

import symact


def main() -> None:
    generator = np.random.default_rng(0)
    inside = generator.uniform(-1, 1, (600, 3))
    outside = generator.uniform(1, 2, (600, 3)) * generator.choice([-1, 1], (600, 3))

    def measure(x: np.ndarray) -> np.ndarray:
        return x[:, 0] * np.exp(-(x[:, 1] ** 2)) + x[:, 2]

    task = symact.Task.from_arrays(inside, measure(inside), outside, measure(outside))
    result = symact.search("pointwise", task, budget=400, seed=0)
    print(result.to_frame().nsmallest(5, "mini_ood")[["formula", "mini_ood", "mini_id"]])
    board = symact.compare(result, ["ReLU", "GELU", "tanh"], task=task, families=24)
    for row in board.entries:
        own = row.standing.ood
        interval = f"[{own.low:.2f}, {own.high:.2f}]"
        print(f"{row.title:12} {own.ratio:5.2f} of GELU {interval}  {row.formula}")


if __name__ == "__main__":
    main()
