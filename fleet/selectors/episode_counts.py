"""How many episodes a filter finds, and how many each further choice would leave.

A facet is counted with every filter but its own: choosing one task still shows how many the others have. Facets
without a choice share one scan (GROUPING SETS); each with a choice needs another. Lists of values (tags, people) are
grouped whole and added up here, since few different lists exist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import QuerySet

from fleet.coverage import WHOLE, Coverage
from fleet.models import Episode, PolicyVersion, Robot, Task
from fleet.selectors.episode_filter import FACETS, NONE, EpisodeFilter, episodes_filter

MAX_VALUES = 100  # of a facet, by count; chosen values always stay
_COLUMNS = {
    "task": "task_id",
    "robot": "robot_id",
    "policy_version": "policy_version_id",
    "outcome": "outcome",
    "outcome_source": "outcome_source",
    "origin": "origin",
    "source": "sources",
    "operator": "operators",
    "tag": "tags",
}


@dataclass(frozen=True)
class FacetValue:
    """`value` is what the filter takes, `label` what people read."""

    value: str
    label: str
    count: int


@dataclass(frozen=True)
class EpisodeCounts:
    """`facets`: by name, the most frequent values first."""

    total: int
    facets: dict[str, list[FacetValue]]


def episode_counts(rows: QuerySet[Episode], asked: EpisodeFilter, *, coverage: Coverage = WHOLE) -> EpisodeCounts:
    """Count what `asked` finds among `rows`, as a whole and by each facet's values.

    A robot that was asked for and is not covered keeps its id as its label.
    """
    chosen = [facet for facet in FACETS if getattr(asked, facet)]
    total, counts = _counted(episodes_filter(rows, asked), [facet for facet in FACETS if facet not in chosen])
    for facet in chosen:
        _, others = _counted(episodes_filter(rows, asked, leave_out=facet), [facet])
        counts |= others
    facets = {facet: _values(facet, counts[facet], getattr(asked, facet), coverage) for facet in FACETS}
    return EpisodeCounts(total=total, facets=facets)


def _counted(rows: QuerySet[Episode], facets: Sequence[str]) -> tuple[int, dict[str, Counter[str]]]:
    """Return the number of rows, and for each facet how many have which value."""
    columns = [_COLUMNS[facet] for facet in facets]
    if not columns:
        return rows.count(), {}
    inner, parameters = rows.order_by().values(*columns).query.sql_with_params()
    names = ", ".join(columns)  # of _COLUMNS, never of a request
    sets = ", ".join(f"({name})" for name in columns)
    statement = f"SELECT GROUPING({names}), COUNT(*), {names} FROM ({inner}) AS e GROUP BY GROUPING SETS ({sets}, ())"
    counts: dict[str, Counter[str]] = {facet: Counter() for facet in facets}
    total = 0
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        for left_out, count, *values in cursor.fetchall():
            # GROUPING has a bit for each column, the first the highest, that is 0 where the column was grouped by.
            place = next((k for k in range(len(columns)) if not left_out >> (len(columns) - 1 - k) & 1), None)
            if place is None:
                total = count
                continue
            value = values[place]
            for each in value if isinstance(value, list) else (NONE if value is None else str(value),):
                counts[facets[place]][each] += count
    return total, counts


def _values(facet: str, counts: Counter[str], chosen: tuple[str, ...], coverage: Coverage) -> list[FacetValue]:
    if facet == "task":  # counted by id, filtered by slug
        slugs = {str(row_id): slug for row_id, slug in Task.objects.values_list("id", "slug")}
        counts = Counter({slugs[value]: count for value, count in counts.items()})
    kept = dict(counts.most_common(MAX_VALUES)) | {value: counts.get(value, 0) for value in chosen}
    labels = _labels(facet, [value for value in kept if value != NONE], coverage)
    found = [FacetValue(value, labels.get(value, value), count) for value, count in kept.items()]
    return sorted(found, key=lambda each: (-each.count, each.label))


def _labels(facet: str, ids: list[str], coverage: Coverage) -> dict[str, str]:
    """Return how people call the rows that are counted by id."""
    if facet == "robot":
        robots = Robot.objects.filter(coverage.robots(), id__in=ids)
        return {str(row_id): name for row_id, name in robots.values_list("id", "name")}
    if facet == "policy_version":
        found = PolicyVersion.objects.filter(id__in=ids).values_list("id", "number", "run__name")
        return {str(row_id): f"v{number} of {run}" for row_id, number, run in found}
    return {}
