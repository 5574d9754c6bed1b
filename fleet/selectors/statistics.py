"""Estimates with their 95 % intervals, and comparisons of two groups. Pure: numbers in, numbers out.

Which interval belongs to what:
- a share of episodes: Wilson. A difference of shares: Newcombe's hybrid of the two Wilson intervals.
- events per time: exact Poisson (Garwood, by the gamma distribution). A difference: the hybrid of the two, as Newcombe.
- a ratio of two sums over episodes (human frames of all frames): linearised, episodes as the units, since the frames of
  one episode go together.
- several strata (tasks): differences within each, put together by Mantel-Haenszel weights, so that a group that worked
  at easier tasks does not look better for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import betainc, betaincinv, gammaincinv

CONFIDENCE = 0.95
Z = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
_TAIL = (1 - CONFIDENCE) / 2
_GRID = 4000  # points of the integral in `probability_best`; its error is below 1e-3 up to n of some ten thousand


@dataclass(frozen=True)
class Rate:
    """Successes of n with the Wilson interval [low, high]; n >= 1."""

    successes: int
    n: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval. None where there is none: no events, or nothing to compare with."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """First minus second. `confidence`: that the first is really higher, in [0, 1]; .5 where nothing speaks for either.

    Source: one-sided Cochran-Mantel-Haenszel test (Cochran 1954) without continuity correction; the interval by
    Newcombe (1998, method 10), over strata after Yan and Su (2010) with Mantel-Haenszel weights. `strata`: how many had
    both groups; the others say nothing.
    """

    value: float
    low: float
    high: float
    confidence: float
    strata: int


def wilson(*, successes: int, n: int) -> Rate:
    """Return the rate with its 95 % Wilson score interval. Raises: ValueError unless 0 <= successes <= n, n >= 1.

    Source: Wilson (1927), without continuity correction.
    """
    if not (0 <= successes <= n and n >= 1):
        raise ValueError("need 0 <= successes <= n and n >= 1")
    rate = successes / n
    scale = 1 + Z * Z / n
    centre = (rate + Z * Z / (2 * n)) / scale
    half = Z / scale * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)  # exact at the ends, where rounding would leave 1e-17
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Rate(successes, n, rate, low, high)


def jeffreys(*, successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % equal-tailed interval of Jeffreys' prior Beta(1/2, 1/2), closed at 0 and 1.

    Source: Brown, Cai and DasGupta (2001). Raises: ValueError unless 0 <= successes <= n, n >= 1.
    """
    if not (0 <= successes <= n and n >= 1):
        raise ValueError("need 0 <= successes <= n and n >= 1")
    low = 0.0 if successes == 0 else float(betaincinv(successes + 0.5, n - successes + 0.5, _TAIL))
    high = 1.0 if successes == n else float(betaincinv(successes + 0.5, n - successes + 0.5, 1 - _TAIL))
    return low, high


def poisson_rate(*, events: int, exposure: float) -> Interval:
    """Return events per unit of exposure with the exact interval. Raises: ValueError for a negative number.

    Source: Garwood (1936). Without exposure nothing is known.
    """
    if events < 0 or exposure < 0:
        raise ValueError("need events >= 0 and exposure >= 0")
    if exposure == 0:
        return Interval(None, None, None)
    low = float(gammaincinv(events, _TAIL)) if events else 0.0
    high = float(gammaincinv(events + 1, 1 - _TAIL))
    return Interval(events / exposure, low / exposure, high / exposure)


def ratio_of_sums(*, y: float, x: int, yy: float, xx: int, xy: float, n: int, least: float | None = 0.0) -> Interval:
    """Return sum(y) / sum(x) of n episodes with the interval of the linearised ratio estimator, cut off at `least`.

    `yy`, `xx`, `xy`: sums of the products episode by episode. One episode alone has no interval. Source: Cochran,
    Sampling Techniques (1977), 6.4, without finite-population correction.
    """
    if x <= 0 or n < 1:
        return Interval(None, None, None)
    ratio = y / x
    if n == 1:
        return Interval(ratio, None, None)
    residuals = max(0.0, yy - 2 * ratio * xy + ratio * ratio * xx)
    half = Z * math.sqrt(residuals * n / (n - 1)) / x
    low = ratio - half
    return Interval(ratio, low if least is None else max(least, low), ratio + half)


