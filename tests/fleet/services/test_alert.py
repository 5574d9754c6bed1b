"""Alerts: what fires and what does not, one at a time, resolved by themselves, told once, silent when asked."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.utils import timezone
from scipy.special import betainc

from fleet.errors import InvalidRequest, NameTaken, PreconditionFailed, RobotRetired, TaskArchived
from fleet.models import Alert, AlertMail, AlertRule, AuditEntry, RunMetric, Task, Webhook
from fleet.selectors import alert_reading
from fleet.selectors.alert_kinds import is_silent
from fleet.selectors.metrics import metric_now
from fleet.selectors.statistics import jeffreys
from fleet.services.alert_mail import RETRY_S, alert_mails_send
from fleet.services.alert_rule import (
    DEFAULTS,
    RuleChange,
    alert_rule_change,
    alert_rule_create,
    alert_rule_preview,
    alert_rule_remove,
    alert_rules_default,
)
from fleet.services.alert_watch import alert_acknowledge, alerts_evaluate
from fleet.services.robot_admin import robot_retire
from fleet.services.webhook import webhook_create
from fleet.services.webhook_delivery import webhook_drain
from tests.fleet import builders
from tests.fleet.outbound.receiver import Receiver, listening
from tests.fleet.services.alert_rows import MailServer, episodes, heard, mail_server, silent

pytestmark = pytest.mark.django_db
NOW = timezone.now()
RATE = {"measure": "success", "by": "task", "threshold": 0.6, "window_s": 86_400.0, "min_n": 20}


def rule(kind: str = "rate", params: Any = None, **values: Any) -> AlertRule:
    given = {"name": f"{kind} rule", "params": RATE if params is None else params, "clear_after_s": 0.0, **values}
    return alert_rule_create(kind=kind, change=RuleChange(**given))


def once(start: str, until: str) -> dict[str, str]:
    return {"kind": "once", "from": start, "until": until}


def weekly(start: str, until: str) -> dict[str, Any]:
    return {"kind": "weekly", "days": list(range(7)), "from": start, "until": until}


def open_alerts() -> list[Alert]:
    return list(Alert.objects.filter(resolved_at__isnull=True).order_by("subject_name"))


def after(seconds: float) -> Any:
    return timezone.now() + timedelta(seconds=seconds)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.SOP_WEBHOOK_ALLOW = "127.0.0.0/8"
    with listening() as found:
        yield found


@pytest.fixture
def smtp(settings: Any) -> Iterator[MailServer]:
    """Django's own SMTP backend, to a server on loopback."""
    with mail_server() as found:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", found.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.SOP_MAIL_FROM = "sop@lab.example"
        yield found


# --- Rates ------------------------------------------------------------------------------------------------------------


def test_a_rate_fires_only_when_its_whole_interval_lies_below() -> None:
    """20 of 40 is 50 % with an interval up to 65 %: under the limit, and not surely so."""
    robot, task = builders.enrol().robot, builders.task()
    rule()
    row = episodes(task, robot, n=40, wins=20)
    alerts_evaluate()
    assert open_alerts() == []
    row.delete()
    episodes(task, robot, n=40, wins=12)
    alerts_evaluate()
    [alert] = open_alerts()
    seen = metric_now(measure="success", window_s=86_400, task=task.slug)
    assert (alert.value, alert.low, alert.high, alert.n) == (seen.value, seen.low, seen.high, 40), "as the reports say"
    assert (alert.subject_kind, alert.subject_name) == ("task", task.slug)
    assert alert.text == (
        "Success rate of task box-close over the last 24 h is 30 % [18.1 %, 45.4 %], n = 40; the limit is 60 %, and "
        "the whole 95 % interval lies below it."
    )


def test_few_episodes_raise_nothing_however_bad() -> None:
    robot, task = builders.enrol().robot, builders.task()
    rule()
    episodes(task, robot, n=19, wins=0)
    alerts_evaluate()
    assert open_alerts() == []
    episodes(task, robot, n=1, wins=0)
    alerts_evaluate()
    assert [alert.n for alert in open_alerts()] == [20]


def test_a_version_as_good_as_its_limit_seldom_alarms() -> None:
    """One look at a rate that is what the limit says: at most 2.5 % false alarms by the interval, 5 % with chance."""
    dice, alarms = random.Random(7), 0
    for _ in range(400):
        wins = sum(dice.random() < 0.6 for _ in range(60))
        found = alert_reading._rate_finding(alert_reading.RateParams(threshold=0.6), _estimate(wins, 60), falls=True)
        alarms += found is alert_reading.Finding.FIRING
    assert alarms <= 20


