"""Lease messages of consoles, and the clearing of stops: what is asked of the rows alone.

A lease belongs to one connection of one user. A connection that closes does not release it: a release hands the robot
back to its policy, and a browser that crashed has not decided that. The lease expires and the robot holds still.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model

from fleet.access import access_robots, may_drive
from fleet.clock import to_ms
from fleet.consumers.caller import Caller, asker_of, online_robot_of, robot_of
from fleet.errors import NotFound
from fleet.models import Lease
from fleet.protocol import messages as m
from fleet.protocol.authority import Source
from fleet.services import lease as leases
from fleet.services.stop import stop_clear

RENEWALS_A_LEASE = 3  # two may be lost before the lease expires


def answer(request: m.ConsoleRequest, caller: Caller) -> m.ConsoleReply:
    """Do what is asked, as the user's row and session stand now. Raises: SopError."""
    lease = _HANDLERS[type(request)](request, caller)
    return m.ConsoleReply(request_id=request.request_id, lease=_console_lease(lease) if lease else None)


def _acquire(request: m.ConsoleAcquire | m.ConsoleTake, caller: Caller) -> Lease:
    user = asker_of(caller, request)
    return leases.lease_grant(
        robot_id=online_robot_of(user, request.robot_id).id,
        source=Source.PERSON,
        operator=user.get_username(),
        reason=request.reason,
        user=user,
        connection=caller.connection,
        from_epoch=request.from_epoch if isinstance(request, m.ConsoleTake) else None,
    )


def _renew(request: m.ConsoleRenew, caller: Caller) -> Lease:
    """Also how a lease ends with the right to drive: within its length it is not renewed."""
    robot = robot_of(asker_of(caller, request), request.robot_id)
    return leases.lease_renew(
        robot_id=robot.id, epoch=request.epoch, source=Source.PERSON, connection=caller.connection
    )


def _release(request: m.ConsoleRelease, caller: Caller) -> None:
    leases.lease_release(
        robot_id=robot_of(asker_of(caller, request), request.robot_id).id,
        epoch=request.epoch,
        reason=request.reason,
        source=Source.PERSON,
        connection=caller.connection,
    )


def _ask(request: m.ConsoleAsk, caller: Caller) -> None:
    user = asker_of(caller, request)
    leases.lease_ask(robot_id=robot_of(user, request.robot_id).id, epoch=request.epoch, by=user.get_username())


def _transfer(request: m.ConsoleTransfer, caller: Caller) -> Lease:
    robot = robot_of(asker_of(caller, request), request.robot_id)
    to_user = get_user_model().objects.filter(username=request.to_user).first()
    if to_user is None or not may_drive(to_user) or not access_robots(to_user).filter(id=robot.id).exists():
        raise NotFound("there is no such user who may drive")
    return leases.lease_offer(robot_id=robot.id, epoch=request.epoch, connection=caller.connection, to_user=to_user)


def _clear(request: m.ConsoleClear, caller: Caller) -> None:
    user = asker_of(caller, request)
    stop_clear(robot_id=robot_of(user, request.robot_id).id, stop_id=request.stop_id, user=user)


_HANDLERS: dict[type, Callable[[Any, Caller], Lease | None]] = {
    m.ConsoleAcquire: _acquire,
    m.ConsoleTake: _acquire,
    m.ConsoleRenew: _renew,
    m.ConsoleRelease: _release,
    m.ConsoleAsk: _ask,
    m.ConsoleTransfer: _transfer,
    m.ConsoleClear: _clear,
}


def _console_lease(lease: Lease) -> m.ConsoleLease:
    return m.ConsoleLease(
        robot_id=str(lease.robot_id),
        epoch=lease.epoch,
        expires_ms=to_ms(lease.expires_at),
        renew_s=settings.SOP_LEASE_S / RENEWALS_A_LEASE,
    )
