"""API tokens: shown once, as narrow as their scopes and their owner, dead when revoked, expired or ownerless."""

from __future__ import annotations

import hashlib
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from fleet.models import ApiToken
from fleet.scopes import Scope
from fleet.services.api_token import MAX_KEPT, MAX_LIVE, api_token_create
from tests.fleet import builders

pytestmark = pytest.mark.django_db
JSON = "application/json"
DAY_S = 86400.0


@pytest.fixture
def ann(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("ann", password="correct horse")


@pytest.fixture
def signed_in(client: Client, ann: Any) -> Client:
    client.force_login(ann)
    return client


def _make(user: Any, *scopes: Scope, valid_s: float = DAY_S) -> tuple[ApiToken, dict[str, str]]:
    made = api_token_create(user=user, name="script", scopes=scopes or (Scope.FLEET_READ,), valid_s=valid_s)
    return made.token, {"Authorization": f"Bearer {made.secret}"}


def _refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_token_is_shown_once_and_stored_as_its_hash(signed_in: Client) -> None:
    body = {"name": " night job ", "scopes": ["episodes:read", "fleet:read"], "valid_s": DAY_S}
    answer = signed_in.post("/api/v1/tokens", body, JSON)
    made = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert (made["name"], made["scopes"]) == ("night job", ["episodes:read", "fleet:read"])
    secret = made.pop("secret")
    assert secret.startswith(made["prefix"]) and len(secret) == 47
    row = ApiToken.objects.get()
    assert row.token_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in repr(list(ApiToken.objects.values()))
    listed = signed_in.get("/api/v1/tokens").json()
    assert listed["results"] == [made]
    assert {each["name"] for each in listed["scopes"]} == {str(scope) for scope in Scope}


def test_a_token_reads_and_its_use_is_noted_once_a_minute(client: Client, ann: Any) -> None:
    token, bearer = _make(ann)
    robot = builders.enrol().robot
    assert client.get(f"/api/v1/robots/{robot.id}", headers=bearer).json()["id"] == str(robot.id)
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None and token.last_used_ip == "127.0.0.1"
    client.get("/api/v1/robots", headers=bearer)
    token.refresh_from_db()
    assert token.last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    client.get("/api/v1/robots", headers=bearer)
    token.refresh_from_db()
    assert token.last_used_at is not None and token.last_used_at >= first


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        (Scope.FLEET_READ, "get", "/api/v1/robots", 200),
        (Scope.FLEET_WRITE, "get", "/api/v1/robots", 200),
        (Scope.EPISODES_READ, "get", "/api/v1/robots", 403),
        (Scope.ADMIN, "get", "/api/v1/robots", 403),
        (Scope.EPISODES_READ, "post", "/api/v1/saved-filters", 403),
        (Scope.EPISODES_WRITE, "post", "/api/v1/saved-filters", 201),
    ],
)
def test_scopes_decide(client: Client, ann: Any, scope: Scope, method: str, path: str, status: int) -> None:
    _, bearer = _make(ann, scope)
    body = {"name": "mine", "query": {}} if method == "post" else None
    answer = getattr(client, method)(path, body, content_type=JSON, headers=bearer)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "scope_missing"


def test_a_token_never_has_more_rights_than_its_owner(client: Client, ann: Any) -> None:
    _, bearer = _make(ann, *Scope)
    change = {"ranking": "fifo"}
    bearer["If-Match"] = '"cur"'
    refused = client.put("/api/v1/help/ranking", change, JSON, headers=bearer)
    assert refused.status_code == 403
    ann.is_staff = True
    ann.save()
    assert client.put("/api/v1/help/ranking", change, JSON, headers=bearer).status_code != 403


def test_a_token_makes_and_revokes_no_tokens(client: Client, ann: Any) -> None:
    token, bearer = _make(ann, *Scope)
    _refused(client.get("/api/v1/tokens", headers=bearer), 403, "session_required")
    _refused(client.post("/api/v1/tokens", {}, JSON, headers=bearer), 403, "session_required")
    _refused(client.delete(f"/api/v1/tokens/{token.id}", headers=bearer), 403, "session_required")
    assert ApiToken.objects.get().revoked_at is None


