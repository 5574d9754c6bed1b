"""Lease messages of consoles: each is answered once, with a lease or with a code.

A lease belongs to one connection of one user. A connection that closes does not release it: a release hands the robot
back to its policy, and a browser that crashed has not decided that. The lease expires and the robot holds still.
"""

from __future__ import annotations

import logging
import uuid

from django.conf import settings
from django.contrib.auth import get_user_model

from fleet import live
from fleet.access import access_robot_by_id
from fleet.clock import to_ms
from fleet.consumers.auth import is_session_alive
from fleet.errors import NotFound, RobotOffline
from fleet.models import Lease
from fleet.protocol import messages as m
from fleet.protocol.authority import Source
from fleet.protocol.errors import SopError, Unauthorised
from fleet.services import lease as leases

logger = logging.getLogger(__name__)

RENEWALS_A_LEASE = 3  # two may be lost before the lease expires


def answer(request: m.ConsoleRequest, user_id: int, session_key: str | None, connection: str) -> m.ConsoleReply:
    """Do what is asked, as the user's row and session stand now. Never raises."""
    try:
        lease = _do(request, user_id, session_key, connection)
    except SopError as error:
        return m.ConsoleReply(request_id=request.request_id, code=error.code, message=error.message[:2000])
    except Exception:  # a defect or a lost database must cost this request alone, and still be answered
        logger.exception("lease message failed", extra={"event": {"user": user_id}})
        text = "the server failed on this message"
        return m.ConsoleReply(request_id=request.request_id, code="internal", message=text)
    return m.ConsoleReply(request_id=request.request_id, lease=_console_lease(lease) if lease else None)


def _do(request: m.ConsoleRequest, user_id: int, session_key: str | None, connection: str) -> Lease | None:
    """Return the lease held afterwards. Raises: SopError."""
    if not is_session_alive(session_key, user_id):
        raise Unauthorised("this session is over")
    user = get_user_model().objects.get(pk=user_id)
    try:
        robot_id = access_robot_by_id(user, uuid.UUID(request.robot_id)).id
    except ValueError:
        raise NotFound("there is no such robot") from None
    own = Source.PERSON
    if isinstance(request, m.ConsoleRenew):
        return leases.lease_renew(robot_id=robot_id, epoch=request.epoch, source=own, connection=connection)
    if isinstance(request, m.ConsoleRelease):
        leases.lease_release(
            robot_id=robot_id, epoch=request.epoch, reason=request.reason, source=own, connection=connection
        )
        return None
    if not isinstance(request, m.ConsoleAcquire | m.ConsoleTake):
        raise NotFound(f"'{type(request).__name__}' is not served yet")
    if live.statuses_get([robot_id])[0] is None:
        raise RobotOffline("this robot is not connected")
    return leases.lease_grant(
        robot_id=robot_id,
        source=own,
        operator=user.get_username(),
        reason=request.reason,
        user=user,
        connection=connection,
        from_epoch=request.from_epoch if isinstance(request, m.ConsoleTake) else None,
    )


def _console_lease(lease: Lease) -> m.ConsoleLease:
    return m.ConsoleLease(
        robot_id=str(lease.robot_id),
        epoch=lease.epoch,
        expires_ms=to_ms(lease.expires_at),
        renew_s=settings.SOP_LEASE_S / RENEWALS_A_LEASE,
    )
