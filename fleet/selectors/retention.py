"""Which episodes a retention rule would remove, and what protects the others. Nothing here changes anything.

Never removed, whatever a rule says: episodes in a frozen dataset version, collected for one, or in an export under way;
episodes that a person judged, tagged or commented; demonstrations that nobody archived; and, unless the rule states it,
episodes in which somebody took over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum, Window
from django.db.models.functions import Coalesce

from fleet.models import DatasetCandidate, DatasetEpisode, Episode, Export, ExportEpisode, RetentionRule
from fleet.protocol.recording import Origin, Outcome, OutcomeSource

EXAMPLES = 5
KINDS: dict[str, Q] = {
    "failures": Q(outcome__in=[Outcome.FAILURE.value, Outcome.TIMEOUT.value]),
    "aborted": Q(outcome=Outcome.ABORTED.value),
    "evaluation": Q(origin=Origin.EVALUATION.value),
    "archived": Q(is_archived=True),
    "autonomous": Q(origin=Origin.ONLINE.value, human_steps=0),
}
_JUDGED = Q(outcome_source=OutcomeSource.PERSON.value) | ~Q(tags=[]) | ~Q(comment="")
_TOOK_OVER = Q(human_steps__gt=0) & ~Q(origin=Origin.DEMONSTRATION.value)


@dataclass(frozen=True)
class RetentionPreview:
    """What would go now, and how many of those that are old or many enough something protects, by what."""

    episodes: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None
    by_task: list[dict[str, object]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    protected: dict[str, int] = field(default_factory=dict)


def retention_doomed(*, rule: RetentionRule, now: datetime) -> QuerySet[Episode]:
    """Return the episodes that this rule removes now, those with the smallest number first."""
    return _due(rule, _looked_at(rule), now).exclude(_protected(rule)).order_by("index_seq")


def retention_preview(*, rule: RetentionRule, now: datetime) -> RetentionPreview:
    """Return what the rule, saved or not, would remove now."""
    doomed = retention_doomed(rule=rule, now=now)
    rows = doomed.order_by().values_list("id", "task__slug", "size_bytes", "ended_at")
    ids = list(rows.values_list("id", flat=True))
    chosen = Episode.objects.filter(id__in=ids)
    by_task = chosen.order_by().values("task__slug").annotate(episodes=Count("id"), bytes=Sum("size_bytes"))
    bounds = chosen.order_by("index_seq").values_list("ended_at", flat=True)
    return RetentionPreview(
        episodes=len(ids),
        bytes=sum(row["bytes"] for row in by_task),
        oldest=bounds.first(),
        newest=bounds.last(),
        by_task=[
            {"task": row["task__slug"], "episodes": row["episodes"], "bytes": row["bytes"]}
            for row in by_task.order_by("-bytes")
        ],
        examples=[str(row_id) for row_id in chosen.order_by("index_seq").values_list("id", flat=True)[:EXAMPLES]],
        protected=_protected_counts(rule, now),
    )


def protections(rule: RetentionRule) -> dict[str, Q]:
    """Return what protects an episode from this rule, by the word that people read."""
    by = {"episode": OuterRef("pk")}
    under_way = Export.objects.filter(state__in=Export.ACTIVE).values("id")
    found = {
        "in a dataset": Q(Exists(DatasetEpisode.objects.filter(**by)))
        | Q(Exists(DatasetCandidate.objects.filter(**by))),
        "being exported": Q(Exists(ExportEpisode.objects.filter(**by, export__in=under_way))),
        "judged, tagged or commented": _JUDGED,
        "demonstrations": Q(origin=Origin.DEMONSTRATION.value, is_archived=False),
        "taken over": _TOOK_OVER,
    }
    if rule.takes_interventions:
        del found["taken over"]
    return found


def _looked_at(rule: RetentionRule) -> QuerySet[Episode]:
    """Return the episodes of the rule's task and kinds."""
    chosen = Q()
    for kind in rule.kinds:
        chosen |= KINDS[kind]
    rows = Episode.objects.filter(chosen)
    if rule.task_id is not None:
        return rows.filter(task=rule.task_id)
    return rows.exclude(task__in=RetentionRule.objects.filter(task__isnull=False).values("task"))


def _due(rule: RetentionRule, rows: QuerySet[Episode], now: datetime) -> QuerySet[Episode]:
    """Return those that are too old, or beyond the bytes that are kept of what may go at all."""
    is_due = Q(pk__in=[])
    if rule.keep_days is not None:
        is_due |= Q(indexed_at__lt=now - timedelta(days=rule.keep_days))
    if rule.keep_bytes is not None:
        newer = Window(Sum("size_bytes"), partition_by=F("task"), order_by=F("index_seq").desc())
        beyond = rows.exclude(_protected(rule)).annotate(newer=newer).filter(newer__gt=rule.keep_bytes)
        is_due |= Q(pk__in=beyond.order_by().values("pk"))
    return rows.filter(is_due)


def _protected(rule: RetentionRule) -> Q:
    any_of = Q(pk__in=[])
    for condition in protections(rule).values():
        any_of |= condition
    return any_of


def _protected_counts(rule: RetentionRule, now: datetime) -> dict[str, int]:
    due = _due(rule, _looked_at(rule), now)
    counts = {
        f"n{number}": Count("pk", filter=condition) for number, condition in enumerate(protections(rule).values())
    }
    found = due.order_by().aggregate(**{name: Coalesce(count, 0) for name, count in counts.items()})
    return {word: found[f"n{number}"] for number, word in enumerate(protections(rule)) if found[f"n{number}"]}
