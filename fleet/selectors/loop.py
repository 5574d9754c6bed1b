"""How long the loop takes, as percentiles over time: experience to the learner, versions to the robots, staleness.

The spans are those of selectors/latency.py, here cut into buckets. Percentiles lie between values by linear
interpolation; their 95 % interval is that of order statistics (normal approximation of the binomial).
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from django.db.models import QuerySet

from fleet import live
from fleet.models import Episode, PolicyDeployment, PolicyVersion
from fleet.selectors.columns import (
    MISSING,
    SECOND_US,
    Groups,
    Numbers,
    PackedNumbers,
    PackedTimes,
    Values,
    grouped,
    microseconds,
    moment,
    numbers,
)
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


Dated = tuple[Numbers, Values]  # when each value counts, in microseconds, and the values [N]


class _Episodes(NamedTuple):
    """Columns of episodes [N]; `published` and `step` are of the version that drove."""

    started: Numbers
    ended: Numbers
    uploaded: Numbers
    indexed: Numbers
    sampled: Numbers
    published: Numbers
    step: Numbers


def span_series(*, asked: MetricFilter, edges: Sequence[datetime]) -> list[SpanSeries]:
    """Return the percentiles of every span, over the whole range and by bucket.

    Episodes count when they ended, versions when they were published. Of versions only robots and runs are asked.
    """
    found = {name: dated for read in _READ.values() for name, dated in read(asked).items()}
    return [SpanSeries(span, *_percentiles(found[span.name], edges)) for span in SPANS]


def span_total(*, name: str, asked: MetricFilter) -> Spread:
    """Return the percentiles of one span over the whole range, as `span_series` does."""
    (per,) = (span.per for span in SPANS if span.name == name)
    return _percentiles(_READ[per](asked)[name], (asked.start, asked.end))[0]


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


def _episode_spans(asked: MetricFilter) -> dict[str, Dated]:
    runs = _episodes_by_run(asked)
    whole = _Episodes(*(np.concatenate([np.empty(0, np.int64), *parts]) for parts in zip(*runs.values(), strict=True)))
    seconds, steps = _staleness({run: columns for run, columns in runs.items() if run is not None})
    return {
        "captured_to_uploaded": _between(whole.ended, whole.ended, whole.uploaded),
        "uploaded_to_indexed": _between(whole.ended, whole.uploaded, whole.indexed),
        "indexed_to_sampled": _between(whole.ended, whole.indexed, whole.sampled),
        "episode_to_learner": _between(whole.ended, whole.ended, whole.sampled),
        "staleness_s": seconds,
        "staleness_steps": steps,
    }


def _episodes_by_run(asked: MetricFilter) -> dict[uuid.UUID | None, _Episodes]:
    """Return the episodes by the run of the version that drove; those of none always, though there be none."""
    names = ("started_at", "ended_at", "uploaded_at", "indexed_at", "first_sampled_at", "policy_version__published_at")
    packed = {f"packed_{place}": PackedTimes(name) for place, name in enumerate(names)}
    rows = asked.episodes().order_by().values_list("policy_version__run")
    found = rows.annotate(**packed, packed_step=PackedNumbers("policy_version__step"))
    none = {None: _Episodes(*[np.empty(0, np.int64)] * len(_Episodes._fields))}
    return none | {run: _Episodes(*map(numbers, columns)) for run, *columns in found}


def _staleness(runs: Mapping[uuid.UUID, _Episodes]) -> tuple[Dated, Dated]:
    """Hold each episode's version against the newest one of its run that was out when it began; in seconds and steps.

    An episode that began before its own version was out, by its robot's clock, does not count.
    """
    parts = [_staleness_of(runs[run], published, step) for run, published, step in _versions_of(runs)]
    at = np.concatenate([np.empty(0, np.int64), *(part[0] for part in parts)])
    seconds, steps = (np.concatenate([np.empty(0), *(part[place] for part in parts)]) for place in (1, 2))
    return (at, seconds), (at, steps)


def _staleness_of(episodes: _Episodes, published: Numbers, step: Numbers) -> tuple[Numbers, Values, Values]:
    newest = np.searchsorted(published, episodes.started, side="right") - 1
    is_dated = (newest >= 0) & (published[newest] >= episodes.published)
    newest = newest[is_dated]
    seconds = (published[newest] - episodes.published[is_dated]) / SECOND_US
    return episodes.ended[is_dated], seconds, (step[newest] - episodes.step[is_dated]).astype(np.float64)


def _versions_of(runs: Mapping[uuid.UUID, _Episodes]) -> Iterator[tuple[uuid.UUID, Numbers, Numbers]]:
    """Yield each run with the versions that may be the newest of an episode, the oldest first: when published, step."""
    if not runs:
        return
    oldest = min(episodes.published.min() for episodes in runs.values())
    newest = max(episodes.started.max() for episodes in runs.values())
    out = PolicyVersion.objects.filter(run__in=runs, published_at__gte=moment(oldest), published_at__lte=moment(newest))
    packed = out.order_by().values_list("run").annotate(at=PackedTimes("published_at"), steps=PackedNumbers("step"))
    for run, at, steps in packed:
        published = numbers(at)
        order = np.argsort(published)
        yield run, published[order], numbers(steps)[order]


def _version_spans(asked: MetricFilter) -> dict[str, Dated]:
    found = PolicyVersion.objects.filter(number__gte=1, published_at__gte=asked.start, published_at__lt=asked.end)
    found = found.filter(run=asked.run) if asked.run is not None else found
    found = found.filter(id__in=asked.versions) if asked.versions else found
    trained, published = _packed(found, "trained_at", "published_at")
    return {"trained_to_published": _between(published, trained, published)}


def _deployment_spans(asked: MetricFilter) -> dict[str, Dated]:
    """Of deployments whose times were measured, see selectors/latency.py."""
    found = PolicyDeployment.objects.filter(
        asked.coverage.robots("robot_id"),
        fetched_at__isnull=False,
        applied_at__isnull=False,
        version__published_at__gte=asked.start,
        version__published_at__lt=asked.end,
    )
    found = found.filter(version__run=asked.run) if asked.run is not None else found
    found = found.filter(version__in=asked.versions) if asked.versions else found
    found = found.filter(robot__in=asked.robots) if asked.robots else found
    published, fetched, applied = _packed(found, "version__published_at", "fetched_at", "applied_at")
    return {
        "published_to_fetched": _between(published, published, fetched),
        "published_to_applied": _between(published, published, applied),
    }


_READ: Mapping[str, Callable[[MetricFilter], dict[str, Dated]]] = {
    "episode": _episode_spans,
    "version": _version_spans,
    "version and robot": _deployment_spans,
}


def _packed(rows: QuerySet[Any], *names: str) -> list[Numbers]:
    packed = rows.order_by().aggregate(**{name: PackedTimes(name) for name in names})
    return [numbers(packed[name]) for name in names]


def _between(at: Numbers, start: Numbers, end: Numbers) -> Dated:
    """Return the seconds of those that have both ends."""
    is_whole = (start != MISSING) & (end != MISSING)
    return at[is_whole], (end - start)[is_whole] / SECOND_US


def _percentiles(dated: Dated, edges: Sequence[datetime]) -> tuple[Spread, list[Spread]]:
    at, values = dated
    places = np.searchsorted(np.array([microseconds(edge) for edge in edges]), at, side="right") - 1
    whole, buckets = grouped(values, places, len(edges) - 1)
    return _spreads(whole)[0], _spreads(buckets)


def _spreads(groups: Groups) -> list[Spread]:
    sizes = groups.sizes
    columns = []
    for share in QUANTILES:
        around = Z * np.sqrt(sizes * share * (1 - share))
        low = groups.at(np.floor(sizes * share - around).astype(np.int64) - 1)
        high = groups.at(np.ceil(sizes * share + around).astype(np.int64))
        columns += [groups.quantile(share), low, high]
    columns.append(groups.at(sizes - 1))
    rows = np.column_stack(columns).tolist()
    return [_spread(n, row) for n, row in zip(sizes.tolist(), rows, strict=True)]


def _spread(n: int, row: Sequence[float]) -> Spread:
    known = [None if math.isnan(value) else value for value in row]
    return Spread(
        n, (known[0], known[1], known[2]), (known[3], known[4], known[5]), (known[6], known[7], known[8]), known[9]
    )