def _estimate(wins: int, n: int) -> Any:
    from fleet.selectors.measures import MEASURES, Crew, Split, Sums

    split = Split(autonomous=Sums(episodes=n, successes=wins, failures=n - wins))
    return MEASURES["success"].of(split, Crew())


def test_jeffreys_interval_in_the_place_of_wilsons() -> None:
    robot, task = builders.enrol().robot, builders.task()
    rule(params={**RATE, "interval": "jeffreys"})
    episodes(task, robot, n=40, wins=12)
    alerts_evaluate()
    [alert] = open_alerts()
    assert (alert.low, alert.high) == jeffreys(successes=12, n=40)
    tails = (betainc(12.5, 28.5, alert.low), betainc(12.5, 28.5, alert.high))  # of Beta(x + 1/2, n - x + 1/2)
    assert tails == (pytest.approx(0.025), pytest.approx(0.975))


def test_rates_of_versions_and_of_people_helping() -> None:
    """One alert a version; an intervention rate fires above its limit."""
    robot, task, run = builders.enrol().robot, builders.task(), builders.running_run()
    from fleet.services.policy import policy_version_publish

    versions = []
    for step in (0, 10):
        manifest, blobs = builders.policy(run.id, step=step)
        versions.append(policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs))
    rule(params={**RATE, "by": "version"})
    hours = {"duration_ms": 3_600_000}
    rule(name="help", params={"measure": "interventions", "by": "version", "threshold": 10, "min_n": 5})
    episodes(task, robot, n=50, wins=45, version=versions[0], interventions=4, **hours)
    episodes(task, robot, n=50, wins=10, version=versions[1], interventions=40, **hours)
    alerts_evaluate()
    assert {(alert.rule_name, alert.subject_id) for alert in open_alerts()} == {
        ("rate rule", str(versions[1].id)),
        ("help", str(versions[1].id)),
    }
    assert next(a for a in open_alerts() if a.rule_name == "help").text.startswith(
        f"Interventions per robot-hour of v{versions[1].number} of {run.name} over the last 24 h is 40 per hour"
    )


def test_a_scope_narrows_what_is_looked_at() -> None:
    robots, tasks = [builders.enrol().robot for _ in range(2)], [builders.task("a"), builders.task("b")]
    rule(tasks=[tasks[0].id], robots=[robots[0].id])
    for task in tasks:
        for robot in robots:
            episodes(task, robot, n=30, wins=0)
    alerts_evaluate()
    assert [(alert.subject_name, alert.n) for alert in open_alerts()] == [("a", 30)]


# --- One alert, which does not flap and ends by itself ----------------------------------------------------------------


def test_evaluating_twice_is_one_alert_and_the_database_insists() -> None:
    robot, task = builders.enrol().robot, builders.task()
    made = rule()
    episodes(task, robot, n=40, wins=5)
    assert [alerts_evaluate(), alerts_evaluate()] == [1, 1]
    [alert] = Alert.objects.all()
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(
            rule=made, rule_name="x", kind="rate", severity="info", subject_kind="task", subject_id=alert.subject_id,
            subject_name="x", opened_at=NOW, last_seen_at=NOW, unit="share", value=0.0, text="x",
        )  # fmt: skip


def test_an_alert_stays_until_the_value_is_back_for_long_enough() -> None:
    """Unsure is not back; back for a moment is not back either; and the end says so."""
    robot, task = builders.enrol().robot, builders.task()
    rule(clear_after_s=60.0)
    episodes(task, robot, n=40, wins=12)
    start = timezone.now()
    alerts_evaluate(now=start)
    more = episodes(task, robot, n=40, wins=33)  # 45 of 80, 56 %: the interval reaches beyond the limit
    alerts_evaluate(now=start + timedelta(seconds=10))
    assert (len(open_alerts()), open_alerts()[0].clear_since, open_alerts()[0].n) == (1, None, 40)
    best = episodes(task, robot, n=40, wins=38)  # 83 of 120, 69 %
    alerts_evaluate(now=start + timedelta(seconds=20))
    assert open_alerts()[0].clear_since == start + timedelta(seconds=20)
    best.delete()
    alerts_evaluate(now=start + timedelta(seconds=50))
    assert open_alerts()[0].clear_since is None, "gone for 30 s only"
    more.delete()
    episodes(task, robot, n=80, wins=71)
    for seconds in (60, 100, 121):
        alerts_evaluate(now=start + timedelta(seconds=seconds))
    [alert] = Alert.objects.all()
    assert (alert.resolution, alert.resolved_at) == ("recovered", start + timedelta(seconds=121))
    assert alert.resolved_text.startswith(
        "It is over, after 2 min. Success rate of task box-close over the last 24 h is"
    )


