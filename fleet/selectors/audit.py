"""The audit log, searched."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from django.db.models import Q, QuerySet

from fleet.models import AuditEntry

MAX_FACETS = 500


class AuditFilter(TypedDict, total=False):
    """What is left out, or empty, does not narrow. `action`: of one kind ("lease.take") or of all ("lease")."""

    actor: str
    action: str
    kind: str
    object: str  # its id, or a part of its name
    since: datetime | None
    until: datetime | None


def audit_filter(rows: QuerySet[AuditEntry], asked: AuditFilter) -> QuerySet[AuditEntry]:
    """Return the entries that fit, in no order."""
    if actor := asked.get("actor"):
        rows = rows.filter(actor_name=actor)
    if action := asked.get("action"):
        rows = rows.filter(Q(action=action) | Q(action__startswith=f"{action}."))
    if kind := asked.get("kind"):
        rows = rows.filter(object_kind=kind)
    if subject := asked.get("object"):
        rows = rows.filter(Q(object_id=subject) | Q(object_name__icontains=subject))
    if since := asked.get("since"):
        rows = rows.filter(at__gte=since)
    if until := asked.get("until"):
        rows = rows.filter(at__lt=until)
    return rows


def audit_facets(rows: QuerySet[AuditEntry]) -> dict[str, list[str]]:
    """Return who and what there is to choose from."""
    return {
        name: list(rows.order_by(field).values_list(field, flat=True).distinct()[:MAX_FACETS])
        for name, field in (("actors", "actor_name"), ("actions", "action"), ("kinds", "object_kind"))
    }
