"""Whom an alert is told, once, over webhooks and by mail, and when it is silent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from fleet.models import Alert, AlertMail, Webhook
from fleet.selectors.alert_kinds import is_silent
from fleet.services.alert_mail import RETRY_S, alert_mails_send
from fleet.services.alert_watch import alerts_evaluate
from fleet.services.webhook import webhook_create
from fleet.services.webhook_delivery import webhook_drain
from tests.fleet.outbound.receiver import Receiver
from tests.fleet.services.alert_rows import (
    MailServer,
    after,
    heard,
    mail_server,
    offline,
    once,
    open_alerts,
    rule,
    silent,
)

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def smtp(settings: Any) -> Iterator[MailServer]:
    """Django's own SMTP backend, to a server on loopback."""
    with mail_server() as found:
        found.take_djangos(settings)
        yield found


# --- Telling ---------------------------------------------------------------------------------------------------------


def test_a_webhook_hears_of_the_beginning_and_of_the_end_once(receiver: Receiver) -> None:
    hook, _ = webhook_create(name="chat", url=receiver.url, events=["alert.opened", "alert.resolved"], user=None)
    _, robot = offline(channels=["webhook"], severity="critical")
    for _ in range(2):
        alerts_evaluate()
    heard(robot)
    for _ in range(2):
        alerts_evaluate()
    webhook_drain(webhook_id=str(hook.id))
    told = [json.loads(body) for _, body in receiver.got]
    assert [each["type"] for each in told] == ["alert.opened", "alert.resolved"]
    first = told[0]["data"]
    assert (first["severity"], first["subject"], first["subject_kind"]) == ("critical", "arm", "robot")
    assert (first["text"], first["resolved_at"]) == ("arm has been offline for 60 min; the limit is 5 min.", None)
    assert first["alert_id"] == told[1]["data"]["alert_id"] == str(Alert.objects.get().id)
    assert told[1]["data"]["text"].startswith("It is over, after 0 s. arm is connected")


def test_a_rule_without_channels_tells_consoles_alone(receiver: Receiver, settings: Any) -> None:
    settings.SOP_MAIL_FROM = "sop@lab.example"
    webhook_create(name="chat", url=receiver.url, events=list(Webhook.Event.values), user=None)
    offline()
    alerts_evaluate()
    assert Alert.objects.get().told_at is not None
    assert (Webhook.objects.get().deliveries.count(), AlertMail.objects.count()) == (0, 0)


def test_mail_goes_out_once_a_beginning_and_an_end(settings: Any) -> None:
    settings.SOP_MAIL_FROM = "sop@lab.example"
    _, robot = offline(channels=["mail"], mail_to=["ann@lab.example", "bob@lab.example"])
    for _ in range(2):
        alerts_evaluate()
        alert_mails_send()
    [sent] = mail.outbox
    assert sent.subject == "[SOP] warning: offline rule, arm"
    assert "arm has been offline for 60 min" in sent.body and f"{settings.SOP_PUBLIC_URL}/alerts" in sent.body
    assert (sent.to, sent.bcc) == ([], ["ann@lab.example", "bob@lab.example"])
    heard(robot)
    alerts_evaluate()
    alert_mails_send()
    assert mail.outbox[1].subject == "[SOP] resolved: offline rule, arm"


def test_mail_reaches_a_real_server_after_it_refused(smtp: MailServer) -> None:
    """451 is tried again after half a minute, not before, and arrives once."""
    smtp.refuses = 1
    offline(channels=["mail"], mail_to=["ann@lab.example"])
    alerts_evaluate()
    assert (alert_mails_send(), smtp.got) == (0, [])
    row = AlertMail.objects.get()
    assert (row.state, row.attempts, "451" in row.last_error) == ("pending", 1, True)
    assert alert_mails_send() == 0, "not due"
    assert alert_mails_send(now=lambda: after(RETRY_S[0] + 1)) == 1
    [(recipients, message)] = smtp.got
    assert (recipients, message["From"]) == (["ann@lab.example"], "sop@lab.example")
    assert message["Subject"] == "[SOP] warning: offline rule, arm"
    assert "ann@lab.example" not in message.as_string(), "recipients see nobody's address"
    assert AlertMail.objects.get().state == "sent"