def test_what_is_not_measured_any_more_is_over_too() -> None:
    robot, task = builders.enrol().robot, builders.task()
    rule()
    row = episodes(task, robot, n=40, wins=5)
    alerts_evaluate()
    row.delete()
    alerts_evaluate()
    assert Alert.objects.get().resolution == "gone"


# --- Robots, the learner, the loop ------------------------------------------------------------------------------------


def test_a_robot_that_is_silent_for_longer_than_the_limit() -> None:
    """Never connected: nothing is known; retired meanwhile: nothing is watched."""
    robots = [builders.enrol(name).robot for name in ("away", "here", "never")]
    rule("offline", {"after_s": 300})
    silent(robots[0], timezone.now() - timedelta(seconds=200))
    heard(robots[1])
    alerts_evaluate()
    assert open_alerts() == []
    silent(robots[0], timezone.now() - timedelta(seconds=720))
    alerts_evaluate()
    [alert] = open_alerts()
    assert (alert.subject_name, alert.text) == ("away", "away has been offline for 12 min; the limit is 5 min.")
    robot_retire(robot_id=robots[0].id)
    alerts_evaluate()
    assert (open_alerts(), Alert.objects.get().resolution) == ([], "gone")


def test_a_robot_that_comes_back_resolves_it() -> None:
    robot = builders.enrol().robot
    rule("offline", {"after_s": 300})
    silent(robot, timezone.now() - timedelta(hours=1))
    alerts_evaluate()
    heard(robot)
    alerts_evaluate()
    assert Alert.objects.get().resolution == "recovered"


def test_a_backlog_clears_below_where_it_fired() -> None:
    """Above 20 it fires, at 16 or fewer it clears; a robot that falls silent changes nothing."""
    robot = builders.enrol().robot
    rule("backlog", {"above": 20})
    heard(robot, pending=20)
    alerts_evaluate()
    assert open_alerts() == []
    for pending in (21, 18):
        heard(robot, pending=pending)
        alerts_evaluate()
    assert [alert.value for alert in open_alerts()] == [21]
    heard(robot, pending=16)
    alerts_evaluate()
    assert open_alerts() == []


def test_the_backlog_of_the_whole_fleet() -> None:
    robots = [builders.enrol().robot for _ in range(2)]
    rule("backlog", {"above": 20, "by": "fleet"})
    for robot in robots:
        heard(robot, pending=11)
    alerts_evaluate()
    assert [(alert.subject_kind, alert.value) for alert in open_alerts()] == [("fleet", 22)]


def test_a_run_that_makes_no_step() -> None:
    """A run that was just started is given its time, whenever its last step was."""
    run = builders.running_run()
    rule("stall", {"after_s": 600})
    RunMetric.objects.create(run=run, step=100, at=timezone.now() - timedelta(days=2), values={"loss": 1.0})
    alerts_evaluate()
    assert open_alerts() == []
    later = timezone.now() + timedelta(seconds=700)
    alerts_evaluate(now=later)
    [alert] = open_alerts()
    assert (alert.subject_kind, alert.subject_id) == ("run", str(run.id))
    assert alert.text.startswith(f"Training run {run.name} has made no step for 12 min")
    RunMetric.objects.create(run=run, step=101, at=later, values={"loss": 1.0})
    alerts_evaluate(now=later + timedelta(seconds=5))
    assert open_alerts() == []


def test_staleness_fires_when_its_interval_lies_above(objects: Any) -> None:
    from tests.fleet.api.episode_rows import register

    robot, task = builders.enrol().robot, builders.task()
    rule("staleness", {"span": "captured_to_uploaded", "above": 60, "min_n": 20})
    rows = [register(task, robot) for _ in range(25)]
    from fleet.models import Episode

    for row in rows:
        Episode.objects.filter(id=row.id).update(uploaded_at=row.ended_at + timedelta(seconds=300))
    alerts_evaluate()
    [alert] = open_alerts()
    assert (alert.value, alert.n, alert.subject_name) == (pytest.approx(300), 25, "fleet")
    Episode.objects.filter(id__in=[row.id for row in rows[:10]]).delete()
    assert (
        alert_rule_preview(kind="staleness", params={"span": "captured_to_uploaded", "above": 60})[0].finding
        == "between"
    )


def test_a_rule_that_fails_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    robot = builders.enrol().robot
    rule(name="a broken one")
    rule("offline", {"after_s": 300})
    silent(robot, timezone.now() - timedelta(hours=1))

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no numbers")

    monkeypatch.setattr(alert_reading, "metrics_by", broken)
    assert alerts_evaluate() == 1
    assert len(open_alerts()) == 1


