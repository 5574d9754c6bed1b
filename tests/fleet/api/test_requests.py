"""What holds for every request: limits with their headers, problem documents, ETags, named fields."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.test import Client

from fleet import live
from fleet.permissions import Role
from fleet.rate_limit import rate_limit_take
from fleet.scopes import Scope
from fleet.services.api_token import api_token_create
from fleet.services.dataset_describe import dataset_describe
from fleet.services.person import person_roles_set
from fleet.services.task import TaskChange, task_update
from fleet.storage.local import LocalStore
from tests.fleet import builders
from tests.fleet.api.episode_rows import register

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def ann(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ann")


@pytest.fixture
def signed_in(client: Client, ann: Any) -> Client:
    client.force_login(ann)
    return client


# --- Rate limits ------------------------------------------------------------------------------------------------------


def test_a_bucket_empties_fills_evenly_and_says_when() -> None:
    who = f"test:{uuid.uuid4()}"
    taken = [rate_limit_take(who=who, per_minute=3) for _ in range(4)]
    assert [(each.is_allowed, each.remaining) for each in taken if each] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
    ]
    refused = taken[-1]
    assert refused is not None and 19 < refused.wait_s <= 20 and 59 < refused.reset_s <= 60
    # A minute later the key is gone and the bucket full; the clock is Redis's, so its key is moved instead.
    full_at = int(live.connection().get(f"sop:rate:{who}") or 0)  # type: ignore[arg-type]
    live.connection().set(f"sop:rate:{who}", full_at - 20_000_000)
    again = [rate_limit_take(who=who, per_minute=3) for _ in range(2)]
    assert [each.is_allowed for each in again if each] == [True, False]


def test_every_answer_says_what_is_left_and_the_last_says_when(client: Client, ann: Any, settings: Any) -> None:
    settings.SOP_RATE_TOKEN_PER_MIN = 2
    secret = api_token_create(user=ann, name="a", scopes=[Scope.FLEET_READ], valid_s=600).secret
    bearer = {"Authorization": f"Bearer {secret}"}
    answers = [client.get("/api/v1/robots", headers=bearer) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert [each.headers["RateLimit-Remaining"] for each in answers] == ["1", "0", "0"]
    assert [each.headers["RateLimit-Limit"] for each in answers] == ["2"] * 3
    refused = answers[-1]
    assert refused.json()["code"] == "rate_limited"
    assert 0 < int(refused.headers["Retry-After"]) <= 30 < int(refused.headers["RateLimit-Reset"]) <= 60
    other = api_token_create(user=ann, name="b", scopes=[Scope.FLEET_READ], valid_s=600).secret
    assert client.get("/api/v1/robots", headers={"Authorization": f"Bearer {other}"}).status_code == 200


def test_strangers_and_guessed_tokens_count_by_address(client: Client, settings: Any) -> None:
    settings.SOP_RATE_ADDRESS_PER_MIN = 2
    address = f"10.{uuid.uuid4().int % 250}.{uuid.uuid4().int % 250}.9"
    ask = {"REMOTE_ADDR": address}
    guess = {"Authorization": "Bearer sop_guess"}
    assert client.get("/api/v1/robots", headers=guess, **ask).status_code == 401
    assert client.get("/api/v1/session", **ask).headers["RateLimit-Remaining"] == "0"
    assert client.get("/api/v1/robots", headers=guess, **ask).status_code == 429
    forged = client.get("/api/v1/session", headers={"X-Forwarded-For": "203.0.113.7"}, **ask)
    assert forged.status_code == 429, "a header that anyone can send does not reset the limit"


def test_without_redis_requests_are_answered(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = redis.Redis(port=1, socket_connect_timeout=1)
    monkeypatch.setattr("fleet.rate_limit.live.connection", lambda: nowhere)
    answer = signed_in.get("/api/v1/tasks")
    assert answer.status_code == 200
    assert "RateLimit-Limit" not in answer.headers


# --- Problem documents ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", f"/api/v1/robots/{uuid.UUID(int=1)}", 404, "not_found"),
        ("get", "/api/v1/robots/no-uuid", 404, "not_found"),
        ("get", "/api/nothing", 404, "not_found"),
        ("delete", "/api/v1/robots", 405, "method_not_allowed"),
        ("get", "/api/v1/robots?cursor=x", 404, "not_found"),
        ("post", "/api/v1/saved-filters", 400, "invalid"),
    ],
)
def test_every_refusal_is_a_problem_document(signed_in: Client, method: str, path: str, status: int, code: str) -> None:
    answer = getattr(signed_in, method)(path, content_type=JSON)
    body = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/api/docs/errors#{code}")
    assert body["instance"] == f"urn:sop:request:{answer.headers['X-Request-ID']}"


def test_a_failure_of_the_server_is_one_too(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(user: object) -> None:
        raise RuntimeError("with secrets in it")

    monkeypatch.setattr("fleet.api.tasks.access_tasks", fail)
    signed_in.raise_request_exception = False
    answer = signed_in.get("/api/v1/tasks")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert b"secrets" not in answer.content


# --- ETags ------------------------------------------------------------------------------------------------------------


def test_what_the_asker_holds_is_not_sent_again(signed_in: Client) -> None:
    task = builders.task()
    url = f"/api/v1/tasks/{task.id}"
    first = signed_in.get(url)
    assert first.headers["Cache-Control"] == "private, no-cache"
    held = {"If-None-Match": first.headers["ETag"]}
    again = signed_in.get(url, headers=held)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert again.headers["RateLimit-Limit"] and again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    task_update(task_id=task.id, change=TaskChange(max_steps=task.max_steps + 1), revision=task.revision)
    news = signed_in.get(url, headers=held)
    assert (news.status_code, news.json()["max_steps"]) == (200, task.max_steps + 1)


def test_news_that_no_revision_counts_is_sent(signed_in: Client, objects: LocalStore) -> None:
    """Nobody changed the version, yet its steps are read meanwhile: the browser must not go on with what it holds."""
    person_roles_set(user=get_user_model().objects.get(), roles=[Role.MANAGER])
    episode = register(builders.task(), builders.enrol().robot)
    versions = f"/api/v1/datasets/{signed_in.post('/api/v1/datasets', {'name': 'one'}, JSON).json()['id']}/versions"
    frozen = signed_in.post(versions, {"ids": [str(episode.id)], "splits": {"train": 1.0}}, JSON).json()
    url = f"{versions}/1"
    first = signed_in.get(url)
    assert (first.json()["state"], first.headers["ETag"].partition(".")[0]) == ("describing", '"0')
    assert dataset_describe(version_id=frozen["id"])
    again = signed_in.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.json()["state"]) == (200, "ready")


@pytest.mark.parametrize("form", ['"0"', "{read}", "W/{read}"])
def test_a_change_names_the_revision_however_the_etag_came(signed_in: Client, form: str) -> None:
    """A proxy that compresses an answer sends W/ before the tag."""
    person_roles_set(user=get_user_model().objects.get(), roles=[Role.MANAGER])
    made = signed_in.post("/api/v1/datasets", {"name": "one"}, JSON).json()
    url = f"/api/v1/datasets/{made['id']}"
    tag = {"If-Match": form.format(read=signed_in.get(url).headers["ETag"])}
    assert signed_in.patch(url, {"name": "two"}, JSON, headers=tag).status_code == 200
    assert signed_in.patch(url, {"name": "three"}, JSON, headers=tag).status_code == 412


# --- Named fields -----------------------------------------------------------------------------------------------------


def test_lists_and_details_with_the_named_fields_alone(signed_in: Client, objects: LocalStore) -> None:
    episode = register(builders.task(), builders.enrol().robot)
    page = signed_in.get("/api/v1/episodes?fields=outcome,id&page_size=1").json()
    assert page == {"next": None, "previous": None, "results": [{"id": str(episode.id), "outcome": "success"}]}
    detail = signed_in.get(f"/api/v1/episodes/{episode.id}?fields=label,id").json()
    assert (sorted(detail), detail["label"]["revision"]) == (["id", "label"], 0)
    assert signed_in.get("/api/v1/tasks?fields=slug").json()["results"] == [{"slug": "box-close"}]


def test_datasets_and_imports_too(signed_in: Client, objects: LocalStore) -> None:
    """Lists and details; what a PATCH or POST answers stays whole."""
    person_roles_set(user=get_user_model().objects.get(), roles=[Role.MANAGER])
    made = signed_in.post("/api/v1/datasets", {"name": "one"}, JSON).json()
    assert signed_in.get("/api/v1/datasets?fields=name").json()["results"] == [{"name": "one"}]
    url = f"/api/v1/datasets/{made['id']}"
    thin = signed_in.get(f"{url}?fields=revision,name")
    assert thin.json() == {"name": "one", "revision": 0}
    changed = signed_in.patch(f"{url}?fields=name", {"name": "two"}, JSON, headers={"If-Match": '"0"'}).json()
    assert set(changed) == set(made)
    assert signed_in.get(f"{url}/versions?fields=number").json()["results"] == []
    archive = {"size": 10, "sha256": "0" * 64}
    made = signed_in.post("/api/v1/imports", {"name": "old arm", "archive": archive}, JSON).json()
    assert signed_in.get("/api/v1/imports?fields=state,name").json()["results"] == [
        {"name": "old arm", "state": "created"}
    ]
    detail = signed_in.get(f"/api/v1/imports/{made['id']}?fields=report,id").json()
    assert detail == {"id": made["id"], "report": None}


PATHS = (
    "episodes", "robots", "tasks", "policy-versions", "training-runs", "help/history", "datasets", "exports", "imports",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("asked", ["", "id,secret", "id,", "__class__", "id;outcome"])
def test_unknown_fields_are_refused(signed_in: Client, path: str, asked: str) -> None:
    refused = signed_in.get(f"/api/v1/{path}?fields={asked}")
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (422, "invalid_request", "fields")
