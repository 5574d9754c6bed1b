"""Webhooks as people manage them: make, change, remove, rotate the secret, test, send again."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from msgspec import UNSET, UnsetType

from fleet.errors import InvalidRequest, NotFound
from fleet.models import Webhook, WebhookDelivery
from fleet.outbound.addresses import AllowList, check_url
from fleet.outbound.signature import secret_text
from fleet.queue import enqueue_webhook_drain
from fleet.services.audit import audit_record
from fleet.services.revision import revision_advance
from fleet.services.text import storable

MAX_WEBHOOKS = 50
TEST_EVENT = "webhook.test"


def webhook_secret(webhook: Webhook, *, generation: int | None = None) -> bytes:
    """Return the secret of a generation, the newest by default. It is made anew each time, so no row can leak it."""
    subject = f"{webhook.id}:{generation or webhook.secret_generation}"
    return salted_hmac("fleet.webhook.secret", subject, algorithm="sha256").digest()


@transaction.atomic
def webhook_create(*, name: str, url: str, events: Sequence[str], user: AbstractBaseUser | None) -> tuple[Webhook, str]:
    """Return the webhook and its secret, which is shown this once. Raises: InvalidRequest, UrlInvalid, ..."""
    if Webhook.objects.count() >= MAX_WEBHOOKS:
        raise InvalidRequest(f"there are {MAX_WEBHOOKS} webhooks; remove one first", field="url")
    _check(name, url, events)
    webhook = Webhook.objects.create(
        name=storable(name).strip(), url=url, events=_sorted(events), created_by_id=user.pk if user else None
    )
    audit_record(action="webhook.create", subject=webhook, name=webhook.name, after=_shown(webhook))
    return webhook, secret_text(webhook_secret(webhook))


@transaction.atomic
def webhook_update(
    *,
    webhook_id: uuid.UUID,
    revision: int,
    name: str | UnsetType = UNSET,
    url: str | UnsetType = UNSET,
    events: Sequence[str] | UnsetType = UNSET,
    is_active: bool | UnsetType = UNSET,
) -> Webhook:
    """Change what is given over the revision that was read. Turned on again, what still waits is sent.

    Raises: NotFound, PreconditionFailed, InvalidRequest, UrlInvalid.
    """
    webhook = _locked(webhook_id)
    revision_advance(webhook, expected=revision)
    before = _shown(webhook)
    webhook.name = webhook.name if name is UNSET else storable(str(name)).strip()
    webhook.url = webhook.url if url is UNSET else str(url)
    webhook.events = webhook.events if isinstance(events, UnsetType) else _sorted(events)
    _check(webhook.name, webhook.url, webhook.events)
    if not isinstance(is_active, UnsetType):
        webhook.is_active = is_active
        webhook.disabled_reason, webhook.failing_since = "", None
    webhook.save()
    audit_record(action="webhook.change", subject=webhook, name=webhook.name, before=before, after=_shown(webhook))
    if webhook.is_active:
        enqueue_webhook_drain(webhook_id=str(webhook.id))
    return webhook


@transaction.atomic
def webhook_remove(*, webhook_id: uuid.UUID, revision: int) -> None:
    """Remove a webhook with its log; what was not delivered yet is not. Raises: NotFound, PreconditionFailed."""
    webhook = _locked(webhook_id)
    revision_advance(webhook, expected=revision)
    audit_record(action="webhook.remove", subject=webhook, name=webhook.name, before=_shown(webhook))
    webhook.delete()


@transaction.atomic
def webhook_rotate(*, webhook_id: uuid.UUID, revision: int) -> tuple[Webhook, str]:
    """Return the webhook and its new secret; the old one signs beside it for a day.

    Guarded by the revision: of two people who rotate at once, one would hold a secret that is good for a day only.
    Raises: NotFound, PreconditionFailed.
    """
    webhook = _locked(webhook_id)
    revision_advance(webhook, expected=revision)
    webhook.secret_generation += 1
    webhook.rotated_at = timezone.now()
    webhook.save(update_fields=["secret_generation", "rotated_at", "revision"])
    audit_record(action="webhook.rotate", subject=webhook, name=webhook.name, after={"at": webhook.rotated_at})
    return webhook, secret_text(webhook_secret(webhook))


@transaction.atomic
def webhook_test(*, webhook_id: uuid.UUID) -> WebhookDelivery:
    """Send a message that says nothing but that it is a test. Raises: NotFound, InvalidRequest if it is turned off."""
    webhook = _active(webhook_id)
    now = timezone.now()
    payload = {"type": TEST_EVENT, "timestamp": now.isoformat(), "data": {"webhook_id": str(webhook.id)}}
    delivery = WebhookDelivery.objects.create(
        webhook=webhook, event_id=uuid.uuid4(), event=TEST_EVENT, payload=payload, next_try_at=now, created_at=now
    )
    audit_record(action="webhook.test", subject=webhook, name=webhook.name, after={"event": delivery.event_id})
    enqueue_webhook_drain(webhook_id=str(webhook.id))
    return delivery


@transaction.atomic
def webhook_redeliver(*, webhook_id: uuid.UUID, event_id: uuid.UUID) -> WebhookDelivery:
    """Send a message once more, under its old id, with all its tries. Raises: NotFound, InvalidRequest."""
    webhook = _active(webhook_id)
    delivery = WebhookDelivery.objects.select_for_update().filter(webhook=webhook, event_id=event_id).first()
    if delivery is None:
        raise NotFound("there is no such delivery")
    delivery.state, delivery.attempts, delivery.next_try_at = WebhookDelivery.State.PENDING, 0, timezone.now()
    delivery.save(update_fields=["state", "attempts", "next_try_at"])
    audit_record(action="webhook.redeliver", subject=webhook, name=webhook.name, after={"event": event_id})
    enqueue_webhook_drain(webhook_id=str(webhook.id))
    return delivery


def allow_list() -> AllowList:
    """Return what SOP_WEBHOOK_ALLOW allows beyond public addresses."""
    return AllowList.parse(settings.SOP_WEBHOOK_ALLOW)


def _shown(webhook: Webhook) -> dict[str, object]:
    return {field: getattr(webhook, field) for field in ("name", "url", "events", "is_active")}


def _active(webhook_id: uuid.UUID) -> Webhook:
    webhook = _locked(webhook_id)
    if not webhook.is_active:
        raise InvalidRequest("this webhook is turned off; turn it on first", field="is_active")
    return webhook


def _locked(webhook_id: uuid.UUID) -> Webhook:
    webhook = Webhook.objects.select_for_update().filter(id=webhook_id).first()
    if webhook is None:
        raise NotFound("there is no such webhook")
    return webhook


def _check(name: str, url: str, events: Sequence[str]) -> None:
    if not 0 < len(storable(name).strip()) <= 100:
        raise InvalidRequest("a webhook has a name of 1 to 100 characters", field="name")
    if not events or not set(events) <= set(Webhook.Event.values):
        raise InvalidRequest(f"choose from {', '.join(Webhook.Event.values)}", field="events")
    check_url(url, allow_list())


def _sorted(events: Sequence[str]) -> list[str]:
    return sorted(set(events))
