"""One robot's heartbeats: seen together with those of others (links.py), while its stops are noted at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from fleet.consumers.auth import off_loop
from fleet.consumers.help_watch import HelpWatch
from fleet.consumers.links import links
from fleet.protocol.errors import SopError
from fleet.protocol.messages import RobotStatus, StopInfo
from fleet.services.robot_seen import Beat
from fleet.services.robot_state import State, robot_state_note
from fleet.services.stop import stop_confirm, stops_cleared_at_robot

Differs = Callable[[int], Awaitable[None]]
SendState = Callable[[], Awaitable[None]]
ROW_PERIOD_S = 10.0  # how often last_seen_at is written and the key checked again


class RobotBeats:
    """Lives with the connection. Of heartbeats that come while one is being seen only the newest counts."""

    def __init__(self, *, robot_id: str, session_id: str, key: str) -> None:
        self._robot_id, self._session_id, self._key = robot_id, session_id, key
        self._newest: RobotStatus | None = None
        self._came = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._is_state_wished = False
        self._row_due_s = 0.0
        self._noted_stop_id: str | None = None  # as the rows know; "": none, None: not looked at yet

    def heard(self, status: RobotStatus) -> None:
        self._newest = status
        self._came.set()
        self._is_idle.clear()

    def wish_state(self) -> None:
        """Send the state at this robot's turn: all robots have the same wish."""
        self._is_state_wished = True
        self._came.set()
        self._is_idle.clear()

    async def settle(self) -> None:
        """Wait until nothing that came is still to be done."""
        await self._is_idle.wait()

    async def see(self, help_watch: HelpWatch, differs: Differs, send_state: SendState) -> None:
        """Do what has come: the wish, then the newest heartbeat. `differs`: told the revision the robot should work by.

        Raises: Unauthorised, LinkReplaced, NotFound, and what the rows or Redis raise.
        """
        await self._came.wait()
        self._came.clear()
        try:
            await self._do(help_watch, differs, send_state)
        finally:
            if not self._came.is_set():
                self._is_idle.set()

    async def _do(self, help_watch: HelpWatch, differs: Differs, send_state: SendState) -> None:
        if self._is_state_wished:
            self._is_state_wished = False
            await send_state()
        status, self._newest = self._newest, None
        if status is None:
            return
        is_row_due = time.monotonic() >= self._row_due_s
        key = self._key if is_row_due else None  # the hint of a revocation or a newer connection may have been lost
        seen = await links().seen(Beat(self._robot_id, self._session_id, status, key))
        if is_row_due:
            self._row_due_s = time.monotonic() + ROW_PERIOD_S
        if seen.revision != status.state_revision:
            await differs(seen.revision)
        if seen.state_due is not None:
            await off_loop(robot_state_note, robot_id=self._robot_id, state=seen.state_due)
        if self._noted_stop_id is None and status.stop is None:
            await self._note_none(seen.is_quiet)
        await help_watch.first_look(self._robot_id, status, is_quiet=seen.is_quiet)

    async def leave(self) -> None:
        """The connection ended."""
        if await links().gone((self._robot_id, self._session_id)):
            await off_loop(robot_state_note, robot_id=self._robot_id, state=State.OFFLINE)

    async def note_stop(self, stop: StopInfo | None) -> None:
        """Keep the rows to what the robot latched or cleared by itself, as by a data channel or a signal.

        A new connection's robot that has no stop is looked up with others, when it is seen.
        """
        if stop is None:
            if self._noted_stop_id:
                await self._note_none(is_quiet=False)
        elif stop.stop_id != self._noted_stop_id:
            await self._note(stop.stop_id, stop_confirm, robot_id=self._robot_id, stop=stop)

    async def _note_none(self, is_quiet: bool) -> None:
        if is_quiet:
            self._noted_stop_id = ""
            return
        await self._note("", stops_cleared_at_robot, robot_id=self._robot_id, session_id=self._session_id)

    async def _note(self, stop_id: str, call: Callable[..., object], **values: object) -> None:
        self._noted_stop_id = stop_id
        try:
            await off_loop(call, **values)
        except SopError:
            raise  # this one never gets a row
        except Exception:
            self._noted_stop_id = None  # with the next heartbeat
            raise
