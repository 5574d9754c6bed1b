"""Versions over HTTP: lineage, report, comparison, download; staging, promoting, rolling back, pinning, and who may."""

from __future__ import annotations

import io
import tarfile
import uuid
from typing import Any

import pytest
from django.test import Client

from fleet.models import PolicyVersion, ReleaseTrack, Robot, Rollout
from fleet.protocol.recording import Outcome
from fleet.services.policy import policy_version_publish
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register
from tests.fleet.api.etags import revision_in

pytestmark = pytest.mark.django_db
JSON = "application/json"
NEW = {"If-Match": '"0"'}  # of what nobody changed yet


@pytest.fixture
def manager(client: Client, django_user_model: Any) -> Client:
    client.force_login(django_user_model.objects.create_user("mia", is_staff=True))
    return client


@pytest.fixture
def operator(django_user_model: Any) -> Client:
    other = Client()
    other.force_login(django_user_model.objects.create_user("ann"))
    return other


@pytest.fixture
def robots() -> list[Robot]:
    return [builders.enrol().robot for _ in range(3)]


@pytest.fixture
def run(objects: LocalStore, robots: list[Robot]) -> Any:
    return builders.running_run()


def publish(run: Any, step: int, **changes: Any) -> PolicyVersion:
    manifest, blobs = builders.policy(run.id, step=step, value=float(step), **changes)
    return policy_version_publish(run_id=str(run.id), manifest_bytes=manifest, blobs=blobs)


def test_an_admin_stages_watches_and_decides(manager: Client, run: Any, robots: list[Robot]) -> None:
    base = publish(run, 0)
    candidate = publish(run, 25)
    staged = manager.post(
        f"/api/v1/policy-versions/{candidate.id}/stage",
        {"strategy": "canary", "settings": {"min_episodes": 5}, "robots": [str(robots[1].id)]},
        JSON,
    )
    assert staged.status_code == 200, staged.content
    body = staged.json()
    assert (body["strategy"], body["current_number"]) == ("manual", 0)
    assert body["rollout"]["robots"] == [robots[1].name] and body["rollout"]["per_block"] == 2
    assert body["rollout"]["next"] == "No episode of the candidate has come yet: nothing is decided."
    assert [measure["harm_limit"] for measure in body["rollout"]["evidence"]["measures"]] == [40.0, 40.0]
    assert body["canary"]["alpha"] == 0.05
    lineage = manager.get(f"/api/v1/training-runs/{run.id}/lineage").json()["versions"]
    assert [(node["number"], node["stages"]) for node in lineage] == [(0, ["current"]), (1, ["canary", "newest"])]

    url = f"/api/v1/rollouts/{body['rollout']['id']}"
    paused = manager.post(f"{url}/pause", {"reason": "lunch"}, JSON).json()["rollout"]
    assert paused["state"] == "paused" and paused["next"].startswith("Paused: lunch")
    assert manager.post(f"{url}/resume", {}, JSON).json()["rollout"]["state"] == "canary"
    assert manager.post(f"{url}/roll-back", {}, JSON).status_code == 422
    ended = manager.post(f"{url}/roll-back", {"reason": "too slow"}, JSON).json()
    assert ended["rollout"] is None and ended["past"][0]["state"] == "rolled_back"
    assert ended["past"][0]["episodes"] == 0
    assert [event["kind"] for event in ended["events"]][:4] == ["roll back", "resume", "pause", "canary"]
    assert ended["events"][0]["by_name"] == "mia" and ended["events"][0]["number"] == 1
    assert manager.post(f"{url}/promote", {}, JSON).status_code == 200, "it may be promoted all the same"
    assert manager.post(f"{url}/pause", {}, JSON).json()["code"] == "rollout_closed"
    back = manager.post(f"/api/v1/training-runs/{run.id}/roll-back", {"reason": "drops cups"}, JSON).json()
    assert back["current"] == str(base.id)


