"""Robots: their keys, pictures, pausing. Enrolment is in enrolment.py, what a connection reports in robot_hello.py and
robot_seen.py, what admins change in robot_admin.py."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import uuid
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from fleet import live
from fleet.errors import InvalidRequest, LinkReplaced, NotFound
from fleet.events import hint_consoles, hint_links, hint_robots
from fleet.models import Robot, RobotKey
from fleet.protocol.errors import Unauthorised
from fleet.services.audit import audit_record

logger = logging.getLogger(__name__)


def robot_key_check(*, robot_id: str, key: str) -> Robot:
    """Return the robot whose unrevoked key this is. Raises: Unauthorised, the same for every reason."""
    [found] = robot_keys_check(keys=[(robot_id, key)])
    if isinstance(found, Unauthorised):
        raise found
    return found


def robot_keys_check(*, keys: Sequence[tuple[str, str]]) -> list[Robot | Unauthorised]:
    """The same for many: (robot id, key) of each."""
    hashes = [secret_sha256(key) for _, key in keys]
    rows = RobotKey.objects.select_related("robot").filter(key_sha256__in=set(hashes), revoked_at__isnull=True)
    robots: dict[tuple[uuid.UUID | None, str], Robot] = {(row.robot_id, row.key_sha256): row.robot for row in rows}
    refusal = "this robot key is not valid"
    return [
        robots.get((_uuid_or_none(robot_id), key_sha256), Unauthorised(refusal))
        for (robot_id, _), key_sha256 in zip(keys, hashes, strict=True)
    ]


def _uuid_or_none(text: str) -> uuid.UUID | None:
    with contextlib.suppress(ValueError):
        return uuid.UUID(text)
    return None


def robot_link_check(*, robot_id: str, key: str, session_id: str) -> None:
    """Check that a connection is still good. Raises: Unauthorised after revocation; LinkReplaced by a newer one."""
    if robot_key_check(robot_id=robot_id, key=key).link_session != session_id:
        raise LinkReplaced("this robot has a newer connection")


@transaction.atomic
def robot_key_revoke(*, key_id: uuid.UUID | str) -> RobotKey:
    """Revoke a key; its connection closes within moments. Revoking twice is revoking once. Raises: NotFound."""
    row = RobotKey.objects.select_for_update().filter(id=key_id).first()
    if row is None:
        raise NotFound("there is no such key")
    if row.revoked_at is None:
        row.revoked_at = timezone.now()
        row.save(update_fields=["revoked_at"])
        audit_record(action="robot.key_revoke", subject=row, name=row.robot.name, after={"revoked_at": row.revoked_at})
        logger.info("robot key revoked", extra={"event": {"robot": str(row.robot_id), "key": str(row.id)}})
    hint_links([row.robot_id])
    return row


def robot_thumbnail(*, robot_id: str, captured_ns: int, jpeg: bytes) -> None:
    """Keep the newest picture. Raises: InvalidRequest if it is no JPEG."""
    if not jpeg.startswith(b"\xff\xd8\xff"):
        raise InvalidRequest("a thumbnail must be a JPEG", field="jpeg")
    if not 0 <= captured_ns < 2**63:
        raise InvalidRequest("the thumbnail's time is out of range", field="captured_ns")
    live.thumbnail_put(robot_id, captured_ns, jpeg)
    hint_consoles("robot", robot_id)


@transaction.atomic
def robot_pause(*, robot_id: uuid.UUID | str, is_paused: bool) -> Robot:
    """Ask a robot to pause after this step, or to go on. Raises: NotFound."""
    robot = robot_lock(robot_id=robot_id)
    if robot.is_paused != is_paused:
        robot.is_paused = is_paused
        robot.save(update_fields=["is_paused"])
        before, after = {"is_paused": not is_paused}, {"is_paused": is_paused}
        audit_record(action="robot.pause" if is_paused else "robot.resume", subject=robot, before=before, after=after)
        robots_bump(robot_ids=[robot.id])
    return robot


def robot_lock(*, robot_id: uuid.UUID | str) -> Robot:
    """Return the robot's row, locked until the transaction ends. Raises: NotFound."""
    robot = Robot.objects.select_for_update().filter(id=robot_id).first()
    if robot is None:
        raise NotFound("there is no such robot")
    return robot


def robots_bump(*, robot_ids: Iterable[uuid.UUID | str], is_hinted: bool = True) -> None:
    """Count up the desired state's revision and, unless the caller does, hint each robot on commit."""
    ids = list(robot_ids)
    Robot.objects.filter(id__in=ids).update(state_revision=F("state_revision") + 1)
    if is_hinted:
        hint_robots(ids)


def secret_sha256(secret: str) -> str:
    """Return how a secret of 256 random bits is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()
