"""What robots say of themselves when they connect, of many at once: after a restart all of them come together."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec
from django.db import transaction
from django.db.models import Case, Value, When
from django.utils import timezone

from fleet.events import hint_consoles, hint_links
from fleet.models import PolicyDeployment, PolicyVersion, Robot
from fleet.protocol.messages import Hello

MOST_PROTOCOL = 32767  # that its column holds
_FACTS = ("driver", "daemon_version", "protocol", "architectures", "capabilities", "policy_version_id")


@dataclass(frozen=True)
class Arrival:
    """A connection that said Hello."""

    robot_id: str
    session_id: str
    hello: Hello


@transaction.atomic
def robots_hello(*, arrivals: Sequence[Arrival], is_waiting: bool = False) -> list[bool]:
    """Note what newly connected robots are and host; any other connection of theirs is told to close.

    Return of each whether it was noted: unless `is_waiting`, a robot whose row another transaction holds is left out,
    so that nobody waits for it but itself. So is one that was deleted.
    Raises: DataError, ValueError if one of them says what no column takes; none is noted then.
    """
    rows = Robot.objects.filter(id__in={arrival.robot_id for arrival in arrivals}).order_by("id")
    locked = rows.select_for_update(skip_locked=not is_waiting, no_key=True).only(*_FACTS)
    robots = {str(robot.id): robot for robot in locked}
    if not robots:
        return [False] * len(arrivals)
    newest = {arrival.robot_id: arrival for arrival in arrivals if arrival.robot_id in robots}  # its last connection
    versions = _versions_known(arrival.hello.policy_version_id for arrival in newest.values())
    for arrival in newest.values():
        _note_facts(robots[arrival.robot_id], arrival.hello, versions)
    sessions = {robot_id: arrival.session_id for robot_id, arrival in newest.items()}
    links = Case(*(When(id=robot_id, then=Value(session)) for robot_id, session in sessions.items()))
    Robot.objects.filter(id__in=sessions).update(link_session=links, last_seen_at=timezone.now())
    hosted = {(robot.id, robot.policy_version_id) for robot in robots.values() if robot.policy_version_id is not None}
    _note_hosted(hosted)
    hint_links(list(sessions), newcomers=list(sessions.values()))
    hint_consoles("robot", " ".join(sessions))
    return [arrival.robot_id in robots for arrival in arrivals]


def robot_speaks(*, robot_id: str, protocol: int) -> None:
    """Note the protocol of a robot that is refused for it, so that the console can say why it stays away."""
    if 0 <= protocol <= MOST_PROTOCOL:
        Robot.objects.filter(id=robot_id).update(protocol=protocol)


def _versions_known(ids: Iterable[str | None]) -> set[uuid.UUID]:
    named = {version_id for version_id in map(_uuid_or_none, ids) if version_id is not None}
    return set(PolicyVersion.objects.filter(id__in=named).values_list("id", flat=True)) if named else set()


def _note_facts(robot: Robot, hello: Hello, versions: Collection[uuid.UUID]) -> None:
    """Write what differs from what its last connection said: mostly nothing."""
    version_id = _uuid_or_none(hello.policy_version_id)
    facts = {
        # As the column gives it back: a tuple never equals its list.
        "driver": msgspec.json.decode(msgspec.json.encode(hello.driver)),
        "daemon_version": hello.daemon_version[:200],
        "protocol": hello.protocol,
        "architectures": list(hello.architectures),
        "capabilities": [name[:64] for name in hello.capabilities[:64]],
        "policy_version_id": version_id if version_id in versions else None,
    }
    differing = [name for name, fact in facts.items() if getattr(robot, name) != fact]
    for name in differing:
        setattr(robot, name, facts[name])
    if differing:
        robot.save(update_fields=differing)


def _note_hosted(hosted: set[tuple[uuid.UUID, uuid.UUID]]) -> None:
    """Count versions that robots name in Hello as applied if the report was lost with an earlier connection.

    When is not known, so `fetched_at` stays empty, which marks `applied_at` as an upper bound (see selectors/latency).
    """
    robots, versions = {robot for robot, _ in hosted}, {version for _, version in hosted}
    applied = PolicyDeployment.objects.filter(robot__in=robots, version__in=versions, applied_at__isnull=False)
    now = timezone.now()
    for robot_id, version_id in hosted - set(applied.values_list("robot_id", "version_id")):
        pair = {"robot_id": robot_id, "version_id": version_id}
        PolicyDeployment.objects.get_or_create(**pair, defaults={"announced_at": now})
        lost = PolicyDeployment.objects.filter(**pair, applied_at__isnull=True)
        lost.update(applied_at=now, refused_at=None, refused_code="", refused_message="")


def _uuid_or_none(text: str | None) -> uuid.UUID | None:
    with contextlib.suppress(ValueError):
        return uuid.UUID(text) if text else None
    return None
