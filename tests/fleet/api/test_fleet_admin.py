"""Robots, tasks and the assignment board over HTTP, as admins and operators."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from django.test import Client

from fleet.models import Assignment, EnrolmentToken, Robot
from fleet.permissions import Role
from fleet.services.person import person_roles_set
from tests.fleet import builders
from tests.fleet.api.etags import revision_in

pytestmark = pytest.mark.django_db
JSON = "application/json"
TASK = {"slug": "stack", "instruction": "stack it", "driver_task": "box-close", "max_steps": 100}


@pytest.fixture
def admin(client: Client, django_user_model: Any) -> Client:
    user = django_user_model.objects.create_user("ann", password="x")
    person_roles_set(user=user, roles=(Role.ADMIN,))
    client.force_login(user)
    return client


@pytest.fixture
def operator(django_user_model: Any) -> Client:
    user = django_user_model.objects.create_user("bob", password="x")
    person_roles_set(user=user, roles=(Role.OPERATOR,))
    client = Client()
    client.force_login(user)
    return client


def _refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content


def test_a_task_from_its_definition_to_its_archive(admin: Client) -> None:
    made = admin.post("/api/v1/tasks", TASK, JSON)
    assert (made.status_code, made["ETag"], made.json()["target_rate"]) == (201, '"1"', 0.8)
    url = f"/api/v1/tasks/{made.json()['id']}"
    _refused(admin.post("/api/v1/tasks", TASK, JSON), 409, "name_taken")
    _refused(admin.patch(url, {"max_steps": 50}, JSON), 428, "precondition_required")
    changed = admin.patch(url, {"instruction": "stack both"}, JSON, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed["ETag"], changed.json()["instruction"]) == (200, '"2"', "stack both")
    _refused(admin.patch(url, {"max_steps": 50}, JSON, headers={"If-Match": '"1"'}), 412, "precondition_failed")
    wordings = admin.get(f"{url}/wordings").json()["results"]
    assert [(w["number"], w["instruction"], w["by_name"]) for w in wordings] == [
        (2, "stack both", "ann"),
        (1, "stack it", "ann"),
    ]
    archived = admin.patch(url, {"is_active": False}, JSON, headers={"If-Match": '"2"'})
    assert (archived.json()["is_active"], archived.json()["ended_assignments"]) == (False, 0)


def test_a_code_enrols_a_robot_that_waits_and_is_approved(admin: Client) -> None:
    made = admin.post("/api/v1/enrolment-codes", {"note": "left arm", "valid_s": 900}, JSON)
    code = made.json()["code"]
    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")
    assert made.json()["command"].endswith(f"--token={code}")
    assert made.json()["qr"].startswith("data:image/svg+xml")
    listed = admin.get("/api/v1/enrolment-codes").content.decode()
    assert "left arm" in listed and code not in listed
    enrolled = Client().post("/api/v1/robots/enrol", {"token": code, "name": "arm"}, JSON)
    assert enrolled.status_code == 201
    url = f"/api/v1/robots/{enrolled.json()['robot_id']}"
    assert admin.get(url).json()["is_approved"] is False
    assert admin.post(f"{url}/approve").status_code == 204
    answer = admin.get(url)
    assert (answer.json()["is_approved"], revision_in(answer)) == (True, '"2"')
    changed = admin.patch(url, {"name": "left arm", "tags": ["lab"]}, JSON, headers={"If-Match": '"2"'})
    assert (changed.json()["name"], changed.json()["tags"]) == ("left arm", ["lab"])
    (key,) = admin.get(f"{url}/keys").json()["results"]
    assert admin.delete(f"{url}/keys/{key['id']}").json()["revoked_at"]
    assert admin.post(f"{url}/retire").status_code == 204
    _refused(admin.patch(url, {"name": "x"}, JSON, headers={"If-Match": '"4"'}), 409, "robot_retired")


def test_a_code_can_be_revoked(admin: Client) -> None:
    made = admin.post("/api/v1/enrolment-codes", {}, JSON).json()
    assert admin.delete(f"/api/v1/enrolment-codes/{made['id']}").json()["revoked_at"]
    answer = Client().post("/api/v1/robots/enrol", {"token": made["code"], "name": "arm"}, JSON)
    _refused(answer, 403, "token_invalid")
    assert Robot.objects.count() == 0


ABSENT = {"If-Match": '"none"'}  # of work that nobody gave


def test_the_board_gives_and_ends_work(admin: Client) -> None:
    robot = builders.enrol("arm").robot
    robot.driver = msgspec.to_builtins(builders.driver_info())
    robot.save()
    task = builders.task("box-close")
    url = f"/api/v1/assignments/{robot.id}/{task.id}"
    terms = {
        "weight": 2.5,
        "priority": 1,
        "windows": [{"days": [0, 1], "from": "08:00", "until": "12:00"}],
        "time_zone": "Europe/Berlin",
    }
    given = admin.put(url, terms, JSON, headers=ABSENT)
    assert given.json()["windows"] == terms["windows"]
    board = admin.get("/api/v1/assignments").json()
    (shown,) = board["robots"]
    assert (shown["name"], shown["can"], shown["problem"]["code"]) == ("arm", ["box-close"], "offline")
    assert {name: shown["assignments"][0][name] for name in terms} == terms
    assert given.headers["ETag"] == f'"{shown["assignments"][0]["version"]}"'
    assert admin.delete(url, headers={"If-Match": given.headers["ETag"]}).status_code == 204
    assert admin.delete(url, headers=ABSENT).status_code == 204, "ending twice is ending once"
    assert Assignment.objects.filter(ended_at__isnull=True).count() == 0
    other = builders.task("stack")
    answer = admin.put(f"/api/v1/assignments/{robot.id}/{other.id}", {}, JSON, headers=ABSENT)
    _refused(answer, 409, "capability_missing")


def test_work_that_somebody_changed_is_not_overwritten_or_ended(admin: Client) -> None:
    robot, task = builders.enrol("arm").robot, builders.task("box-close")
    url = f"/api/v1/assignments/{robot.id}/{task.id}"
    first = admin.put(url, {"weight": 2}, JSON, headers=ABSENT)
    assert first.status_code == 200
    _refused(admin.put(url, {"weight": 3}, JSON, headers=ABSENT), 412, "precondition_failed")
    read = {"If-Match": first.headers["ETag"]}
    assert admin.put(url, {"weight": 4}, JSON, headers=read).status_code == 200
    _refused(admin.put(url, {"weight": 5}, JSON, headers=read), 412, "precondition_failed")
    _refused(admin.delete(url, headers=read), 412, "precondition_failed")
    _refused(admin.put(url, {"weight": 5}, JSON), 428, "precondition_required")
    _refused(admin.delete(url), 428, "precondition_required")
    assert Assignment.objects.get(ended_at__isnull=True).weight == 4


@pytest.mark.parametrize(
    "terms",
    [
        {"weight": 0},
        {"priority": 99},
        {"windows": [{"days": [], "from": "08:00", "until": "12:00"}]},
        {"windows": [{"days": [1], "from": "24:00", "until": "12:00"}]},
        {"windows": [{"days": [1]}]},
        {"windows": "always"},
    ],
)
def test_terms_that_the_board_refuses(admin: Client, terms: dict[str, Any]) -> None:
    robot, task = builders.enrol("arm").robot, builders.task("box-close")
    assert admin.put(f"/api/v1/assignments/{robot.id}/{task.id}", terms, JSON, headers=ABSENT).status_code == 400
    assert Assignment.objects.count() == 0


def test_operators_look_and_change_nothing(operator: Client) -> None:
    robot, task = builders.enrol("arm").robot, builders.task("box-close")
    assert operator.get("/api/v1/assignments").status_code == 200
    assert operator.get(f"/api/v1/tasks/{task.id}/wordings").status_code == 200
    before = (Robot.objects.get().revision, EnrolmentToken.objects.count())
    for answer in (
        operator.post("/api/v1/tasks", TASK, JSON),
        operator.put(f"/api/v1/assignments/{robot.id}/{task.id}", {}, JSON),
        operator.patch(f"/api/v1/robots/{robot.id}", {"name": "x"}, JSON, headers={"If-Match": '"1"'}),
        operator.post("/api/v1/enrolment-codes", {}, JSON),
        operator.post(f"/api/v1/robots/{robot.id}/retire"),
        operator.get(f"/api/v1/robots/{robot.id}/keys"),
    ):
        _refused(answer, 403, "permission_denied")
    assert (Robot.objects.get().revision, EnrolmentToken.objects.count()) == before
