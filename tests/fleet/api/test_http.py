"""Session, enrolment, thumbnails, lists, charts: through HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from fleet import live
from fleet.models import Robot
from fleet.services.enrolment import enrolment_token_create
from fleet.services.episode import episode_register
from fleet.storage.local import LocalStore
from tests.fleet import builders

pytestmark = pytest.mark.django_db

JSON = "application/json"
UNKNOWN = uuid.UUID(int=1)


@pytest.fixture
def user(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ann", password="correct horse")


@pytest.fixture
def signed_in(client: Client, user: Any) -> Client:
    client.force_login(user)
    return client


def _problem(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"] and body["detail"]


def test_sign_in_and_out_with_csrf(user: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert browser.get("/api/v1/session").json() == {"user": None}
    token = browser.cookies["csrftoken"].value
    body = {"username": "ann", "password": "correct horse"}
    _problem(browser.post("/api/v1/session", body, JSON), 403, "csrf_failed")
    answer = browser.post("/api/v1/session", body, JSON, headers={"X-CSRFToken": token})
    shown: dict[str, object] = {"username": "ann", "is_staff": False, "roles": ["operator"]}
    shown["permissions"] = ["acknowledge_alerts", "archive", "drive", "label", "label_bulk", "see", "stop"]
    shown["lacks_totp"] = shown["is_limited"] = False
    shown["groups"] = []
    assert (answer.status_code, answer.json()) == (200, {"user": shown})
    assert browser.get("/api/v1/session").json()["user"]["username"] == "ann"
    token = browser.cookies["csrftoken"].value
    assert browser.delete("/api/v1/session", headers={"X-CSRFToken": token}).status_code == 204
    assert browser.get("/api/v1/session").json() == {"user": None}


@pytest.mark.parametrize("body", [{"username": "ann", "password": "wrong"}, {"username": "bob", "password": "x"}])
def test_wrong_credentials(client: Client, user: Any, body: dict[str, str]) -> None:
    _problem(client.post("/api/v1/session", body, JSON), 401, "unauthorised")


@pytest.mark.parametrize("body", ["{", "[]", '{"username": "ann"}', '{"username": 1, "password": {}}'])
def test_malformed_sign_in(client: Client, body: str) -> None:
    answer = client.post("/api/v1/session", body, JSON)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_sign_in_attempts_are_limited(client: Client, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr("fleet.api.session.LoginThrottle.THROTTLE_RATES", {"login": "2/min"})
    body = {"username": "ann", "password": "wrong"}
    statuses = [client.post("/api/v1/session", body, JSON).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    other = client.post("/api/v1/session", body, JSON, headers={"X-Forwarded-For": "203.0.113.7"})
    assert other.status_code == 429, "a header that anyone can send does not reset the limit"
    assert client.get("/api/v1/session").status_code == 200
    cache.clear()


def test_enrolment_over_http(client: Client) -> None:
    _, token = enrolment_token_create()
    answer = client.post("/api/v1/robots/enrol", {"token": token, "name": "arm"}, JSON)
    assert (answer.status_code, answer.json()["name"]) == (201, "arm")
    assert str(Robot.objects.get().id) == answer.json()["robot_id"]
    _problem(client.post("/api/v1/robots/enrol", {"token": token, "name": "b"}, JSON), 403, "token_invalid")
    _, token = enrolment_token_create()
    _problem(client.post("/api/v1/robots/enrol", {"token": token, "name": "arm"}, JSON), 409, "name_taken")
    assert Robot.objects.count() == 1


@pytest.mark.parametrize(
    "path",
    ["robots", "tasks", "episodes", "policy-versions", "training-runs", "metrics/success", f"robots/{UNKNOWN}"],
)
def test_nothing_is_read_without_signing_in(client: Client, path: str) -> None:
    _problem(client.get(f"/api/v1/{path}"), 401, "unauthorised")


def test_thumbnail(signed_in: Client) -> None:
    robot = builders.enrol().robot
    url = f"/api/v1/robots/{robot.id}/thumbnail"
    _problem(signed_in.get(url), 404, "not_found")
    live.thumbnail_put(robot.id, 1234, b"\xff\xd8\xffpicture")
    answer = signed_in.get(url)
    assert (answer["Content-Type"], answer.content) == ("image/jpeg", b"\xff\xd8\xffpicture")
    assert signed_in.get(url, headers={"If-None-Match": answer["ETag"]}).status_code == 304
    _problem(signed_in.get(f"/api/v1/robots/{uuid.uuid4()}/thumbnail"), 404, "not_found")


def test_lists_are_paged_newest_first(signed_in: Client, objects: LocalStore) -> None:
    robot, task = builders.enrol().robot, builders.task()
    for _ in range(3):
        manifest, files = builders.episode(task, robot)
        builders.store(manifest, files)
        episode_register(robot_id=str(robot.id), manifest=manifest, uploaded_ns=None)
    first = signed_in.get("/api/v1/episodes?page_size=2").json()
    assert [row["index_seq"] for row in first["results"]] == [3, 2]
    assert first["previous"] is None
    second = signed_in.get(first["next"]).json()
    assert [row["index_seq"] for row in second["results"]] == [1]
    detail = signed_in.get(f"/api/v1/episodes/{first['results'][0]['id']}").json()
    assert [(row["start"], row["end"]) for row in detail["segments"]] == [(0, 5)]


@pytest.mark.parametrize("path", ["robots", "tasks", "episodes", "policy-versions", "training-runs"])
def test_every_list_and_detail_answers(signed_in: Client, objects: LocalStore, path: str) -> None:
    builders.enrol(), builders.task(), builders.running_run()
    body = signed_in.get(f"/api/v1/{path}").json()
    assert set(body) == {"next", "previous", "results"}
    for row in body["results"]:
        assert signed_in.get(f"/api/v1/{path}/{row['id']}").json()["id"] == row["id"]
    _problem(signed_in.get(f"/api/v1/{path}/{uuid.uuid4()}"), 404, "not_found")


@pytest.mark.parametrize("query", ["window_s=0", "window_s=x", "window_s=99999999", "task=a%20b"])
def test_bad_chart_queries(signed_in: Client, query: str) -> None:
    _problem(signed_in.get(f"/api/v1/metrics/success?{query}"), 400, "invalid")


def test_chart_says_what_it_shows(signed_in: Client) -> None:
    body = signed_in.get("/api/v1/metrics/success?window_s=60").json()
    assert body["definition"].startswith("Autonomous success rate")
    assert (body["confidence"], body["window_s"], body["points"], body["versions"]) == (0.95, 60, [], [])


def test_schema_is_generated_without_a_warning(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    answer = client.get("/api/v1/schema", headers={"Accept": JSON})
    assert answer.status_code == 200
    assert "/api/v1/metrics/success" in answer.content.decode()
    assert "Warning" not in capfd.readouterr().err


@pytest.mark.parametrize("path", ["/", "/fleet", "/api/v1/session", "/admin/login/"])
def test_pages_carry_a_content_security_policy(client: Client, path: str, settings: Any, tmp_path: Any) -> None:
    settings.CONSOLE_DIST = tmp_path
    (tmp_path / "index.html").write_text("<!doctype html>")
    answer = client.get(path)
    assert answer.status_code == 200
    assert "script-src" not in answer["Content-Security-Policy"], "scripts fall under default-src 'self'"
    assert "default-src 'self'" in answer["Content-Security-Policy"]


def test_missing_console_says_what_to_do(client: Client, settings: Any, tmp_path: Any) -> None:
    settings.CONSOLE_DIST = tmp_path
    answer = client.get("/")
    assert (answer.status_code, b"make demo" in answer.content) == (503, True)
    assert client.get("/api/v1/nothing").status_code == 404
