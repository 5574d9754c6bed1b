"""Datasets over HTTP: made, collected for, previewed, frozen, read and compared; bad input changes nothing."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from fleet.models import Dataset, DatasetCandidate, DatasetVersion, Episode, PolicyVersion, TrainingRun
from fleet.permissions import Role
from fleet.protocol.recording import Outcome
from fleet.services.person import person_roles_set
from fleet.services.policy import policy_version_publish
from fleet.services.training import training_round_begin
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register
from tests.fleet.api.etags import revision_in

pytestmark = pytest.mark.django_db
JSON = "application/json"
URL = "/api/v1/datasets"


@pytest.fixture
def curator(client: Client, django_user_model: Any) -> Client:
    ann = django_user_model.objects.create_user("ann")
    person_roles_set(user=ann, roles=[Role.MANAGER])
    client.force_login(ann)
    return client


@pytest.fixture
def episodes(objects: LocalStore) -> list[Episode]:
    task, robot = builders.task(), builders.enrol().robot
    rows = [register(task, robot, steps=5 + k) for k in range(3)]
    return [*rows, register(task, robot, steps=4, outcome=Outcome.FAILURE)]


def _post(client: Client, path: str, body: Any) -> Any:
    return client.post(f"{URL}{path}", body, JSON)


def _make(client: Client, **changes: Any) -> str:
    answer = _post(client, "", {"name": "pushes", **changes})
    assert answer.status_code == 201, answer.content
    found: str = answer.json()["id"]
    return found


def test_a_dataset_is_made_and_changed_over_what_was_read(curator: Client) -> None:
    pk = _make(curator, description="Pushing.", licence="cc-by-4.0")
    read = curator.get(f"{URL}/{pk}")
    assert (revision_in(read), read.json()["newest_version"], read.json()["collected"]) == ('"0"', None, 0)
    assert (read.json()["created_by_name"], read.json()["licence"]) == ("ann", "cc-by-4.0")
    change = {"description": "Pushing a puck."}
    assert curator.patch(f"{URL}/{pk}", change, JSON).status_code == 428
    changed = curator.patch(f"{URL}/{pk}", change, JSON, headers={"If-Match": '"0"'})
    assert (changed.status_code, changed.headers["ETag"], changed.json()["name"]) == (200, '"1"', "pushes")
    late = curator.patch(f"{URL}/{pk}", {"name": "other"}, JSON, headers={"If-Match": '"0"'})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    archived = curator.patch(f"{URL}/{pk}", {"is_archived": True}, JSON, headers={"If-Match": '"1"'})
    assert archived.json()["is_archived"] is True
    assert curator.get(URL).json()["results"] == []
    assert [row["id"] for row in curator.get(f"{URL}?archived=only&text=PUSH").json()["results"]] == [pk]


def test_bad_names_and_fields_are_refused(curator: Client) -> None:
    _make(curator)
    bodies = ({"name": "pushes"}, {"name": ""}, {"name": "a\u0007b"}, {"name": "x" * 101}, {"name": "\u202eabc"}, {})
    found = [(_post(curator, "", body).status_code) for body in bodies]
    assert found == [409, 400, 422, 422, 422, 400]
    odd = _post(curator, "", {"name": "b", "license": "mit"})
    assert (odd.status_code, odd.json()["detail"]) == (400, "license: there is no such field")
    assert Dataset.objects.count() == 1


def test_episodes_are_collected_and_taken_off(curator: Client, episodes: list[Episode]) -> None:
    pk = _make(curator)
    ids = [str(row.id) for row in episodes]
    assert _post(curator, f"/{pk}/collected", {"ids": ids[:2]}).json() == {"changed": 2, "collected": 2}
    by_filter = _post(curator, f"/{pk}/collected", {"filter": {"outcome": ["failure"]}})
    assert by_filter.json() == {"changed": 1, "collected": 3}
    listed = curator.get(f"{URL}/{pk}/collected").json()["results"]
    assert [row["id"] for row in listed] == [ids[3], ids[1], ids[0]]
    assert curator.get(f"{URL}/{pk}").json()["collected"] == 3
    assert _post(curator, f"/{pk}/collected/remove", {"ids": ids[:1]}).json() == {"changed": 1, "collected": 2}
    assert _post(curator, f"/{pk}/collected/remove", {}).status_code == 400
    for body in ({}, {"collected": True}, {"ids": ids, "filter": {}}, {"ids": [str(uuid.uuid4())]}):
        assert _post(curator, f"/{pk}/collected", body).status_code == 422, body
    assert DatasetCandidate.objects.count() == 2


def test_what_was_previewed_is_frozen_or_refused(curator: Client, episodes: list[Episode]) -> None:
    pk = _make(curator)
    query = {"filter": {"task": ["box-close"]}, "splits": {"train": 0.75, "val": 0.25}}
    shown = _post(curator, f"/{pk}/preview", query).json()
    assert (shown["episodes"], shown["frames"], shown["successes"], shown["terminated"]) == (4, 22, 3, 4)
    assert shown["splits"] == [{"name": "train", "episodes": 3}, {"name": "val", "episodes": 1}]
    assert shown["tasks"] == [{"name": "box-close", "episodes": 4}]
    label = {"ids": [str(episodes[0].id)], "change": {"outcome": "failure"}}
    curator.post("/api/v1/episodes/labels", label, JSON)
    freeze = {**query, "seed": 7, "notes": "first", "expected": shown["fingerprint"]}
    late = _post(curator, f"/{pk}/versions", freeze)
    assert (late.status_code, late.json()["code"]) == (409, "selection_changed")
    assert not DatasetVersion.objects.exists()
    again = _post(curator, f"/{pk}/preview", query).json()
    made = _post(curator, f"/{pk}/versions", {**freeze, "expected": again["fingerprint"]})
    version = made.json()
    assert (made.status_code, version["number"], version["episodes"], version["successes"]) == (201, 1, 4, 2)
    assert version["query"] == {"filter": {"task": ["box-close"]}}
    assert (version["success"]["n"], version["success"]["rate"], version["seed"]) == (4, 0.5, 7)
    assert version["statistics"]["steps_read"] == {"episodes": 0, "unreadable": 0, "problems": []}
    (listed,) = curator.get(f"{URL}/{pk}/versions").json()["results"]
    assert (listed["digest"], "card" in listed) == (version["digest"], False)
    assert curator.get(f"{URL}/{pk}").json()["newest_episodes"] == 4


def test_a_freeze_keeps_what_is_collected_and_says_what_is_new(curator: Client, episodes: list[Episode]) -> None:
    """The next version goes on from the collected episodes; of these the dataset counts what its newest lacks."""
    pk, ids = _make(curator), [str(each.id) for each in episodes]

    def counts() -> tuple[int, int]:
        body = curator.get(f"{URL}/{pk}").json()
        return body["collected"], body["collected_new"]

    assert counts() == (0, 0)
    _post(curator, f"/{pk}/collected", {"ids": ids[:2]})
    assert counts() == (2, 2)
    assert _post(curator, f"/{pk}/versions", {"collected": True}).status_code == 201
    assert counts() == (2, 0)
    _post(curator, f"/{pk}/collected", {"ids": ids[1:3]})
    assert counts() == (3, 1)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"filter": {"tusk": ["box-close"]}}, 400, "invalid"),
        ({"filter": {"outcome": ["great"]}}, 400, "invalid"),
        ({"filters": {}}, 400, "invalid"),
        ({"ids": []}, 400, "invalid"),
        ({"ids": ["1"] * 10_001}, 400, "invalid"),
        ({"ids": "all"}, 400, "invalid"),
        ({}, 422, "invalid_request"),
        ({"filter": {}, "collected": True}, 422, "invalid_request"),
        ({"collected": True}, 422, "selection_empty"),
        ({"filter": {"text": "nowhere"}}, 422, "selection_empty"),
        ({"filter": {}, "splits": {"train": 0.5, "val": 0.4}}, 422, "invalid_request"),
        ({"filter": {}, "splits": {}}, 422, "invalid_request"),
        ({"filter": {}, "splits": {"train": "much"}}, 400, "invalid"),
        ({"filter": {}, "splits": {"train": 0.99, "val": 0.01}}, 422, "split_empty"),
        ({"filter": {}, "seed": 2**63}, 400, "invalid"),
        ({"filter": {}, "notes": "a\u0000"}, 400, "invalid"),
        ({"filter": {}, "expected": "zz"}, 400, "invalid"),
        ([], 400, "invalid"),
    ],
)
def test_impossible_freezes_are_refused(curator: Client, body: Any, status: int, code: str) -> None:
    dataset = Dataset.objects.create(name="pushes")
    Episode.objects.bulk_create([_bare(k) for k in range(2)])
    answer = _post(curator, f"/{dataset.id}/versions", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert not DatasetVersion.objects.exists()


def _bare(number: int) -> Episode:
    """A row without objects, for what reads none."""
    now = Dataset.objects.get().created_at
    return Episode(
        index_seq=number + 1,
        origin="demonstration",
        outcome="success",
        outcome_source="environment",
        task=builders.Task.objects.first() or builders.task(),
        instruction="x",
        seed=1,
        steps=5,
        human_steps=0,
        control_rate_hz=10,
        started_at=now,
        ended_at=now,
        indexed_at=now,
        manifest_key="k",
        manifest_sha256=f"{number:064x}",
        size_bytes=1,
    )


def test_a_version_is_read_annotated_and_compared(curator: Client, episodes: list[Episode]) -> None:
    pk = _make(curator)
    ids = [str(row.id) for row in episodes]
    splits = {"train": 0.67, "val": 0.33}
    _post(curator, f"/{pk}/versions", {"ids": ids[:3], "splits": splits})
    label = {"ids": ids[1:2], "change": {"add_tags": ["kept"]}}
    curator.post("/api/v1/episodes/labels", label, JSON)
    _post(curator, f"/{pk}/versions", {"ids": ids[1:], "splits": splits, "seed": 9})
    page = curator.get(f"{URL}/{pk}/versions/1/episodes?page_size=2").json()
    rest = curator.get(page["next"]).json()
    held = [*page["results"], *rest["results"]]
    assert [row["position"] for row in held] == [0, 1, 2]
    assert [row["split"] for row in held] == ["train", "train", "val"]
    assert {row["episode"] for row in held} == set(ids[:3])
    (val,) = curator.get(f"{URL}/{pk}/versions/2/episodes?split=val").json()["results"]
    assert val["split"] == "val"
    compared = curator.get(f"{URL}/{pk}/versions/1/compare/2").json()
    assert [row["episode"] for row in compared["added"]["episodes"]] == ids[3:]
    assert [row["episode"] for row in compared["removed"]["episodes"]] == ids[:1]
    assert (compared["relabelled"]["count"], compared["relabelled"]["episodes"][0]["episode"]) == (1, ids[1])
    same = curator.get(f"{URL}/{pk}/versions/1/compare/1").json()
    assert [same[kind]["count"] for kind in ("added", "removed", "relabelled", "moved")] == [0, 0, 0, 0]
    one = f"{URL}/{pk}/versions/1"
    assert curator.patch(one, {"notes": "x", "seed": 1}, JSON, headers={"If-Match": '"0"'}).status_code == 400
    noted = curator.patch(one, {"notes": "gut \U0001f7e5"}, JSON, headers={"If-Match": '"0"'})
    assert (noted.json()["notes"], noted.headers["ETag"]) == ("gut \U0001f7e5", '"1"')
    assert curator.patch(one, {"notes": "late"}, JSON, headers={"If-Match": '"0"'}).status_code == 412
    assert curator.get(f"{URL}/{pk}/versions/3").status_code == 404
    assert curator.delete(one, headers={"If-Match": '"1"'}).status_code == 405


def _publish_trained(run_id: str) -> PolicyVersion:
    """Publish what the run's first round would, over all that is registered now."""
    training_round_begin(run_id=run_id, epoch=1, holder="w")
    manifest, blobs = builders.policy(run_id, step=100, value=9.0)
    return policy_version_publish(run_id=run_id, manifest_bytes=manifest, blobs=blobs)