def success_difference(*, first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]]) -> Difference | None:
    """Compare (successes, n) of each stratum; None if no stratum has both groups."""
    parts, weights, excess, variance = [], [], 0.0, 0.0
    for (a, n1), (b, n0) in zip(first, second, strict=True):
        if n1 == 0 or n0 == 0:
            continue
        total, wins = n1 + n0, a + b
        one, other = wilson(successes=a, n=n1), wilson(successes=b, n=n0)
        parts.append(_hybrid((one.rate, one.low, one.high), (other.rate, other.low, other.high)))
        weights.append(n1 * n0 / total)
        excess += a - n1 * wins / total
        variance += n1 * n0 * wins * (total - wins) / (total * total * max(1, total - 1))
    return _together(parts, weights, excess, variance)


def event_difference(*, first: Sequence[tuple[int, float]], second: Sequence[tuple[int, float]]) -> Difference | None:
    """Compare (events, exposure) of each stratum; None if no stratum has both groups."""
    parts, weights, excess, variance = [], [], 0.0, 0.0
    for (a, t1), (b, t0) in zip(first, second, strict=True):
        if t1 <= 0 or t0 <= 0:
            continue
        total, events = t1 + t0, a + b
        one, other = poisson_rate(events=a, exposure=t1), poisson_rate(events=b, exposure=t0)
        parts.append(_hybrid(_known(one), _known(other)))
        weights.append(t1 * t0 / total)
        excess += a - events * t1 / total
        variance += events * t1 * t0 / (total * total)
    return _together(parts, weights, excess, variance)


def probability_best(groups: Sequence[tuple[int, int]]) -> list[float]:
    """Return for each (successes, n) the probability that its true rate is the highest of all; they add up to 1.

    Independent posteriors from Jeffreys' prior Beta(1/2, 1/2): P(i best) = integral of dF_i times the product of the
    other F_j, on a fixed grid. No randomness: asking twice gives the same.
    """
    if not groups:
        return []
    edges = (1 - np.cos(np.linspace(0, math.pi, _GRID + 1))) / 2  # closer together at 0 and 1, where rates crowd
    below = np.stack([betainc(wins + 0.5, n - wins + 0.5, edges) for wins, n in groups])
    steps = np.diff(below, axis=1)
    middle = np.maximum((below[:, 1:] + below[:, :-1]) / 2, 1e-300)
    logs = np.log(middle)
    others = np.exp(logs.sum(axis=0) - logs)
    chances = (steps * others).sum(axis=1)
    return [float(chance) for chance in chances / chances.sum()]


def _known(interval: Interval) -> tuple[float, float, float]:
    assert interval.value is not None and interval.low is not None and interval.high is not None  # exposure > 0
    return interval.value, interval.low, interval.high


def _hybrid(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the difference of two estimates (value, low, high) with the interval from theirs (square and add)."""
    (p1, l1, u1), (p0, l0, u0) = one, other
    value = p1 - p0
    return value, value - math.hypot(p1 - l1, u0 - p0), value + math.hypot(u1 - p1, p0 - l0)


def _together(
    parts: Sequence[tuple[float, float, float]], weights: Sequence[float], excess: float, variance: float
) -> Difference | None:
    total = sum(weights)
    if not parts or total <= 0:
        return None
    shares = [weight / total for weight in weights]
    value = sum(share * part[0] for share, part in zip(shares, parts, strict=True))
    below = math.hypot(*(share * (part[0] - part[1]) for share, part in zip(shares, parts, strict=True)))
    above = math.hypot(*(share * (part[2] - part[0]) for share, part in zip(shares, parts, strict=True)))
    confidence = NormalDist().cdf(excess / math.sqrt(variance)) if variance > 0 else 0.5
    return Difference(value, value - below, value + above, confidence, len(parts))
