"""Leases in force: what robots, consoles and cards are told of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from fleet.clock import to_ms, to_ns
from fleet.models import Lease
from fleet.protocol.authority import Source
from fleet.protocol.errors import LeaseFenced
from fleet.protocol.messages import CardLease, LeaseInfo


def lease_in_force(*, robot_id: uuid.UUID, now: datetime) -> Lease | None:
    """Return the robot's lease unless it is released or expired."""
    return _in_force(now).filter(robot_id=robot_id).first()


def lease_held(*, robot_id: uuid.UUID, epoch: int, connection: str) -> Lease:
    """Return the lease in force that this console connection holds. Raises: LeaseFenced if that is not this one."""
    lease = lease_in_force(robot_id=robot_id, now=timezone.now())
    if lease is None or (lease.epoch, lease.connection) != (epoch, connection):
        raise LeaseFenced("this lease is over", epoch=epoch)
    return lease


def leases_in_force(*, robot_ids: Sequence[uuid.UUID], now: datetime) -> dict[uuid.UUID, LeaseInfo]:
    """Return what robots are told of their leases in force, by robot id."""
    return {lease.robot_id: lease_info(lease) for lease in _in_force(now).filter(robot_id__in=robot_ids)}


def leases_handed_back(*, robot_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Return by robot id the epoch of the newest person's lease if its holder gave it back in time; of one that ran
    out or goes on nothing.

    Only who hands back lets the policy go on: a robot whose lease is gone for any other reason stands.
    """
    people = Lease.objects.filter(robot_id__in=robot_ids, source=Source.PERSON.value)
    newest = people.order_by("robot_id", "-epoch").distinct("robot_id")
    return {
        lease.robot_id: lease.epoch
        for lease in newest
        if lease.released_at is not None and lease.released_at < lease.expires_at
    }


def card_leases(*, robot_ids: Sequence[uuid.UUID] | None = None, now: datetime) -> dict[str, CardLease]:
    """Return the leases in force of these robots, or of all, by robot id."""
    rows = _in_force(now)
    return {
        str(lease.robot_id): CardLease(
            epoch=lease.epoch,
            source=Source(lease.source),
            operator=lease.operator,
            expires_ms=to_ms(lease.expires_at),
        )
        for lease in (rows if robot_ids is None else rows.filter(robot_id__in=robot_ids))
    }


def lease_info(lease: Lease) -> LeaseInfo:
    return LeaseInfo(
        epoch=lease.epoch,
        source=Source(lease.source),
        operator=lease.operator,
        expires_ns=to_ns(lease.expires_at),
        connection=lease.connection,
    )


def _in_force(now: datetime) -> QuerySet[Lease]:
    return Lease.objects.filter(released_at__isnull=True, expires_at__gt=now)
