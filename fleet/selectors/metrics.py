"""The measures of selectors/measures.py over time and by task, robot or version, from the sums in the database.

Called by the API's charts and by whatever watches a number (`metric_now`). What a user may see is in the filter's
coverage, which comes from `fleet.access`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.postgres.fields import ArrayField
from django.db.models import Count, DateTimeField, F, Func, IntegerField, Q, QuerySet, Sum, Value
from django.utils import timezone

from fleet.coverage import WHOLE, Coverage
from fleet.errors import InvalidRequest
from fleet.models import Episode, EpisodeRollup, PolicyVersion, Robot, Task
from fleet.protocol.recording import Origin
from fleet.selectors.buckets import Buckets, buckets_of, widened
from fleet.selectors.measures import MEASURES, SUM_NAMES, Crew, Estimate, Split, Sums

MAX_GROUPS = 100  # of tasks, robots or versions in one answer; versions: the newest
GROUPS = {"task": "task_id", "robot": "robot_id", "version": "policy_version_id"}


@dataclass(frozen=True, kw_only=True)
class MetricFilter:
    """Which episodes count: those that ended in [start, end), whole quarters of an hour, and match every field.

    Empty fields ask nothing. `tasks` are slugs; `run`: driven by its versions. `archived`: "no", "only" or "any".
    `coverage`: what whoever asks sees.
    """

    start: datetime
    end: datetime
    tasks: tuple[str, ...] = ()
    robots: tuple[uuid.UUID, ...] = ()
    versions: tuple[uuid.UUID, ...] = ()
    run: uuid.UUID | None = None
    origin: str = Origin.ONLINE.value
    archived: str = "any"
    coverage: Coverage = WHOLE

    def condition(self) -> Q:
        """Return what both the episodes and their sums are filtered by, but for the time."""
        found = Q(origin=self.origin) & self.coverage.episodes()
        if self.tasks:
            found &= Q(task__slug__in=self.tasks)
        if self.robots:
            found &= Q(robot_id__in=self.robots)
        if self.versions:
            found &= Q(policy_version_id__in=self.versions)
        if self.run is not None:
            found &= Q(policy_version__run_id=self.run)
        return found if self.archived == "any" else found & Q(is_archived=self.archived == "only")

    def episodes(self) -> QuerySet[Episode]:
        return Episode.objects.filter(self.condition(), ended_at__gte=self.start, ended_at__lt=self.end)

    def rollups(self) -> QuerySet[EpisodeRollup]:
        return EpisodeRollup.objects.filter(self.condition(), quarter__gte=self.start, quarter__lt=self.end).order_by()


@dataclass(frozen=True)
class Point:
    """`estimates`: by measure, in the order they were asked for."""

    start: datetime
    end: datetime
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True)
class Group:
    """One task, robot or version. `key`: what the library's filter takes; "none" for episodes without one."""

    key: str
    label: str
    at: datetime | None
    sums: Split
    estimates: tuple[Estimate, ...]


def metrics_over_time(
    *, asked: MetricFilter, measures: Sequence[str], zone: ZoneInfo, size: str = "auto"
) -> tuple[Buckets, list[Point]]:
    """Return every bucket of the range with its estimates, empty buckets too. Raises: InvalidRequest."""
    buckets = buckets_of(start=asked.start, end=asked.end, zone=zone, size=size)
    edges = Value(list(buckets.edges), output_field=ArrayField(DateTimeField()))
    place = Func(F("quarter"), edges, function="width_bucket", output_field=IntegerField())
    splits = splits_of(asked.rollups().annotate(group=place))
    crew = metric_crew(asked=asked, measures=measures)
    points = [
        Point(start, end, _estimates(measures, splits.get(number, Split()), crew))
        for number, (start, end) in enumerate(zip(buckets.edges, buckets.edges[1:], strict=False), start=1)
    ]
    return buckets, points


def metrics_total(*, asked: MetricFilter, measures: Sequence[str]) -> tuple[Split, tuple[Estimate, ...]]:
    """Return the sums and the estimates of the whole range."""
    split = splits_of(asked.rollups().annotate(group=Value(0))).get(0, Split())
    return split, _estimates(measures, split, metric_crew(asked=asked, measures=measures))


