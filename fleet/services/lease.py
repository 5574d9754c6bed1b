"""Leases: the server's arbitration of who may drive. Safety does not hang on it: the robot itself fences by epoch."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from fleet.errors import LeaseHeld
from fleet.models import Lease, Robot
from fleet.protocol.authority import Source
from fleet.protocol.errors import LeaseFenced
from fleet.services.robot import robot_lock, robots_bump

logger = logging.getLogger(__name__)


@transaction.atomic
def lease_grant(
    *, robot_id: uuid.UUID | str, source: Source, operator: str, reason: str = "", user: AbstractBaseUser | None = None
) -> Lease:
    """Grant the robot's lease with a new epoch; whatever lease was open ends.

    A person ends a scripted lease, never the reverse; between two people the first keeps it. The same holder asking
    again gets a new epoch, so a daemon or browser that restarted is not locked out by its former self.
    Raises: LeaseHeld, NotFound.
    """
    robot = robot_lock(robot_id=robot_id)
    now = timezone.now()
    current = Lease.objects.filter(robot=robot, released_at__isnull=True).first()
    if current is not None:
        if current.expires_at > now and not _may_replace(current, source, user):
            raise LeaseHeld(f"'{current.operator}' drives this robot", operator=current.operator)
        _close(current, now, "expired" if current.expires_at <= now else f"replaced by {source}")
    robot.lease_epoch += 1
    robot.save(update_fields=["lease_epoch"])
    lease = Lease.objects.create(
        robot=robot,
        epoch=robot.lease_epoch,
        source=source.value,
        user=user,  # type: ignore[misc]
        operator=operator[:200],
        reason=reason,
        granted_at=now,
        expires_at=now + timedelta(seconds=settings.SOP_LEASE_S),
    )
    robots_bump(robot_ids=[robot.id])
    return lease


@transaction.atomic
def lease_renew(*, robot_id: uuid.UUID | str, epoch: int, source: Source | None = None) -> Lease:
    """Extend the open lease with this epoch. `source`: whose leases the caller may touch, None for all.

    Raises: LeaseFenced if it ended, expired, was replaced or is another's; NotFound.
    """
    robot = robot_lock(robot_id=robot_id)
    now = timezone.now()
    lease = _open_lease(robot, epoch, source)
    if lease is None or lease.expires_at <= now:
        raise LeaseFenced("this lease is over", epoch=epoch, newest_epoch=robot.lease_epoch)
    lease.expires_at = now + timedelta(seconds=settings.SOP_LEASE_S)
    lease.save(update_fields=["expires_at"])
    return lease


@transaction.atomic
def lease_release(*, robot_id: uuid.UUID | str, epoch: int, reason: str, source: Source | None = None) -> None:
    """End the lease with this epoch; one that is over already, or another's, is left as it is. Raises: NotFound."""
    robot = robot_lock(robot_id=robot_id)
    lease = _open_lease(robot, epoch, source)
    if lease is not None:
        _close(lease, timezone.now(), reason)
        robots_bump(robot_ids=[robot.id])


def leases_expire(*, now: datetime | None = None) -> int:
    """Close every open lease past its time; return how many. Each in its own transaction, locked as all others."""
    now = now or timezone.now()
    overdue = Lease.objects.filter(released_at__isnull=True, expires_at__lte=now).values_list("robot_id", "epoch")
    closed = 0
    for robot_id, epoch in list(overdue):
        with transaction.atomic():
            lease = _open_lease(robot_lock(robot_id=robot_id), epoch)
            if lease is not None and lease.expires_at <= now:
                _close(lease, now, "expired")
                robots_bump(robot_ids=[robot_id])
                closed += 1
    return closed


def _may_replace(current: Lease, source: Source, user: AbstractBaseUser | None) -> bool:
    if current.source == Source.SCRIPTED.value:
        return True
    return source is Source.PERSON and user is not None and current.user_id == user.pk


def _open_lease(robot: Robot, epoch: int, source: Source | None = None) -> Lease | None:
    found = Lease.objects.filter(robot=robot, epoch=epoch, released_at__isnull=True)
    return (found if source is None else found.filter(source=source.value)).first()


def _close(lease: Lease, now: datetime, reason: str) -> None:
    lease.released_at, lease.end_reason = now, reason
    lease.save(update_fields=["released_at", "end_reason"])
