"""Every endpoint that names an object, for somebody in a group: one outside is 404, one inside is there."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fleet.api.matrix import ENDPOINTS
from fleet.api.reach import REACH, Reach
from fleet.models import PolicyVersion, Robot, Shadow, ShadowRobot
from fleet.permissions import ROLE_PERMISSIONS, WHOLE_FLEET, WHOLE_FLEET_WORDS, Role
from tests.fleet import builders
from tests.fleet.api.test_access_matrix import CONVERTERS
from tests.fleet.two_sites import Site, group_of, person, site

pytestmark = pytest.mark.django_db

NAMED = (
    Reach.ROBOT, Reach.TASK, Reach.ROBOT_AND_TASK, Reach.EPISODE, Reach.DATASET, Reach.DATASET_VERSION, Reach.EXPORT,
    Reach.ALERT, Reach.IMPORT,
)  # fmt: skip
GONE = {
    "there is no such robot", "there is no such task", "there is no such episode", "there is no such dataset",
    "there is no such version", "there is no such export", "there is no such alert", "there is no such import",
    "Not found.",
}  # fmt: skip


@pytest.fixture
def sites(objects: object) -> tuple[Site, Site]:
    return site("a"), site("b")


@pytest.fixture
def manager(sites: tuple[Site, Site], django_user_model: Any) -> Any:
    """Has every role but admin, and sees site A at its own task."""
    roles = (Role.MANAGER, Role.EXPORTER)
    group = group_of("a", sites[0].task)
    user = person(django_user_model, "ann", *roles, groups=(group,))
    sites[0].imported.requested_by = user
    sites[0].imported.save()
    return user


def _url(name: str, of: Site, run_id: Any) -> str:
    by_kind = {
        Reach.ROBOT: of.robot.id,
        Reach.TASK: of.task.id,
        Reach.EPISODE: of.episode.id,
        Reach.DATASET: of.dataset.id,
        Reach.DATASET_VERSION: of.dataset.id,
        Reach.EXPORT: of.export.id,
        Reach.ALERT: of.alert.id,
        Reach.IMPORT: of.imported.id,
        Reach.ROBOT_AND_TASK: None,
    }
    named = {"pk": by_kind[REACH[name]], "robot_id": of.robot.id, "task_id": of.task.id, "episode_id": of.episode.id}
    named |= {"number": 1, "other": 1, "name": "manifest.json", "key_id": uuid.uuid4()}
    if name == "run-sidecar":
        named["pk"] = run_id
    return reverse(name, kwargs={key: named[key] for key in CONVERTERS[name]})


def _ask(client: Client, method: str, url: str) -> tuple[int, str]:
    answer = client.generic(method, url, data="{}", content_type="application/json")
    is_problem = answer.get("Content-Type", "") == "application/problem+json"
    return answer.status_code, answer.json()["detail"] if is_problem else ""


@pytest.mark.parametrize("name", sorted(name for name, reach in REACH.items() if reach in NAMED))
def test_what_is_outside_does_not_exist_and_what_is_inside_does(
    name: str, sites: tuple[Site, Site], manager: Any, client: Client
) -> None:
    client.force_login(manager)
    run_id = builders.running_run().id
    inside, outside = (_url(name, each, run_id) for each in sites)
    for method, need in ENDPOINTS[name].items():
        if need in WHOLE_FLEET:
            expected = (403, WHOLE_FLEET_WORDS) if need in ROLE_PERMISSIONS[Role.MANAGER] else None
            for url in (inside, outside):
                status, detail = _ask(client, method, url)
                assert status == 403 and expected in (None, (status, detail)), (method, url, detail)
            continue
        status, detail = _ask(client, method, outside)
        assert status == 404 and detail in GONE, (method, status, detail)
        status, detail = _ask(client, method, inside)
        assert status != 403 and detail not in GONE, (method, status, detail)


def test_a_shadow_is_seen_by_who_sees_its_robots_at_all_tasks(
    sites: tuple[Site, Site], manager: Any, client: Client, django_user_model: Any
) -> None:
    """Its figures are of all tasks, and of all its robots together."""
    run = builders.running_run()
    now = timezone.now()
    version = PolicyVersion.objects.create(
        id=uuid.uuid4(), run=run, number=0, step=0, manifest_key="none", manifest_sha256="0" * 64, blobs={},
        size_bytes=1, trained_at=now, published_at=now,
    )  # fmt: skip
    ours, shared = (_shadow(version, *(each.robot for each in among)) for among in (sites[:1], sites))
    Robot.objects.filter(id=sites[0].robot.id).update(tags=["a", "a, at all tasks"])
    users = (manager, person(django_user_model, "cleo", Role.MANAGER, groups=(group_of("a, at all tasks"),)))
    for user, seen in zip(users, ((), (ours,)), strict=True):
        client.force_login(user)
        for shadow in (ours, shared):
            for name in ("shadow", "shadow-episodes"):
                status, _ = _ask(client, "GET", reverse(name, kwargs={"pk": shadow.id}))
                assert status == (200 if shadow in seen else 404)
            assert _ask(client, "POST", reverse("shadow-end", kwargs={"pk": shadow.id}))[0] == 403
        for name, pk in (("version-shadows", version.id), ("run-shadows", run.id)):
            found = client.get(reverse(name, kwargs={"pk": pk})).json()["shadows"]
            assert [each["id"] for each in found] == [str(shadow.id) for shadow in seen]


def _shadow(version: PolicyVersion, *robots: Robot) -> Shadow:
    shadow = Shadow.objects.create(version=version, max_episodes=5, ends_at=timezone.now() + timedelta(hours=1))
    ended = timezone.now()
    ShadowRobot.objects.bulk_create(ShadowRobot(shadow=shadow, robot=robot, ended_at=ended) for robot in robots)
    return shadow


def test_what_reaches_the_whole_fleet_is_refused(manager: Any, client: Client) -> None:
    client.force_login(manager)
    made = {"UUIDConverter": str(uuid.uuid4()), "IntConverter": "999999"}
    for name, reach in REACH.items():
        if reach is Reach.WHOLE:
            kinds = CONVERTERS[name]
            url = reverse(name, kwargs={key: made.get(type(kind).__name__, "x") for key, kind in kinds.items()})
            for method in ENDPOINTS[name]:
                assert _ask(client, method, url)[0] == 403, (name, method)


def test_an_endpoint_without_a_line_answers_nobody_in_a_group(
    manager: Any, client: Client, monkeypatch: pytest.MonkeyPatch, django_user_model: Any
) -> None:
    monkeypatch.setattr("fleet.api.permissions.REACH", {})
    client.force_login(manager)
    assert client.get("/api/v1/robots").status_code == 403
    client.force_login(person(django_user_model, "ben"))
    assert client.get("/api/v1/robots").status_code == 200


def _names(found: Any) -> set[str]:
    return {text for text in ("a-arm", "b-arm", "a-task", "b-task", "a-data", "b-data") if text in str(found)}


@pytest.mark.parametrize(
    "path",
    [
        "robots", "tasks", "assignments", "episodes", "episodes/counts", "datasets", "exports", "help", "help/history",
        "alerts", "alerts/open", "metrics/by-task", "metrics/by-robot", "metrics/robot-states", "metrics/operators",
        "metrics/over-time", "metrics/time-to-target", "status", "imports", "training-runs", "policy-versions",
    ],
)  # fmt: skip
def test_lists_and_charts_name_nothing_of_the_other_site(
    path: str, sites: tuple[Site, Site], manager: Any, client: Client, django_user_model: Any
) -> None:
    builders.running_run()
    client.force_login(manager)
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.content
    shown = _names(answer.content)
    assert not {name for name in shown if name.startswith("b-")}
    client.force_login(person(django_user_model, "ben"))
    assert shown | {name.replace("a-", "b-") for name in shown} == _names(client.get(f"/api/v1/{path}").content)