# --- Telling ----------------------------------------------------------------------------------------------------------


def _offline(**values: Any) -> tuple[AlertRule, Any]:
    robot = builders.enrol("arm").robot
    silent(robot, timezone.now() - timedelta(hours=1))
    return rule("offline", {"after_s": 300}, **values), robot


def test_a_webhook_hears_of_the_beginning_and_of_the_end_once(receiver: Receiver) -> None:
    hook, _ = webhook_create(name="chat", url=receiver.url, events=["alert.opened", "alert.resolved"], user=None)
    _, robot = _offline(channels=["webhook"], severity="critical")
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
    _offline()
    alerts_evaluate()
    assert Alert.objects.get().told_at is not None
    assert (Webhook.objects.get().deliveries.count(), AlertMail.objects.count()) == (0, 0)


def test_mail_goes_out_once_a_beginning_and_an_end(settings: Any) -> None:
    settings.SOP_MAIL_FROM = "sop@lab.example"
    _, robot = _offline(channels=["mail"], mail_to=["ann@lab.example", "bob@lab.example"])
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
    _offline(channels=["mail"], mail_to=["ann@lab.example"])
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
    _offline(channels=["mail"], mail_to=["ann@lab.example"])
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
    _offline(channels=["mail"], mail_to=["ann@lab.example"])
    alerts_evaluate()
    first = AlertMail.objects.get()
    AlertMail.objects.create(
        alert=first.alert, event="resolved", recipients=first.recipients, next_try_at=NOW, created_at=NOW
    )
    assert alert_mails_send(now=lambda: after(60)) == 0
    assert sorted(AlertMail.objects.values_list("attempts", flat=True)) == [0, 1]


def test_a_mail_that_a_worker_left_behind_is_taken_up_again(settings: Any) -> None:
    settings.SOP_MAIL_FROM = "sop@lab.example"
    _offline(channels=["mail"], mail_to=["ann@lab.example"])
    alerts_evaluate()
    AlertMail.objects.update(next_try_at=after(30))  # claimed by one that died
    assert alert_mails_send() == 0
    assert alert_mails_send(now=lambda: after(31)) == 1


# --- Silence ----------------------------------------------------------------------------------------------------------


