"""Sending what webhooks wait for: one worker a receiver at a time, retries over a day, and an end.

Called by the tasks on the queue `hooks` (fleet/tasks.py). A receiver is claimed for as long as one drain may take, so
a slow one holds one thread and delays nobody but itself. A worker that dies in between leaves its claim to run out, and
its message is sent again: at least once, in no promised order.
"""

from __future__ import annotations

import json
import logging
import random
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from fleet.models import Webhook, WebhookDelivery
from fleet.outbound.post import PostAnswer, post
from fleet.outbound.signature import signed_headers
from fleet.protocol.errors import SopError
from fleet.queue import enqueue_webhook_drain
from fleet.services.webhook import allow_list, webhook_secret

logger = logging.getLogger(__name__)

# Waits after each failure, seconds, about 24 h in all; each is stretched or shortened by up to a fifth.
RETRY_S = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 28800.0, 28800.0)
JITTER = 0.2
DRAIN_S = 30.0  # one task's time with one receiver; then the next in the queue has its turn
FAILURES = 3  # in a row, after which a drain leaves the rest for later
OLD_SECRET = timedelta(hours=24)
KEPT = timedelta(days=30)  # of a finished delivery in the log
EXPIRES = timedelta(days=3)  # of a pending one, as of a receiver that is turned off
PRUNED = 5000  # rows a sweep at most
GONE = 410  # a receiver's word that it wants nothing more

Send = Callable[..., PostAnswer]


def webhook_drain(
    *, webhook_id: str, now: Callable[[], datetime] = timezone.now, send: Send = post, rng: random.Random | None = None
) -> int:
    """Send what is due to one receiver and return how many attempts were made; 0 if another worker sends to it."""
    webhook = _claim(uuid.UUID(webhook_id), now())
    if webhook is None:
        return 0
    attempts, failures, ends_s = 0, 0, time.monotonic() + DRAIN_S
    try:
        while failures < FAILURES and time.monotonic() < ends_s:
            delivery = _due(now()).filter(webhook=webhook).order_by("next_try_at", "id").first()
            if delivery is None:
                break
            is_delivered = _attempt(webhook, delivery, now=now, send=send, rng=rng or random.Random())
            attempts, failures = attempts + 1, 0 if is_delivered else failures + 1
    finally:
        Webhook.objects.filter(id=webhook.id).update(busy_until=None)
    # What came while this worker was the only one that could send it, or what its time did not suffice for.
    if failures < FAILURES and _due(now()).filter(webhook=webhook, webhook__is_active=True).exists():
        enqueue_webhook_drain(webhook_id=webhook_id)
    return attempts


def webhooks_sweep(*, now: datetime | None = None) -> int:
    """Ask for a drain of every receiver that something is due for, and forget what is old; return how many."""
    now = now or timezone.now()
    is_free = Q(busy_until__isnull=True) | Q(busy_until__lt=now)
    waiting = Webhook.objects.filter(is_free, Exists(_due(now).filter(webhook=OuterRef("pk"))), is_active=True)
    found = list(waiting.values_list("id", flat=True))
    for webhook_id in found:
        enqueue_webhook_drain(webhook_id=str(webhook_id))
    _expire(now)
    return len(found)


def _due(now: datetime) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING, next_try_at__lte=now)


def _claim(webhook_id: uuid.UUID, now: datetime) -> Webhook | None:
    is_free = Q(busy_until__isnull=True) | Q(busy_until__lt=now)
    until = now + timedelta(seconds=DRAIN_S + 2 * settings.SOP_WEBHOOK_TIMEOUT_S)
    claimed = Webhook.objects.filter(is_free, id=webhook_id, is_active=True).update(busy_until=until)
    return Webhook.objects.filter(id=webhook_id).first() if claimed else None


