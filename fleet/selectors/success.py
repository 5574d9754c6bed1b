"""Autonomous success over time, with its definition, n and interval."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from fleet.clock import to_ms
from fleet.models import Episode, PolicyVersion
from fleet.protocol.recording import Origin, Outcome
from fleet.selectors.training import fleet_run

DEFINITION = (
    "Autonomous success rate: online episodes that succeeded without any human step, divided by all online episodes "
    "that terminated (success, failure or timeout; aborted ones do not count), by the time they ended."
)
CONFIDENCE = 0.95
Z = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
MAX_POINTS = 120
MAX_EPISODES = 20_000
MAX_VERSIONS = 500


@dataclass(frozen=True)
class Rate:
    """Successes of n with the Wilson interval [low, high]; n >= 1."""

    successes: int
    n: int
    rate: float
    low: float
    high: float


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


def success_series(*, window_s: int, task_slug: str | None = None) -> dict[str, object]:
    """Return {"definition", "confidence", "window_s", "points", "versions"} as the API promises.

    A point at time t covers the episodes with t - window_s < end <= t. Points lie at the ends of episodes, evenly
    thinned to 120; at most the newest 20,000 episodes and 500 versions are read.
    """
    ends, wins = _outcomes(task_slug)
    won = [0, *accumulate(wins)]
    points = []
    for index in _thinned(len(ends)):
        first = bisect_right(ends, ends[index] - window_s * 1000)
        rate = wilson(successes=won[index + 1] - won[first], n=index + 1 - first)
        points.append({"at_ms": ends[index], **rate.__dict__})
    return {
        "definition": DEFINITION,
        "confidence": CONFIDENCE,
        "window_s": window_s,
        "points": points,
        "versions": _versions(),
    }


def _outcomes(task_slug: str | None) -> tuple[list[int], list[bool]]:
    """Return the ends in Unix ms, rising, and whether each was an autonomous success."""
    found = Episode.objects.filter(origin=Origin.ONLINE.value).exclude(outcome=Outcome.ABORTED.value)
    if task_slug is not None:
        found = found.filter(task__slug=task_slug)
    newest = found.order_by("-ended_at", "-index_seq").values_list("ended_at", "outcome", "human_steps")[:MAX_EPISODES]
    rows = list(newest)[::-1]
    ends = [to_ms(ended_at) for ended_at, _, _ in rows]
    return ends, [outcome == Outcome.SUCCESS.value and human == 0 for _, outcome, human in rows]


def _thinned(count: int) -> list[int]:
    """Return at most MAX_POINTS indices of 0..count-1, evenly spread, the last always among them."""
    if count <= MAX_POINTS:
        return list(range(count))
    return [round((index + 1) * count / MAX_POINTS) - 1 for index in range(MAX_POINTS)]


def _versions() -> list[dict[str, int]]:
    versions = PolicyVersion.objects.filter(run=fleet_run()).order_by("-number")[:MAX_VERSIONS]
    return [{"number": version.number, "published_ms": to_ms(version.published_at)} for version in reversed(versions)]
