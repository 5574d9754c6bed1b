"""What a training run measured: names, series thinned to a chart's width, and the newest rows for open pages.

Called by `api/training_runs.py` and `consumers/hub.py`. A run has at most SOP_RUN_METRIC_ROWS rows
(`services/metric_history.py`) and every query walks one range of the (run, step) index, so the cost is bounded
whatever a run's age: `benchmarks/run_metrics.py` measures it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Max, Min

from fleet.clock import to_ms
from fleet.models import RunMetric
from fleet.protocol.messages import RunRow

MAX_NAMES = 128
MAX_POINTS = 1000

_RANGE = "FROM fleet_runmetric WHERE run_id = %(run)s AND step BETWEEN %(first)s AND %(last)s"
_POINTS = f"SELECT (step - %(first)s) / %(width)s AS part, max(step), max(at) {_RANGE} GROUP BY part ORDER BY part"
# Each row's JSON is unpacked once for all names: looking names up one by one unpacks it once a name, and took five
# times as long. Extremes of merged rows come as rows of no weight; the mean of a merged row lies between them.
_SERIES = f"""
SELECT part, key, sum(mean * reports) / sum(reports), min(low), max(high) FROM (
    SELECT (step - %(first)s) / %(width)s AS part, key, reports, value::float8 AS mean, value::float8 AS low,
        value::float8 AS high
    FROM (SELECT * {_RANGE}) AS rows, jsonb_each_text(values) WHERE key = ANY(%(names)s)
    UNION ALL
    SELECT (step - %(first)s) / %(width)s, key, 0, 0, (value ->> 0)::float8, (value ->> 1)::float8
    FROM (SELECT * {_RANGE} AND extremes IS NOT NULL) AS rows, jsonb_each(extremes) WHERE key = ANY(%(names)s)
) AS numbers GROUP BY part, key ORDER BY part
"""


@dataclass(frozen=True)
class Series:
    """One name, aligned with the points it belongs to; None where a point has no such value. Empty: never reported."""

    name: str
    mean: list[float | None] = field(default_factory=list)
    low: list[float | None] = field(default_factory=list)
    high: list[float | None] = field(default_factory=list)


@dataclass(frozen=True)
class RunSeries:
    """Points (the last gradient step and the last Unix ms of each bucket) and the series over them.

    `width`: gradient steps a bucket spans, 1 when nothing was thinned. `last_step`: newest step included, `since_step`
    of the next question; None without rows.
    """

    width: int
    last_step: int | None
    step: list[int]
    at_ms: list[int]
    series: list[Series]


def run_metric_names(*, run_id: uuid.UUID) -> list[str]:
    """Return every name the run ever reported, sorted."""
    query = "SELECT DISTINCT jsonb_object_keys(values) AS name FROM fleet_runmetric WHERE run_id = %s ORDER BY name"
    with connection.cursor() as cursor:
        cursor.execute(query, [run_id])
        return [name for (name,) in cursor.fetchall()]


def run_metric_series(
    *, run_id: uuid.UUID, names: list[str], since_step: int | None, last_s: float | None, max_points: int
) -> RunSeries:
    """Return the series of `names` (at most MAX_NAMES) over at most `max_points` buckets of equally many steps.

    Only rows after `since_step`, and with `last_s` only those of so many seconds before the run's newest row. Means
    weigh every report alike; `low` and `high` are the extremes of single reports. Numbers carry six digits.
    """
    bounds = _bounds(run_id, since_step, last_s)
    if bounds is None:
        return RunSeries(width=1, last_step=since_step, step=[], at_ms=[], series=[Series(name) for name in names])
    first, last = bounds
    width = -(-(last - first + 1) // max_points)
    values: dict[str, Any] = {"run": run_id, "first": first, "last": last, "width": width, "names": names}
    with connection.cursor() as cursor:
        cursor.execute(_POINTS, values)
        points = cursor.fetchall()
        cursor.execute(_SERIES, values)
        found = cursor.fetchall()
    return RunSeries(
        width=width,
        last_step=last,
        step=[step for _, step, _ in points],
        at_ms=[to_ms(at) for _, _, at in points],
        series=_aligned(names, [part for part, _, _ in points], found),
    )


def run_rows_after(*, run_id: uuid.UUID, step: int, limit: int) -> list[RunRow]:
    """Return the rows after a step as reported, oldest first."""
    rows = RunMetric.objects.filter(run_id=run_id, step__gt=step).order_by("step").values_list("step", "at", "values")
    return [
        RunRow(step=at_step, at_ms=to_ms(at), values={name: _digits(value) for name, value in values.items()})
        for at_step, at, values in rows[:limit]
    ]


def run_last_rows(*, run_id: uuid.UUID, limit: int) -> list[dict[str, float]]:
    """Return the values of the newest rows, the newest first."""
    newest = RunMetric.objects.filter(run_id=run_id).order_by("-step")
    return list(newest.values_list("values", flat=True)[:limit])


def run_last_step(*, run_id: uuid.UUID) -> int:
    """Return the newest step with a row, 0 without."""
    newest: int | None = RunMetric.objects.filter(run_id=run_id).aggregate(newest=Max("step"))["newest"]
    return newest or 0


def _bounds(run_id: uuid.UUID, since_step: int | None, last_s: float | None) -> tuple[int, int] | None:
    """Return the first and the last step in question, None if there are none."""
    rows = RunMetric.objects.filter(run_id=run_id)
    if since_step is not None:
        rows = rows.filter(step__gt=since_step)
    newest = rows.order_by("-step").values_list("step", "at").first()
    if newest is None:
        return None
    last, at = newest
    if last_s is not None:
        rows = rows.filter(at__gt=at - timedelta(seconds=last_s))
    first: int = rows.aggregate(first=Min("step"))["first"]
    return first, last


def _aligned(names: list[str], parts: list[int], found: list[tuple[int, str, float, float, float]]) -> list[Series]:
    place = {part: index for index, part in enumerate(parts)}
    series = {name: Series(name) for name in names}
    for part, name, *numbers in found:
        one = series[name]
        if not one.mean:
            for values in (one.mean, one.low, one.high):
                values.extend([None] * len(parts))
        one.mean[place[part]], one.low[place[part]], one.high[place[part]] = map(_digits, numbers)
    return list(series.values())


def _digits(value: float) -> float:
    """Round to six digits: finer than any chart, and a third of the bytes."""
    return float(f"{value:.6g}")
