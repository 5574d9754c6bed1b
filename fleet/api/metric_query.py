"""What every chart is asked with: a range, tasks, robots, versions, a time zone; checked against what the user sees."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request

from fleet.access import (
    access_policy_versions,
    access_robots,
    access_tasks,
    access_training_run_by_id,
    coverage_of,
)
from fleet.errors import InvalidRequest, NotFound
from fleet.models import Robot
from fleet.protocol.recording import Origin
from fleet.selectors.buckets import SIZES, widened, zone_named
from fleet.selectors.measures import MEASURES
from fleet.selectors.metrics import MetricFilter

MAX_CHOSEN = 200  # values of one filter
YEARS_S = 20 * 365 * 86400


class MetricQueryIn(serializers.Serializer[Any]):
    """`since` and `until` together, else the last `last_s` seconds. Ranges are widened to whole quarters of an hour."""

    since = serializers.DateTimeField(required=False, default=None, help_text="Inclusive. With `until`.")
    until = serializers.DateTimeField(required=False, default=None, help_text="Exclusive. With `since`.")
    last_s = serializers.IntegerField(min_value=900, max_value=YEARS_S, default=86400)
    task = serializers.ListField(child=serializers.SlugField(), default=list, max_length=MAX_CHOSEN)
    robot = serializers.ListField(child=serializers.UUIDField(), default=list, max_length=MAX_CHOSEN)
    version = serializers.ListField(child=serializers.UUIDField(), default=list, max_length=MAX_CHOSEN)
    run = serializers.UUIDField(required=False, default=None, help_text="Only episodes that its versions drove.")
    origin = serializers.ChoiceField(choices=[str(v) for v in Origin], default=Origin.ONLINE.value)
    archived = serializers.ChoiceField(choices=["any", "no", "only"], default="any")
    tz = serializers.CharField(max_length=64, default="UTC", help_text="IANA name: whose hours, days and weeks.")
    by = serializers.ChoiceField(choices=["auto", *SIZES], default="auto", help_text="Size of a bucket.")
    measure = serializers.ListField(
        child=serializers.ChoiceField(choices=list(MEASURES)), default=list, max_length=len(MEASURES)
    )


@dataclass(frozen=True)
class MetricQuery:
    """`measures`: those asked for, else all."""

    asked: MetricFilter
    zone: ZoneInfo
    size: str
    measures: tuple[str, ...]


def metric_query(request: Request, *, now: datetime | None = None) -> MetricQuery:
    """Parse and check. Raises: ValidationError, InvalidRequest; NotFound for what is unknown or not to be seen."""
    query = MetricQueryIn(data=request.query_params)
    query.is_valid(raise_exception=True)
    values = query.validated_data
    start, end = metric_range(values["since"], values["until"], values["last_s"], now or timezone.now())
    user = request.user
    if values["run"] is not None:
        access_training_run_by_id(user, values["run"])
    _check(values["task"], lambda given: access_tasks(user).filter(slug__in=given).count(), "task")
    _check(values["robot"], lambda given: access_robots(user).filter(id__in=given).count(), "robot")
    _check(values["version"], lambda given: access_policy_versions(user).filter(id__in=given).count(), "version")
    asked = MetricFilter(
        start=start,
        end=end,
        tasks=tuple(values["task"]),
        robots=tuple(values["robot"]),
        versions=tuple(values["version"]),
        run=values["run"],
        origin=values["origin"],
        archived=values["archived"],
        coverage=coverage_of(user),
    )
    measures = tuple(dict.fromkeys(values["measure"])) or tuple(MEASURES)
    return MetricQuery(asked, zone_named(values["tz"]), values["by"], measures)


def metric_range(
    since: datetime | None, until: datetime | None, last_s: int, now: datetime
) -> tuple[datetime, datetime]:
    """Return the range in whole quarters of an hour. Raises: InvalidRequest."""
    if (since is None) != (until is None):
        raise InvalidRequest("give both 'since' and 'until', or neither", field="since" if since is None else "until")
    if since is None or until is None:
        since, until = now - timedelta(seconds=last_s), now
    try:
        return widened(since, until)
    except OverflowError:
        raise InvalidRequest("the range reaches beyond the years that there are", field="since") from None


def metric_robots(request: Request, asked: MetricFilter) -> list[Robot]:
    """Return the robots of the filter that this user may see, or all of them, by name."""
    found = access_robots(request.user).order_by("name")
    return list(found.filter(id__in=asked.robots) if asked.robots else found)


def _check(given: list[str] | list[uuid.UUID], count: Callable[[list[Any]], int], noun: str) -> None:
    wanted: list[Any] = list(dict.fromkeys(given))
    if wanted and count(wanted) != len(wanted):
        raise NotFound(f"there is no such {noun}")
