"""Shadows over HTTP: begun, seen, ended; refusals with their codes; who may."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from fleet.models import PolicyVersion, Robot, Shadow
from fleet.protocol.messages import Distances, ShadowEpisode
from fleet.services.policy import policy_version_publish
from fleet.services.rollout import release_strategy_set
from fleet.services.shadow import shadow_episode_note
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def manager(client: Client, django_user_model: Any) -> Client:
    client.force_login(django_user_model.objects.create_user("mia", is_staff=True))
    return client


@pytest.fixture
def robot() -> Robot:
    return builders.enrol().robot


@pytest.fixture
def candidate(objects: LocalStore, robot: Robot) -> PolicyVersion:
    run = builders.running_run()
    publish(run, 0)
    release_strategy_set(run_id=run.id, strategy="manual", revision=0)
    return publish(run, 25)


def publish(run: Any, step: int) -> PolicyVersion:
    manifest, blobs = builders.policy(run.id, step=step, value=float(step))
    return policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)


def test_a_manager_begins_watches_and_ends(manager: Client, candidate: PolicyVersion, robot: Robot) -> None:
    url = f"/api/v1/policy-versions/{candidate.id}/shadows"
    assert manager.get(url).json() == {"shadows": []}
    answer = manager.post(url, {"robots": [str(robot.id)], "duration_s": 3600, "max_episodes": 5}, JSON)
    assert answer.status_code == 201, answer.content
    begun = answer.json()
    assert (begun["number"], begun["by_name"], begun["max_episodes"], begun["share"]) == (1, "mia", 5, 1.0)
    assert begun["robots"] == [
        {"robot": str(robot.id), "robot_name": robot.name, "state": "starting", "code": "",
         "text": "Was not heard yet.", "episodes": 0}
    ]  # fmt: skip

    row = register(builders.task(), robot, policy_version_id=str(PolicyVersion.objects.get(number=0).id))
    none = Distances(proposals=0, total=0.0, p50=0.0, p95=0.0)
    near = Distances(proposals=2, total=0.5, p50=0.25, p95=0.3)
    found = ShadowEpisode(
        shadow_id=begun["id"], instants=3, asked=3, answered=2, inference_ms=4.0, policy=near, human=none, own=none
    )
    shadow_episode_note(robot_id=str(robot.id), episode_id=str(row.id), found=found)

    one = manager.get(f"/api/v1/shadows/{begun['id']}")
    assert one.headers["ETag"]
    assert one.json()["total"]["policy"] == {"value": 0.25, "low": None, "high": None}
    assert one.json()["tasks"][0]["task"] == "box-close"
    (listed,) = manager.get(f"/api/v1/shadows/{begun['id']}/episodes").json()["results"]
    assert (listed["episode"], listed["robot_name"], listed["driving_number"]) == (str(row.id), robot.name, 0)
    assert (listed["policy_total"], listed["policy_n"], listed["asked"], listed["answered"]) == (0.5, 2, 3, 2)
    by_run = manager.get(f"/api/v1/training-runs/{candidate.run_id}/shadows").json()["shadows"]
    assert [shadow["id"] for shadow in by_run] == [begun["id"]]

    ended = manager.post(f"/api/v1/shadows/{begun['id']}/end", {"reason": "enough"}, JSON)
    assert (ended.status_code, ended.json()["reason"]) == (200, "enough")
    again = manager.post(f"/api/v1/shadows/{begun['id']}/end", {}, JSON)
    assert (again.status_code, again.json()["code"]) == (409, "shadow_ended")


def test_begun_once_under_one_key(manager: Client, candidate: PolicyVersion, robot: Robot) -> None:
    url, headers = f"/api/v1/policy-versions/{candidate.id}/shadows", {"Idempotency-Key": "one"}
    answers = [manager.post(url, {"robots": [str(robot.id)]}, JSON, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] == answers[1].json()["id"] and Shadow.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_request"),
        ({"tag": "lab"}, 422, "invalid_request"),
        ({"robots": []}, 400, "invalid"),
        ({"robots": ["x"]}, 400, "invalid"),
        ({"robots": [str(uuid.uuid4())]}, 404, "not_found"),
        ({"robot_share": 2}, 422, "invalid_request"),
        ({"robot_share": 1, "share": 0}, 422, "invalid_request"),
        ({"robot_share": 1, "duration_s": 1e12}, 422, "invalid_request"),
        ({"robot_share": 1, "max_episodes": 0}, 422, "invalid_request"),
    ],
)
def test_bad_wishes_are_refused(
    manager: Client, candidate: PolicyVersion, robot: Robot, body: dict[str, Any], status: int, code: str
) -> None:
    answer = manager.post(f"/api/v1/policy-versions/{candidate.id}/shadows", body, JSON)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Shadow.objects.exists()


def test_what_a_robot_drives_with_is_no_shadow_of_it(manager: Client, candidate: PolicyVersion, robot: Robot) -> None:
    current = PolicyVersion.objects.get(number=0)
    answer = manager.post(f"/api/v1/policy-versions/{current.id}/shadows", {"robots": [str(robot.id)]}, JSON)
    assert (answer.status_code, answer.json()["code"]) == (409, "shadow_same_version")


def test_operators_see_and_do_not_begin(candidate: PolicyVersion, robot: Robot, django_user_model: Any) -> None:
    operator = Client()
    operator.force_login(django_user_model.objects.create_user("ann"))
    url = f"/api/v1/policy-versions/{candidate.id}/shadows"
    assert operator.get(url).status_code == 200
    assert operator.post(url, {"robots": [str(robot.id)]}, JSON).status_code == 403
    assert not Shadow.objects.exists()
