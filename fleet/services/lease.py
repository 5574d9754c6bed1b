"""Leases: the server's arbitration of who may drive. Safety does not hang on it: the robot itself fences by epoch."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from fleet.access import may_take_lease
from fleet.errors import InvalidRequest, LeaseHeld, TakeForbidden
from fleet.events import hint_lease_asked, hint_lease_lost, hint_lease_offered
from fleet.models import Lease, Robot
from fleet.protocol.authority import Source
from fleet.protocol.errors import LeaseFenced
from fleet.selectors.silence import CLOCK_SLACK
from fleet.services.audit import audit_record
from fleet.services.help import help_claimed, help_served
from fleet.services.robot import robot_lock, robots_bump

logger = logging.getLogger(__name__)


@transaction.atomic
def lease_grant(
    *,
    robot_id: uuid.UUID | str,
    source: Source,
    operator: str,
    reason: str = "",
    user: AbstractBaseUser | None = None,
    connection: str = "",
    from_epoch: int | None = None,
) -> Lease:
    """Grant the robot's lease with a new epoch; whatever lease was open ends.

    A person ends a scripted lease, never the reverse. Between people, and between two tabs of one, the first keeps it
    unless the other confirms by `from_epoch` whose lease it takes; from another person only managers and admins may,
    or the user to whom the holder offered it. The supervisor asking again, and the connection that holds the lease,
    get a new epoch: so a daemon that restarted is not locked out by its former self, and a person drives on after a
    stop.
    `connection`: of the console that will hold it.
    Raises: LeaseHeld; LeaseFenced if `from_epoch` is not in force any more; TakeForbidden; NotFound.
    """
    robot = robot_lock(robot_id=robot_id)
    now = timezone.now()
    current = Lease.objects.filter(robot=robot, released_at__isnull=True).first()
    in_force = current if current is not None and current.expires_at > now else None
    if from_epoch is not None and (in_force is None or in_force.epoch != from_epoch):
        raise LeaseFenced("who drives has changed: look again", epoch=from_epoch, newest_epoch=robot.lease_epoch)
    if in_force is not None:
        is_own = bool(connection) and in_force.connection == connection
        _check_replace(in_force, source, user, is_confirmed=from_epoch is not None or is_own)
        _close(in_force, now, f"replaced by {source}: {operator}"[:2000])
        if in_force.connection and not is_own:
            hint_lease_lost(in_force.connection, robot_id=robot.id, epoch=in_force.epoch, taken_by=operator[:200])
    elif current is not None:
        _end(current, now, "expired")
    robot.lease_epoch += 1
    robot.save(update_fields=["lease_epoch"])
    lease = Lease.objects.create(
        robot=robot,
        epoch=robot.lease_epoch,
        source=source.value,
        user=user,  # type: ignore[misc]
        operator=operator[:200],
        reason=reason,
        connection=connection,
        granted_at=now,
        expires_at=now + timedelta(seconds=settings.SOP_LEASE_S),
    )
    help_claimed(lease=lease)
    robots_bump(robot_ids=[robot.id])
    _audit("lease.take" if in_force is not None else "lease.acquire", lease, after=lease, before=in_force)
    _log("lease granted", lease, source=lease.source, reason=reason)
    return lease


@transaction.atomic
def lease_renew(
    *, robot_id: uuid.UUID | str, epoch: int, source: Source | None = None, connection: str | None = None
) -> Lease:
    """Extend the open lease with this epoch. `source`, `connection`: whose leases the caller may touch, None for all.

    Raises: LeaseFenced if it ended, expired, was replaced or is another's; NotFound.
    """
    robot = robot_lock(robot_id=robot_id)
    lease = _lease_held(robot, epoch, connection, source)
    lease.expires_at = timezone.now() + timedelta(seconds=settings.SOP_LEASE_S)
    lease.save(update_fields=["expires_at"])
    if lease.source == Source.PERSON.value:  # the supervisor is told by the robot's own connection
        robots_bump(robot_ids=[robot.id])
    return lease


@transaction.atomic
def lease_release(
    *,
    robot_id: uuid.UUID | str,
    epoch: int,
    reason: str,
    source: Source | None = None,
    connection: str | None = None,
) -> None:
    """End the lease with this epoch; one that is over already, or another's, is left as it is. Raises: NotFound."""
    robot = robot_lock(robot_id=robot_id)
    lease = _open_lease(robot, epoch, source, connection)
    if lease is not None:
        _end(lease, timezone.now(), reason)
        robots_bump(robot_ids=[robot.id])


