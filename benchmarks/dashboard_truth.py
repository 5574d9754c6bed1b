"""The numbers behind the charts, computed row by row: by plain Python and SciPy, with nothing of the selectors.

Called by benchmarks/dashboard_charts.py, which holds what the API answers against them. Times are whole milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from django.db import connection
from scipy.stats import beta, binomtest, chi2, norm

HOUR_S = 3600.0
ENDED = ("success", "failure", "timeout")
Z = float(norm.ppf(0.975))
Numbers = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One episode. `takeovers`: counted in its segments. `run`: of its version."""

    number: int
    origin: str
    outcome: str
    robot: str
    task: str
    task_id: str
    version: str | None
    run: str | None
    steps: int
    human: int
    reset_ms: int
    rate_hz: float
    started: int
    ended: int
    uploaded: int | None
    indexed: int
    sampled: int | None
    is_archived: bool
    operators: tuple[str, ...]
    takeovers: int

    @property
    def seconds(self) -> float:
        return (self.ended - self.started) / 1000

    @property
    def is_terminated(self) -> bool:
        return self.outcome in ENDED

    @property
    def is_won(self) -> bool:
        return self.outcome == "success"


_MS = "(extract(epoch FROM {}) * 1000)::bigint"
_EPISODES = f"""
SELECT e.index_seq, e.origin, e.outcome, e.robot_id::text, t.slug, t.id::text, v.id::text, v.run_id::text, e.steps,
       e.human_steps, e.reset_ms, e.control_rate_hz, {_MS.format("e.started_at")}, {_MS.format("e.ended_at")},
       {_MS.format("e.uploaded_at")}, {_MS.format("e.indexed_at")}, {_MS.format("e.first_sampled_at")}, e.is_archived,
       e.operators, COALESCE(s.takeovers, 0)
FROM fleet_episode AS e
JOIN fleet_task AS t ON t.id = e.task_id
LEFT JOIN fleet_policyversion AS v ON v.id = e.policy_version_id
LEFT JOIN (
    SELECT a.episode_id, count(*) AS takeovers FROM fleet_segment AS a
    LEFT JOIN fleet_segment AS b ON b.episode_id = a.episode_id AND b."end" = a.start
    WHERE a.source IN ('person', 'scripted') AND (b.source IS NULL OR b.source = 'policy') GROUP BY 1
) AS s ON s.episode_id = e.id
ORDER BY e.ended_at, e.index_seq
"""


