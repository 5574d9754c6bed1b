"""How long to wait after failures: exponential with jitter and an upper bound."""

from __future__ import annotations

import random


class Backoff:
    """After n failures in a row: a random time in [0.5, 1] * min(max_s, min_s * 2**(n - 1))."""

    def __init__(self, *, min_s: float, max_s: float, rng: random.Random) -> None:
        self._min_s = min_s
        self._max_s = max_s
        self._rng = rng
        self._failures = 0

    def next_s(self) -> float:
        """Count one failure and return the seconds to wait."""
        ceiling_s = min(self._max_s, self._min_s * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return ceiling_s * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked."""
        self._failures = 0
