"""The commands of the demo, through `call_command`."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from fleet.models import Episode, Person, PolicyVersion, Robot, Task, TrainingRun
from fleet.protocol.policy import decode_policy_manifest
from fleet.selectors.robot import desired_state
from fleet.services.enrolment import robot_enrol
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db


def _call(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def test_enrol_token_prints_a_token_that_enrols() -> None:
    token = _call("enrol_token", "--note", "arm").strip()
    assert robot_enrol(token=token, name="arm").robot.name == "arm"


def test_demo_seed_is_idempotent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOP_OPERATOR_PASSWORD", "chosen by the caller")
    monkeypatch.delenv("SOP_ADMIN_PASSWORD", raising=False)
    monkeypatch.delenv("SOP_MANAGER_PASSWORD", raising=False)
    robot = builders.enrol().robot
    first = json.loads(_call("demo_seed", "--config", '{"lr": 0.1}', "--seed", "3"))
    again = json.loads(_call("demo_seed"))
    assert set(first["passwords"]) == {"admin", "manager"}
    assert (again["run_id"], again["tasks"], again["passwords"]) == (first["run_id"], first["tasks"], {})
    assert authenticate(username="operator", password="chosen by the caller") is not None
    admin = authenticate(username="admin", password=first["passwords"]["admin"])
    assert admin is not None and admin.is_superuser
    assert dict(Person.objects.values_list("user__username", "roles")) == {
        "admin": ["admin"],
        "manager": ["manager"],
        "operator": ["operator"],
    }
    run = TrainingRun.objects.get()
    assert (run.config, run.seed, run.state) == ({"lr": 0.1}, 3, "paused")
    slugs = [task.slug for task in desired_state(robot_id=str(robot.id)).assignments]
    assert slugs == ["bin-picking", "box-close", "shelf-place"]
    assert Task.objects.count() == 3


def test_demo_seed_refuses_unknown_tasks() -> None:
    with pytest.raises(CommandError, match="fold-laundry"):
        _call("demo_seed", "--tasks", "fold-laundry")
    assert Task.objects.count() == 0


def test_import_registers_each_episode_once(objects: LocalStore, tmp_path: Path) -> None:
    task = builders.task()
    for _ in range(3):
        manifest, files = builders.episode(task, None)
        _write(tmp_path / "demos" / manifest.episode_id, files)
    assert "3 new of 3" in _call("import_episodes", str(tmp_path / "demos"), "--verbosity", "0")
    assert "0 new of 3" in _call("import_episodes", str(tmp_path / "demos"), "--verbosity", "0")
    assert set(Episode.objects.values_list("origin", "robot")) == {("demonstration", None)}


def test_import_stops_at_a_broken_episode_by_name(objects: LocalStore, tmp_path: Path) -> None:
    manifest, files = builders.episode(builders.task(), None)
    _write(tmp_path / "demos" / manifest.episode_id, {**files, "front.mp4": b"short"})
    with pytest.raises(CommandError, match=manifest.episode_id):
        _call("import_episodes", str(tmp_path / "demos"), "--verbosity", "0")
    assert Episode.objects.count() == 0
    with pytest.raises(CommandError, match="no <episode>"):
        _call("import_episodes", str(tmp_path))


def test_policy_import_publishes_the_base_once(objects: LocalStore, tmp_path: Path) -> None:
    builders.running_run(name="demo")
    manifest, blobs = builders.policy()
    _write(tmp_path / "base", {"manifest.json": manifest} | {f"{sha}.safetensors": data for sha, data in blobs.items()})
    for _ in range(2):
        assert _call("policy_import", str(tmp_path / "base"), "--run", "demo").startswith("version 0 of run demo")
    assert PolicyVersion.objects.count() == 1
    with pytest.raises(CommandError, match="no training run"):
        _call("policy_import", str(tmp_path / "base"), "--run", "other")
    with pytest.raises(CommandError):
        _call("policy_import", str(tmp_path), "--run", "demo")


def test_one_base_can_begin_several_runs(objects: LocalStore, tmp_path: Path) -> None:
    manifest, blobs = builders.policy()
    _write(tmp_path / "base", {"manifest.json": manifest} | {f"{sha}.safetensors": data for sha, data in blobs.items()})
    for name in ("first", "second"):
        builders.running_run(name=name)
    printed = {name: {_call("policy_import", str(tmp_path / "base"), "--run", name) for _ in range(2)}
               for name in ("first", "second")}  # fmt: skip
    assert [len(lines) for lines in printed.values()] == [1, 1]
    versions = {version.run.name: version for version in PolicyVersion.objects.select_related("run")}
    assert (versions["first"].number, versions["second"].number) == (0, 0)
    assert versions["first"].id != versions["second"].id and versions["first"].blobs == versions["second"].blobs
    stored = decode_policy_manifest(objects.get(versions["second"].manifest_key))
    assert stored.version_id == str(versions["second"].id)  # robots check it


def test_admin_shows_a_new_token_once_and_pauses_robots(admin_client: Any) -> None:
    answer = admin_client.post("/admin/fleet/enrolmenttoken/add/", {"note": "arm"}, follow=True)
    text = answer.content.decode()
    token = text.partition("valid for one hour: ")[2].split("<")[0].strip()
    robot = robot_enrol(token=token, name="arm").robot
    assert token not in admin_client.get("/admin/fleet/enrolmenttoken/").content.decode()

    action = {"action": "pause", "_selected_action": [str(robot.id)]}
    admin_client.post("/admin/fleet/robot/", action)
    assert Robot.objects.get().is_paused
    action = {"action": "revoke", "_selected_action": [str(robot.keys.get().id)]}
    admin_client.post("/admin/fleet/robotkey/", action)
    assert robot.keys.get().revoked_at is not None


@pytest.mark.parametrize("model", [
    "assignment", "enrolmenttoken", "episode", "lease", "policydeployment", "policyversion", "robot", "robotkey",
    "runmetric", "segment", "task", "traininground", "trainingrun",
])  # fmt: skip
def test_every_model_has_an_admin_page(admin_client: Any, model: str) -> None:
    assert admin_client.get(f"/admin/fleet/{model}/").status_code == 200


def test_admin_assigns_a_task_through_the_service(admin_client: Any) -> None:
    robot, task = builders.enrol().robot, builders.task()
    before = desired_state(robot_id=str(robot.id)).revision
    values = {"robot": str(robot.id), "task": str(task.id), "weight": "2.5"}
    assert admin_client.post("/admin/fleet/assignment/add/", values).status_code == 302
    state = desired_state(robot_id=str(robot.id))
    assert [assigned.weight for assigned in state.assignments] == [2.5]
    assert state.revision > before
