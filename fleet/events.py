"""Hints to robots and consoles, sent when the transaction commits, and never something that must arrive.

Services call this; `consumers/` receive it. A hint only says "read the rows again", so losing one costs a heartbeat.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

logger = logging.getLogger(__name__)

ROBOTS_GROUP = "robots"
CONSOLES_GROUP = "consoles"


def hint_robots(robot_ids: Collection[object]) -> None:
    """On commit: the desired state of these robots changed; the fleet page too."""
    ids = [str(robot_id) for robot_id in robot_ids]
    if ids:
        _send_on_commit(ROBOTS_GROUP, {"type": "state.changed", "robots": ids})
        hint_consoles("robot", " ".join(ids))


def console_group(connection: str) -> str:
    return f"console.{connection}"


def user_group(user_id: object) -> str:
    """All console connections of one user."""
    return f"user.{user_id}"


def hint_lease_lost(connection: str, *, robot_id: object, epoch: int, taken_by: str) -> None:
    """On commit: tell the console connection that held this lease who took it."""
    event = {"type": "lease.lost", "robot_id": str(robot_id), "epoch": str(epoch), "taken_by": taken_by}
    _send_on_commit(console_group(connection), event)


def hint_lease_asked(connection: str, *, robot_id: object, epoch: int, by: str) -> None:
    """On commit: tell the console connection that holds this lease who would like to drive."""
    event = {"type": "lease.asked", "robot_id": str(robot_id), "epoch": str(epoch), "by": by}
    _send_on_commit(console_group(connection), event)


def hint_lease_offered(user_id: object, *, robot_id: object, epoch: int, by: str) -> None:
    """On commit: tell every console of this user that they may take this lease."""
    event = {"type": "lease.offered", "robot_id": str(robot_id), "epoch": str(epoch), "by": by}
    _send_on_commit(user_group(user_id), event)


def hint_person(user_id: object) -> None:
    """On commit: what this person may do or see has changed, or their sessions; open consoles look at once."""
    _send_on_commit(user_group(user_id), {"type": "person.changed"})


def hint_all_robots() -> None:
    """On commit: the desired state of every robot changed, as by a new policy version."""
    _send_on_commit(ROBOTS_GROUP, {"type": "state.changed"})


def ask_robot_logs(robot_id: object, *, request_id: str, limit: int) -> None:
    """On commit: the robot's connection asks its daemon for its last lines; lost, the asker asks again."""
    message = {"type": "logs_wanted", "request_id": request_id, "limit": limit}
    event = {"type": "robot.call", "message": message, "channel": "", "connection": ""}
    _send_on_commit(ROBOTS_GROUP, event | {"robots": [str(robot_id)]})


def hint_links(robot_ids: Collection[object], *, newcomers: Collection[str] = ()) -> None:
    """On commit: keys were revoked or newer connections are there; these robots' connections check themselves.

    The hint does not say which connection counts: it may arrive late, after yet another one was made. Only the
    newcomers (session ids) need not look for their own sake.
    """
    ids = [str(robot_id) for robot_id in robot_ids]
    _send_on_commit(ROBOTS_GROUP, {"type": "link.check", "robots": ids, "newcomers": list(newcomers)})


def hint_consoles(kind: str, subject: object = "") -> None:
    """On commit. `kind`, subject: "robot", its id or several with spaces between; "rows", a run's id; "run" (robots may
    be behind it then), "episodes" (were registered), "metrics", "help" and "alerts" alone."""
    _send_on_commit(CONSOLES_GROUP, {"type": "console.hint", "kind": kind, "subject": str(subject)})


def hint_beats(robot_ids: Sequence[str], *, acting: Sequence[str]) -> None:
    """Now: these robots said what they do; the `acting` of them do something else than before. One message for many,
    since it comes with every heartbeat."""
    ids = {"subject": " ".join(robot_ids), "acting": " ".join(acting)}
    _send(CONSOLES_GROUP, {"type": "console.hint", "kind": "beats", **ids})


def _send_on_commit(group: str, message: Mapping[str, object]) -> None:
    transaction.on_commit(lambda: _send(group, dict(message)))


def _send(group: str, message: dict[str, Any]) -> None:
    try:
        async_to_sync(get_channel_layer().group_send)(group, message)
    except Exception:  # whatever the layer raises: the commit stands, and hints may be lost by contract
        logger.warning("hint lost", extra={"event": {"group": group, "type": message["type"]}}, exc_info=True)
