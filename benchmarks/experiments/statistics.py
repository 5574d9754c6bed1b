"""Intervals and time-to-target. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a rate; (0, 1) when nothing was tried."""
    if n == 0:
        return 0.0, 1.0
    rate, square = successes / n, z * z
    centre = (rate + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * ((rate * (1 - rate) / n + square / (4 * n * n)) ** 0.5)
    return centre - half, centre + half


def seed_interval(rates: Sequence[float], *, draws: int = 10_000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of one rate a seed (with three seeds: narrow by nature)."""
    rng = np.random.default_rng(0)
    values = np.asarray(rates, dtype=np.float64)
    means = rng.choice(values, size=(draws, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def rising(rates: Sequence[float]) -> list[float]:
    """Return the non-decreasing sequence nearest to `rates` in squares (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for rate in rates:
        blocks.append((rate, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    return [rate for rate, count in blocks for _ in range(count)]


def time_to_target(minutes: Sequence[float], rates: Sequence[float], target: float) -> float | None:
    """Return when a learning curve first reaches `target`, or None if it does not.

    minutes: rising, beginning with the base at 0. The curve is made non-decreasing first, so that one lucky or
    unlucky point does not decide, then interpolated linearly.
    """
    fitted = rising(rates)
    if fitted[0] >= target:
        return minutes[0]
    for k in range(1, len(fitted)):
        if fitted[k] >= target:
            share = (target - fitted[k - 1]) / (fitted[k] - fitted[k - 1])
            return float(minutes[k - 1] + share * (minutes[k] - minutes[k - 1]))
    return None
