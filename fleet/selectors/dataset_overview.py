"""What the rows say about a version: tasks, splits, policy versions, robots, people. What the steps say is read by
`services/dataset_describe.py`."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, Max, Min, Q, Sum

from fleet.models import DatasetEpisode, DatasetVersion
from fleet.protocol.recording import Outcome

MAX_NAMED = 100  # tasks, robots, ... of each kind, the most frequent first; the rest is counted as `others`
_SUCCESS = Count("id", filter=Q(outcome=Outcome.SUCCESS.value))
_TERMINATED = Count("id", filter=~Q(outcome=Outcome.ABORTED.value))


def dataset_overview(*, version: DatasetVersion) -> dict[str, Any]:
    """Return JSON: lists of counts by kind, the time of recording, and how many episodes a person took over."""
    rows = DatasetEpisode.objects.filter(version=version).order_by()
    whole = rows.aggregate(
        first=Min("episode__started_at"),
        last=Max("episode__ended_at"),
        helped=Count("id", filter=Q(episode__human_steps__gt=0, episode__human_steps__lt=F("episode__steps"))),
        demonstrated=Count("id", filter=Q(episode__human_steps=F("episode__steps"))),
    )
    return {
        "recorded_from": whole["first"].isoformat(),
        "recorded_until": whole["last"].isoformat(),
        "episodes_with_takeover": whole["helped"],
        "episodes_driven_by_people": whole["demonstrated"],
        "splits": _grouped(rows, name=F("split")),
        "tasks": _grouped(rows, name=F("episode__task__slug")),
        "outcomes": _grouped(rows, name=F("outcome")),
        "origins": _grouped(rows, name=F("episode__origin")),
        "robots": _grouped(rows.filter(episode__robot__isnull=False), name=F("episode__robot__name")),
        "policy_versions": _grouped(
            rows.filter(episode__policy_version__isnull=False),
            name=F("episode__policy_version__run__name"),
            number=F("episode__policy_version__number"),
        ),
        "operators": _operators(rows),
        "steps_read": {"episodes": 0, "unreadable": 0, "problems": []},
        "features": [],
    }


def _grouped(rows: Any, **keys: Any) -> list[dict[str, Any]]:
    counts = {
        "episodes": Count("id"),
        "frames": Sum("episode__steps"),
        "human_frames": Sum("episode__human_steps"),
        "successes": _SUCCESS,
        "terminated": _TERMINATED,
    }
    found = rows.values(**keys).annotate(**counts).order_by("-episodes", *keys)
    return list(found[:MAX_NAMED])


def _operators(rows: Any) -> list[dict[str, Any]]:
    """Whoever drove some of an episode counts it."""
    found = (
        rows.filter(episode__segments__operator__gt="")
        .values(name=F("episode__segments__operator"))
        .annotate(
            episodes=Count("id", distinct=True), frames=Sum(F("episode__segments__end") - F("episode__segments__start"))
        )
        .order_by("-episodes", "name")
    )
    return list(found[:MAX_NAMED])
