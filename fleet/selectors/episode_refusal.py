"""Episodes that were refused for good and lie on robots."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db.models import Count, QuerySet

from fleet.models import EpisodeRefusal, Robot


def episode_refusals(*, robot: Robot) -> QuerySet[EpisodeRefusal]:
    """Return a robot's, the newest first; at most SOP_REFUSALS_KEPT."""
    return EpisodeRefusal.objects.filter(robot=robot)


def episode_refusal_counts(*, robots: Sequence[Robot], since: datetime) -> Mapping[uuid.UUID, int]:
    """Return how many of each robot's episodes were refused since then; robots without one are left out."""
    rows = EpisodeRefusal.objects.filter(robot__in=robots, refused_at__gte=since)
    return dict(rows.order_by().values_list("robot").annotate(n=Count("id")))
