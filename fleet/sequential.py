"""Whether a candidate is worse than, or as good as, the version in use: a test for looking at after every episode.

Pure: numpy in, numbers out; called by canary.py and benchmarks/canary_statistics.py. docs/rollout.md derives it.

Episodes are compared in blocks: one of the candidate with the mean of `k` of the current version at the same task, so
D = candidate - mean(current) lies in [-1, 1] and its expectation is the difference of the two rates at that task. A
block never mixes tasks; a fleet's mix of tasks therefore cancels, whatever it is. `k` is fixed before the first.

Each test bets against its hypothesis. Under it no bet has a positive expectation, so the capital, averaged over a
grid of stakes, is a non-negative supermartingale that begins at 1 and exceeds 1/level at ANY time with a probability
of at most `level` (Ville). Nothing else is assumed: no normality, no fixed number of episodes, no equal rates of tasks.
Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 2024; Turner and
Grünwald, AISTATS 2023, for strata. Departure: a fixed uniform mixture of stakes in place of an adaptive one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

STAKES: Array = np.array([0.03, 0.06, 0.1, 0.15, 0.22, 0.3, 0.4, 0.5, 0.62, 0.75, 0.88, 0.97])
_GRID: Array = np.linspace(-1.0, 1.0, 401)
_MOST_BLOCKS_AT_ONCE = 2000  # of the interval: bounds its memory


def blocks_of(candidate: Sequence[float], current: Sequence[float], *, per_block: int) -> Array:
    """Return D of every complete block of one task: [B]. Both sequences in the order in which episodes began.

    Raises: ValueError if `per_block` < 1.
    """
    if per_block < 1:
        raise ValueError("per_block must be at least 1")
    count = min(len(candidate), len(current) // per_block)
    baseline = np.asarray(current[: count * per_block], np.float64).reshape(count, per_block)
    return np.asarray(candidate[:count], np.float64) - baseline.mean(axis=1) if count else np.empty(0)


def log_capital(gains_NB: Array, *, most: float = 1.0) -> Array:
    """Return the log of the mixture's capital after the last block, [N], having staked on gains >= -most.

    gains_NB: of N independent tests (or [B] of one). Under the hypothesis every gain's expectation is <= 0.
    """
    return np.asarray(log_capital_path(gains_NB, most=most)[..., -1])


def log_capital_path(gains_NB: Array, *, most: float = 1.0) -> Array:
    """As `log_capital`, after none, one, two, ... blocks: [N, B + 1]. Memory: N x B doubles."""
    gains = np.asarray(gains_NB, np.float64)
    start = np.zeros((*gains.shape[:-1], 1))
    mixture: Array | None = None
    for stake in STAKES / most:
        path = np.concatenate((start, np.cumsum(np.log1p(stake * gains), axis=-1)), axis=-1)
        mixture = path if mixture is None else np.logaddexp(mixture, path)
    assert mixture is not None
    return np.asarray(mixture - np.log(len(STAKES)))


def harm_path(differences_NB: Array) -> Array:
    """Return the log evidence that the candidate is worse: against E[D] >= 0."""
    return log_capital_path(-np.asarray(differences_NB))


def worth_path(differences_NB: Array, *, margin: float) -> Array:
    """Return the log evidence that the candidate is less than `margin` worse: against E[D] <= -margin, 0 < margin < 1.

    Raises: ValueError.
    """
    if not 0 < margin < 1:
        raise ValueError("margin must lie between 0 and 1")
    return log_capital_path(np.asarray(differences_NB) + margin, most=1.0 - margin)


@dataclass(frozen=True)
class Interval:
    """Bounds of E[D] that hold at every look at once; the mean of the blocks lies between them."""

    estimate: float
    low: float
    high: float


def difference_interval(differences_B: Array, *, level: float) -> Interval | None:
    """Return the confidence sequence of E[D] with coverage 1 - level at all times; None without a block.

    E[D] = m is left out once a bet on more, or one on less, has multiplied its capital by 2 / level.
    """
    values = np.asarray(differences_B, np.float64)
    if not len(values):
        return None
    threshold = np.log(2.0 / level)
    is_kept = (_log_capital_over(values, 1.0) < threshold) & (_log_capital_over(values, -1.0) < threshold)
    kept = _GRID[is_kept]
    estimate = float(values.mean())
    if not len(kept):  # bets on both sides won: only where rates change on the way
        return Interval(estimate, estimate, estimate)
    step = _GRID[1] - _GRID[0]
    low, high = max(-1.0, float(kept[0] - step)), min(1.0, float(kept[-1] + step))  # outward to the next grid point
    return Interval(estimate, min(low, estimate), max(high, estimate))


def _log_capital_over(values: Array, side: float) -> Array:
    """Return the log capital of betting that E[D] is above (side 1) or below (-1) each point of the grid."""
    total = np.zeros((len(STAKES), len(_GRID)))
    most = np.maximum(1.0 + side * _GRID, 1e-9)  # the largest loss of a unit stake at each point
    stakes = STAKES[:, None] * 0.999 / most
    for start in range(0, len(values), _MOST_BLOCKS_AT_ONCE):
        unique, counts = np.unique(values[start : start + _MOST_BLOCKS_AT_ONCE], return_counts=True)
        for value, count in zip(unique, counts, strict=True):  # few: D takes 2 k + 1 values
            total += count * np.log1p(np.maximum(stakes * side * (value - _GRID), -0.999999))
    mixture = np.logaddexp.reduce(total, axis=0) - np.log(len(STAKES))
    return np.asarray(mixture)