def _attempt(
    webhook: Webhook, delivery: WebhookDelivery, *, now: Callable[[], datetime], send: Send, rng: random.Random
) -> bool:
    body = json.dumps(delivery.payload, separators=(",", ":"), sort_keys=True).encode()
    at = now()
    headers = signed_headers(
        message_id=f"msg_{delivery.event_id.hex}",
        timestamp_s=int(at.timestamp()),
        body=body,
        secrets=_secrets(webhook, at),
    )
    headers |= {"Content-Type": "application/json", "User-Agent": "SOP-webhooks/1"}
    delivery.last_status = delivery.last_ms = None
    delivery.last_error = ""
    try:
        answer = send(
            webhook.url, body=body, headers=headers, allowed=allow_list(), timeout_s=settings.SOP_WEBHOOK_TIMEOUT_S
        )
    except SopError as error:
        delivery.last_error = f"{error.code}: {error.message}"[:300]
    else:
        delivery.last_status, delivery.last_ms = answer.status, answer.ms
        if not 200 <= answer.status < 300:
            delivery.last_error = "redirects are not followed" if 300 <= answer.status < 400 else "not accepted"
    return _note(webhook, delivery, at=at, rng=rng)


def _secrets(webhook: Webhook, now: datetime) -> list[bytes]:
    """The newest secret first, and for a day the one before it."""
    is_young = webhook.rotated_at is not None and now < webhook.rotated_at + OLD_SECRET
    before = [webhook.secret_generation - 1] if is_young else []
    return [webhook_secret(webhook, generation=n) for n in (webhook.secret_generation, *before)]


@transaction.atomic
def _note(webhook: Webhook, delivery: WebhookDelivery, *, at: datetime, rng: random.Random) -> bool:
    """Write what came of an attempt; True if it was delivered."""
    is_delivered = not delivery.last_error
    delivery.attempts += 1
    delivery.last_at, delivery.next_try_at = at, None
    if is_delivered:
        delivery.state = WebhookDelivery.State.DELIVERED
        Webhook.objects.filter(id=webhook.id, failing_since__isnull=False).update(failing_since=None)
    elif delivery.attempts > len(RETRY_S) or delivery.last_status == GONE:
        delivery.state = WebhookDelivery.State.DEAD
    else:
        wait_s = RETRY_S[delivery.attempts - 1] * rng.uniform(1 - JITTER, 1 + JITTER)
        delivery.next_try_at = at + timedelta(seconds=wait_s)
    if not is_delivered:
        _note_failure(webhook, delivery, at)
    # A receiver that was removed meanwhile took its log with it: then nothing is written.
    fields = ("state", "attempts", "next_try_at", "last_status", "last_ms", "last_error", "last_at")
    WebhookDelivery.objects.filter(id=delivery.id).update(**{name: getattr(delivery, name) for name in fields})
    return is_delivered


def _note_failure(webhook: Webhook, delivery: WebhookDelivery, at: datetime) -> None:
    Webhook.objects.filter(id=webhook.id, failing_since__isnull=True).update(failing_since=at)
    longest = timedelta(days=settings.SOP_WEBHOOK_DISABLE_DAYS)
    reason = ""
    if delivery.last_status == GONE:
        reason = "the receiver answered 410 Gone"
    elif Webhook.objects.filter(id=webhook.id, failing_since__lte=at - longest).exists():
        reason = f"nothing was delivered for {settings.SOP_WEBHOOK_DISABLE_DAYS} days"
    if reason:
        off = {"is_active": False, "disabled_reason": reason, "revision": F("revision") + 1}
        Webhook.objects.filter(id=webhook.id, is_active=True).update(**off)
        logger.warning("webhook turned off", extra={"event": {"webhook": str(webhook.id), "reason": reason}})


def _expire(now: datetime) -> None:
    pending = WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING, created_at__lt=now - EXPIRES)
    late = pending.filter(Q(last_at__isnull=True) | Q(last_at__lt=now - EXPIRES), next_try_at__lt=now - EXPIRES)
    chosen = late.order_by().values("id")[:PRUNED]
    WebhookDelivery.objects.filter(id__in=chosen).update(
        state=WebhookDelivery.State.DEAD, next_try_at=None, last_error="nobody could send it in time"
    )
    finished = WebhookDelivery.objects.filter(created_at__lt=now - KEPT).exclude(state=WebhookDelivery.State.PENDING)
    WebhookDelivery.objects.filter(id__in=finished.order_by("created_at").values("id")[:PRUNED]).delete()
