"""How long the loop takes, as percentiles over time: experience to the learner, versions to the robots, staleness.

The spans are those of selectors/latency.py, here computed in the database and cut into buckets. Percentiles lie between
values by linear interpolation; their 95 % interval is that of order statistics (normal approximation of the binomial).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

from django.db import connection
from django.db.models import DurationField, ExpressionWrapper, F, FloatField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast, Extract

from fleet import live
from fleet.models import Episode, PolicyDeployment, PolicyVersion
from fleet.selectors.metrics import MetricFilter
from fleet.selectors.statistics import Z

QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Reference:
    """Published figures to look at beside ours, in seconds."""

    source: str
    p50_s: float
    p99_s: float


@dataclass(frozen=True)
class Span:
    """`unit`: s or steps. `per`: what each value belongs to."""

    name: str
    title: str
    unit: str
    per: str
    definition: str
    reference: Reference | None = None


_LWD = "LWD, 16 actors, 8 h, 1,604 episodes"
_END = "From the episode's end on the robot until"
SPANS = (
    Span("captured_to_uploaded", "Upload lag", "s", "episode", f"{_END} its last byte was stored."),
    Span("uploaded_to_indexed", "Uploaded to indexed", "s", "episode", "From the last byte until it was registered."),
    Span("indexed_to_sampled", "Indexed to sampled", "s", "episode", "From registration to the learner's first draw."),
    Span(
        "episode_to_learner", "Episode to learner", "s", "episode", f"{_END} the learner first drew from it.",
        Reference(_LWD, 41, 148),
    ),
    Span(
        "trained_to_published", "Trained to published", "s", "version",
        "From the learner's last step of a version until it was published; the base does not count.",
    ),
    Span(
        "published_to_fetched", "Published to fetched", "s", "version and robot",
        "From publication until a robot had every byte.",
    ),
    Span(
        "published_to_applied", "Model to actor", "s", "version and robot",
        "From publication until a robot drives by it, which waits for its episode's end.", Reference(_LWD, 38, 55),
    ),
    Span(
        "staleness_s", "Staleness in time", "s", "episode",
        "When an episode began: how much later the newest version of its run was published than the one that drove.",
    ),
    Span(
        "staleness_steps", "Staleness in steps", "steps", "episode",
        "When an episode began: gradient steps between the newest version of its run and the one that drove.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Percentiles of n values; each as (value, low, high), the ends None where n is too small for them."""

    n: int
    p50: tuple[float | None, float | None, float | None]
    p90: tuple[float | None, float | None, float | None]
    p99: tuple[float | None, float | None, float | None]
    max: float | None


@dataclass(frozen=True)
class SpanSeries:
    """`points`: one a bucket."""

    span: Span
    total: Spread
    points: list[Spread]


EMPTY = Spread(0, (None, None, None), (None, None, None), (None, None, None), None)


def span_series(*, asked: MetricFilter, edges: Sequence[datetime]) -> list[SpanSeries]:
    """Return the percentiles of every span, over the whole range and by bucket.

    Episodes count when they ended, versions when they were published. Of versions only robots and runs are asked.
    """
    rows = _span_rows(asked)
    return [SpanSeries(span, *_percentiles(rows[span.name], edges)) for span in SPANS]


def span_total(*, name: str, asked: MetricFilter) -> Spread:
    """Return the percentiles of one span over the whole range, as `span_series` does."""
    return _percentiles(_span_rows(asked)[name], (asked.start, asked.end))[0]


def _span_rows(asked: MetricFilter) -> dict[str, QuerySet[Any, Any]]:
    return {
        "captured_to_uploaded": _between(asked.episodes(), "ended_at", "ended_at", "uploaded_at"),
        "uploaded_to_indexed": _between(asked.episodes(), "ended_at", "uploaded_at", "indexed_at"),
        "indexed_to_sampled": _between(asked.episodes(), "ended_at", "indexed_at", "first_sampled_at"),
        "episode_to_learner": _between(asked.episodes(), "ended_at", "ended_at", "first_sampled_at"),
        "trained_to_published": _between(_versions(asked), "published_at", "trained_at", "published_at"),
        "published_to_fetched": _between(
            _deployments(asked), "version__published_at", "version__published_at", "fetched_at"
        ),
        "published_to_applied": _between(
            _deployments(asked), "version__published_at", "version__published_at", "applied_at"
        ),
        "staleness_s": _between(_dated(asked), "ended_at", "policy_version__published_at", "newest_at"),
        "staleness_steps": _dated(asked)
        .annotate(at=F("ended_at"), span=Cast(F("newest_step") - F("policy_version__step"), FloatField()))
        .values("at", "span"),
    }


