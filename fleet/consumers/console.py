"""`/ws/console?tab=<uuid>`: the live fleet page of one browser, and what its operator asks of robots.

All state comes from the process's hub. Requests are answered one after the other, in order, from a bounded queue; a
stop alone goes past them. Leases and the rows are console_lease.py, stops console_stop.py, what robots answer
signalling.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from fleet.access import access_training_run_by_id
from fleet.acting import acting_as
from fleet.consumers import auth, console_lease
from fleet.consumers.caller import Caller, Rights, actor_of, asker_of, caller_of, coverage_at_first, rights_of
from fleet.consumers.calls import answer_of
from fleet.consumers.console_stop import ConsoleStops
from fleet.consumers.dispatch import LoopConsumer
from fleet.consumers.hub import Slot, hub
from fleet.consumers.signalling import ConsoleCalls
from fleet.errors import Busy, ConsoleReplaced
from fleet.events import console_group, user_group
from fleet.log_context import bind
from fleet.protocol import messages as m
from fleet.protocol.codec import decode_console_client_frame, encode_console_frame
from fleet.protocol.errors import LeaseFenced, MalformedFrame, ProtocolError, SopError, Unauthorised
from fleet.telemetry import socket_closed, socket_opened

logger = logging.getLogger(__name__)

RECHECK_S = 4.0  # of a page that only looks; hints of a change come sooner
DRIVING_RECHECK_S = 2.0  # of one that holds a lease or a video connection: its rights end within 5 s
CHECK_TIMEOUT_S = 1.5
RETRY_S = 0.5  # after a check that failed
UNCHECKED_S = 5.0  # of driving or watching on without knowing that it is still allowed
REQUESTS_LIMIT = 32  # waiting for their answer on one connection
STOPS_AT_ONCE = 64  # beside each other; with more of them the connection is not read on
ASK_PERIOD_S = 2.0  # between two wishes to drive, which pop up on the holder's page
CLOSE_TIMEOUT_S = 2.0  # for the last Fault to a browser that may not read


class ConsoleConsumer(LoopConsumer):
    """One browser. Frames are JSON text [seq, body]."""

    async def connect(self) -> None:
        self._seq = 0
        self._is_over = False
        self._slot: Slot | None = None
        self._groups: tuple[str, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        await self.accept()  # refused after accepting, so that the page can tell 4401 from a server that is away
        if not self.scope["user"].is_authenticated:
            await self._fail(Unauthorised("sign in first"), auth.CLOSE_UNAUTHORISED)
            return
        self._caller = caller_of(self.scope)
        self._actor = actor_of(self._caller, self.scope)
        bind(user=self._caller.name, connection=self._caller.connection)
        self._requests: asyncio.Queue[m.ConsoleRequest] = asyncio.Queue(REQUESTS_LIMIT)
        self._calls = ConsoleCalls(self._caller, self.channel_name, self._send_one)
        self._stops = ConsoleStops(self._caller)
        self._driven: set[str] = set()  # ids of robots whose lease this connection holds
        self._checked_s = time.monotonic()
        self._ask_due_s = 0.0
        self._is_check_due = asyncio.Event()
        await self._join()
        self._looked_s = time.monotonic()
        self._slot = await hub().subscribe(await auth.off_loop(coverage_at_first, self._caller))
        socket_opened("console")
        loops = (self._write(self._slot), self._work(), self._recheck())
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def _join(self) -> None:
        """Hear what is meant for this connection, and end an older socket of the same tab.

        A tab that dials again after its network changed may find its former socket still open here. The newest counts;
        the stamp says which that is, for two may dial at once.
        """
        self._groups = (console_group(self._caller.connection), user_group(self._caller.user_id))
        for group in self._groups:
            await self.channel_layer.group_add(group, self.channel_name)
        self._stamp = [time.time_ns(), self.channel_name]
        await self.channel_layer.group_send(self._groups[0], {"type": "console.replaced", "stamp": self._stamp})

    async def console_replaced(self, event: dict[str, Any]) -> None:
        """A hint of another socket with this connection's name, or of this one itself."""
        if list(event["stamp"]) > self._stamp:
            await self._fail(ConsoleReplaced("this tab has a newer connection"), auth.CLOSE_REPLACED)

    async def disconnect(self, code: int) -> None:
        """Leases live on until they expire, peers do not. A stop that is under way is finished."""
        self._is_over = True
        await auth.cancel(*self._tasks, self._watching)
        if self._slot is not None:
            socket_closed("console", code)
            await hub().unsubscribe(self._slot)
            await self._calls.end()
        for group in self._groups:
            await self.channel_layer.group_discard(group, self.channel_name)

    # --- Frames -------------------------------------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A ping needs no answer, a request has one; a resync gets a new snapshot, a watch the run's rows."""
        if self._slot is None or self._is_over:
            return
        try:
            if text_data is None:
                raise MalformedFrame("consoles send text frames")
            frame = decode_console_client_frame(text_data.encode())
        except ProtocolError as error:
            await self._fail(error, auth.CLOSE_PROTOCOL_ERROR)
            return
        if isinstance(frame.body, m.Resync):
            self._slot.is_snapshot_due = True
            self._slot.filled.set()
        elif isinstance(frame.body, m.WatchRun):
            await auth.cancel(self._watching)
            self._watching = asyncio.create_task(self._watch(self._slot, frame.body))
        elif isinstance(frame.body, m.ConsoleStop) and len(self._stopping) < STOPS_AT_ONCE:
            task = asyncio.create_task(self._answer(frame.body))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
        elif isinstance(frame.body, m.ConsoleStop):
            await self._answer(frame.body)
        elif isinstance(frame.body, m.ConsoleRequest):
            await self._enqueue(frame.body)

    async def _enqueue(self, request: m.ConsoleRequest) -> None:
        try:
            self._requests.put_nowait(request)
        except asyncio.QueueFull:
            text = f"{REQUESTS_LIMIT} requests of this page wait for their answer already"
            await self._send_one(m.ConsoleReply(request_id=request.request_id, code=Busy.code, message=text))

    async def _work(self) -> None:
        while True:
            await self._answer(await self._requests.get())

    async def _answer(self, request: m.ConsoleRequest) -> None:
        """Do what is asked and reply; an order's reply comes with the robot's."""
        handler: Callable[[Any], Awaitable[m.ConsoleReply | None]]
        handler = self._HANDLERS.get(type(request), ConsoleConsumer._on_rows).__get__(self)
        try:
            with acting_as(lambda: self._actor):
                reply = await handler(request)
            if not isinstance(request, m.ConsolePeerClose):  # all others looked at session and user
                self._checked_s = time.monotonic()
        except SopError as error:
            reply = m.ConsoleReply(request_id=request.request_id, code=error.code, message=error.message[:2000])
        except Exception:  # a defect or a lost database must cost this request alone, and still be answered
            logger.exception("request failed", extra={"event": {"user": self._caller.name}})
            text = "the server failed on this message"
            reply = m.ConsoleReply(request_id=request.request_id, code="internal", message=text)
        if reply is not None:
            self._note_lease(request, reply)
            await self._send_one(reply)
            if reply.code == Unauthorised.code:
                await self._fail(Unauthorised(reply.message), auth.CLOSE_UNAUTHORISED)

    def _note_lease(self, request: m.ConsoleRequest, reply: m.ConsoleReply) -> None:
        """Keep which robots this connection drives, as far as that decides how often its rights are checked."""
        if reply.lease is not None:
            self._driven.add(reply.lease.robot_id)
        elif isinstance(request, m.ConsoleRelease) or reply.code == LeaseFenced.code:
            self._driven.discard(request.robot_id)

    async def _on_rows(self, request: m.ConsoleRequest) -> m.ConsoleReply:
        return await auth.off_loop(console_lease.answer, request, self._caller)

    async def _on_ask(self, request: m.ConsoleAsk) -> m.ConsoleReply:
        if time.monotonic() < self._ask_due_s:
            raise Busy("you asked a moment ago")
        self._ask_due_s = time.monotonic() + ASK_PERIOD_S
        return await self._on_rows(request)

    async def _on_stop(self, request: m.ConsoleStop) -> m.ConsoleReply:
        return await self._stops.stop(request)

    async def _on_offer(self, request: m.ConsolePeerOffer) -> m.ConsoleReply:
        return await self._calls.offer(request)

    async def _on_close(self, request: m.ConsolePeerClose) -> m.ConsoleReply:
        return await self._calls.close(request)

    async def _on_order(self, request: m.ConsoleOrder) -> None:
        await self._calls.order(request)

    _HANDLERS: dict[type, Any] = {
        m.ConsoleAsk: _on_ask,
        m.ConsoleStop: _on_stop,
        m.ConsolePeerOffer: _on_offer,
        m.ConsolePeerClose: _on_close,
        m.ConsoleOrder: _on_order,
    }

    async def _watch(self, slot: Slot, request: m.WatchRun) -> None:
        """Of a run that is missing or not this user's to see nothing is heard; reading it over HTTP says why."""
        try:
            wanted = None if request.run_id is None else uuid.UUID(request.run_id)
            if wanted is not None:
                await auth.off_loop(_check_run, self._caller, request, wanted)
            await hub().watch(slot, wanted)
        except (ValueError, SopError):
            await hub().watch(slot, None)
        except Exception:  # a database that is away for a moment costs this question alone
            logger.warning("run not watched", exc_info=True)

    # --- From events.py and from robots -------------------------------------------------------------------------------

    async def lease_lost(self, event: dict[str, str]) -> None:
        self._driven.discard(event["robot_id"])
        lost = m.LeaseLost(robot_id=event["robot_id"], epoch=int(event["epoch"]), taken_by=event["taken_by"])
        await self._send_one(lost)

    async def lease_asked(self, event: dict[str, str]) -> None:
        await self._send_one(m.LeaseAsked(robot_id=event["robot_id"], epoch=int(event["epoch"]), by=event["by"]))

    async def lease_offered(self, event: dict[str, str]) -> None:
        await self._send_one(m.LeaseOffered(robot_id=event["robot_id"], epoch=int(event["epoch"]), by=event["by"]))

    async def robot_answer(self, event: dict[str, Any]) -> None:
        await self._calls.answered(answer_of(event))

    # --- Rights that end ----------------------------------------------------------------------------------------------

    async def _recheck(self) -> None:
        """A socket outlives a session or role that was ended elsewhere, so look at them again and again."""
        wait_s = DRIVING_RECHECK_S
        while True:
            is_hinted = await self._check_hint(min(wait_s, RECHECK_S))
            began_s, wait_s = time.monotonic(), DRIVING_RECHECK_S
            if not (is_hinted or self._driven or self._calls.robots) and began_s - self._looked_s < RECHECK_S:
                continue
            try:
                async with asyncio.timeout(CHECK_TIMEOUT_S):
                    rights = await auth.off_loop(rights_of, self._caller, self._calls.robots | self._driven)
            except Exception:  # a database that is away for a moment must not end the looking
                logger.warning("session not checked", exc_info=True)
                wait_s = RETRY_S
                await self._end_unchecked()
                continue
            self._checked_s = self._looked_s = began_s
            await self._apply(rights)

    async def _check_hint(self, wait_s: float) -> bool:
        """Wait, but no longer than until a hint says that the rights have changed; return whether one did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._is_check_due.wait()
        is_hinted = self._is_check_due.is_set()
        self._is_check_due.clear()
        return is_hinted

    async def person_changed(self, event: dict[str, Any]) -> None:
        self._is_check_due.set()

    async def _end_unchecked(self) -> None:
        """Whom nobody has checked for too long sees and drives nothing; a lease is not renewed without a check."""
        if time.monotonic() - self._checked_s > UNCHECKED_S:
            await self._calls.revoke(self._calls.robots, "the server could not check who you are")
            self._driven.clear()

    async def _apply(self, rights: Rights) -> None:
        if not rights.is_alive:
            await self._fail(Unauthorised("this session is over"), auth.CLOSE_UNAUTHORISED)
            return
        if self._slot is not None:
            await hub().limit(self._slot, rights.coverage)
        await self._calls.revoke(self._calls.robots - rights.robots, "you may not see this robot any more")
        self._driven &= rights.robots  # the lease of a robot that is not seen is not renewed either
        if not rights.may_drive:  # the lease is not renewed any more; without a peer no command comes until it ends
            await self._calls.revoke(self._driven, "you may not drive any more")
            self._driven.clear()

    # --- Sending and closing ------------------------------------------------------------------------------------------

    async def _write(self, slot: Slot) -> None:
        while True:
            await slot.filled.wait()
            for body in hub().take(slot):
                self._seq += 1
                await self.send(text_data=f"[{self._seq},{body.decode()}]")

    async def _fail(self, error: SopError, code: int) -> None:
        """End the connection with a typed Fault; its peers end first, for the socket may be dead and slow to close."""
        if self._is_over:
            return
        logger.info("console refused", extra={"event": {"code": error.code, "close": code}})
        fault = m.Fault(code=error.code, message=error.message[:2000], is_fatal=True)
        if self._slot is not None:
            with contextlib.suppress(TimeoutError):  # `disconnect` ends what is left
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._calls.end()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._send_one(fault)
                self._is_over = True
                await self.close(code)
        except TimeoutError:  # uvicorn's own ping ends a socket that takes nothing
            self._is_over = True
            logger.warning("console not closed in time", extra={"event": {"close": code}})

    async def _send_one(self, body: m.ConsoleServerMessage) -> None:
        if self._is_over:
            return
        self._seq += 1
        await self.send(text_data=encode_console_frame(m.ConsoleServerFrame(self._seq, body)).decode())


def _check_run(caller: Caller, request: m.WatchRun, run_id: uuid.UUID) -> None:
    access_training_run_by_id(asker_of(caller, request), run_id)
