"""Webhooks: events kept with what they tell of, sent to a real receiver, again after failures, given up in the end."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from fleet.errors import InvalidRequest
from fleet.models import Webhook, WebhookDelivery
from fleet.outbound.addresses import AddressForbidden
from fleet.services import webhook_event as events
from fleet.services.episode import episode_register
from fleet.services.help import help_seen
from fleet.services.policy import policy_version_publish
from fleet.services.webhook import webhook_create, webhook_redeliver, webhook_rotate, webhook_test, webhook_update
from fleet.services.webhook_delivery import FAILURES, RETRY_S, webhook_drain, webhooks_sweep
from tests.fleet import builders
from tests.fleet.outbound.receiver import Receiver

pytestmark = pytest.mark.django_db
Event = Webhook.Event


def _made(receiver: Receiver, *names: Event) -> tuple[Webhook, str]:
    chosen = [name.value for name in names or list(Event)]
    return webhook_create(name="lab chat", url=receiver.url, events=chosen, user=None)


def _emit(count: int = 1) -> None:
    for number in range(count):
        events.webhook_event_emit(event=Event.HELP_REQUESTED, data={"number": number})


def _verifies(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Check as docs/webhooks.md tells receivers to."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return wanted in headers["webhook-signature"].split(" ")


def test_what_happens_is_told_to_those_who_asked_for_it(receiver: Receiver, objects: Any) -> None:
    """An episode, a version, a call for help: each once, signed, in the form of Standard Webhooks."""
    webhook, secret = _made(receiver)
    webhook_create(name="other", url=receiver.url, events=[Event.EXPORT_FINISHED.value], user=None)
    robot, run = builders.enrol().robot, builders.running_run()
    manifest, files = builders.episode(builders.task(), robot)
    builders.store(manifest, files)
    for _ in range(2):  # registering twice is one registration, and one event
        episode_register(robot_id=str(robot.id), manifest=manifest, uploaded_ns=None)
    manifest_bytes, blobs = builders.policy(run.id)
    version = policy_version_publish(run_id=str(run.id), manifest_bytes=manifest_bytes, blobs=blobs)
    status = builders.status(help=builders.m.HelpSignal(reason=builders.m.HelpReason.UNCERTAIN, score=0.7, since_ns=1))
    help_seen(robot_id=str(robot.id), status=status, now_s=0.0)
    assert webhook_drain(webhook_id=str(webhook.id)) == 3
    told = {json.loads(body)["type"]: json.loads(body)["data"] for _, body in receiver.got}
    assert set(told) == {"episode.registered", "policy_version.published", "help.requested"}
    assert told["episode.registered"]["episode_id"] == manifest.episode_id
    assert (told["episode.registered"]["task"], told["episode.registered"]["steps"]) == ("box-close", 5)
    assert told["policy_version.published"]["policy_version_id"] == str(version.id)
    assert told["help.requested"]["robot_id"] == str(robot.id)
    assert all(_verifies(secret, headers, body) for headers, body in receiver.got)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 3
    log = list(WebhookDelivery.objects.values_list("state", "attempts", "last_status", "webhook"))
    assert log == [("delivered", 1, 200, webhook.id)] * 3


def test_an_event_of_a_transaction_that_fails_is_not_kept(receiver: Receiver) -> None:
    _made(receiver)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        _emit()
        1 / 0  # noqa: B018
    assert WebhookDelivery.objects.count() == 0


@pytest.mark.parametrize(("behaviour", "status"), [("fail", 500), ("redirect", 302), ("slow", None), ("garbage", None)])
def test_a_failed_delivery_is_tried_again_later(
    receiver: Receiver, settings: Any, behaviour: str, status: int | None
) -> None:
    """With the same id, so that the receiver can tell doubles."""
    settings.SOP_WEBHOOK_TIMEOUT_S = 0.3
    webhook, _ = _made(receiver)
    _emit()
    receiver.behaviour = behaviour
    assert webhook_drain(webhook_id=str(webhook.id)) == 1
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("pending", 1, status)
    assert delivery.last_error and delivery.next_try_at and delivery.last_at
    wait_s = (delivery.next_try_at - delivery.last_at).total_seconds()
    assert RETRY_S[0] * 0.8 <= wait_s <= RETRY_S[0] * 1.2
    webhook.refresh_from_db()
    assert webhook.failing_since is not None and webhook.busy_until is None
    assert webhook_drain(webhook_id=str(webhook.id)) == 0, "not due yet"
    receiver.behaviour, settings.SOP_WEBHOOK_TIMEOUT_S = "ok", 2.0
    assert webhook_drain(webhook_id=str(webhook.id), now=lambda: timezone.now() + timedelta(seconds=10)) == 1
    webhook.refresh_from_db()
    assert webhook.failing_since is None
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_retries_take_about_a_day_and_end(receiver: Receiver) -> None:
    """Nine attempts, then the message is dead, and can be sent again by hand."""
    webhook, _ = _made(receiver)
    _emit()
    receiver.behaviour, began = "fail", timezone.now()
    at, rng = began, random.Random(1)
    for _ in range(len(RETRY_S) + 1):
        assert webhook_drain(webhook_id=str(webhook.id), now=lambda at=at: at, rng=rng) == 1  # type: ignore[misc]
        at = WebhookDelivery.objects.get().next_try_at or at
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.next_try_at) == ("dead", 9, None)
    assert 20 <= (at - began).total_seconds() / 3600 <= 28
    receiver.behaviour = "ok"
    webhook_redeliver(webhook_id=webhook.id, event_id=delivery.event_id)
    assert webhook_drain(webhook_id=str(webhook.id)) == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("delivered", 1)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_one_worker_sends_to_one_receiver(receiver: Receiver) -> None:
    """The claim of a worker that died runs out."""
    webhook, _ = _made(receiver)
    _emit()
    Webhook.objects.update(busy_until=timezone.now() + timedelta(seconds=5))
    assert (webhook_drain(webhook_id=str(webhook.id)), webhooks_sweep()) == (0, 0)
    later = timezone.now() + timedelta(seconds=6)
    assert webhooks_sweep(now=later) == 1
    assert webhook_drain(webhook_id=str(webhook.id), now=lambda: later) == 1


def test_a_failing_receiver_is_left_alone_after_three_tries(receiver: Receiver) -> None:
    webhook, _ = _made(receiver)
    _emit(6)
    receiver.behaviour = "fail"
    assert webhook_drain(webhook_id=str(webhook.id)) == FAILURES
    assert WebhookDelivery.objects.filter(attempts=0).count() == 3
    receiver.behaviour = "ok"
    assert webhook_drain(webhook_id=str(webhook.id)) == 3


def test_a_receiver_that_only_fails_is_turned_off(receiver: Receiver, settings: Any) -> None:
    webhook, _ = _made(receiver)
    receiver.behaviour = "fail"
    _emit()
    webhook_drain(webhook_id=str(webhook.id))
    Webhook.objects.update(failing_since=timezone.now() - timedelta(days=settings.SOP_WEBHOOK_DISABLE_DAYS))
    _emit()
    webhook_drain(webhook_id=str(webhook.id))
    webhook.refresh_from_db()
    assert (webhook.is_active, webhook.disabled_reason) == (False, "nothing was delivered for 5 days")
    _emit()
    assert WebhookDelivery.objects.count() == 2, "a webhook that is off hears of nothing new"
    with pytest.raises(InvalidRequest):
        webhook_test(webhook_id=webhook.id)
    receiver.behaviour = "ok"
    webhook = webhook_update(webhook_id=webhook.id, revision=webhook.revision, is_active=True)
    assert (webhook.disabled_reason, webhook.failing_since) == ("", None)
    assert webhook_drain(webhook_id=str(webhook.id), now=lambda: timezone.now() + timedelta(seconds=10)) == 2


def test_gone_turns_it_off_at_once(receiver: Receiver) -> None:
    webhook, _ = _made(receiver)
    receiver.behaviour = "gone"
    _emit()
    webhook_drain(webhook_id=str(webhook.id))
    webhook.refresh_from_db()
    assert not webhook.is_active
    assert WebhookDelivery.objects.get().state == "dead"


def test_both_secrets_sign_for_a_day_after_a_rotation(receiver: Receiver) -> None:
    webhook, old = _made(receiver)
    webhook, new = webhook_rotate(webhook_id=webhook.id, revision=webhook.revision)
    assert old != new

    def send_at(at: datetime) -> tuple[bool, bool]:
        receiver.got.clear()
        _emit()
        assert webhook_drain(webhook_id=str(webhook.id), now=lambda: at) == 1
        [(headers, body)] = receiver.got
        return _verifies(old, headers, body), _verifies(new, headers, body)

    assert send_at(timezone.now() + timedelta(hours=23)) == (True, True)
    assert send_at(timezone.now() + timedelta(hours=25)) == (False, True)


def test_what_waits_is_bounded(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    webhook, _ = _made(receiver)
    monkeypatch.setattr(events, "MAX_PENDING", 2)
    _emit(3)
    webhook.refresh_from_db()
    assert (WebhookDelivery.objects.count(), webhook.dropped) == (2, 1)


def test_old_deliveries_are_forgotten(receiver: Receiver) -> None:
    _made(receiver)
    _emit(3)
    old, waiting, _ = WebhookDelivery.objects.order_by("id")
    ago = timezone.now() - timedelta(days=31)
    WebhookDelivery.objects.filter(id=old.id).update(state="delivered", next_try_at=None, created_at=ago)
    WebhookDelivery.objects.filter(id=waiting.id).update(next_try_at=ago, created_at=ago + timedelta(days=20))
    webhooks_sweep()
    states = dict(WebhookDelivery.objects.values_list("id", "state"))
    assert old.id not in states
    assert sorted(states.values()) == ["dead", "pending"]


def test_a_name_that_leads_inside_is_refused_when_it_is_sent(receiver: Receiver, settings: Any) -> None:
    """Bare addresses are refused when the webhook is made; names when they are connected to."""
    with pytest.raises(AddressForbidden):
        webhook_create(name="x", url="http://10.0.0.1/", events=["help.requested"], user=None)
    webhook, _ = webhook_create(
        name="x", url=receiver.url.replace("127.0.0.1", "localhost"), events=["help.requested"], user=None
    )
    settings.SOP_WEBHOOK_ALLOW = ""
    _emit()
    webhook_drain(webhook_id=str(webhook.id))
    assert WebhookDelivery.objects.get().last_error.startswith("address_forbidden: ")
    assert receiver.got == []
