"""Storage through HTTP: usage and reports, a collection asked for, rules with their preview."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fleet.models import Episode, RetentionRule
from fleet.services.episode import episode_register
from fleet.services.storage_gc import storage_collect
from fleet.services.storage_verify import storage_verify
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def admin(client: Client, django_user_model: Any) -> Client:
    client.force_login(django_user_model.objects.create_user("mara", is_staff=True))
    return client


@pytest.fixture
def episode(objects: LocalStore) -> Episode:
    robot = builders.enrol().robot
    manifest, files = builders.episode(builders.task(), robot)
    builders.store(manifest, files)
    row = episode_register(robot_id=str(robot.id), manifest=manifest, uploaded_ns=None)
    Episode.objects.update(indexed_at=timezone.now() - timedelta(days=30))
    return row


def test_usage_and_the_last_reports(admin: Client, episode: Episode) -> None:
    before = admin.get("/api/v1/storage").json()
    assert before["by_task"] == [{"task": "box-close", "episodes": 1, "bytes": episode.size_bytes}]
    assert (before["gc"], before["verify"], before["gc_at"]) == (None, None, None)
    storage_collect()
    storage_verify()
    after = admin.get("/api/v1/storage").json()
    assert after["gc"]["kinds"][0] == {
        "kind": "episodes", "objects": 3, "bytes": after["gc"]["kinds"][0]["bytes"], "orphans": 0, "orphan_bytes": 0,
        "young": 0, "removed": 0, "removed_bytes": 0, "examples": [],
    }  # fmt: skip
    assert (after["verify"]["episodes"], after["verify"]["damaged"]) == (1, 0)


def test_a_collection_is_asked_of_a_worker(
    admin: Client, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    from fleet import queue

    asked: list[Any] = []
    monkeypatch.setattr(queue, "_enqueue", lambda name, args, **_: asked.append((name, args)))
    for delete in (False, True):
        with django_capture_on_commit_callbacks(execute=True):
            assert admin.post("/api/v1/storage/collect", {"delete": delete}, JSON).status_code == 202
    assert asked == [("fleet.storage_collect", (True,)), ("fleet.storage_collect", (False,))]
    assert admin.post("/api/v1/storage/collect", {}, JSON).status_code == 400


def test_a_rule_is_previewed_saved_changed_and_forgotten(admin: Client, episode: Episode) -> None:
    body = {"task": None, "kinds": ["autonomous"], "keep_days": 7}
    preview = admin.post("/api/v1/storage/retention-rules/preview", body, JSON).json()
    assert (preview["episodes"], preview["bytes"], preview["examples"]) == (1, episode.size_bytes, [str(episode.id)])
    assert preview["by_task"] == [{"task": "box-close", "episodes": 1, "bytes": episode.size_bytes}]
    assert RetentionRule.objects.count() == 0
    made = admin.post("/api/v1/storage/retention-rules", body, JSON)
    assert (made.status_code, made.json()["is_active"], made.json()["task_slug"]) == (201, False, None)
    assert admin.post("/api/v1/storage/retention-rules", body, JSON).json()["code"] == "name_taken"
    path = f"/api/v1/storage/retention-rules/{made.json()['id']}"
    read = {"If-Match": f'"{made.json()["version"]}"'}
    changed = admin.patch(path, {"is_active": True, "keep_bytes": 10**9}, JSON, headers=read)
    assert changed.json()["keep_bytes"] == 10**9
    [listed] = admin.get("/api/v1/storage/retention-rules").json()["results"]
    assert (listed["is_active"], listed["keep_days"]) == (True, 7)
    assert changed.headers["ETag"] == f'"{listed["version"]}"'
    now = {"If-Match": changed.headers["ETag"]}
    nothing = admin.patch(path, {"keep_days": None, "keep_bytes": None}, JSON, headers=now)
    assert nothing.json()["code"] == "invalid_request"
    assert admin.delete(path, headers=now).status_code == 204
    assert admin.delete(path, headers=now).status_code == 404
    assert Episode.objects.count() == 1, "rules run at night, not when they are saved"


def test_a_rule_that_somebody_changed_is_not_overwritten_or_forgotten(admin: Client) -> None:
    made = admin.post(
        "/api/v1/storage/retention-rules", {"task": None, "kinds": ["aborted"], "keep_days": 7}, JSON
    ).json()
    path, read = f"/api/v1/storage/retention-rules/{made['id']}", {"If-Match": f'"{made["version"]}"'}
    assert admin.patch(path, {"keep_days": 9}, JSON, headers=read).status_code == 200
    for answer in (admin.patch(path, {"is_active": True}, JSON, headers=read), admin.delete(path, headers=read)):
        assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    for answer in (admin.patch(path, {"is_active": True}, JSON), admin.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (428, "precondition_required")
    rule = RetentionRule.objects.get()
    assert (rule.keep_days, rule.is_active) == (9, False)


def test_what_a_rule_has_removed_is_no_change_of_it(admin: Client) -> None:
    made = admin.post(
        "/api/v1/storage/retention-rules", {"task": None, "kinds": ["aborted"], "keep_days": 7}, JSON
    ).json()
    RetentionRule.objects.update(removed=5, removed_bytes=100)
    path, read = f"/api/v1/storage/retention-rules/{made['id']}", {"If-Match": f'"{made["version"]}"'}
    assert admin.patch(path, {"keep_days": 9}, JSON, headers=read).json()["removed"] == 5
