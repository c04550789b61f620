"""Search a little and train a small model with the function that was found.

Run: ``python examples/search_and_use.py`` (about two minutes on two cores).
"""

from __future__ import annotations

import torch

import symact


def train(activation: torch.nn.Module, seed: int = 0) -> tuple[float, float]:
    """Fit sin(3x) + x on [-1, 1]; return the errors inside and on [1, 1.5]."""
    torch.manual_seed(seed)
    x = torch.linspace(-1, 1, 256).unsqueeze(1)
    outside = torch.linspace(1, 1.5, 64).unsqueeze(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(1, 64),
        activation,
        torch.nn.Linear(64, 64),
        activation,
        torch.nn.Linear(64, 1),
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(500):
        optimiser.zero_grad()
        loss = ((model(x) - torch.sin(3 * x) - x) ** 2).mean()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        error = ((model(outside) - torch.sin(3 * outside) - outside) ** 2).mean()
    return float(loss.detach()), float(error)


def main() -> None:
    result = symact.search("pointwise", budget=250, seed=0)
    best = result.best
    print(f"found {best.formula} at {best.flops} FLOPs; it prints as a module: {best.to_torch()}")
    for name, activation in (("found", best.to_torch()), ("GELU", torch.nn.GELU())):
        inside, outside = train(activation)
        print(f"{name:6} error inside {inside:.1e}, outside {outside:.1e}")


if __name__ == "__main__":
    main()
