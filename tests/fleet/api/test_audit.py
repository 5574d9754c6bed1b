"""The audit log over HTTP: who asked stands in it, filters find it, and CSV holds no formulas."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from django.test import Client

from fleet.acting import Actor, ActorKind
from fleet.models import AuditEntry
from fleet.permissions import Role
from fleet.services.audit import audit_record
from fleet.services.person import person_roles_set

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def admin(client: Client, django_user_model: Any) -> Client:
    user = django_user_model.objects.create_user("root")
    person_roles_set(user=user, roles=[Role.ADMIN])
    client.force_login(user)
    return client


def _found(client: Client, **query: str) -> list[str]:
    return [row["action"] for row in client.get("/api/v1/audit", query).json()["results"]]


def test_a_request_s_change_names_its_person_address_and_id(admin: Client) -> None:
    answer = admin.put(
        "/api/v1/help/ranking", {"ranking": "fifo"}, JSON, headers={"X-Request-ID": "proxy-0001", "If-Match": '"cur"'}
    )
    assert (answer.status_code, answer["X-Request-ID"]) == (200, "proxy-0001")
    entry = admin.get("/api/v1/audit").json()["results"][0]
    assert (entry["actor_kind"], entry["actor_name"], entry["address"]) == ("person", "root", "127.0.0.1")
    assert (entry["request_id"], entry["before"], entry["after"]) == (
        "proxy-0001", {"ranking": "cur"}, {"ranking": "fifo"},
    )  # fmt: skip
    assert len(admin.get("/api/v1/session", headers={"X-Request-ID": "bad id\n"})["X-Request-ID"]) == 32


def test_filters_find_by_person_action_object_and_time(admin: Client) -> None:
    ben = Actor(ActorKind.PERSON, "9", "ben")
    audit_record(action="lease.take", kind="robot", name="arm one", after={}, actor=ben)
    audit_record(action="lease.release", kind="robot", name="arm two", after={}, actor=ben)
    audit_record(action="leases.other", kind="task", name="box")
    assert _found(admin, actor="ben") == ["lease.release", "lease.take"]
    assert _found(admin, action="lease") == ["lease.release", "lease.take"]
    assert _found(admin, action="lease.take") == ["lease.take"]
    assert _found(admin, kind="task") == ["leases.other"]
    assert _found(admin, object="ARM T") == ["lease.release"]
    assert _found(admin, since="2000-01-01T00:00:00Z", until="2001-01-01T00:00:00Z") == []
    assert len(_found(admin, since="2000-01-01T00:00:00Z", page_size="2")) == 2
    assert admin.get("/api/v1/audit?since=yesterday").status_code == 400
    facets = admin.get("/api/v1/audit/facets").json()
    assert (facets["actors"], facets["kinds"]) == (["ben", "system"], ["person", "robot", "task"])


def test_csv_holds_everything_and_no_formulas(admin: Client) -> None:
    audit_record(action="task.create", kind="task", name="=HYPERLINK(1)", after={"note": 'ä, "b"'})
    answer = admin.get("/api/v1/audit/csv?action=task")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))  # type: ignore[attr-defined]
    assert [row["object_name"] for row in rows] == ["'=HYPERLINK(1)"]
    assert rows[0]["after"] == '{"note": "ä, \\"b\\""}'


def test_the_log_is_the_admins_alone(client: Client, django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("max")
    person_roles_set(user=user, roles=[Role.MANAGER])
    client.force_login(user)
    assert AuditEntry.objects.exists()
    assert {client.get(f"/api/v1/audit{part}").status_code for part in ("", "/csv", "/facets")} == {403}
