"""Groups of people over HTTP: made, changed, joined by invitation, removed; what their members then see and touch."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from fleet.models import AuditEntry, Episode, ExportEpisode, PeopleGroup, Person, Task
from fleet.permissions import Role
from fleet.scopes import Scope
from fleet.services.api_token import api_token_create
from fleet.services.people_group import GroupChange, people_group_change
from tests.fleet.two_sites import Site, dataset_of, episode_row, group_of, person, site

pytestmark = pytest.mark.django_db
JSON = "application/json"
URL = "/api/v1/people-groups"


@pytest.fixture
def sites(objects: object) -> tuple[Site, Site]:
    return site("a"), site("b")


@pytest.fixture
def root(django_user_model: Any) -> Any:
    return person(django_user_model, "root", Role.ADMIN)


@pytest.fixture
def admin(root: Any) -> Client:
    return _of(root)


def _of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _robots(client: Client) -> list[str]:
    return sorted(row["name"] for row in client.get("/api/v1/robots").json()["results"])


def test_a_group_is_made_changed_and_removed(admin: Client, sites: tuple[Site, Site], django_user_model: Any) -> None:
    """Each change counts, and who loses a group never sees more for it."""
    ann = person(django_user_model, "ann", Role.OPERATOR)
    made = admin.post(URL, {"name": "Site A", "robot_tags": ["a"], "members": [ann.pk]}, JSON)
    assert made.status_code == 201 and made["ETag"].startswith('"1'), made.content
    group = made.json()
    assert (group["covered"], group["covers_all_tasks"], group["members"][0]["name"]) == (["a-arm"], True, "ann")
    client = _of(ann)
    assert _robots(client) == ["a-arm"]
    one = f"{URL}/{group['id']}"
    stale = admin.patch(one, {"name": "A"}, JSON, headers={"If-Match": '"9"'})
    assert (stale.status_code, PeopleGroup.objects.get().name) == (412, "Site A")
    changed = admin.patch(one, {"robots": [str(sites[1].robot.id)]}, JSON, headers={"If-Match": '"1"'})
    assert changed.json()["covered"] == _robots(client) == ["a-arm", "b-arm"]
    assert admin.patch(one, {"members": []}, JSON, headers={"If-Match": '"2"'}).status_code == 200
    assert _robots(client) == []
    card = next(row for row in admin.get("/api/v1/people").json()["results"] if row["username"] == "ann")
    assert (card["is_limited"], card["groups"]) == (True, [])
    assert admin.delete(one, headers={"If-Match": '"3"'}).status_code == 204
    assert _robots(client) == []
    read = {"If-Match": f'"{card["version"]}"'}
    lifted = admin.patch(f"/api/v1/people/{ann.pk}", {"is_limited": False}, JSON, headers=read)
    assert (lifted.json()["is_limited"], _robots(client)) == (False, ["a-arm", "b-arm"])
    actions = [row.action for row in AuditEntry.objects.order_by("id") if row.action.startswith(("group", "person."))]
    assert actions[-6:] == [
        "person.limit", "group.create", "group.change", "group.change", "group.delete", "person.unlimit",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x", "members": [999999]}, "members"),
        ({"name": "x", "robots": ["00000000-0000-0000-0000-000000000001"]}, "robots"),
        ({"name": "x", "tasks": ["no id"]}, "tasks"),
        ({"name": "x", "robot_tags": [""]}, "robot_tags"),
        ({"name": "x", "colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(admin: Client, body: dict[str, Any], field: str) -> None:
    answer = admin.post(URL, body, JSON)
    assert answer.status_code in (400, 422) and field in answer.content.decode()
    assert not PeopleGroup.objects.exists()


def test_names_are_taken_once_and_a_key_makes_one_group(admin: Client) -> None:
    for _ in range(2):
        assert admin.post(URL, {"name": "A"}, JSON, headers={"Idempotency-Key": "1"}).status_code == 201
    assert admin.post(URL, {"name": "A"}, JSON).status_code == 409
    assert PeopleGroup.objects.count() == 1


def test_an_invitation_limits_also_when_its_group_is_gone(admin: Client, sites: tuple[Site, Site]) -> None:
    for name, is_gone in (("kim", False), ("lee", True)):
        group = group_of("a")
        body = {"roles": ["operator"], "groups": [str(group.id)]}
        secret = admin.post("/api/v1/invitations", body, JSON).json()["url"].partition("#")[2]
        assert admin.get("/api/v1/invitations").json()["results"][0]["groups"] == ["site a"]
        if is_gone:
            group.delete()
        asked = {"secret": secret, "username": name, "password": "correct-horse-battery"}
        assert Client().put("/api/v1/welcome", asked, JSON).status_code == 201
        joined = Person.objects.get(user__username=name)
        assert joined.is_limited
        assert _robots(_of(joined.user)) == ([] if is_gone else ["a-arm"])
        PeopleGroup.objects.all().delete()


def test_whoever_came_from_a_command_keeps_their_roles_in_a_group(
    admin: Client, sites: tuple[Site, Site], django_user_model: Any
) -> None:
    ann = django_user_model.objects.create_user("ann")
    admin.post(URL, {"name": "A", "robot_tags": ["a"], "members": [ann.pk]}, JSON)
    assert _robots(_of(ann)) == ["a-arm"]


def test_a_token_has_its_owners_groups(sites: tuple[Site, Site], django_user_model: Any) -> None:
    ann = person(django_user_model, "ann", Role.MANAGER, groups=(group_of("a"),))
    made = api_token_create(user=ann, name="t", scopes=[Scope.FLEET_READ], valid_s=3600)
    client = Client(headers={"Authorization": f"Bearer {made.secret}"})
    assert _robots(client) == ["a-arm"]
    assert client.get(f"/api/v1/robots/{sites[1].robot.id}").status_code == 404


def test_the_session_says_what_somebody_is_limited_to(sites: tuple[Site, Site], django_user_model: Any) -> None:
    ann = person(django_user_model, "ann", Role.MANAGER, groups=(group_of("a"),))
    user = _of(ann).get("/api/v1/session").json()["user"]
    assert (user["is_limited"], user["groups"]) == (True, ["site a"])
    assert "label" in user["permissions"] and "release_versions" not in user["permissions"]


def test_a_version_with_an_episode_of_another_site_does_not_exist(
    sites: tuple[Site, Site], django_user_model: Any
) -> None:
    """Nor its export; a dataset that somebody made is theirs, and freezes what they see."""
    a, b = sites
    ann = person(django_user_model, "ann", Role.MANAGER, groups=(group_of("a"),))
    mixed = dataset_of("mixed", a.episode, b.episode, by=ann)
    client = _of(ann)
    found = {row["name"]: row["newest_version"] for row in client.get("/api/v1/datasets").json()["results"]}
    assert found == {"a-data": 1, "mixed": None}
    assert client.get(f"/api/v1/datasets/{mixed.dataset_id}/versions/1").status_code == 404
    both = {"filter": {}, "splits": {"train": 1.0}}
    preview = client.post(f"/api/v1/datasets/{mixed.dataset_id}/preview", both, JSON)
    assert preview.json()["episodes"] == 1
    refused = {"ids": [str(b.episode.id)]}
    assert client.post(f"/api/v1/datasets/{mixed.dataset_id}/preview", refused, JSON).status_code == 422
    frozen = client.post(f"/api/v1/datasets/{mixed.dataset_id}/versions", both, JSON)
    assert (frozen.status_code, frozen.json()["episodes"], frozen.json()["number"]) == (201, 1, 2)
    loose = a.export
    loose.pk, loose.dataset_version, loose.query, loose._state.adding = None, None, {"filter": {}}, True
    loose.save()
    for position, row in enumerate((a.episode, b.episode)):
        values = {"split": "train", "outcome": "success", "manifest_sha256": "0" * 64}
        ExportEpisode.objects.create(export=loose, position=position, episode=row, **values)
    assert client.get(f"/api/v1/exports/{loose.pk}").status_code == 404
    ExportEpisode.objects.filter(episode=b.episode).delete()
    assert client.get(f"/api/v1/exports/{loose.pk}").status_code == 200
    # The row of an exported episode may be gone: then nobody knows whose it was.
    ExportEpisode.objects.filter(export=loose).update(episode="00000000-0000-0000-0000-000000000001")
    assert client.get(f"/api/v1/exports/{loose.pk}").status_code == 404


def test_bulk_labels_and_their_undo_touch_what_is_seen(sites: tuple[Site, Site], django_user_model: Any) -> None:
    a, b = sites
    ann, ben = (person(django_user_model, name, Role.MANAGER) for name in ("ann", "ben"))
    body = {"ids": [str(a.episode.id), str(b.episode.id)], "change": {"add_tags": ["x"]}}
    batch = _of(ben).post("/api/v1/episodes/labels", body, JSON).json()
    assert batch["changed"] == 2
    group = group_of("a")
    people_group_change(group_id=group.id, change=GroupChange(members=(ann.pk,)), revision=1)
    undone = _of(ann).post(f"/api/v1/episodes/labels/{batch['batch']}/undo").json()
    assert undone["changed"] == 1
    assert [Episode.objects.get(id=each.episode.id).tags for each in sites] == [[], ["x"]]
    again = _of(ann).post("/api/v1/episodes/labels", {**body, "change": {"add_tags": ["y"]}}, JSON).json()
    assert again["changed"] == 1


def test_tags_that_decide_who_sees_a_robot_are_not_a_members_to_change(
    sites: tuple[Site, Site], django_user_model: Any
) -> None:
    ann = person(django_user_model, "ann", Role.MANAGER, groups=(group_of("a"),))
    group_of("b")
    client, one = _of(ann), f"/api/v1/robots/{sites[0].robot.id}"
    for tags in ([], ["a", "b"]):
        answer = client.patch(one, {"tags": tags}, JSON, headers={"If-Match": '"1"'})
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert client.patch(one, {"tags": ["a", "left"]}, JSON, headers={"If-Match": '"1"'}).status_code == 200


def test_tasks_are_made_by_who_sees_all_and_archived_by_who_sees_their_robots(
    sites: tuple[Site, Site], django_user_model: Any
) -> None:
    a, _ = sites
    ann = person(django_user_model, "ann", Role.MANAGER, groups=(group_of("a", a.task),))
    ben = person(django_user_model, "ben", Role.MANAGER, groups=(group_of("b"),))
    body = {"slug": "new", "instruction": "do", "driver_task": "do", "max_steps": 5}
    assert _of(ann).post("/api/v1/tasks", body, JSON).status_code == 403
    assert _of(ben).post("/api/v1/tasks", body, JSON).status_code == 201
    a.robot.assignments.create(task=a.task)
    one, header = f"/api/v1/tasks/{a.task.id}", {"If-Match": '"1"'}
    assert _of(ben).patch(one, {"is_active": False}, JSON, headers=header).status_code == 403
    assert Task.objects.get(id=a.task.id).is_active and a.robot.assignments.get().ended_at is None
    assert _of(ann).patch(one, {"is_active": False}, JSON, headers=header).status_code == 200


def test_a_robot_that_is_asked_for_by_its_id_is_not_named(sites: tuple[Site, Site], django_user_model: Any) -> None:
    ann = person(django_user_model, "ann", Role.VIEWER, groups=(group_of("a"),))
    episode_row(None, sites[0].task)
    counts = _of(ann).get("/api/v1/episodes/counts", {"robot": str(sites[1].robot.id)}).json()
    assert counts["total"] == 0 and "b-arm" not in str(counts)