def test_strategy_and_pins(manager: Client, run: Any, robots: list[Robot]) -> None:
    base = publish(run, 0)
    url = f"/api/v1/training-runs/{run.id}/release"
    read = manager.get(url)
    assert (read.json()["strategy"], revision_in(read)) == ("immediate", '"0"')
    changed = manager.put(url, {"strategy": "canary", "canary": {"share": 0.5}}, JSON, headers=NEW).json()
    assert (changed["strategy"], changed["canary"]["share"], changed["current_number"]) == ("canary", 0.5, 0)
    for bad, field in (({"share": 1}, "share"), ({"min_episodes": 0}, "max_episodes")):
        refused = manager.put(url, {"strategy": "canary", "canary": bad}, JSON, headers={"If-Match": '"1"'})
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    pin = f"/api/v1/robots/{robots[0].id}/pin"
    body = {"version": str(base.id), "reason": "visitors"}
    assert manager.put(pin, body, JSON, headers={"If-Match": '"1"'}).headers["ETag"] == '"2"'
    robot = Robot.objects.get(id=robots[0].id)
    assert (robot.pinned_version_id, robot.pinned_reason) == (base.id, "visitors")
    assert manager.delete(pin, headers={"If-Match": '"2"'}).status_code == 204
    assert Robot.objects.get(id=robots[0].id).pinned_version_id is None
    assert manager.put(pin, {"version": str(uuid.uuid4())}, JSON, headers={"If-Match": '"3"'}).status_code == 404


def test_nobodys_choice_is_overwritten_unseen(manager: Client, run: Any, robots: list[Robot]) -> None:
    """A strategy, a pin and notes are written over what was read: 428 without a word of it, 412 if it is old."""
    version = publish(run, 0)
    release = f"/api/v1/training-runs/{run.id}/release"
    manager.put(release, {"strategy": "manual"}, JSON, headers=NEW)
    manager.patch(f"/api/v1/robots/{robots[0].id}", {"note": "new gripper"}, JSON, headers={"If-Match": '"1"'})
    notes = f"/api/v1/policy-versions/{version.id}/notes"
    manager.put(notes, {"notes": "first"}, JSON, headers=NEW)
    pin = f"/api/v1/robots/{robots[0].id}/pin"
    for headers, status, code in (
        ({}, 428, "precondition_required"),
        ({"If-Match": '"0"'}, 412, "precondition_failed"),
        ({"If-Match": "W/x"}, 422, "invalid_request"),
    ):
        for answer in (
            manager.put(release, {"strategy": "canary"}, JSON, headers=headers),
            manager.put(pin, {"version": str(version.id)}, JSON, headers=headers),
            manager.delete(pin, headers=headers),
            manager.put(notes, {"notes": "second"}, JSON, headers=headers),
        ):
            assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ReleaseTrack.objects.get().strategy == "manual"
    assert Robot.objects.get(id=robots[0].id).pinned_version_id is None
    assert manager.get(f"/api/v1/policy-versions/{version.id}/report").json()["version"]["notes"] == "first"


def test_a_promotion_counts_as_a_change_of_what_the_strategy_was_chosen_over(manager: Client, run: Any) -> None:
    base, _ = publish(run, 0), publish(run, 25)
    url = f"/api/v1/training-runs/{run.id}"
    manager.post(f"{url}/roll-back", {"reason": "drops cups", "version": str(base.id)}, JSON)
    late = manager.put(f"{url}/release", {"strategy": "immediate"}, JSON, headers=NEW)
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert revision_in(manager.get(f"{url}/release")) == '"1"'


def test_only_managers_change_what_robots_drive_with(operator: Client, run: Any, robots: list[Robot]) -> None:
    version = publish(run, 0)
    requests = [
        operator.put(f"/api/v1/training-runs/{run.id}/release", {"strategy": "manual"}, JSON),
        operator.post(f"/api/v1/training-runs/{run.id}/roll-back", {"reason": "x"}, JSON),
        operator.post(f"/api/v1/policy-versions/{version.id}/stage", {"strategy": "immediate"}, JSON),
        operator.put(f"/api/v1/robots/{robots[0].id}/pin", {"version": str(version.id)}, JSON),
        operator.put(f"/api/v1/policy-versions/{version.id}/notes", {"notes": "x"}, JSON),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in requests} == {(403, "permission_denied")}
    assert ReleaseTrack.objects.count() == Rollout.objects.count() == 0
    assert operator.get(f"/api/v1/policy-versions/{version.id}/report").status_code == 200
    assert Client().get(f"/api/v1/policy-versions/{version.id}/report").status_code == 401


