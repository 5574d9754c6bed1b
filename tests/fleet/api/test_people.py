"""People over HTTP: invited, joined, changed, shut out; and their own accounts."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.contrib.auth import authenticate
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from fleet.models import AuditEntry, Person, PersonLink, UserSession
from fleet.permissions import Role
from fleet.services.person import person_roles_set

pytestmark = pytest.mark.django_db
JSON = "application/json"
PASSWORD = "correct-horse-battery"
READ = {"If-Match": '"cur"'}  # the ranking, as it was read


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    cache.clear()


@pytest.fixture
def make(django_user_model: Any) -> Any:
    def made(name: str, *roles: Role) -> Any:
        user = django_user_model.objects.create_user(name, password=PASSWORD)
        person_roles_set(user=user, roles=roles)
        return user

    return made


@pytest.fixture
def root(make: Any) -> Any:
    return make("root", Role.ADMIN)


@pytest.fixture
def admin(root: Any) -> Client:
    return _browser(root)


def _browser(user: Any, **headers: str) -> Client:
    """A browser that signed in as people do."""
    client = Client(headers=headers or {"User-Agent": "Firefox"})
    answer = client.post("/api/v1/session", {"username": user.username, "password": PASSWORD}, JSON)
    assert answer.status_code == 200, answer.content
    return client


def _sign_in(username: str, password: str, code: str = "") -> tuple[int, Any]:
    body = {"username": username, "password": password, "code": code}
    answer = Client().post("/api/v1/session", body, JSON)
    return answer.status_code, answer.json()


def _invite(admin: Client, *roles: str, email: str = "") -> str:
    answer = admin.post("/api/v1/invitations", {"roles": list(roles), "email": email}, JSON)
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    return str(answer.json()["url"]).split("/welcome#")[1]


def _join(secret: str, username: str = "ann", password: str = PASSWORD) -> Any:
    return Client().put("/api/v1/welcome", {"secret": secret, "username": username, "password": password}, JSON)


def _code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# --- Invitations -----------------------------------------------------------------------------------------------------


def test_an_invitation_makes_one_person_with_its_roles(admin: Client) -> None:
    secret = _invite(admin, "operator", "exporter", email="ann@lab.example")
    assert secret not in str(PersonLink.objects.values())
    shown = Client().post("/api/v1/welcome", {"secret": secret}, JSON).json()
    assert (shown["is_reset"], shown["roles"], shown["invited_by"]) == (False, ["operator", "exporter"], "root")
    assert len(admin.get("/api/v1/invitations").json()["results"]) == 1
    assert _join(secret).status_code == 201
    status, body = _sign_in("ann", PASSWORD)
    assert (status, body["user"]["roles"]) == (200, ["operator", "exporter"])
    assert _code(_join(secret, "ben")) == (403, "link_invalid")
    assert _code(Client().post("/api/v1/welcome", {"secret": secret}, JSON)) == (403, "link_invalid")
    assert admin.get("/api/v1/invitations").json()["results"] == []


@pytest.mark.parametrize("way", ["expired", "withdrawn", "invented"])
def test_a_link_that_is_over_says_only_that(admin: Client, way: str, django_user_model: Any) -> None:
    secret = _invite(admin, "operator")
    if way == "expired":
        PersonLink.objects.update(created_at=timezone.now() - timedelta(days=9), expires_at=timezone.now())
    elif way == "withdrawn":
        assert admin.delete(f"/api/v1/invitations/{PersonLink.objects.get().id}").status_code == 204
    else:
        secret = "x" * 43
    answers = [Client().post("/api/v1/welcome", {"secret": secret}, JSON), _join(secret)]
    assert {_code(answer) for answer in answers} == {(403, "link_invalid")}
    assert {answer.json()["detail"] for answer in answers} == {
        "this link is unknown, used or expired: ask for a new one"
    }
    assert not django_user_model.objects.filter(username="ann").exists()


@pytest.mark.parametrize(
    ("username", "password", "status", "code", "field"),
    [
        ("ann", "short", 422, "invalid_request", "password"),
        ("ann", "12345678901234", 422, "invalid_request", "password"),
        ("an n", PASSWORD, 422, "invalid_request", "username"),
        ("", PASSWORD, 422, "invalid_request", "username"),
        ("ROOT", PASSWORD, 409, "name_taken", "username"),
    ],
)
def test_joining_badly_is_explained_and_the_link_stays_good(
    admin: Client, username: str, password: str, status: int, code: str, field: str
) -> None:
    secret = _invite(admin, "operator")
    answer = _join(secret, username, password)
    assert (*_code(answer), answer.json().get("field")) == (status, code, field)
    assert _join(secret).status_code == 201


def test_a_link_is_mailed_where_mail_is_configured(
    admin: Client, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.SOP_MAIL_FROM = "sop@lab.example"
    with django_capture_on_commit_callbacks(execute=True):
        secret = _invite(admin, "viewer", email="ann@lab.example")
    assert [(message.to, message.from_email) for message in mail.outbox] == [(["ann@lab.example"], "sop@lab.example")]
    assert f"/welcome#{secret}" in str(mail.outbox[0].body)


def test_a_reset_link_sets_the_password_and_ends_every_session(admin: Client, make: Any) -> None:
    ann = make("ann", Role.OPERATOR)
    page = _browser(ann)
    first = admin.post(f"/api/v1/people/{ann.pk}/reset").json()["url"].split("#")[1]
    secret = admin.post(f"/api/v1/people/{ann.pk}/reset").json()["url"].split("#")[1]
    assert _code(_join(first)) == (403, "link_invalid"), "a newer link ends the older one"
    assert Client().post("/api/v1/welcome", {"secret": secret}, JSON).json()["username"] == "ann"
    assert _join(secret, "", "another-good-password").status_code == 201
    assert page.get("/api/v1/robots").status_code == 401
    assert authenticate(username="ann", password="another-good-password") == ann


# --- Changes ---------------------------------------------------------------------------------------------------------


def test_roles_count_at_once_and_are_listed(admin: Client, make: Any) -> None:
    ann = make("ann", Role.OPERATOR)
    page = _browser(ann)
    assert page.put("/api/v1/help/ranking", {"ranking": "fifo"}, JSON, headers=READ).status_code == 403
    answer = _change(admin, ann, {"roles": ["manager"], "email": "a@lab.example"})
    assert (answer.status_code, answer.json()["roles"], answer.json()["email"]) == (200, ["manager"], "a@lab.example")
    assert page.put("/api/v1/help/ranking", {"ranking": "fifo"}, JSON, headers=READ).status_code == 200
    people = admin.get("/api/v1/people").json()
    assert [(row["username"], row["sessions"]) for row in people["results"]] == [("ann", 1), ("root", 1)]
    assert [row["name"] for row in people["roles"]] == [role.value for role in Role]


def test_who_is_deactivated_is_out_and_stays_out(admin: Client, make: Any) -> None:
    ann = make("ann", Role.OPERATOR)
    page = _browser(ann)
    assert _change(admin, ann, {"is_active": False}).json()["is_active"] is False
    assert page.get("/api/v1/robots").status_code == 401
    assert _sign_in("ann", PASSWORD)[0] == 401
    assert _change(admin, ann, {"is_active": True}).status_code == 200
    assert page.get("/api/v1/robots").status_code == 401, "the former session does not come back"
    assert _sign_in("ann", PASSWORD)[0] == 200


@pytest.mark.parametrize("change", [{"roles": ["manager"]}, {"is_active": False}])
def test_the_last_admin_stays(admin: Client, root: Any, make: Any, change: dict[str, Any]) -> None:
    assert _code(_change(admin, root, change)) == (409, "last_admin")
    assert admin.get("/api/v1/people").status_code == 200
    make("second", Role.ADMIN)
    assert _change(admin, root, change).status_code == 200


def test_a_change_that_is_refused_in_part_changes_nothing(admin: Client, root: Any) -> None:
    """The roles alone would be allowed; to lock the last admin out is not, so they stay too."""
    change = {"roles": ["admin", "manager"], "is_active": False, "name": "Somebody"}
    (shown,) = (card for card in admin.get("/api/v1/people").json()["results"] if card["id"] == root.pk)
    read = {"If-Match": f'"{shown["version"]}"'}
    answer = admin.patch(f"/api/v1/people/{root.pk}", change, JSON, headers=read)
    assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
    (found,) = [card for card in admin.get("/api/v1/people").json()["results"] if card["id"] == root.pk]
    assert (found["roles"], found["is_active"]) == (["admin"], True) and found["name"] != "Somebody"


def test_people_that_are_not_there(admin: Client) -> None:
    for answer in (
        admin.patch("/api/v1/people/999999", {"roles": ["viewer"]}, JSON, headers=READ),
        admin.patch("/api/v1/people/999999", {"is_active": False}, JSON, headers=READ),
        admin.post("/api/v1/people/999999/reset"),
        admin.delete("/api/v1/people/999999/totp"),
    ):
        assert _code(answer) == (404, "not_found")
    assert admin.patch("/api/v1/people/1", {"roles": ["emperor"]}, JSON, headers=READ).status_code == 400


def _change(admin: Client, user: Any, change: dict[str, Any]) -> Any:
    """Change a person over what is shown of them now."""
    shown = next(row for row in admin.get("/api/v1/people").json()["results"] if row["id"] == user.pk)
    return admin.patch(f"/api/v1/people/{user.pk}", change, JSON, headers={"If-Match": f'"{shown["version"]}"'})


def test_a_person_whom_somebody_changed_is_not_overwritten(admin: Client, make: Any) -> None:
    """Roles, name and the rest share a version; a refused change leaves all of it."""
    ann = make("ann", Role.OPERATOR)
    read = {"If-Match": f'"{admin.get("/api/v1/people").json()["results"][0]["version"]}"'}
    url = f"/api/v1/people/{ann.pk}"
    first = admin.patch(url, {"roles": ["viewer"]}, JSON, headers=read)
    assert (first.status_code, first.headers["ETag"]) == (200, f'"{first.json()["version"]}"')
    assert _code(admin.patch(url, {"roles": ["manager"], "name": "Ann"}, JSON, headers=read)) == (
        412, "precondition_failed",
    )  # fmt: skip
    assert _code(admin.patch(url, {"roles": ["manager"]}, JSON)) == (428, "precondition_required")
    [row] = [row for row in admin.get("/api/v1/people").json()["results"] if row["id"] == ann.pk]
    assert (row["roles"], row["name"]) == (["viewer"], "")
    ann.refresh_from_db()
    assert admin.patch(url, {"name": "Ann"}, JSON, headers={"If-Match": first.headers["ETag"]}).json()["name"] == "Ann"


def test_a_change_of_several_things_is_made_whole_or_not_at_all(admin: Client, root: Any) -> None:
    answer = _change(admin, root, {"roles": ["manager"], "name": "Root", "is_active": False})
    assert _code(answer) == (409, "last_admin")
    [row] = admin.get("/api/v1/people").json()["results"]
    assert (row["roles"], row["name"], row["is_active"]) == (["admin"], "", True)


# --- One's own account -----------------------------------------------------------------------------------------------


def test_a_password_is_changed_with_the_old_one_and_ends_other_sessions(make: Any) -> None:
    ann = make("ann", Role.VIEWER)
    here, there = _browser(ann), _browser(ann)
    body = {"old": "wrong", "new": "another-good-password"}
    assert here.post("/api/v1/profile/password", body, JSON).json()["field"] == "old"
    assert here.post("/api/v1/profile/password", {"old": PASSWORD, "new": "ann"}, JSON).json()["field"] == "new"
    assert there.get("/api/v1/robots").status_code == 200
    assert here.post("/api/v1/profile/password", {**body, "old": PASSWORD}, JSON).status_code == 204
    assert (here.get("/api/v1/robots").status_code, there.get("/api/v1/robots").status_code) == (200, 401)
    assert "another-good-password" not in str(AuditEntry.objects.values())


def test_sessions_are_listed_and_ended(make: Any) -> None:
    ann = make("ann", Role.VIEWER)
    here, there = _browser(ann), _browser(ann, **{"User-Agent": "Phone\x00"})
    third = _browser(ann)
    rows = here.get("/api/v1/profile").json()["sessions"]
    assert sorted((row["agent"], row["is_this"]) for row in rows) == [
        ("Firefox", False), ("Firefox", True), ("Phone", False),
    ]  # fmt: skip
    assert {row["address"] for row in rows} == {"127.0.0.1"}
    phone = next(row["id"] for row in rows if row["agent"] == "Phone")
    assert here.delete(f"/api/v1/profile/sessions/{phone}").status_code == 204
    assert (there.get("/api/v1/robots").status_code, third.get("/api/v1/robots").status_code) == (401, 200)
    other = _browser(make("ben", Role.VIEWER))
    mine = next(row["id"] for row in rows if row["is_this"])
    assert _code(other.delete(f"/api/v1/profile/sessions/{mine}")) == (404, "not_found")
    assert here.delete("/api/v1/profile/sessions").json() == {"ended": 1}
    assert (here.get("/api/v1/robots").status_code, third.get("/api/v1/robots").status_code) == (200, 401)
    assert here.delete("/api/v1/session").status_code == 204
    assert not UserSession.objects.filter(user=ann).exists()


# --- The second factor -----------------------------------------------------------------------------------------------


def _set_up(client: Client) -> tuple[pyotp.TOTP, list[str]]:
    setup = client.post("/api/v1/profile/totp", {"password": PASSWORD}, JSON).json()
    totp = pyotp.TOTP(setup["secret"])
    answer = client.put("/api/v1/profile/totp", {"code": totp.at(time.time() - 30)}, JSON)
    assert answer.status_code == 200, answer.content
    return totp, answer.json()["recovery_codes"]


def test_a_second_factor_is_set_up_asked_for_and_removed(make: Any) -> None:
    ann = make("ann", Role.OPERATOR)
    client = _browser(ann)
    assert client.post("/api/v1/profile/totp", {"password": "wrong"}, JSON).json()["field"] == "password"
    setup = client.post("/api/v1/profile/totp", {"password": PASSWORD}, JSON).json()
    assert re.search(r"^<svg .*</svg>", setup["qr_svg"], re.DOTALL)
    assert setup["uri"].startswith("otpauth://totp/SOP:ann?secret=")
    assert setup["secret"] not in str(Person.objects.values()), "the row holds it encrypted"
    assert client.put("/api/v1/profile/totp", {"code": "000000"}, JSON).json()["field"] == "code"
    assert _sign_in("ann", PASSWORD)[0] == 200, "it counts once it is confirmed"
    totp, recovery = _set_up(client)
    assert len(set(recovery)) == 10

    assert _sign_in("ann", PASSWORD)[1]["code"] == "second_factor"
    assert _sign_in("ann", PASSWORD, "123456")[1]["code"] == "second_factor"
    assert _sign_in("ann", "wrong", totp.now())[1]["code"] == "unauthorised"
    now = totp.now()
    assert _sign_in("ann", PASSWORD, now)[0] == 200
    assert _sign_in("ann", PASSWORD, now)[0] == 401, "no code works twice"
    assert _sign_in("ann", PASSWORD, recovery[0].upper().replace("-", " "))[0] == 200
    assert _sign_in("ann", PASSWORD, recovery[0])[0] == 401
    assert client.get("/api/v1/profile").json()["recovery_codes_left"] == 9
    fresh = client.post("/api/v1/profile/recovery-codes", {"code": recovery[1]}, JSON).json()["recovery_codes"]
    assert (_sign_in("ann", PASSWORD, recovery[2])[0], _sign_in("ann", PASSWORD, fresh[0])[0]) == (401, 200)
    assert client.delete("/api/v1/profile/totp", {"password": PASSWORD}, JSON).status_code == 204
    assert _sign_in("ann", PASSWORD)[0] == 200


def test_a_role_may_require_it_and_waits_until_it_is_set_up(make: Any, settings: Any) -> None:
    settings.SOP_TOTP_ROLES = ("manager",)
    client = _browser(make("ann", Role.MANAGER))
    user = client.get("/api/v1/session").json()["user"]
    assert (user["lacks_totp"], user["roles"], user["permissions"]) == (True, [], [])
    assert client.get("/api/v1/robots").status_code == 403
    totp, _ = _set_up(client)
    user = client.get("/api/v1/session").json()["user"]
    assert (user["lacks_totp"], user["roles"]) == (False, ["manager"])
    assert client.get("/api/v1/robots").status_code == 200
    answer = client.delete("/api/v1/profile/totp", {"password": PASSWORD}, JSON)
    assert (answer.status_code, answer.json()["field"]) == (422, "totp")
    assert _sign_in("ann", PASSWORD, totp.now())[0] == 200


def test_an_admin_removes_the_factor_of_a_lost_telephone(admin: Client, make: Any) -> None:
    ann = make("ann", Role.OPERATOR)
    _set_up(_browser(ann))
    assert _sign_in("ann", PASSWORD)[0] == 401
    assert admin.delete(f"/api/v1/people/{ann.pk}/totp").status_code == 204
    assert _sign_in("ann", PASSWORD)[0] == 200
    assert AuditEntry.objects.filter(action="person.totp_remove", actor_name="root", object_name="ann").exists()


# --- Guessing --------------------------------------------------------------------------------------------------------


def test_guessing_locks_the_account_until_time_has_passed(make: Any, settings: Any) -> None:
    settings.SOP_SIGN_IN_FAILURES, settings.SOP_SIGN_IN_LOCK_S = 3, 4.0
    make("ann", Role.VIEWER)
    assert [_sign_in("ann", "wrong")[0] for _ in range(4)] == [401, 401, 401, 429]
    assert _sign_in("ANN", PASSWORD)[0] == 429, "the right password does not help"
    assert [_sign_in("nobody", "x")[0] for _ in range(4)] == [401, 401, 401, 429], "names are not told apart"
    make("ben", Role.VIEWER)
    assert _sign_in("ben", PASSWORD)[0] == 200
    assert AuditEntry.objects.filter(action="sign_in.lock").count() == 2
    deadline = time.monotonic() + 20
    while (status := _sign_in("ann", PASSWORD)[0]) == 429 and time.monotonic() < deadline:
        time.sleep(0.1)  # asking does not make the lock longer
    assert status == 200


def test_guessing_from_one_address_locks_the_address(make: Any, settings: Any) -> None:
    settings.SOP_SIGN_IN_FAILURES = 3
    make("ann", Role.VIEWER)
    assert [_sign_in(f"name{i}", "x")[0] for i in range(16)] == [401] * 15 + [429]
    assert _sign_in("ann", PASSWORD)[0] == 429


def test_a_lock_says_how_long_it_lasts(make: Any, settings: Any) -> None:
    settings.SOP_SIGN_IN_FAILURES = 3
    body = {"username": "ann", "password": "wrong"}
    answers = [Client().post("/api/v1/session", body, JSON) for _ in range(4)]
    assert (answers[-1].status_code, answers[-1]["Retry-After"]) == (429, "900")


def test_wrong_codes_count_as_guesses(make: Any, settings: Any) -> None:
    ann = make("ann", Role.VIEWER)
    _set_up(_browser(ann))
    settings.SOP_SIGN_IN_FAILURES = 3
    assert [_sign_in("ann", PASSWORD, "000000")[0] for _ in range(4)] == [401, 401, 401, 429]
    assert Session.objects.count() == 1


def test_ones_own_account_is_changed_over_what_was_read(make: Any) -> None:
    here = _browser(make("ann", Role.VIEWER))
    shown = here.get("/api/v1/profile")
    read = {"If-Match": shown.headers["ETag"]}
    assert shown.headers["ETag"].startswith(f'"{shown.json()["version"]}.')
    assert here.patch("/api/v1/profile", {"name": "Ann"}, JSON, headers=read).json()["name"] == "Ann"
    assert _code(here.patch("/api/v1/profile", {"name": "Bea"}, JSON, headers=read)) == (412, "precondition_failed")
    assert _code(here.patch("/api/v1/profile", {"name": "Bea"}, JSON)) == (428, "precondition_required")
    assert here.get("/api/v1/profile").json()["name"] == "Ann"
