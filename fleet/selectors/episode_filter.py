"""Which episodes a person asks for: one filter for the list, its counts, bulk changes and saved filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from fleet.models import Episode

NONE = "none"  # stands for the episodes without a robot, or without a policy version


@dataclass(frozen=True, kw_only=True)
class EpisodeFilter:
    """Of several values of one field any may hold; of several fields all must. Empty fields ask nothing.

    task: slugs. robot, policy_version: ids or "none". source: who drove some of it. outcome_source: whose word the
    outcome is. share_*: human steps of all steps, in [0, 1], both inclusive. ended_from <= ended_at < ended_until.
    text: every word must occur in what `episode_search_text` holds. archived, damaged (objects that the
    last verification missed or found changed): "no", "only" or "any".
    """

    task: tuple[str, ...] = ()
    robot: tuple[str, ...] = ()
    policy_version: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    outcome_source: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    operator: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    share_min: float | None = None
    share_max: float | None = None
    ended_from: datetime | None = None
    ended_until: datetime | None = None
    text: str = ""
    archived: str = "no"
    damaged: str = "any"


def _ids(field: str) -> Callable[[tuple[str, ...]], Q]:
    def condition(values: tuple[str, ...]) -> Q:
        known = Q(**{f"{field}__in": [value for value in values if value != NONE]})
        return known | Q(**{f"{field}__isnull": True}) if NONE in values else known

    return condition


# Facet -> the condition that its chosen values make. Their counts are in selectors/episode_counts.py.
FACETS: dict[str, Callable[[tuple[str, ...]], Q]] = {
    "task": lambda values: Q(task__slug__in=values),
    "robot": _ids("robot_id"),
    "policy_version": _ids("policy_version_id"),
    "outcome": lambda values: Q(outcome__in=values),
    "outcome_source": lambda values: Q(outcome_source__in=values),
    "origin": lambda values: Q(origin__in=values),
    "source": lambda values: Q(sources__overlap=list(values)),
    "operator": lambda values: Q(operators__overlap=list(values)),
    "tag": lambda values: Q(tags__overlap=list(values)),
}


def episodes_filter(rows: QuerySet[Episode], asked: EpisodeFilter, *, leave_out: str = "") -> QuerySet[Episode]:
    """Return those of `rows` that the filter asks for. `leave_out`: a facet whose values do not count."""
    for facet, condition in FACETS.items():
        values = getattr(asked, facet)
        if values and facet != leave_out:
            rows = rows.filter(condition(values))
    ranges = {
        "human_share__gte": asked.share_min,
        "human_share__lte": asked.share_max,
        "ended_at__gte": asked.ended_from,
        "ended_at__lt": asked.ended_until,
    }
    rows = rows.filter(**{lookup: value for lookup, value in ranges.items() if value is not None})
    for word in asked.text.lower().split():
        rows = rows.filter(search_text__contains=word)
    if asked.damaged != "any":
        rows = rows.exclude(damage="") if asked.damaged == "only" else rows.filter(damage="")
    return rows if asked.archived == "any" else rows.filter(is_archived=asked.archived == "only")
