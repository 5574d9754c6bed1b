"""The help queue through HTTP: queue, history, figures, and the rule that managers choose."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fleet.models import HelpRequest, HelpSettings
from tests.fleet import builders

pytestmark = pytest.mark.django_db

JSON = "application/json"


@pytest.fixture
def signed_in(client: Client, django_user_model: Any) -> Client:
    client.force_login(django_user_model.objects.create_user("ann"))
    return client


@pytest.fixture
def manager(django_user_model: Any) -> Client:
    client = Client()
    client.force_login(django_user_model.objects.create_user("mara", is_staff=True))
    return client


def _request(ago_s: float, *, now: datetime | None = None, **values: Any) -> HelpRequest:
    opened_at = (now or timezone.now()) - timedelta(seconds=ago_s)
    values = {"reason": "uncertain", "score": 0.6, "opened_at": opened_at, "ranked_at": opened_at, **values}
    return HelpRequest.objects.create(robot=builders.enrol().robot, **values)


def test_queue_answers_what_consoles_get(signed_in: Client) -> None:
    first, second = _request(20), _request(10, reason="paused")
    body = signed_in.get("/api/v1/help").json()
    assert (body["ranking"], body["total"]) == ("cur", 2)
    assert [row["request_id"] for row in body["requests"]] == [str(second.id), str(first.id)]
    assert set(body["requests"][0]) == {
        "request_id", "robot_id", "robot", "reason", "score", "detail", "task", "policy_number", "opened_ms",
        "operator", "claimed_ms",
    }  # fmt: skip


def test_history_is_paged_newest_first(signed_in: Client, django_assert_max_num_queries: Any) -> None:
    task = builders.task()
    for index in range(3):
        _request(300 - index, state="closed", ending="withdrawn", closed_at=timezone.now(), task=task)
    with django_assert_max_num_queries(11):  # seven of them are the session's and the roles'
        page = signed_in.get("/api/v1/help/history?page_size=2").json()
    rest = signed_in.get(page["next"]).json()
    rows = [*page["results"], *rest["results"]]
    assert [row["opened_at"] for row in rows] == sorted((row["opened_at"] for row in rows), reverse=True)
    assert (len(rows), rest["next"]) == (3, None)
    assert (rows[0]["ending"], rows[0]["task"], rows[0]["robot_name"][:6]) == ("withdrawn", "box-close", "robot-")


def test_figures_say_their_n(signed_in: Client) -> None:
    now = timezone.now()  # not when the file was imported: the figures' window is ten minutes
    claimed_at = now - timedelta(seconds=40)
    _request(100, now=now, state="closed", ending="served", claimed_at=claimed_at, closed_at=now, operator="ann")
    _request(100, now=now, state="closed", ending="withdrawn", closed_at=now)
    body = signed_in.get("/api/v1/help/figures?window_s=600").json()
    assert (body["answered"], body["unanswered"], body["window_s"]) == (1, 1, 600)
    assert body["waiting"] == {"n": 1, "p50_s": 60.0, "p90_s": 60.0}
    assert body["service"] == {"n": 1, "p50_s": 40.0, "p90_s": 40.0}
    assert signed_in.get("/api/v1/help/figures?window_s=1").status_code == 400


def _rank(client: Client, ranking: str, *, over: str | None) -> Any:
    headers = {} if over is None else {"If-Match": over}
    return client.put("/api/v1/help/ranking", {"ranking": ranking}, JSON, headers=headers)


@pytest.mark.parametrize(
    ("over", "status", "code"),
    [
        (None, 428, "precondition_required"),
        ('"fifo"', 412, "precondition_failed"),
        ('"loudest"', 422, "invalid_request"),
        ("cur", 422, "invalid_request"),
        ("*", 422, "invalid_request"),
    ],
)
def test_the_rule_is_changed_over_what_was_seen(manager: Client, over: str | None, status: int, code: str) -> None:
    refused = _rank(manager, "thrifty", over=over)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert not HelpSettings.objects.exists()


def test_managers_choose_the_rule(manager: Client) -> None:
    assert manager.get("/api/v1/help/ranking").json() == {"ranking": "cur"}
    assert _rank(manager, "thrifty", over='"cur"').json() == {"ranking": "thrifty"}
    assert manager.get("/api/v1/help").json()["ranking"] == "thrifty"
    refused = _rank(manager, "loudest", over='"thrifty"')
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    row = HelpSettings.objects.get()
    assert (row.ranking, row.changed_by.get_username()) == ("thrifty", "mara")


def test_others_may_not(signed_in: Client) -> None:
    refused = signed_in.put("/api/v1/help/ranking", {"ranking": "fifo"}, JSON)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert not HelpSettings.objects.exists()


@pytest.mark.parametrize("path", ["help", "help/history", "help/figures", "help/ranking"])
def test_strangers_see_nothing(client: Client, path: str) -> None:
    assert client.get(f"/api/v1/{path}").status_code == 401
