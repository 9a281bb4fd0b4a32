"""Values that seeds could have brought, in nats per image."""

from __future__ import annotations

import numpy as np


def around(centre: float, n: int, spread: float = 0.1) -> list[float]:
    """So many values with exactly this mean, the same on every call."""
    noise = np.random.default_rng(n).normal(size=n)
    return [float(value) for value in centre + spread * (noise - noise.mean())]
