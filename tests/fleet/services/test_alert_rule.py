"""Rules of alerts: refused, changed, removed; who acknowledged what; what is forgotten."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet.errors import InvalidRequest, NameTaken, PreconditionFailed, RobotRetired, TaskArchived
from fleet.models import Alert, AlertRule, AuditEntry, Task
from fleet.services.alert_rule import DEFAULTS, RuleChange, alert_rule_change, alert_rule_remove, alert_rules_default
from fleet.services.alert_watch import alert_acknowledge, alerts_evaluate
from fleet.services.robot_admin import robot_retire
from fleet.services.webhook import webhook_create
from fleet.services.webhook_delivery import webhook_drain
from tests.fleet import builders
from tests.fleet.outbound.receiver import Receiver
from tests.fleet.services.alert_rows import RATE, after, heard, offline, once, open_alerts, rule

pytestmark = pytest.mark.django_db


def weekly(start: str, until: str) -> dict[str, Any]:
    return {"kind": "weekly", "days": list(range(7)), "from": start, "until": until}


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
    made, _ = offline()
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
    made, _ = offline(channels=["webhook"])
    alerts_evaluate()
    alert_rule_remove(rule_id=made.id)
    alert = Alert.objects.get()
    assert (alert.rule, alert.rule_name, alert.resolution) == (None, "offline rule", "rule_removed")
    webhook_drain(webhook_id=str(hook.id))
    assert json.loads(receiver.got[0][1])["data"]["text"].startswith("Its rule was removed, after")


def test_whoever_acknowledges_first_stays_and_each_note_is_noted(django_user_model: Any) -> None:
    ann, bob = (django_user_model.objects.create_user(name) for name in ("ann", "bob"))
    offline()
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
    made, robot = offline()
    alerts_evaluate()
    heard(robot)
    alerts_evaluate()
    assert Alert.objects.count() == 1
    alerts_evaluate(now=after(31 * 86_400))
    assert not Alert.objects.filter(resolution="recovered").exists()
    assert AlertRule.objects.filter(id=made.id).exists()
