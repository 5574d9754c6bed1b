"""Alerts over time: evaluated every few seconds by Celery beat, acknowledged by people, forgotten when they are old.

Evaluating twice is evaluating once: the rule's row is locked, a second worker passes it by, and the database holds at
most one open alert of a rule and subject.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from fleet.errors import NotFound
from fleet.events import hint_consoles
from fleet.models import Alert, AlertRule
from fleet.selectors.alert_reading import Finding, Reading, alert_readings, scope_of
from fleet.services.alert_tell import alert_resolve, alerts_tell
from fleet.services.audit import audit_record
from fleet.services.text import clean_text

logger = logging.getLogger(__name__)

MAX_NOTE = 1000
MAX_OPEN = 200  # of one rule; beyond it the fleet has one problem, not many
PRUNED = 5000  # rows an evaluation at most


def alerts_evaluate(*, now: datetime | None = None) -> int:
    """Bring every rule's alerts to what it finds now; return how many rules were looked at.

    A rule that fails is logged and leaves the others alone.
    """
    at, looked = now or timezone.now(), 0
    for rule_id in AlertRule.objects.filter(is_enabled=True).values_list("id", flat=True):
        try:
            looked += _evaluate(rule_id, at)
        except Exception:  # whatever a selector raises: the other rules must go on
            logger.exception("alert rule failed", extra={"event": {"rule": str(rule_id)}})
    _prune(at)
    return looked


@transaction.atomic
def alert_acknowledge(*, alert_id: uuid.UUID, user: AbstractBaseUser, note: str = "") -> Alert:
    """Say that somebody looks after an alert; the first who said so stays, the note may be written anew.

    Raises: NotFound, InvalidRequest.
    """
    alert = Alert.objects.select_for_update().filter(id=alert_id).first()
    if alert is None:
        raise NotFound("there is no such alert")
    before = {"acknowledged_by": alert.acknowledged_by_name, "note": alert.note}
    alert.note = clean_text(note, field="note", limit=MAX_NOTE, allowed="\n\t")
    if alert.acknowledged_at is None:
        alert.acknowledged_at, alert.acknowledged_by_name = timezone.now(), user.get_username()
        alert.acknowledged_by_id = user.pk
    alert.save(update_fields=["note", "acknowledged_at", "acknowledged_by_name", "acknowledged_by"])
    after = {"acknowledged_by": alert.acknowledged_by_name, "note": alert.note}
    audit_record(action="alert.acknowledge", subject=alert, before=before, after=after)
    hint_consoles("alerts", alert.id)
    return alert


@transaction.atomic
def _evaluate(rule_id: uuid.UUID, now: datetime) -> bool:
    rows = AlertRule.objects.select_for_update(skip_locked=True).filter(id=rule_id, is_enabled=True)
    rule = rows.first()
    if rule is None:
        return False
    readings = alert_readings(kind=rule.kind, params=rule.params, scope=scope_of(rule), now=now)
    still = Alert.objects.select_for_update().filter(rule=rule, resolved_at__isnull=True).order_by("id")
    alerts = {(alert.subject_kind, alert.subject_id): alert for alert in still}
    room = MAX_OPEN - len(alerts)
    for reading in readings:
        alert = alerts.pop((reading.subject_kind.value, reading.subject_id), None)
        if alert is not None:
            _follow(rule, alert, reading, now)
        elif reading.finding is Finding.FIRING and room > 0:
            room -= 1
            _open(rule, reading, now)
    for alert in alerts.values():  # what is not measured any more
        _clear(rule, alert, Alert.Resolution.GONE, "", now)
    alerts_tell(rule=rule, now=now)
    AlertRule.objects.filter(id=rule.id).update(evaluated_at=now)
    return True


def _open(rule: AlertRule, reading: Reading, now: datetime) -> None:
    alert = Alert.objects.create(
        rule=rule,
        rule_name=rule.name,
        kind=rule.kind,
        severity=rule.severity,
        subject_kind=reading.subject_kind,
        subject_id=reading.subject_id,
        subject_name=reading.subject_name[:200],
        opened_at=now,
        last_seen_at=now,
        **_found(reading),
    )
    hint_consoles("alerts", alert.id)
    logger.info("alert opened", extra={"event": {"alert": str(alert.id), "rule": rule.name, "text": alert.text}})


def _found(reading: Reading) -> dict[str, object]:
    names = ("unit", "value", "low", "high", "n")
    return {**{name: getattr(reading, name) for name in names}, "text": reading.text[:500]}


def _follow(rule: AlertRule, alert: Alert, reading: Reading, now: datetime) -> None:
    """Keep an open alert up to date, or let it resolve once the condition was gone for long enough."""
    if reading.finding is Finding.CLEAR:
        _clear(rule, alert, Alert.Resolution.RECOVERED, reading.text, now)
        return
    values: dict[str, object] = {"clear_since": None}
    if reading.finding is Finding.FIRING:
        values |= {"last_seen_at": now, **_found(reading)}
    for name, value in values.items():
        setattr(alert, name, value)
    alert.save(update_fields=list(values))


def _clear(rule: AlertRule, alert: Alert, resolution: Alert.Resolution, text: str, now: datetime) -> None:
    since = alert.clear_since or now
    if now - since >= timedelta(seconds=rule.clear_after_s):
        alert_resolve(alert=alert, resolution=resolution, text=text, now=now)
    elif alert.clear_since is None:
        alert.clear_since = now
        alert.save(update_fields=["clear_since"])


def _prune(now: datetime) -> None:
    old = Alert.objects.filter(resolved_at__lt=now - timedelta(days=settings.SOP_ALERT_DAYS))
    Alert.objects.filter(id__in=old.order_by("resolved_at").values("id")[:PRUNED]).delete()
