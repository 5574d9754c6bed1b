"""Alerts through HTTP: everybody reads, operators acknowledge, managers change the rules; refusals have codes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fleet.models import Alert, AlertRule
from fleet.permissions import Role
from fleet.services.alert_watch import alerts_evaluate
from fleet.services.person import person_roles_set
from fleet.services.robot_admin import robot_retire
from tests.fleet import builders
from tests.fleet.api.etags import revision_in
from tests.fleet.services.alert_rows import heard, silent

pytestmark = pytest.mark.django_db

JSON = "application/json"
RULE = {"name": "Robot offline", "kind": "offline", "params": {"after_s": 300}, "clear_after_s": 0}
RULES = "/api/v1/alert-rules"


@pytest.fixture
def people(django_user_model: Any) -> dict[str, Client]:
    """Somebody signed in for each role."""
    found = {}
    for role in Role:
        user = django_user_model.objects.create_user(role.value)
        person_roles_set(user=user, roles=[role])
        found[role.value] = Client()
        found[role.value].force_login(user)
    return found


@pytest.fixture
def manager(people: dict[str, Client]) -> Client:
    return people["manager"]


def _away(name: str = "arm") -> Any:
    robot = builders.enrol(name).robot
    silent(robot, timezone.now() - timedelta(hours=1))
    return robot


def test_open_alerts_history_and_acknowledgement(people: dict[str, Client], manager: Client) -> None:
    assert manager.post(RULES, RULE, JSON).status_code == 201
    robot = _away()
    alerts_evaluate()
    [found] = people["viewer"].get("/api/v1/alerts/open").json()["results"]
    assert (found["subject_kind"], found["subject_id"], found["unit"]) == ("robot", str(robot.id), "s")
    assert found["text"] == "arm has been offline for 60 min; the limit is 5 min."
    path = f"/api/v1/alerts/{found['id']}"
    refused = people["viewer"].post(f"{path}/acknowledge", {"note": "x"}, JSON)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    taken = people["operator"].post(f"{path}/acknowledge", {"note": "I look"}, JSON).json()
    assert (taken["acknowledged_by_name"], taken["note"]) == ("operator", "I look")
    body = people["operator"].get("/api/v1/alerts/open").json()
    assert (body["total"], body["unacknowledged"]) == (1, 0)
    heard(robot)
    alerts_evaluate()
    assert people["viewer"].get("/api/v1/alerts/open").json()["total"] == 0
    assert people["viewer"].get("/api/v1/alerts?state=open").json()["results"] == []
    [past] = people["viewer"].get("/api/v1/alerts?state=resolved").json()["results"]
    assert (past["id"], past["resolution"]) == (found["id"], "recovered")
    assert people["viewer"].get(path).json()["id"] == found["id"]
    assert people["viewer"].get("/api/v1/alerts?state=lost").json()["code"] == "invalid_request"


def test_rules_are_made_changed_over_their_revision_and_removed(manager: Client) -> None:
    made = manager.post(RULES, RULE, JSON)
    assert (made.status_code, made["ETag"], made.json()["params"]) == (201, '"1"', {"after_s": 300.0})
    path = f"{RULES}/{made.json()['id']}"
    assert manager.patch(path, {"severity": "critical"}, JSON).status_code == 428
    assert manager.patch(path, {"severity": "critical"}, JSON, headers={"If-Match": '"7"'}).status_code == 412
    changed = manager.patch(path, {"severity": "critical"}, JSON, headers={"If-Match": '"1"'})
    assert (changed.json()["severity"], changed["ETag"]) == ("critical", '"2"')
    assert [row["name"] for row in manager.get(RULES).json()["results"]] == ["Robot offline"]
    assert manager.get(RULES).json()["is_mail_set_up"] is False
    assert revision_in(manager.get(path)) == '"2"'
    assert manager.delete(path).status_code == 204
    assert manager.get(path).status_code == 404
    assert manager.delete(path).status_code == 404


def test_a_key_makes_one_rule(manager: Client) -> None:
    answers = [manager.post(RULES, RULE, JSON, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert AlertRule.objects.count() == 1


def test_a_preview_says_what_would_fire_and_changes_nothing(people: dict[str, Client], manager: Client) -> None:
    _away()
    body = {"kind": "offline", "params": {"after_s": 300}}
    [reading] = manager.post(f"{RULES}/preview", body, JSON).json()["results"]
    assert (reading["finding"], reading["subject_name"]) == ("firing", "arm")
    assert reading["value"] == pytest.approx(3600, abs=60)
    assert (AlertRule.objects.count(), Alert.objects.count()) == (0, 0)
    assert people["operator"].post(f"{RULES}/preview", body, JSON).status_code == 403


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"kind": "rate", "params": {"threshold": 0}}, 422, "invalid_request", "params.threshold"),
        ({"kind": "rate", "params": {"threshold": 1}}, 422, "invalid_request", "params.threshold"),
        ({"time_zone": "Mars/Olympus"}, 422, "invalid_request", "time_zone"),
        (
            {"silences": [{"kind": "once", "from": "2026-12-02T00:00", "until": "2026-12-01T00:00"}]},
            422,
            "invalid_request",
            "silences",
        ),
        ({"tasks": ["11111111-1111-4111-8111-111111111111"]}, 422, "invalid_request", "tasks"),
        ({"robots": ["11111111-1111-4111-8111-111111111111"]}, 404, "not_found", None),
        ({"channels": ["mail"]}, 422, "invalid_request", "mail_to"),
        ({"kind": "weather"}, 400, "invalid", None),
        ({"params": [1]}, 400, "invalid", None),
        ({"clear_after_s": 1e9}, 400, "invalid", None),
    ],
)
def test_bad_rules_are_refused_with_a_code(
    manager: Client, change: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    answer = manager.post(RULES, {**RULE, **change}, JSON)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert field is None or problem["field"] == field
    assert AlertRule.objects.count() == 0


def test_a_rule_on_a_retired_robot_is_refused(manager: Client) -> None:
    robot = builders.enrol("old").robot
    robot_retire(robot_id=robot.id)
    answer = manager.post(RULES, {**RULE, "robots": [str(robot.id)]}, JSON)
    assert (answer.status_code, answer.json()["code"]) == (409, "robot_retired")
    assert "old is retired" in answer.json()["detail"]


def test_a_name_is_taken_once(manager: Client) -> None:
    manager.post(RULES, RULE, JSON)
    answer = manager.post(RULES, RULE, JSON)
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