@transaction.atomic
def lease_offer(*, robot_id: uuid.UUID | str, epoch: int, connection: str, to_user: AbstractBaseUser) -> Lease:
    """Let `to_user` take this lease; it stays with its holder until they do. A later offer replaces an earlier one.

    Raises: LeaseFenced if it is over or not this connection's; NotFound.
    """
    lease = _lease_held(robot_lock(robot_id=robot_id), epoch, connection)
    lease.offered_to = to_user  # type: ignore[assignment]
    lease.save(update_fields=["offered_to"])
    _audit("lease.offer", lease, after={"offered_to": to_user.get_username()})
    hint_lease_offered(to_user.pk, robot_id=lease.robot_id, epoch=epoch, by=lease.operator)
    _log("lease offered", lease, to=to_user.get_username())
    return lease


@transaction.atomic
def lease_ask(*, robot_id: uuid.UUID | str, epoch: int, by: str) -> None:
    """Tell the person who holds this lease that `by` would like to drive.

    Raises: LeaseFenced if it is over; InvalidRequest if nobody can be asked; NotFound.
    """
    lease = _lease_held(robot_lock(robot_id=robot_id), epoch)
    if not lease.connection:
        raise InvalidRequest("the scripted supervisor gives way to a person: acquire", field="epoch")
    hint_lease_asked(lease.connection, robot_id=lease.robot_id, epoch=epoch, by=by[:200])


def leases_expire(*, now: datetime | None = None) -> int:
    """Close every open lease past its time; return how many. Each in its own transaction, locked as all others.

    One that would last longer than any may was granted by a wall clock that was ahead; a living holder renews it.
    """
    now = now or timezone.now()
    latest = now + timedelta(seconds=settings.SOP_LEASE_S) + CLOCK_SLACK
    is_over = Q(expires_at__lte=now) | Q(expires_at__gt=latest)
    overdue = Lease.objects.filter(is_over, released_at__isnull=True).values_list("robot_id", "epoch")
    closed = 0
    for robot_id, epoch in list(overdue):
        with transaction.atomic():
            lease = _open_lease(robot_lock(robot_id=robot_id), epoch)
            if lease is not None and not now < lease.expires_at <= latest:
                _end(lease, now, "expired")
                robots_bump(robot_ids=[robot_id])
                closed += 1
    return closed


def _check_replace(current: Lease, source: Source, user: AbstractBaseUser | None, *, is_confirmed: bool) -> None:
    if current.source == Source.SCRIPTED.value:
        return
    if source is not Source.PERSON or user is None or not is_confirmed:
        raise LeaseHeld(f"'{current.operator}' drives this robot", operator=current.operator)
    if user.pk not in (current.user_id, current.offered_to_id) and not may_take_lease(user):
        raise TakeForbidden(f"only a manager or an admin may take from '{current.operator}'")


def _lease_held(robot: Robot, epoch: int, connection: str | None = None, source: Source | None = None) -> Lease:
    """Return the lease in force with this epoch. Raises: LeaseFenced."""
    lease = _open_lease(robot, epoch, source, connection)
    if lease is None or lease.expires_at <= timezone.now():
        raise LeaseFenced("this lease is over", epoch=epoch, newest_epoch=robot.lease_epoch)
    return lease


def _open_lease(robot: Robot, epoch: int, source: Source | None = None, connection: str | None = None) -> Lease | None:
    found = Lease.objects.filter(robot=robot, epoch=epoch, released_at__isnull=True)
    if source is not None:
        found = found.filter(source=source.value)
    return (found if connection is None else found.filter(connection=connection)).first()


def _end(lease: Lease, now: datetime, reason: str) -> None:
    """Close a lease that no other follows: with it the help that it brought."""
    _audit("lease.expire" if reason == "expired" else "lease.release", lease, before=lease, after={"reason": reason})
    _close(lease, now, reason)
    help_served(lease=lease, now=now)


def _close(lease: Lease, now: datetime, reason: str) -> None:
    lease.released_at, lease.end_reason = now, reason
    lease.save(update_fields=["released_at", "end_reason"])
    _log("lease ended", lease, reason=reason)


def _audit(
    action: str, lease: Lease, *, before: Lease | None = None, after: Lease | Mapping[str, object] | None = None
) -> None:
    """Of people's leases: the scripted supervisor comes and goes many times a minute, and its rows say as much."""
    if lease.source != Source.PERSON.value:
        return
    shown = {"operator": lease.operator, "epoch": lease.epoch, "reason": lease.reason}
    was = None if before is None else {"operator": before.operator, "epoch": before.epoch}
    audit_record(
        action=action,
        subject=lease.robot,
        before=was,
        after=shown if isinstance(after, Lease) else after,
    )


def _log(text: str, lease: Lease, **more: object) -> None:
    event = {"robot": str(lease.robot_id), "epoch": lease.epoch, "operator": lease.operator, **more}
    logger.info(text, extra={"event": event})
