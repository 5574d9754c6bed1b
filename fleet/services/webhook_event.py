"""What happens, told to webhooks: called by the services whose transaction it happens in.

The deliveries are rows of that same transaction, so an event is kept exactly if what it tells of is; sending them is
services/webhook_delivery.py's matter.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from django.db.models import F
from django.utils import timezone

from fleet.models import Alert, Episode, Export, HelpRequest, PolicyVersion, Webhook, WebhookDelivery
from fleet.queue import enqueue_webhook_drain

logger = logging.getLogger(__name__)

MAX_PENDING = 10_000  # a receiver; what happens beyond is counted in `dropped` and not kept


def webhook_event_emit(*, event: Webhook.Event, data: Mapping[str, object]) -> int:
    """Keep one message a receiver of `event` and send it on commit; return how many. Call it within a transaction."""
    subscribed = Webhook.objects.filter(is_active=True, events__contains=[event.value])
    receivers = list(subscribed.only("id").order_by("id"))
    if not receivers:
        return 0
    now, event_id = timezone.now(), uuid.uuid4()
    payload = {"type": event.value, "timestamp": now.isoformat(), "data": dict(data)}
    taking = [webhook for webhook in receivers if _has_room(webhook)]
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            webhook=webhook, event_id=event_id, event=event.value, payload=payload, next_try_at=now, created_at=now
        )
        for webhook in taking
    )
    for webhook in taking:
        enqueue_webhook_drain(webhook_id=str(webhook.id))
    return len(taking)


def episode_event(*, episode: Episode) -> None:
    """Tell that an episode is registered. Within its transaction."""
    data = {
        "episode_id": str(episode.id),
        "index_seq": episode.index_seq,
        "origin": episode.origin,
        "task": episode.task.slug,
        "robot_id": str(episode.robot_id) if episode.robot_id else None,
        "policy_version_id": str(episode.policy_version_id) if episode.policy_version_id else None,
        "outcome": episode.outcome,
        "steps": episode.steps,
        "human_steps": episode.human_steps,
        "size_bytes": episode.size_bytes,
        "ended_at": episode.ended_at.isoformat(),
    }
    webhook_event_emit(event=Webhook.Event.EPISODE_REGISTERED, data=data)


def policy_version_event(*, version: PolicyVersion) -> None:
    """Tell that a policy version is published. Within its transaction."""
    data = {
        "policy_version_id": str(version.id),
        "run_id": str(version.run_id),
        "number": version.number,
        "step": version.step,
        "architecture": version.architecture,
        "size_bytes": version.size_bytes,
    }
    webhook_event_emit(event=Webhook.Event.POLICY_VERSION_PUBLISHED, data=data)


def help_event(*, request: HelpRequest) -> None:
    """Tell that a robot asks for help. Within its transaction."""
    data = {
        "help_request_id": str(request.id),
        "robot_id": str(request.robot_id),
        "task": request.task.slug if request.task else None,
        "reason": request.reason,
        "score": request.score,
        "episode_id": str(request.episode_id) if request.episode_id else None,
        "opened_at": request.opened_at.isoformat(),
    }
    webhook_event_emit(event=Webhook.Event.HELP_REQUESTED, data=data)


def export_event(*, export: Export) -> None:
    """Tell that an export is done or failed. Within its transaction."""
    data = {
        "export_id": str(export.id),
        "state": export.state,
        "error_code": export.error_code or None,
        "dataset_version_id": str(export.dataset_version_id) if export.dataset_version_id else None,
        "format": export.format,
        "destination": export.destination or None,
        "folder": export.folder,
        "episodes": export.episodes,
        "files": export.files,
        "size_bytes": export.size_bytes,
        "sha256": export.sha256 or None,
    }
    webhook_event_emit(event=Webhook.Event.EXPORT_FINISHED, data=data)


def alert_event(*, alert: Alert, event: Webhook.Event) -> None:
    """Tell that an alert opened or resolved. Within its transaction."""
    data = {
        "alert_id": str(alert.id),
        "rule": alert.rule_name,
        "kind": alert.kind,
        "severity": alert.severity,
        "subject_kind": alert.subject_kind,
        "subject_id": alert.subject_id or None,
        "subject": alert.subject_name,
        "text": alert.text if alert.resolved_at is None else alert.resolved_text,
        "unit": alert.unit,
        "value": alert.value,
        "low": alert.low,
        "high": alert.high,
        "n": alert.n,
        "opened_at": alert.opened_at.isoformat(),
        "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
    }
    webhook_event_emit(event=event, data=data)


def _has_room(webhook: Webhook) -> bool:
    waiting = WebhookDelivery.objects.filter(webhook=webhook, state=WebhookDelivery.State.PENDING)
    if waiting.order_by()[:MAX_PENDING].count() < MAX_PENDING:
        return True
    Webhook.objects.filter(id=webhook.id).update(dropped=F("dropped") + 1)
    logger.warning("webhook event not kept", extra={"event": {"webhook": str(webhook.id)}})
    return False
