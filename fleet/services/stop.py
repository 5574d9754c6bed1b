"""Stops: the server's record of them. The robot latches a stop by itself and is told by a path that needs no row."""

from __future__ import annotations

import logging
import uuid

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from fleet.access import may_clear_stop
from fleet.clock import from_ns
from fleet.errors import ClearForbidden, InvalidRequest, NotFound
from fleet.models import RobotStop
from fleet.protocol.messages import StopInfo
from fleet.selectors.lease import lease_in_force
from fleet.services.audit import audit_record, robot_actor
from fleet.services.robot import robot_lock, robots_bump
from fleet.services.text import storable

logger = logging.getLogger(__name__)


@transaction.atomic
def stop_register(*, robot_id: uuid.UUID | str, stop: StopInfo, user: AbstractBaseUser | None = None) -> RobotStop:
    """Note a stop, of a user or (without one) as the robot reports it. It is in force until it is cleared.

    Registering twice is registering once, also after it was cleared: a copy that took the longer way stops nobody.
    Raises: InvalidRequest if the id is no UUID; NotFound.
    """
    stop_id = _uuid(stop.stop_id)
    robot = robot_lock(robot_id=robot_id)
    known = RobotStop.objects.filter(robot=robot, stop_id=stop_id).first()
    if known is not None:
        return known
    try:
        stopped_at = from_ns(stop.at_ns)
    except OverflowError:
        stopped_at = timezone.now()
    row = RobotStop.objects.create(
        robot=robot,
        stop_id=stop_id,
        user=user,  # type: ignore[misc]
        by=storable(stop.by)[:200],
        reason=storable(stop.reason),
        stopped_at=stopped_at,
    )
    robots_bump(robot_ids=[robot.id])
    shown = {"stop": stop_id, "by": row.by, "reason": row.reason}
    audit_record(action="robot.stop", subject=robot, after=shown, actor=robot_actor(robot) if user is None else None)
    event = {"robot": str(robot.id), "stop": str(stop_id), "by": row.by, "reason": row.reason}
    logger.warning("robot stopped", extra={"event": event})
    return row


@transaction.atomic
def stop_confirm(*, robot_id: uuid.UUID | str, stop: StopInfo) -> RobotStop:
    """Note that the robot reports this stop as latched; one that it made by itself gets its row.

    Raises: InvalidRequest if the id is no UUID; NotFound.
    """
    row = stop_register(robot_id=robot_id, stop=stop)
    if row.confirmed_at is None:
        row.confirmed_at = timezone.now()
        row.save(update_fields=["confirmed_at"])
    return row


@transaction.atomic
def stops_cleared_at_robot(*, robot_id: uuid.UUID | str, session_id: str) -> int:
    """The robot reports no stop: close those that it had confirmed, and those before them; return how many.

    Somebody at the robot cleared them (SIGUSR2). A stop that it never confirmed is still on its way and stays.
    `session_id`: of the connection that reports; an older one than the robot's present one says nothing.
    Raises: NotFound.
    """
    robot = robot_lock(robot_id=robot_id)
    in_force = RobotStop.objects.filter(robot=robot, cleared_at__isnull=True)
    newest = in_force.filter(confirmed_at__isnull=False).order_by("-id").first()
    if newest is None or robot.link_session != session_id:
        return 0
    count = in_force.filter(id__lte=newest.id).update(cleared_at=timezone.now())
    robots_bump(robot_ids=[robot.id])
    after = {"stop": newest.stop_id, "cleared": count}
    audit_record(action="robot.stop_clear", subject=robot, after=after, actor=robot_actor(robot))
    event = {"robot": str(robot.id), "stop": str(newest.stop_id), "by": "at the robot"}
    logger.warning("stop cleared", extra={"event": event})
    return count


@transaction.atomic
def stop_clear(*, robot_id: uuid.UUID | str, stop_id: str, user: AbstractBaseUser) -> RobotStop:
    """Clear this stop and those before it, which its clearer saw; a later one stays in force.

    Clearing again tells the robot again: it may have latched a stop whose clearing it never heard of.
    Raises: InvalidRequest if the id is no UUID; NotFound; ClearForbidden.
    """
    robot = robot_lock(robot_id=robot_id)
    row = RobotStop.objects.filter(robot=robot, stop_id=_uuid(stop_id)).first()
    if row is None:
        raise NotFound("there is no such stop")
    now = timezone.now()
    lease = lease_in_force(robot_id=robot.id, now=now)
    if not may_clear_stop(user, holder_id=lease.user_id if lease else None):
        raise ClearForbidden("only who drives this robot or an admin may clear its stop")
    row.cleared_at, row.cleared_by = now, user  # type: ignore[assignment]
    row.save(update_fields=["cleared_at", "cleared_by"])
    earlier = RobotStop.objects.filter(robot=robot, id__lt=row.id, cleared_at__isnull=True)
    earlier.update(cleared_at=now, cleared_by=user)
    robots_bump(robot_ids=[robot.id])
    audit_record(action="robot.stop_clear", subject=robot, after={"stop": row.stop_id, "stopped_by": row.by})
    event = {"robot": str(robot.id), "stop": str(row.stop_id), "by": user.get_username()}
    logger.warning("stop cleared", extra={"event": event})
    return row


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidRequest("a stop's id must be a UUID", field="stop_id") from None