def backlog(*, asked: MetricFilter, edges: Sequence[datetime]) -> list[int]:
    """Count at each bucket's end the episodes that had ended on a robot and were not registered yet.

    Of those registered by now: what still lies on a robot is only known to it, see `pending_now`.
    """
    # Whoever ended before the range and was registered in it waited too.
    rows = Episode.objects.filter(asked.condition(), indexed_at__gt=edges[0], ended_at__lt=edges[-1])
    inner, parameters = rows.order_by().values("ended_at", "indexed_at").query.sql_with_params()
    statement = (
        "SELECT width_bucket(ended_at, edges), width_bucket(indexed_at, edges), count(*) "
        f"FROM ({inner}) AS e, (SELECT %s::timestamptz[] AS edges) AS given WHERE indexed_at > ended_at GROUP BY 1, 2"
    )
    changes = [0] * (len(edges) + 1)
    with connection.cursor() as cursor:
        cursor.execute(statement, [*parameters, list(edges)])
        for ended, indexed, count in cursor.fetchall():
            changes[ended] += count
            changes[indexed] -= count
    return list(accumulate(changes))[1 : len(edges)]


def pending_now(*, robot_ids: Sequence[uuid.UUID]) -> int:
    """Count the episodes that lie in the spools of these robots now; robots that are offline cannot say."""
    statuses = live.statuses_get(robot_ids)
    return sum(found.status.spool.pending_episodes for found in statuses if found is not None)


def _between(
    rows: QuerySet[Episode] | QuerySet[PolicyVersion] | QuerySet[PolicyDeployment], at: str, start: str, end: str
) -> QuerySet[Any, Any]:
    found = rows.filter(**{f"{start}__isnull": False, f"{end}__isnull": False})
    length = ExpressionWrapper(F(end) - F(start), output_field=DurationField())
    return found.order_by().annotate(at=F(at), span=Cast(Extract(length, "epoch"), FloatField())).values("at", "span")


def _versions(asked: MetricFilter) -> QuerySet[PolicyVersion]:
    found = PolicyVersion.objects.filter(number__gte=1, published_at__gte=asked.start, published_at__lt=asked.end)
    found = found.filter(run=asked.run) if asked.run is not None else found
    return found.filter(id__in=asked.versions) if asked.versions else found


def _deployments(asked: MetricFilter) -> QuerySet[PolicyDeployment]:
    """Deployments whose times were measured, see selectors/latency.py."""
    found = PolicyDeployment.objects.filter(
        asked.coverage.robots("robot_id"),
        fetched_at__isnull=False,
        applied_at__isnull=False,
        version__published_at__gte=asked.start,
        version__published_at__lt=asked.end,
    )
    found = found.filter(version__run=asked.run) if asked.run is not None else found
    found = found.filter(version__in=asked.versions) if asked.versions else found
    return found.filter(robot__in=asked.robots) if asked.robots else found


def _dated(asked: MetricFilter) -> QuerySet[Episode]:
    """Episodes that a version drove, with the newest version of its run that was out when they began."""
    out = PolicyVersion.objects.filter(
        run=OuterRef("policy_version__run"), published_at__lte=OuterRef("started_at")
    ).order_by("-published_at")
    rows = asked.episodes().filter(policy_version__isnull=False).order_by()
    newest_at, newest_step = Subquery(out.values("published_at")[:1]), Subquery(out.values("step")[:1])
    return rows.annotate(newest_at=newest_at, newest_step=newest_step).filter(
        newest_at__gte=F("policy_version__published_at")
    )


_RANKS = ", ".join(
    f"sorted[floor(n * {q} - {Z} * sqrt(n * {q} * {1 - q}))::int], "
    f"sorted[ceil(n * {q} + {Z} * sqrt(n * {q} * {1 - q}))::int + 1]"
    for q in QUANTILES
)
_PERCENTILES = """
SELECT bucket, n, middle[1], middle[2], middle[3], middle[4], {ranks}
FROM (
    SELECT width_bucket(at, %s::timestamptz[]) AS bucket, count(span) AS n,
           percentile_cont(ARRAY[0.5, 0.9, 0.99, 1.0]) WITHIN GROUP (ORDER BY span) AS middle,
           array_agg(span ORDER BY span) AS sorted
    FROM ({inner}) AS e WHERE span IS NOT NULL GROUP BY GROUPING SETS ((1), ())
) AS found WHERE n > 0
"""


def _percentiles(rows: QuerySet[Any, Any], edges: Sequence[datetime]) -> tuple[Spread, list[Spread]]:
    inner, parameters = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_PERCENTILES.format(ranks=_RANKS, inner=inner), [list(edges), *parameters])
        found = {bucket: _spread(*values) for bucket, *values in cursor.fetchall()}
    return found.get(None, EMPTY), [found.get(number, EMPTY) for number in range(1, len(edges))]


def _spread(n: int, p50: float, p90: float, p99: float, largest: float, *ends: float | None) -> Spread:
    return Spread(n, (p50, ends[0], ends[1]), (p90, ends[2], ends[3]), (p99, ends[4], ends[5]), largest)
