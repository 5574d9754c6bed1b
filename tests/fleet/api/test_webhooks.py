"""Webhooks through HTTP: admins alone, the secret once, the log with its pages."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from fleet.models import Webhook, WebhookDelivery
from fleet.services.webhook_event import webhook_event_emit
from tests.fleet.api.etags import revision_in

pytestmark = pytest.mark.django_db

JSON = "application/json"
BODY = {"name": "lab chat", "url": "https://chat.example/hook", "events": ["help.requested", "episode.registered"]}


@pytest.fixture
def admin(client: Client, django_user_model: Any) -> Client:
    client.force_login(django_user_model.objects.create_user("mara", is_staff=True))
    return client


def _made(admin: Client) -> dict[str, Any]:
    answer = admin.post("/api/v1/webhooks", BODY, JSON)
    assert answer.status_code == 201
    made: dict[str, Any] = answer.json()
    return made


def test_the_secret_is_shown_once(admin: Client) -> None:
    """And no row holds it."""
    made = _made(admin)
    assert made["secret"].startswith("whsec_")
    listed = admin.get("/api/v1/webhooks").json()["results"]
    assert listed == [made["webhook"]]
    assert (listed[0]["events"], listed[0]["created_by"]) == (["episode.registered", "help.requested"], "mara")
    assert made["secret"] not in str(Webhook.objects.values().get())
    rotated = admin.post(f"/api/v1/webhooks/{listed[0]['id']}/rotate", headers={"If-Match": '"1"'})
    assert rotated.json()["secret"] not in ("", made["secret"]) and rotated.headers["ETag"] == '"2"'


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"url": "http://169.254.169.254/latest"}, 422, "address_forbidden"),
        ({"url": "ftp://chat.example"}, 422, "url_invalid"),
        ({"events": ["everything"]}, 400, "invalid"),
        ({"events": []}, 400, "invalid"),
        ({"name": " \u0000 "}, 400, "invalid"),
    ],
)
def test_bad_webhooks_are_refused_and_nothing_is_made(
    admin: Client, change: dict[str, Any], status: int, code: str
) -> None:
    answer = admin.post("/api/v1/webhooks", {**BODY, **change}, JSON)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert Webhook.objects.count() == 0


def test_a_webhook_is_changed_and_removed(admin: Client) -> None:
    path = f"/api/v1/webhooks/{_made(admin)['webhook']['id']}"
    changed = admin.patch(path, {"name": "night shift", "is_active": False}, JSON, headers={"If-Match": '"1"'}).json()
    assert (changed["name"], changed["is_active"], changed["url"]) == ("night shift", False, BODY["url"])
    bad = admin.patch(path, {"url": "http://[::1]/"}, JSON, headers={"If-Match": '"2"'})
    assert bad.json()["code"] == "address_forbidden"
    assert admin.post(f"{path}/test").status_code == 422
    assert admin.get(path).json() == changed
    assert admin.delete(path, headers={"If-Match": '"2"'}).status_code == 204
    assert admin.get(path).status_code == 404


def test_nobodys_change_is_overwritten_unseen(admin: Client) -> None:
    """Also the server's own: that it turned a webhook off."""
    path = f"/api/v1/webhooks/{_made(admin)['webhook']['id']}"
    assert revision_in(admin.get(path)) == '"1"'
    assert admin.patch(path, {"name": "a"}, JSON, headers={"If-Match": '"1"'}).headers["ETag"] == '"2"'
    late = {"If-Match": '"1"'}
    for headers, status, code in ((late, 412, "precondition_failed"), ({}, 428, "precondition_required")):
        for answer in (
            admin.patch(path, {"name": "b"}, JSON, headers=headers),
            admin.post(f"{path}/rotate", headers=headers),
            admin.delete(path, headers=headers),
        ):
            assert (answer.status_code, answer.json()["code"]) == (status, code)
    webhook = Webhook.objects.get()
    assert (webhook.name, webhook.secret_generation) == ("a", 1)


def test_the_log_has_pages_and_messages_can_be_sent_again(admin: Client) -> None:
    path = f"/api/v1/webhooks/{_made(admin)['webhook']['id']}"
    sent = admin.post(f"{path}/test")
    assert (sent.status_code, sent.json()["event"], sent.json()["state"]) == (202, "webhook.test", "pending")
    webhook_event_emit(event=Webhook.Event.HELP_REQUESTED, data={"robot_id": "r"})
    page = admin.get(f"{path}/deliveries?page_size=1").json()
    rest = admin.get(page["next"]).json()
    assert [row["event"] for row in (*page["results"], *rest["results"])] == ["help.requested", "webhook.test"]
    WebhookDelivery.objects.filter(event="help.requested").update(state="dead", next_try_at=None, attempts=9)
    delivery = page["results"][0]["event_id"]
    again = admin.post(f"{path}/deliveries/{delivery}/redeliver")
    assert (again.status_code, again.json()["state"], again.json()["attempts"]) == (202, "pending", 0)
    assert admin.post(f"{path}/deliveries/{uuid.uuid4()}/redeliver").status_code == 404
