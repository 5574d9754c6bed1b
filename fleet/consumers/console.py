"""`/ws/console`: the live fleet page of one browser. All state comes from the process's hub."""

from __future__ import annotations

import asyncio
import logging
import uuid

from channels.generic.websocket import AsyncWebsocketConsumer

from fleet.access import access_training_run_by_id
from fleet.consumers import auth, console_lease
from fleet.consumers.hub import Slot, hub
from fleet.errors import NotFound
from fleet.events import console_group
from fleet.protocol.codec import decode_console_client_frame, encode_console_frame
from fleet.protocol.errors import MalformedFrame, ProtocolError, SopError, Unauthorised
from fleet.protocol.messages import (
    ConsoleRequest,
    ConsoleServerFrame,
    ConsoleServerMessage,
    Fault,
    LeaseLost,
    Resync,
    WatchRun,
)

logger = logging.getLogger(__name__)

RECHECK_S = 30.0


class ConsoleConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels is untyped
    """One browser. Frames are JSON text [seq, body]."""

    async def connect(self) -> None:
        self._seq = 0
        self._connection = str(uuid.uuid4())
        self._slot: Slot | None = None
        self._tasks: list[asyncio.Task[None]] = []
        await self.accept()  # refused after accepting, so that the page can tell 4401 from a server that is away
        if not self.scope["user"].is_authenticated:
            await self._fail(Unauthorised("sign in first"), auth.CLOSE_UNAUTHORISED)
            return
        await self.channel_layer.group_add(console_group(self._connection), self.channel_name)
        self._slot = await hub().subscribe()
        self._tasks = [asyncio.create_task(self._write(self._slot)), asyncio.create_task(self._recheck())]

    async def disconnect(self, code: int) -> None:
        await auth.cancel(*self._tasks)
        if self._slot is not None:
            await hub().unsubscribe(self._slot)
            await self.channel_layer.group_discard(console_group(self._connection), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A ping needs no answer, a lease message has one; a resync gets a new snapshot, a watch the run's rows."""
        if self._slot is None:
            return
        try:
            if text_data is None:
                raise MalformedFrame("consoles send text frames")
            frame = decode_console_client_frame(text_data.encode())
        except ProtocolError as error:
            await self._fail(error, auth.CLOSE_PROTOCOL_ERROR)
            return
        if isinstance(frame.body, Resync):
            self._slot.is_snapshot_due = True
            self._slot.filled.set()
        elif isinstance(frame.body, WatchRun):
            await self._watch(self._slot, frame.body.run_id)
        elif isinstance(frame.body, ConsoleRequest):
            await self._lease(frame.body)

    async def _lease(self, request: ConsoleRequest) -> None:
        """Answer one lease message. The session is looked at each time: a role or login that ended drives nobody."""
        user_id: int = self.scope["user"].pk
        session_key: str | None = self.scope["session"].session_key
        reply = await auth.off_loop(console_lease.answer, request, user_id, session_key, self._connection)
        await self._send_one(reply)

    async def lease_lost(self, event: dict[str, str]) -> None:
        """A hint from events.py."""
        lost = LeaseLost(robot_id=event["robot_id"], epoch=int(event["epoch"]), taken_by=event["taken_by"])
        await self._send_one(lost)

    async def _watch(self, slot: Slot, run_id: str | None) -> None:
        """Of a run that is missing or not this user's to see nothing is heard; reading it over HTTP says why."""
        try:
            wanted = None if run_id is None else uuid.UUID(run_id)
            if wanted is not None:
                await auth.off_loop(access_training_run_by_id, self.scope["user"], wanted)
        except (ValueError, NotFound):
            wanted = None
        await hub().watch(slot, wanted)

    async def _write(self, slot: Slot) -> None:
        while True:
            await slot.filled.wait()
            for body in hub().take(slot):
                self._seq += 1
                await self.send(text_data=f"[{self._seq},{body.decode()}]")

    async def _recheck(self) -> None:
        """A socket outlives a session that was ended elsewhere, so look at it again and again."""
        user_id: int = self.scope["user"].pk
        while True:
            await asyncio.sleep(RECHECK_S)
            try:
                is_alive = await auth.off_loop(auth.is_session_alive, self.scope["session"].session_key, user_id)
            except Exception:  # a database that is away for a moment must not end the looking
                logger.warning("session not checked", exc_info=True)
                continue
            if not is_alive:
                await self._fail(Unauthorised("this session is over"), auth.CLOSE_UNAUTHORISED)
                return

    async def _fail(self, error: SopError, code: int) -> None:
        logger.info("console refused", extra={"event": {"code": error.code, "close": code}})
        await self._send_one(Fault(code=error.code, message=error.message[:2000], is_fatal=True))
        await self.close(code)

    async def _send_one(self, body: ConsoleServerMessage) -> None:
        self._seq += 1
        await self.send(text_data=encode_console_frame(ConsoleServerFrame(self._seq, body)).decode())