def test_a_silence_holds_back_the_telling_and_not_the_recording(settings: Any) -> None:
    """What is still open when the silence ends is told then; what came and went within it is not."""
    settings.SOP_MAIL_FROM = "sop@lab.example"
    local = timezone.now().replace(tzinfo=None)
    quiet = once(f"{local - timedelta(hours=1):%Y-%m-%dT%H:%M}", f"{local + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    _, robot = _offline(channels=["mail"], mail_to=["ann@lab.example"], silences=[quiet])
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


# --- Rules ------------------------------------------------------------------------------------------------------------

WRONG: list[tuple[str, Any, dict[str, Any], str]] = [
    ("rate", {**RATE, "threshold": 0}, {}, "params.threshold"),
    ("rate", {**RATE, "threshold": 1}, {}, "params.threshold"),
    ("rate", {**RATE, "threshold": -0.1}, {}, "params.threshold"),
    ("rate", {"measure": "interventions", "threshold": 0}, {}, "params.threshold"),
    ("rate", {"measure": "interventions", "threshold": 2, "interval": "jeffreys"}, {}, "params.interval"),
    ("rate", {}, {}, "params"),
    ("rate", {**RATE, "measure": "rohe"}, {}, "params"),
    ("rate", {**RATE, "min_n": 0}, {}, "params"),
    ("rate", {**RATE, "colour": "red"}, {}, "params"),
    ("offline", {"after_s": 1}, {}, "params"),
    ("backlog", {"above": 10, "clear_at": 11}, {}, "params.clear_at"),
    ("weather", {}, {}, "kind"),
    ("offline", {}, {"name": "  "}, "name"),
    ("offline", {}, {"severity": "loud"}, "severity"),
    ("offline", {}, {"clear_after_s": -1.0}, "clear_after_s"),
    ("offline", {}, {"time_zone": "Mars/Olympus"}, "time_zone"),
    ("offline", {}, {"time_zone": "../etc/passwd"}, "time_zone"),
    ("offline", {}, {"silences": [{"kind": "weekly", "days": [7], "from": "22:00", "until": "06:00"}]}, "silences"),
    ("offline", {}, {"silences": [once("2026-12-02T00:00", "2026-12-01T00:00")]}, "silences"),
    ("offline", {}, {"silences": [once("2026-12-02T00:00Z", "2026-12-03T00:00Z")]}, "silences"),
    ("offline", {}, {"silences": [once("2026-02-31T00:00", "2026-03-03T00:00")]}, "silences"),
    ("offline", {}, {"silences": [weekly("22:00\n", "06:00")]}, "silences"),
    ("offline", {}, {"silences": [{}] * 21}, "silences"),
    ("offline", {}, {"channels": ["pigeon"]}, "channels"),
    ("offline", {}, {"channels": ["mail"]}, "mail_to"),
    ("offline", {}, {"channels": ["mail"], "mail_to": ["not an address"]}, "mail_to"),
    ("offline", {}, {"channels": ["mail"], "mail_to": ["a@b.example\nBcc: c@d.example"]}, "mail_to"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "params", "values", "field"), WRONG)
def test_a_wrong_rule_is_refused_and_nothing_is_there(kind: str, params: Any, values: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        rule(kind, params, **values)
    assert refused.value.data["field"] == field
    assert (AlertRule.objects.count(), AuditEntry.objects.filter(action__startswith="alert").count()) == (0, 0)


def test_scopes_that_do_not_fit_are_refused() -> None:
    robot, task = builders.enrol().robot, builders.task()
    with pytest.raises(InvalidRequest, match="not narrowed by tasks"):
        rule("offline", {}, tasks=[task.id])
    robot_retire(robot_id=robot.id)
    with pytest.raises(RobotRetired):
        rule("offline", {}, robots=[robot.id])
    Task.objects.update(is_active=False)
    with pytest.raises(TaskArchived):
        rule(tasks=[task.id])
    assert AlertRule.objects.count() == 0


def test_changes_are_guarded_noted_and_end_what_they_turn_off() -> None:
    made, _ = _offline()
    alerts_evaluate()
    with pytest.raises(PreconditionFailed):
        alert_rule_change(rule_id=made.id, change=RuleChange(name="x"), revision=2)
    changed = alert_rule_change(rule_id=made.id, change=RuleChange(is_enabled=False), revision=1)
    assert (changed.revision, open_alerts(), Alert.objects.get().resolution) == (2, [], "rule_off")
    entry = AuditEntry.objects.get(action="alert_rule.change")
    assert (entry.before, entry.after) == ({"is_enabled": True}, {"is_enabled": False})
    with pytest.raises(NameTaken):
        rule("offline", {})
    assert alerts_evaluate() == 0


def test_a_removed_rule_leaves_its_history_and_says_so(receiver: Receiver) -> None:
    hook, _ = webhook_create(name="chat", url=receiver.url, events=["alert.resolved"], user=None)
    made, _ = _offline(channels=["webhook"])
    alerts_evaluate()
    alert_rule_remove(rule_id=made.id)
    alert = Alert.objects.get()
    assert (alert.rule, alert.rule_name, alert.resolution) == (None, "offline rule", "rule_removed")
    webhook_drain(webhook_id=str(hook.id))
    assert json.loads(receiver.got[0][1])["data"]["text"].startswith("Its rule was removed, after")


def test_whoever_acknowledges_first_stays_and_each_note_is_noted(django_user_model: Any) -> None:
    ann, bob = (django_user_model.objects.create_user(name) for name in ("ann", "bob"))
    _offline()
    alerts_evaluate()
    [alert] = open_alerts()
    alert_acknowledge(alert_id=alert.id, user=ann, note="looking")
    again = alert_acknowledge(alert_id=alert.id, user=bob, note="cable was out")
    assert (again.acknowledged_by_name, again.note) == ("ann", "cable was out")
    assert [entry.after for entry in AuditEntry.objects.filter(action="alert.acknowledge").order_by("id")] == [
        {"acknowledged_by": "ann", "note": "looking"}, {"note": "cable was out"},
    ]  # fmt: skip
    alerts_evaluate()
    assert open_alerts()[0].acknowledged_by_name == "ann", "an evaluation keeps it"


def test_default_rules_are_sound_and_made_once() -> None:
    assert len(alert_rules_default()) == len(DEFAULTS)
    assert alert_rules_default() == []
    assert alerts_evaluate() == len(DEFAULTS)


def test_old_alerts_are_forgotten(settings: Any) -> None:
    settings.SOP_ALERT_DAYS = 30
    made, robot = _offline()
    alerts_evaluate()
    heard(robot)
    alerts_evaluate()
    assert Alert.objects.count() == 1
    alerts_evaluate(now=after(31 * 86_400))
    assert not Alert.objects.filter(resolution="recovered").exists()
    assert AlertRule.objects.filter(id=made.id).exists()