def test_revoking_ends_it_at_once(signed_in: Client, ann: Any) -> None:
    token, bearer = _make(ann)
    assert signed_in.delete(f"/api/v1/tokens/{token.id}").status_code == 204
    stranger = Client()
    _refused(stranger.get("/api/v1/robots", headers=bearer), 401, "unauthorised")
    revoked = ApiToken.objects.get().revoked_at
    assert signed_in.delete(f"/api/v1/tokens/{token.id}").status_code == 204
    assert ApiToken.objects.get().revoked_at == revoked


def test_expiry_a_disabled_owner_and_a_removed_owner_end_it(client: Client, ann: Any) -> None:
    _, bearer = _make(ann)
    ApiToken.objects.update(created_at=timezone.now() - timedelta(days=2), expires_at=timezone.now())
    _refused(client.get("/api/v1/robots", headers=bearer), 401, "unauthorised")
    _, bearer = _make(ann)
    ann.is_active = False
    ann.save()
    _refused(client.get("/api/v1/robots", headers=bearer), 401, "unauthorised")
    ann.delete()
    assert not ApiToken.objects.exists()
    _refused(client.get("/api/v1/robots", headers=bearer), 401, "unauthorised")


@pytest.mark.parametrize("secret", ["", "sop_", "sop_" + "x" * 5000, "other", "sop_\u00e9\u0000"])
def test_made_up_tokens(client: Client, secret: str) -> None:
    answer = client.get("/api/v1/robots", headers={"Authorization": f"Bearer {secret}"})
    _refused(answer, 401, "unauthorised")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_bad_token_is_not_saved_by_a_session(signed_in: Client) -> None:
    _refused(signed_in.get("/api/v1/robots", headers={"Authorization": "Bearer sop_x"}), 401, "unauthorised")


def test_sessions_still_need_the_csrf_token_and_tokens_do_not(ann: Any) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(ann)
    body = {"name": "mine", "query": {}}
    assert browser.post("/api/v1/saved-filters", body, JSON).status_code == 403
    _, bearer = _make(ann, Scope.EPISODES_WRITE)
    assert Client(enforce_csrf_checks=True).post("/api/v1/saved-filters", body, JSON, headers=bearer).status_code == 201


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": ""}, 400),
        ({"name": "a\u0007b"}, 422),
        ({"scopes": []}, 400),
        ({"scopes": ["everything"]}, 400),
        ({"valid_s": 59}, 400),
        ({"valid_s": 400 * DAY_S}, 422),
        ({"valid_s": float("1e300")}, 422),
        ({"valid_s": "NaN"}, 400),
    ],
)
def test_bad_wishes_make_nothing(signed_in: Client, change: dict[str, Any], status: int) -> None:
    body = {"name": "a", "scopes": ["admin"], "valid_s": DAY_S} | change
    assert signed_in.post("/api/v1/tokens", body, JSON).status_code == status
    assert not ApiToken.objects.exists()


def test_others_tokens_are_not_there(signed_in: Client, django_user_model: Any) -> None:
    token, _ = _make(django_user_model.objects.create_user("bob"))
    assert signed_in.get("/api/v1/tokens").json()["results"] == []
    _refused(signed_in.delete(f"/api/v1/tokens/{token.id}"), 404, "not_found")
    _refused(signed_in.delete(f"/api/v1/tokens/{uuid.uuid4()}"), 404, "not_found")


def test_a_person_has_so_many_and_old_ones_are_forgotten(signed_in: Client, ann: Any) -> None:
    now = timezone.now()
    values = {"created_by": ann, "name": "n", "prefix": "sop_", "scopes": ["admin"], "expires_at": now + timedelta(1)}
    hashes = (hashlib.sha256(bytes([n])).hexdigest() for n in range(200))
    live = [ApiToken(**values, token_sha256=next(hashes)) for _ in range(MAX_LIVE)]
    ApiToken.objects.bulk_create(live)
    body = {"name": "a", "scopes": ["admin"], "valid_s": DAY_S}
    _refused(signed_in.post("/api/v1/tokens", body, JSON), 422, "invalid_request")
    live[0].delete()
    dead = [ApiToken(**values, token_sha256=next(hashes), revoked_at=now) for _ in range(MAX_KEPT + 3)]
    ApiToken.objects.bulk_create(dead)
    assert signed_in.post("/api/v1/tokens", body, JSON).status_code == 201
    assert ApiToken.objects.filter(revoked_at__isnull=False).count() == MAX_KEPT


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    cache.clear()