def test_a_report_says_what_went_in_what_came_out_and_where_it_runs(
    manager: Client, run: Any, robots: list[Robot]
) -> None:
    base = publish(run, 0)
    version = publish(run, 25, parent_id=str(base.id))
    task = builders.task()
    for index in range(4):
        outcome = Outcome.SUCCESS if index else Outcome.TIMEOUT
        register(task, robots[0], outcome=outcome, policy_version_id=str(version.id), human=int(index == 3))
    report = manager.get(f"/api/v1/policy-versions/{version.id}/report").json()
    assert report["version"]["parent"] == str(base.id) and report["version"]["number"] == 1
    (row,) = report["tasks"]
    assert (row["task"], row["success"]["successes"], row["success"]["n"]) == ("box-close", 2, 4)
    assert row["interventions"]["successes"] == 1
    assert report["version"]["rates"]["success"]["low"] < 0.5 < report["version"]["rates"]["success"]["high"]
    assert report["data"] is None, "no round was trained here"
    assert {row["robot_name"] for row in report["deployments"]} == {robot.name for robot in robots}
    pin = f"/api/v1/robots/{robots[0].id}/pin"
    manager.put(pin, {"version": str(base.id), "reason": "visitors"}, JSON, headers={"If-Match": '"1"'})
    report = manager.get(f"/api/v1/policy-versions/{version.id}/report").json()
    fields = ("pinned_version", "pinned_number", "pinned_run_name", "pinned_reason")
    pins = {row["robot_name"]: tuple(row[field] for field in fields) for row in report["deployments"]}
    assert pins.pop(robots[0].name) == (str(base.id), 0, run.name, "visitors")
    assert set(pins.values()) == {(None, None, None, "")}
    url = f"/api/v1/policy-versions/{version.id}/notes"
    notes = manager.put(url, {"notes": "first with gloves"}, JSON, headers=NEW)
    assert notes.json() == {"notes": "first with gloves"}


def test_two_versions_are_compared_task_by_task(manager: Client, run: Any, robots: list[Robot]) -> None:
    """Pooled, the second looks worse, for it was given the hard task more often; task by task it is better."""
    old, new = publish(run, 0), publish(run, 25)
    easy, hard = builders.task("easy"), builders.task("hard")
    for task, version, won, n in ((easy, old, 16, 20), (hard, old, 0, 5), (easy, new, 5, 5), (hard, new, 6, 20)):
        for index in range(n):
            outcome = Outcome.SUCCESS if index < won else Outcome.FAILURE
            register(task, robots[0], outcome=outcome, policy_version_id=str(version.id))
    url = f"/api/v1/policy-versions/{new.id}/compare/{old.id}"
    success = manager.get(url).json()["measures"][0]
    assert success["one"]["rate"] < success["other"]["rate"], "11 of 25 against 16 of 25"
    assert success["difference"] == pytest.approx(0.25) and success["low"] < 0.25 < success["high"]
    assert success["sentence"].startswith("Better with 9") and success["sentence"].endswith("n = 25 and 25.")
    alone = manager.get(url, {"task": "easy"}).json()["measures"][0]
    assert (alone["one"]["n"], alone["other"]["n"]) == (5, 20)
    none = manager.get(url, {"task": "never"}).json()["measures"][0]
    assert none["sentence"] == "They have no task in common yet." and none["difference"] is None


def test_a_download_is_a_policy_folder(manager: Client, operator: Client, run: Any) -> None:
    version = publish(run, 25)
    assert operator.get(f"/api/v1/policy-versions/{version.id}/download").status_code == 403
    answer: Any = manager.get(f"/api/v1/policy-versions/{version.id}/download")
    data = b"".join(answer.streaming_content)
    assert len(data) == int(answer["Content-Length"])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = [name.split("/")[1] for name in tar.getnames()]
    assert names == ["manifest.json", *(f"{sha256}.safetensors" for sha256 in version.blobs)]