def test_a_run_is_started_from_a_version(curator: Client, episodes: list[Episode]) -> None:
    pk = _make(curator)
    _post(curator, f"/{pk}/versions", {"ids": [str(row.id) for row in episodes]})
    base = builders.running_run()
    manifest, blobs = builders.policy()
    published = policy_version_publish(run_id=str(base.id), manifest_bytes=manifest, blobs=blobs)
    body = {"name": "offline", "base": str(published.id), "target_steps": 100}
    made = _post(curator, f"/{pk}/versions/1/train", body)
    assert made.status_code == 201, made.content
    run = curator.get(f"/api/v1/training-runs/{made.json()['id']}").json()
    assert (run["state"], run["target_steps"], run["takes_online"]) == ("running", 100, False)
    assert run["dataset"] == {"id": pk, "name": "pushes", "version": 1, "split": "train"}
    assert (run["newest_version"], run["experience"]["usable"]) == (0, 4)
    trained = _publish_trained(made.json()["id"])
    frozen = curator.get(f"{URL}/{pk}/versions/1").json()
    record = curator.get(f"/api/v1/policy-versions/{trained.id}").json()
    assert (len(record["dataset_digest"]), record["dataset_digest"]) == (64, frozen["digest"])
    report = curator.get(f"/api/v1/policy-versions/{trained.id}/report").json()
    named = {"dataset": pk, "name": "pushes", "version": 1, "digest": frozen["digest"]}
    assert report["dataset"] == {**named, "split": "train", "takes_online": False}
    shares = [(row["task"], row["origin"], row["episodes"], row["frames"]) for row in report["data"]]
    assert shares == [("box-close", "online", 4, 5 + 6 + 7 + 4)]
    begun = curator.get(f"/api/v1/policy-versions/{published.id}").json()
    assert begun["dataset_digest"] is None
    zero = PolicyVersion.objects.get(run=made.json()["id"], number=0)
    assert curator.get(f"/api/v1/policy-versions/{zero.id}/report").json()["dataset"] is None
    refusals = (
        ({**body, "name": "b", "base": str(uuid.uuid4())}, 422),
        ({**body, "name": "b", "split": "val"}, 422),
        ({**body, "name": "b", "target_steps": None}, 422),
        ({**body, "name": "b", "steps": 3}, 400),
        (body, 422),
    )
    for refused, status in refusals:
        assert _post(curator, f"/{pk}/versions/1/train", refused).status_code == status, refused
    assert TrainingRun.objects.count() == 2