def test_a_mail_server_that_is_away_is_given_up_in_the_end(smtp: MailServer, settings: Any) -> None:
    settings.EMAIL_PORT = 1  # nobody listens
    offline(channels=["mail"], mail_to=["ann@lab.example"])
    alerts_evaluate()
    for _ in range(len(RETRY_S) + 3):
        alert_mails_send(now=lambda: after(10 * 86_400))
        AlertMail.objects.filter(state="pending").update(next_try_at=NOW)
    row = AlertMail.objects.get()
    assert (row.state, row.attempts, row.next_try_at) == ("dead", len(RETRY_S) + 1, None)
    assert "refused" in row.last_error


def test_a_sweep_ends_where_no_mail_server_answers(smtp: MailServer, settings: Any) -> None:
    """Each other mail would wait as long for nobody, and webhooks behind them."""
    settings.EMAIL_PORT = 1  # nobody listens
    offline(channels=["mail"], mail_to=["ann@lab.example"])
    alerts_evaluate()
    first = AlertMail.objects.get()
    AlertMail.objects.create(
        alert=first.alert, event="resolved", recipients=first.recipients, next_try_at=NOW, created_at=NOW
    )
    assert alert_mails_send(now=lambda: after(60)) == 0
    assert sorted(AlertMail.objects.values_list("attempts", flat=True)) == [0, 1]


def test_a_mail_that_a_worker_left_behind_is_taken_up_again(settings: Any) -> None:
    settings.SOP_MAIL_FROM = "sop@lab.example"
    offline(channels=["mail"], mail_to=["ann@lab.example"])
    alerts_evaluate()
    AlertMail.objects.update(next_try_at=after(30))  # claimed by one that died
    assert alert_mails_send() == 0
    assert alert_mails_send(now=lambda: after(31)) == 1


# --- Silence ---------------------------------------------------------------------------------------------------------


def test_a_silence_holds_back_the_telling_and_not_the_recording(settings: Any) -> None:
    """What is still open when the silence ends is told then; what came and went within it is not."""
    settings.SOP_MAIL_FROM = "sop@lab.example"
    local = timezone.now().replace(tzinfo=None)
    quiet = once(f"{local - timedelta(hours=1):%Y-%m-%dT%H:%M}", f"{local + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    _, robot = offline(channels=["mail"], mail_to=["ann@lab.example"], silences=[quiet])
    alerts_evaluate()
    heard(robot)
    alerts_evaluate()
    assert (Alert.objects.count(), Alert.objects.get().told_at, AlertMail.objects.count()) == (1, None, 0)
    silent(robot, timezone.now() - timedelta(hours=1))
    alerts_evaluate()
    [alert] = open_alerts()
    assert (alert.told_at, AlertMail.objects.count()) == (None, 0)
    alerts_evaluate(now=after(2 * 3600))
    assert [(row.alert_id, row.event) for row in AlertMail.objects.all()] == [(alert.id, "opened")]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-27T21:30", True),  # Friday 22:30 in Berlin
        ("2026-11-28T04:30", True),  # Saturday 05:30: the night that began on Friday
        ("2026-11-28T05:30", False),  # 06:30
        ("2026-11-28T21:30", False),  # Saturday's night is not asked for
        ("2026-07-03T20:30", True),  # Friday 22:30, summer time
    ],
)
def test_weekly_silences_keep_the_zones_hours(at: str, expected: bool) -> None:
    made = rule(
        silences=[{"kind": "weekly", "days": [4], "from": "22:00", "until": "06:00"}], time_zone="Europe/Berlin"
    )
    from datetime import UTC, datetime

    assert is_silent(made, now=datetime.fromisoformat(at).replace(tzinfo=UTC)) is expected