def metrics_by(
    *, asked: MetricFilter, group: str, measures: Sequence[str], limit: int | None = MAX_GROUPS
) -> tuple[list[Group], int]:
    """Return the estimates of each task, robot or version, and how many groups were left out.

    `limit`: of groups, None for all. Tasks and robots by name; versions by age, of which the newest are kept.
    Groups without an episode in the range are missing.
    """
    splits = splits_of(asked.rollups().annotate(group=F(GROUPS[group])))
    names = _names(group, splits)
    crew = metric_crew(asked=asked, measures=measures)
    kept = names if limit is None else names[-limit:]
    found = [
        Group(str(key) if key is not None else "none", label, at, splits[key], _estimates(measures, splits[key], crew))
        for key, label, at in kept
    ]
    return found, len(names) - len(kept)


def metric_now(
    *,
    measure: str,
    window_s: float,
    task: str | None = None,
    robot: uuid.UUID | None = None,
    version: uuid.UUID | None = None,
    now: datetime | None = None,
) -> Estimate:
    """Return one measure of the episodes that ended in the last `window_s` seconds, widened to whole quarters.

    For whoever watches a number. Raises: InvalidRequest for an unknown measure or an empty window.
    """
    if measure not in MEASURES:
        raise InvalidRequest(f"there is no measure '{measure[:64]}'", field="measure")
    end = now or timezone.now()
    start, until = widened(end - timedelta(seconds=window_s), end)
    asked = MetricFilter(
        start=start,
        end=until,
        tasks=(task,) if task is not None else (),
        robots=(robot,) if robot is not None else (),
        versions=(version,) if version is not None else (),
    )
    return metrics_total(asked=asked, measures=[measure])[1][0]


def metric_crew(*, asked: MetricFilter, measures: Sequence[str]) -> Crew:
    """Count the people who drove and the robots that worked; only ROHE asks for them."""
    if "rohe" not in measures:
        return Crew()
    robots = asked.rollups().aggregate(found=Count("robot", distinct=True))["found"]
    helped = asked.episodes().filter(human_steps__gt=0).annotate(operator=Func(F("operators"), function="unnest"))
    return Crew(max(1, helped.values("operator").distinct().count()), max(1, robots))


def splits_of(rows: QuerySet[Any]) -> dict[Any, Split]:
    """Sum annotated rows by their `group`."""
    totals = {f"{name}_sum": Sum(name) for name in SUM_NAMES}
    found: dict[Any, dict[bool, Sums]] = {}
    for group, is_assisted, *values in rows.values_list("group", "is_assisted").annotate(**totals):
        found.setdefault(group, {})[is_assisted] = Sums(*(int(value) for value in values))
    splits = {key: Split(parts.get(False, Sums()), parts.get(True, Sums())) for key, parts in found.items()}
    return {key: split for key, split in splits.items() if split.all.episodes}


def _estimates(measures: Iterable[str], split: Split, crew: Crew) -> tuple[Estimate, ...]:
    return tuple(MEASURES[name].of(split, crew) for name in measures)


def _names(group: str, keys: Iterable[Any]) -> list[tuple[Any, str, datetime | None]]:
    ids = [key for key in keys if key is not None]
    rows: list[tuple[Any, str, datetime | None]]
    if group == "task":
        rows = [(pk, slug, None) for pk, slug in Task.objects.filter(id__in=ids).values_list("id", "slug")]
    elif group == "robot":
        rows = [(pk, name, None) for pk, name in Robot.objects.filter(id__in=ids).values_list("id", "name")]
    else:
        versions = PolicyVersion.objects.filter(id__in=ids).order_by("published_at", "number")
        found = versions.values_list("id", "number", "run__name", "published_at")
        rows = [(pk, f"v{number} of {run}", at) for pk, number, run, at in found]
    if group != "version":
        rows.sort(key=lambda row: row[1])
    return [(None, f"no {group}", None), *rows] if None in set(keys) else rows
