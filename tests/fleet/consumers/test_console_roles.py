"""Every console message and role against the matrix, over real sockets."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from fleet.consumers import console
from fleet.consumers.matrix import MESSAGES
from fleet.permissions import ROLE_PERMISSIONS, Permission, Role
from fleet.protocol import messages as m
from fleet.services.enrolment import Enrolled
from fleet.services.person import person_roles_set
from tests.fleet.consumers.peers import console_peer, cookie_of

REFUSED = ("drive_forbidden", "permission_denied")
SILENT = (m.ConsolePing, m.Resync, m.WatchRun)  # they get no reply; what they bring is tested elsewhere
VALUES: dict[type, dict[str, Any]] = {
    m.ConsoleAcquire: {},
    m.ConsoleTake: {"from_epoch": 1},
    m.ConsoleRenew: {"epoch": 1},
    m.ConsoleRelease: {"epoch": 1},
    m.ConsoleAsk: {"epoch": 1},
    m.ConsoleTransfer: {"epoch": 1, "to_user": "ben"},
    m.ConsoleStop: {"stop_id": str(uuid.uuid4())},
    m.ConsoleClear: {"stop_id": str(uuid.uuid4())},
    m.ConsolePeerOffer: {"peer_id": str(uuid.uuid4()), "views": ("front",), "sdp": "v=0\r\n"},
    m.ConsolePeerClose: {"peer_id": str(uuid.uuid4())},
    m.ConsoleOrder: {"epoch": 1, "kind": next(iter(m.OrderKind)), "episode_id": str(uuid.uuid4())},
}


def test_roles_may_send_what_the_matrix_gives_them_and_nothing_else(
    server: str, ann: Any, enrolled: Enrolled, monkeypatch: pytest.MonkeyPatch, django_user_model: Any
) -> None:
    """The role changes under the open socket, and holds from the next message on."""
    monkeypatch.setattr(console, "ASK_PERIOD_S", 0.0)
    assert set(VALUES) | set(SILENT) == set(MESSAGES)
    person_roles_set(user=django_user_model.objects.create_user("eve"), roles=(Role.ADMIN,))  # the last one stays
    with console_peer(server, cookie_of(ann)) as page:
        for roles in ((), *((role,) for role in Role)):
            person_roles_set(user=ann, roles=roles)
            allowed = frozenset[Permission]().union(*(ROLE_PERMISSIONS[role] for role in roles))
            for kind, values in VALUES.items():
                code = page.ask(kind, enrolled.robot.id, **values).code
                need = MESSAGES[kind]
                assert (code in REFUSED) != (need is None or need in allowed), (roles, kind, code)
