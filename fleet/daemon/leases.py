"""Leases over the link: the scripted supervisor's requests go out, the server's answers come in, times are translated.

A lease ends by the server's clock; the robot only trusts its own monotonic one. `ServerTime` keeps the newest reading
of the server's clock together with the moment it was received, so "expires_ns" becomes a monotonic deadline that errs
by one way of the network at most.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable

from fleet.daemon.inbox import Grant, Refusal
from fleet.protocol.authority import Holder
from fleet.protocol.messages import LeaseInfo, LeaseRelease, LeaseRenew, LeaseReply, LeaseRequest, RobotMessage


class ServerTime:
    """The server's clock as last heard. Belongs to the event loop."""

    def __init__(self, *, lease_max_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._lease_max_s = lease_max_s
        self._now = now
        self._heard: tuple[int, float] | None = None

    def heard(self, server_clock_ns: int) -> None:
        """Note the server's clock, just received."""
        self._heard = (server_clock_ns, self._now())

    def grant_of(self, lease: LeaseInfo) -> Grant:
        """Return the lease with its end on the robot's clock, never later than `lease_max_s` from now."""
        now_s = self._now()
        remaining_s = self._lease_max_s
        if self._heard is not None:
            clock_ns, heard_s = self._heard
            remaining_s = (lease.expires_ns - clock_ns) / 1e9 - (now_s - heard_s)
        holder = Holder(source=lease.source, name=lease.operator, epoch=lease.epoch)
        return Grant(holder, received_s=now_s, expires_at_s=now_s + min(remaining_s, self._lease_max_s))


class ServerLeases:
    """The LeaseDesk of a robot with a server. Requests come from the control thread, replies from the event loop."""

    def __init__(self, *, send: Callable[[RobotMessage], bool], is_open: Callable[[], bool]) -> None:
        self._send = send
        self._is_open = is_open
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: str | None = None
        self._reply: Grant | Refusal | None = None

    def request(self, reason: str) -> bool:
        if not self._is_open():
            return False
        with self._lock:
            self._waiting, self._reply = uuid.uuid4().hex, None
            request_id = self._waiting
        self._send_soon(LeaseRequest(request_id=request_id, reason=reason))
        return True

    def take_reply(self) -> Grant | Refusal | None:
        with self._lock:
            reply, self._reply = self._reply, None
            return reply

    def renew(self, epoch: int) -> None:
        self._send_soon(LeaseRenew(epoch=epoch))

    def release(self, epoch: int, reason: str) -> None:
        self._send_soon(LeaseRelease(epoch=epoch, reason=reason))

    def put_reply(self, reply: LeaseReply, grant: Grant | None) -> None:
        """Take the server's answer. One to a request that was given up is returned to the server."""
        with self._lock:
            is_late = grant is not None and reply.request_id and reply.request_id != self._waiting
            if not is_late:
                self._reply = grant if grant is not None else Refusal(reply.code, reply.message)
        if is_late and grant is not None:
            self._send(LeaseRelease(epoch=grant.holder.epoch, reason="answered too late"))

    def _send_soon(self, message: RobotMessage) -> None:
        self._loop.call_soon_threadsafe(self._send, message)
