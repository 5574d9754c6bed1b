"""Nothing is reachable that the access matrix does not name: a new endpoint or console message needs its line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_args

from django.urls import URLPattern, URLResolver, get_resolver

from fleet.api.matrix import ENDPOINTS, Need
from fleet.api.permissions import MatrixAllows
from fleet.api.reach import REACH, Reach
from fleet.consumers.matrix import MESSAGES
from fleet.permissions import ROLE_PERMISSIONS, WHOLE_FLEET, Permission, Role
from fleet.protocol.messages import ConsoleClientMessage
from fleet.scopes import PUBLIC

API = "api/v1/"
# Outside of the API: Django's admin has its own permissions (admins alone, services/person.py), objects have signed
# URLs, readiness tells strangers one word, and the console's page and the API's documentation are public.
ELSEWHERE = {
    "admin/",
    "api/docs",
    "api/docs/errors",
    "objects/<path:key>",
    "readyz",
    r"^(?!healthz$|readyz$|api/|admin/|objects/|static/|assets/|ws/).*$",
}


def endpoints() -> Iterator[tuple[str, Any, str]]:
    """Yield name, view class and path of everything below /api/v1/."""
    for part in get_resolver().url_patterns:
        if str(part.pattern) != API:
            continue
        assert isinstance(part, URLResolver)
        for pattern in part.url_patterns:
            assert isinstance(pattern, URLPattern), "nested URLs: let this test walk them"
            yield str(pattern.name), pattern.callback.cls, str(pattern.pattern)


def test_all_that_is_served_is_the_api_or_known() -> None:
    assert {str(part.pattern) for part in get_resolver().url_patterns} == ELSEWHERE | {API}


def test_every_endpoint_and_method_has_its_line_in_the_matrix() -> None:
    """Missing here? Add the URL's name with what each of its methods needs to fleet/api/matrix.py."""
    offered = {
        name: set(view.as_view().cls().allowed_methods) - {"OPTIONS", "HEAD", "TRACE"} for name, view, _ in endpoints()
    }
    assert offered == {name: set(line) for name, line in ENDPOINTS.items()}


def test_every_endpoint_says_how_it_holds_to_groups() -> None:
    """Missing here? Add the URL's name to fleet/api/reach.py: what of it somebody in a group sees."""
    assert {name for name, _, _ in endpoints()} == set(REACH)


def test_what_is_refused_to_groups_takes_a_permission_that_they_lack() -> None:
    for name, reach in REACH.items():
        needs = set(ENDPOINTS[name].values())
        assert (reach is Reach.WHOLE) <= (needs <= WHOLE_FLEET), name


def test_names_are_unique() -> None:
    names = [name for name, _, _ in endpoints()]
    assert sorted(names) == sorted(set(names)), "the matrix looks endpoints up by name"


def test_every_view_asks_the_matrix() -> None:
    assert [name for name, view, _ in endpoints() if MatrixAllows not in view.permission_classes] == []


def test_what_is_public_says_so_in_both_places() -> None:
    """In the matrix, for people, and at the view, for tokens."""
    for name, view, _ in endpoints():
        is_public = all(need is Need.ANYONE for need in ENDPOINTS[name].values())
        assert is_public == (view.needs == PUBLIC), name


def test_every_console_message_has_its_line_in_the_matrix() -> None:
    """Missing here? Add the message with what it needs to fleet/consumers/matrix.py."""
    assert set(get_args(ConsoleClientMessage)) == set(MESSAGES)


def test_every_role_and_permission_is_in_use() -> None:
    assert set(ROLE_PERMISSIONS) == set(Role)
    assert ROLE_PERMISSIONS[Role.ADMIN] == frozenset(Permission)
    steps = (Role.VIEWER, Role.OPERATOR, Role.MANAGER, Role.ADMIN)
    assert all(ROLE_PERMISSIONS[a] < ROLE_PERMISSIONS[b] for a, b in pairwise(steps))
