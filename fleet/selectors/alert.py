"""Alerts as people read them."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from fleet.models import Alert

MAX_OPEN = 500  # in one answer; the newest


@dataclass(frozen=True)
class OpenAlerts:
    """`results`: the newest; `total` and `unacknowledged` count all that are open."""

    results: list[Alert]
    total: int
    unacknowledged: int


def alerts_open(alerts: QuerySet[Alert]) -> OpenAlerts:
    """Return what is open now of the alerts that somebody sees."""
    rows = alerts.filter(resolved_at__isnull=True)
    waiting = rows.filter(acknowledged_at__isnull=True).count()
    return OpenAlerts(list(rows.order_by("-opened_at", "id")[:MAX_OPEN]), rows.count(), waiting)