def fetch(statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement; `{ms:column}` stands for the column in Unix milliseconds."""
    parts = statement.split("{ms:")
    text = parts[0] + "".join(_MS.format(part.split("}", 1)[0]) + part.split("}", 1)[1] for part in parts[1:])
    with connection.cursor() as cursor:
        cursor.execute(text)
        return list(cursor.fetchall())


def episodes() -> list[Row]:
    """Return all episodes, the first that ended first."""
    return [Row(*row[:18], tuple(row[18]), row[19]) for row in fetch(_EPISODES)]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a chart is asked with; empty fields ask nothing."""

    since: int
    until: int
    tasks: tuple[str, ...] = ()
    robots: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    run: str | None = None
    origin: str = "online"
    archived: str = "any"

    def holds(self, row: Row) -> bool:
        return (
            row.origin == self.origin
            and (not self.tasks or row.task in self.tasks)
            and (not self.robots or row.robot in self.robots)
            and (not self.versions or row.version in self.versions)
            and (self.run is None or row.run == self.run)
            and (self.archived == "any" or row.is_archived == (self.archived == "only"))
        )

    def of(self, rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if self.since <= row.ended < self.until and self.holds(row)]


@lru_cache(maxsize=100_000)
def share(wins: int, n: int) -> tuple[float, float, float]:
    """Return the share and its Wilson interval, by SciPy."""
    found = binomtest(wins, n).proportion_ci(0.95, method="wilson")
    return wins / n, float(found.low), float(found.high)


@lru_cache(maxsize=100_000)
def counts(events: int) -> tuple[float, float]:
    """Return the exact Poisson interval of a count, by the chi-squared distribution."""
    low = float(chi2.ppf(0.025, 2 * events)) / 2 if events else 0.0
    return low, float(chi2.ppf(0.975, 2 * events + 2)) / 2


def estimate(value: Any, low: Any, high: Any, n: int, events: float, exposure: float) -> Numbers:
    return {"value": value, "low": low, "high": high, "n": n, "events": events, "exposure": exposure}


def _share(wins: int, n: int) -> Numbers:
    return estimate(*share(wins, n), n, wins, n) if n else estimate(None, None, None, 0, 0, 0)


def _rate(events: int, seconds: float) -> Numbers:
    hours = seconds / HOUR_S
    if hours <= 0:
        return estimate(None, None, None, events, events, 0)
    low, high = counts(events)
    return estimate(events / hours, low / hours, high / hours, events, events, hours)


def _time_between(rows: Sequence[Row]) -> Numbers:
    events, seconds = sum(row.takeovers for row in rows), sum(row.seconds for row in rows)
    if not seconds:
        return estimate(None, None, None, events, events, 0)
    low, high = counts(events)
    longest = (seconds / events, seconds / low) if events else (None, None)
    return estimate(longest[0], seconds / high, longest[1], events, events, seconds)


def _ratio(y: Sequence[int], x: Sequence[int]) -> tuple[float | None, float | None, float | None]:
    """Return sum(y) / sum(x) with its linearised interval, from the residual of each episode."""
    ys, xs = np.array(y, dtype=float), np.array(x, dtype=float)
    if xs.sum() <= 0:
        return None, None, None
    ratio = ys.sum() / xs.sum()
    if len(xs) == 1:
        return ratio, None, None
    half = Z * math.sqrt(len(xs) * np.var(ys - ratio * xs, ddof=1)) / xs.sum()
    return ratio, max(0.0, ratio - half), ratio + half


def _human_share(rows: Sequence[Row]) -> Numbers:
    human, frames = sum(row.human for row in rows), sum(row.steps for row in rows)
    value, low, high = _ratio([row.human for row in rows], [row.steps for row in rows])
    if rows and human == 0:
        value, low, high = 0.0, 0.0, share(0, len(rows))[2]
    return estimate(value, low, None if high is None else min(1.0, high), len(rows), human, frames)


def _rohe(rows: Sequence[Row], crew: tuple[int, int]) -> Numbers:
    if not rows:
        return estimate(None, None, None, 0, 0, 0)
    scale, wins, human = crew[0] / crew[1], sum(row.is_won for row in rows), sum(row.human for row in rows)
    _, low, high = _ratio([int(row.is_won) for row in rows], [row.human for row in rows])
    ends = [None if end is None else scale * end for end in (low, high)]
    return estimate(scale * wins / (1 + human), *ends, len(rows), wins, 1 + human)


def crew_of(rows: Sequence[Row]) -> tuple[int, int]:
    people = {operator for row in rows if row.human for operator in row.operators}
    return max(1, len(people)), max(1, len({row.robot for row in rows}))


def measured(name: str, rows: Sequence[Row], crew: tuple[int, int]) -> Numbers:
    """Return one measure of these episodes as docs/metrics.md defines it."""
    ended = [row for row in rows if row.is_terminated]
    seconds = sum(row.seconds for row in rows)
    human_s = sum(min(row.human / row.rate_hz, row.seconds) for row in rows)
    wins = sum(row.is_won for row in rows)
    alone = [row for row in ended if not row.human]
    helped = [row for row in ended if row.human]
    of: dict[str, Callable[[], Numbers]] = {
        "success": lambda: _share(wins, len(ended)),
        "unaided": lambda: _share(sum(row.is_won for row in alone), len(ended)),
        "autonomous": lambda: _share(sum(row.is_won for row in alone), len(alone)),
        "assisted": lambda: _share(sum(row.is_won for row in helped), len(helped)),
        "throughput_sop": lambda: _rate(len(ended), seconds),
        "throughput_recap": lambda: _rate(wins, seconds - human_s),
        "throughput_total": lambda: _rate(wins, seconds + sum(row.reset_ms for row in rows) / 1000),
        "human_share": lambda: _human_share(rows),
        "interventions": lambda: _rate(sum(row.takeovers for row in rows), seconds),
        "time_between": lambda: _time_between(rows),
        "rohe": lambda: _rohe(rows, crew),
    }
    return of[name]()


def percentiles(values: Sequence[float]) -> Numbers:
    """Return n, p50, p90, p99 with their intervals by order statistics, and the largest value."""
    n, ordered = len(values), sorted(values)
    found: Numbers = {"n": n, "max": ordered[-1] if n else None}
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        half = Z * math.sqrt(n * q * (1 - q))
        places = (math.floor(n * q - half), math.ceil(n * q + half) + 1)
        ends = [ordered[place - 1] if 1 <= place <= n else None for place in places]
        value = float(np.percentile(ordered, 100 * q)) if n else None
        found[name] = {"value": value, "low": ends[0], "high": ends[1]}
    return found


def middle(values_s: Sequence[float]) -> Numbers:
    p50, p90 = (float(np.percentile(values_s, q)) if values_s else None for q in (50, 90))
    return {"n": len(values_s), "p50_s": p50, "p90_s": p90}


def difference(
    pairs: Sequence[tuple[tuple[float, float, float], tuple[float, float, float], float]],
    excess: float, variance: float,
) -> Numbers | None:  # fmt: skip
    """Put differences of strata together: of each both (value, low, high), and its Mantel-Haenszel weight."""
    if not pairs:
        return None
    weights = np.array([weight for *_, weight in pairs])
    weights = weights / weights.sum()
    one, other = (np.array([pair[place] for pair in pairs]) for place in (0, 1))
    value = float(weights @ (one[:, 0] - other[:, 0]))
    below = np.sqrt((one[:, 0] - one[:, 1]) ** 2 + (other[:, 2] - other[:, 0]) ** 2)
    above = np.sqrt((one[:, 2] - one[:, 0]) ** 2 + (other[:, 0] - other[:, 1]) ** 2)
    return {
        "value": value,
        "low": value - float(np.sqrt(((weights * below) ** 2).sum())),
        "high": value + float(np.sqrt(((weights * above) ** 2).sum())),
        "confidence": float(norm.cdf(excess / math.sqrt(variance))) if variance > 0 else 0.5,
        "strata": len(pairs),
    }


def best_chances(groups: Sequence[tuple[int, int]], nodes: int = 6000) -> list[float]:
    """Return how likely each rate is the highest: by midpoints over x = sin^2 t, where no density is infinite."""
    if not groups:
        return []
    angles = (np.arange(nodes) + 0.5) * math.pi / 2 / nodes
    x, slope = np.sin(angles) ** 2, np.sin(2 * angles)
    logs = np.array([beta.logcdf(x, wins + 0.5, n - wins + 0.5) for wins, n in groups]).clip(min=-1e4)  # not -inf
    total = logs.sum(axis=0)
    chances = np.array([
        (np.exp(total - below + beta.logpdf(x, wins + 0.5, n - wins + 0.5)) * slope).sum()
        for (wins, n), below in zip(groups, logs, strict=True)
    ])  # fmt: skip
    return [float(chance) for chance in chances / chances.sum()]
