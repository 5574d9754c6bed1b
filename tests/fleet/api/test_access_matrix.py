"""Every endpoint, method and role against the matrix, over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from fleet.api.matrix import ENDPOINTS, Need
from fleet.permissions import ROLE_PERMISSIONS, Role
from fleet.services.person import person_roles_set

pytestmark = pytest.mark.django_db

SETS: dict[str, tuple[Role, ...]] = {
    "none": (),
    **{role.value: (role,) for role in Role},
    "operator+exporter": (Role.OPERATOR, Role.EXPORTER),
}
CONVERTERS: dict[str, dict[str, Any]] = {
    str(pattern.name): pattern.pattern.converters
    for part in get_resolver().url_patterns
    if isinstance(part, URLResolver) and str(part.pattern) == "api/v1/"
    for pattern in part.url_patterns
    if isinstance(pattern, URLPattern)
}
LINES = [(name, method, need) for name, line in ENDPOINTS.items() for method, need in line.items()]


def _url(name: str) -> str:
    """Return the endpoint's URL with ids that name nothing."""
    made = {"UUIDConverter": str(uuid.uuid4()), "IntConverter": "999999"}
    kinds = CONVERTERS[name]
    return reverse(name, kwargs={key: made.get(type(kind).__name__, "x") for key, kind in kinds.items()})


def _answer(client: Client, name: str, method: str) -> tuple[int, str]:
    answer = client.generic(method, _url(name), data="{}", content_type="application/json")
    is_problem = answer.get("Content-Type", "") == "application/problem+json"
    return answer.status_code, answer.json()["code"] if is_problem else ""


@pytest.mark.parametrize("roles", SETS)
def test_roles_reach_what_the_matrix_gives_them_and_nothing_else(
    roles: str, client: Client, objects: object, django_user_model: Any
) -> None:
    user = django_user_model.objects.create_user("ann", password="x")
    person_roles_set(user=user, roles=SETS[roles])
    allowed = frozenset().union(*(ROLE_PERMISSIONS[role] for role in SETS[roles]))
    for name, method, need in LINES:
        client.force_login(user)
        status, code = _answer(client, name, method)
        is_refused = (status, code) == (403, "permission_denied")
        assert is_refused != (isinstance(need, Need) or need in allowed), (name, method, status, code)
        assert is_refused or status != 405, (name, method)


def test_strangers_reach_what_is_public_and_nothing_else(client: Client, objects: object) -> None:
    for name, method, need in LINES:
        status, _ = _answer(client, name, method)
        assert need is Need.ANYONE or status == 401, (name, method, status)


def test_an_endpoint_without_a_line_answers_nobody(
    client: Client, django_user_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = django_user_model.objects.create_user("ann")
    person_roles_set(user=user, roles=[Role.ADMIN])
    client.force_login(user)
    monkeypatch.setattr("fleet.api.permissions.ENDPOINTS", {})
    assert _answer(client, "robots", "GET") == (403, "permission_denied")


def test_a_method_that_a_view_lacks_is_405_for_everybody(client: Client, django_user_model: Any) -> None:
    client.force_login(django_user_model.objects.create_user("ann"))
    assert client.delete("/api/v1/robots").status_code == 405


def test_a_refusal_names_the_roles_that_it_takes(client: Client, django_user_model: Any) -> None:
    client.force_login(django_user_model.objects.create_user("ann"))
    answer = client.put("/api/v1/help/ranking", {"ranking": "fifo"}, "application/json")
    assert (answer.status_code, answer.json()["detail"]) == (403, "this needs the role manager or admin")


def test_archiving_takes_its_own_right(
    client: Client, django_user_model: Any, monkeypatch: pytest.MonkeyPatch, objects: object
) -> None:
    monkeypatch.setitem(ROLE_PERMISSIONS, Role.OPERATOR, ROLE_PERMISSIONS[Role.OPERATOR] - {"archive"})  # type: ignore[arg-type]
    client.force_login(django_user_model.objects.create_user("ann"))
    body = {"ids": [str(uuid.uuid4())], "change": {"is_archived": True}}
    answer = client.post("/api/v1/episodes/labels", body, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
