"""`/ws/robot`: the shell around `protocol.session.ServerSession`. Moves bytes, calls services, translates errors.

Per connection five tasks beside the one that reads: `_write` empties the bounded outbox, `_act` handles messages and
hints in order, `_see` has heartbeats seen together with those of other robots, `_work` does what may take seconds
(checking uploads), so that stops and leases never wait behind these. `_call` passes on what consoles say and waits for
no row: a person's stop goes past a database that hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from django.conf import settings

from fleet.consumers import auth
from fleet.consumers.beats import RobotBeats
from fleet.consumers.calls import RobotCalls
from fleet.consumers.dispatch import SocketConsumer
from fleet.consumers.door import DoorBusy, send_away
from fleet.consumers.episodes import answer_ready, answer_upload
from fleet.consumers.help_watch import HelpWatch
from fleet.consumers.links import links
from fleet.consumers.robot_logs import RobotLogDesk
from fleet.log_context import bind
from fleet.protocol import messages as m
from fleet.protocol.authority import Source
from fleet.protocol.errors import MalformedFrame, OutboxFull, PeerSilent, ProtocolError, SopError, Unauthorised
from fleet.protocol.session import LinkState, ServerSession
from fleet.selectors.lease import lease_info
from fleet.services import lease as leases
from fleet.services import policy, robot
from fleet.services.robot_hello import Arrival, robot_speaks, robots_hello
from fleet.services.shadow import shadow_reported
from fleet.telemetry import socket_closed, socket_opened

logger = logging.getLogger(__name__)

INBOX_LIMIT = 64  # messages and hints waiting to be handled; a robot that sends more waits in turn
INBOX_END_S = 5.0  # for what came in before the connection ended
WORK_LIMIT = 64  # uploads waiting to be answered on one connection
THUMBNAIL_PERIOD_S = 0.5  # the contract says one a second at most; what comes faster is dropped
CLOSE_TIMEOUT_S = 2.0  # for the last Fault to a peer that may not read
_NEWEST_COUNTS = (m.Heartbeat, m.Thumbnail)  # a newer one replaces the one that waits to be handled


class RobotConsumer(SocketConsumer):
    """One robot's connection."""

    async def connect(self) -> None:
        """Accept at its turn, then check the key: so that the peer can read the Fault and 4401."""
        self._session_id = str(uuid.uuid4())
        self._robot_id = ""
        self._thumbnail_due_at = 0.0
        self._is_closing = False
        self._outbox_filled = asyncio.Event()
        self._inbox: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(INBOX_LIMIT)
        self._waiting: dict[type, m.Heartbeat | m.Thumbnail] = {}  # in the inbox, by kind
        self._calls = RobotCalls(self._send)
        self._states_sent, self._told_revision, self._told_s = 0, 0, 0.0  # of StateChanged; when, monotonic
        self._help = HelpWatch()
        self._logs = RobotLogDesk(self._send)
        self._takes_parts = False
        self._work_queue: asyncio.Queue[m.UploadRequest | m.EpisodeReady] = asyncio.Queue(WORK_LIMIT)
        self._tasks: list[asyncio.Task[None]] = []
        try:
            self._turn = await links().door.turn()
        except DoorBusy:
            await send_away(self.base_send)
            return
        self._session = ServerSession(now=time.monotonic(), heartbeat_s=settings.SOP_HEARTBEAT_S)
        await self.accept()
        try:
            self._credentials = auth.credentials_of(self.scope)
            self._robot_id = await links().key(self._credentials)
        except Unauthorised as error:
            self._turn.over()
            await self._fail(error)
            return
        self._beats = RobotBeats(robot_id=self._robot_id, session_id=self._session_id, key=self._credentials.key)
        bind(robot=self._robot_id, session=self._session_id)
        await links().post.join(self._robot_id, self._hear)
        socket_opened("robot")
        loops = (self._write, self._act, self._see, self._work, self._call)
        self._tasks = [asyncio.create_task(loop()) for loop in loops]
        links().silence.watch(self._session, self._fell_silent)

    async def disconnect(self, code: int) -> None:
        if self._tasks:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INBOX_END_S):
                    await self._inbox.join()
                    await self._beats.settle()
        self._is_closing = True
        await auth.cancel(*self._tasks)
        if not self._robot_id:
            return
        socket_closed("robot", code)
        await links().silence.forget(self._session)
        await links().post.leave(self._robot_id, self._hear)
        await self._calls.gone()
        await self._beats.leave()
        logger.info("robot left", extra={"event": {"robot": self._robot_id, "close": code}})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one frame; its messages are handled in order. Until the robot was welcomed nothing else is heard.

        A heartbeat is acknowledged at once: a database that hangs must not cost the link, by which stops come.
        """
        if self._is_closing:
            return
        try:
            if bytes_data is None:
                raise MalformedFrame("robots send binary frames")
            messages = self._session.receive(bytes_data, now=time.monotonic())
            for message in messages:
                if isinstance(message, m.Heartbeat):
                    self._send(m.HeartbeatAck(clock_ns=message.clock_ns, server_clock_ns=time.time_ns()))
        except ProtocolError as error:
            if isinstance(offered := error.data.get("offered"), int):  # of an UnsupportedProtocol
                await auth.off_loop(robot_speaks, robot_id=self._robot_id, protocol=offered)
            await self._fail(error)
            return
        for message in messages:
            await self._put(message)
        if self._session.state is not LinkState.OPEN:
            await self._inbox.join()

    async def _put(self, message: m.RobotMessage) -> None:
        if not isinstance(message, _NEWEST_COUNTS):
            await self._inbox.put(functools.partial(self._handle, message))
            return
        is_waiting = type(message) in self._waiting
        self._waiting[type(message)] = message
        if not is_waiting:
            await self._inbox.put(functools.partial(self._handle_newest, type(message)))

    async def _handle_newest(self, kind: type) -> None:
        await self._handle(self._waiting.pop(kind))

    async def _act(self) -> None:
        """Handle what came in. Errors of the link end it, errors of one message are answered, the process lives on."""
        while True:
            action = await self._inbox.get()
            try:
                if not self._is_closing:
                    await action()
            except (ProtocolError, Unauthorised) as error:
                await self._fail(error)
            except SopError as error:
                await self._answer_error(error.code, error.message)
            except Exception:  # a defect here must cost this message alone
                logger.exception("frame failed", extra={"event": {"robot": self._robot_id}})
                await self._answer_error("internal", "the server failed on this message")
            finally:
                self._inbox.task_done()

    # --- Messages -----------------------------------------------------------------------------------------------------

    async def _handle(self, message: m.RobotMessage) -> None:
        handler: Callable[[Any], Awaitable[None]] = self._HANDLERS[type(message)].__get__(self)
        await handler(message)

    async def _on_hello(self, hello: m.Hello) -> None:
        arrival = Arrival(self._robot_id, self._session_id, hello)
        if not await links().hello(arrival):  # its row is held, or one that came with it said what no column takes
            await auth.off_loop(robots_hello, arrivals=[arrival], is_waiting=True)
        welcome = m.Welcome(
            protocol=self._session.protocol,
            session_id=self._session_id,
            heartbeat_s=settings.SOP_HEARTBEAT_S,
            clock_ns=time.time_ns(),
            state=await links().spread(self._robot_id),
        )
        self._send(welcome)
        self._turn.over()
        self._logs.welcome(hello)
        self._takes_parts = m.PARTS_CAPABILITY in hello.capabilities
        logger.info("robot joined", extra={"event": {"robot": self._robot_id, "daemon": hello.daemon_version[:50]}})

    async def _on_heartbeat(self, beat: m.Heartbeat) -> None:
        self._beats.heard(beat.status)
        await self._beats.note_stop(beat.status.stop)  # before what may fail
        await self._help.heard(self._robot_id, beat.status)

    async def _on_thumbnail(self, picture: m.Thumbnail) -> None:
        if time.monotonic() < self._thumbnail_due_at:
            return
        self._thumbnail_due_at = time.monotonic() + THUMBNAIL_PERIOD_S
        call = robot.robot_thumbnail
        await auth.off_loop(call, robot_id=self._robot_id, captured_ns=picture.captured_ns, jpeg=picture.jpeg)

    async def _on_work(self, message: m.UploadRequest | m.EpisodeReady) -> None:
        try:
            self._work_queue.put_nowait(message)
        except asyncio.QueueFull:
            text = f"{WORK_LIMIT} uploads wait for an answer already"
            self._send(m.EpisodeRefused(episode_id=message.episode_id, code="busy", message=text, is_final=False))

    async def _on_applied(self, report: m.PolicyApplied) -> None:
        await auth.off_loop(policy.policy_version_applied, robot_id=self._robot_id, **msgspec.structs.asdict(report))

    async def _on_refused(self, report: m.PolicyRefused) -> None:
        await auth.off_loop(policy.policy_version_refused, robot_id=self._robot_id, **msgspec.structs.asdict(report))

    async def _on_shadow(self, report: m.ShadowReport) -> None:
        await auth.off_loop(shadow_reported, robot_id=self._robot_id, report=report)

    async def _on_lease_request(self, request: m.LeaseRequest) -> None:
        try:
            granted = await auth.off_loop(
                leases.lease_grant,
                robot_id=self._robot_id,
                source=Source.SCRIPTED,
                operator="scripted supervisor",
                reason=request.reason,
            )
        except SopError as error:
            self._send(m.LeaseReply(request_id=request.request_id, lease=None, code=error.code, message=error.message))
            return
        self._send(m.LeaseReply(request_id=request.request_id, lease=lease_info(granted)))

    async def _on_lease_renew(self, renewal: m.LeaseRenew) -> None:
        """Answer with the whole state, which carries the new expiry, or shows that the lease is over."""
        try:
            call, own = leases.lease_renew, Source.SCRIPTED  # a person's lease is not the robot's to keep alive
            await auth.off_loop(call, robot_id=self._robot_id, epoch=renewal.epoch, source=own)
        finally:
            await self._send_state()

    async def _on_lease_release(self, release: m.LeaseRelease) -> None:
        call, own = leases.lease_release, Source.SCRIPTED
        await auth.off_loop(call, robot_id=self._robot_id, epoch=release.epoch, reason=release.reason, source=own)

    async def _on_answer(self, answer: m.PeerAnswer | m.OrderDone) -> None:
        await self._calls.answered(answer)

    async def _on_logs(self, logs: m.RobotLogs) -> None:
        await self._logs.heard(self._robot_id, logs)

    async def _on_resync(self, _: m.Resync) -> None:
        await self._send_state()

    async def _on_goodbye(self, _: m.Goodbye) -> None:
        self._is_closing = True
        await self.close(1000)

    _HANDLERS: dict[type, Any] = {
        m.Hello: _on_hello,
        m.Heartbeat: _on_heartbeat,
        m.Thumbnail: _on_thumbnail,
        m.UploadRequest: _on_work,
        m.EpisodeReady: _on_work,
        m.PolicyApplied: _on_applied,
        m.PolicyRefused: _on_refused,
        m.ShadowReport: _on_shadow,
        m.LeaseRequest: _on_lease_request,
        m.LeaseRenew: _on_lease_renew,
        m.LeaseRelease: _on_lease_release,
        m.PeerAnswer: _on_answer,
        m.OrderDone: _on_answer,
        m.RobotLogs: _on_logs,
        m.Resync: _on_resync,
        m.Goodbye: _on_goodbye,
    }

    # --- From consoles and events.py ----------------------------------------------------------------------------------

    def _hear(self, event: dict[str, Any]) -> None:
        """Note what is said to this robot (post.py). A hint for all robots waits for its turn beside the inbox."""
        if event["type"] == "robot.call":
            self._calls.heard(event)
        elif event["type"] == "link.check":
            if self._session_id not in event["newcomers"]:
                self._enqueue_hint(self._check_link)
        elif "robots" not in event and self._session.state is LinkState.OPEN:
            self._beats.wish_state()
        else:
            self._help.forget()
            self._enqueue_hint(self._send_state)

    async def _call(self) -> None:
        """Pass on what consoles say, one after the other."""
        while True:
            event = await self._calls.next()
            await self._guarded(functools.partial(self._calls.pass_on, event))

    def _enqueue_hint(self, action: Callable[[], Awaitable[object]]) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # the heartbeat repeats what a lost hint would have done
            self._inbox.put_nowait(functools.partial(self._guarded, action))

    async def _check_link(self) -> None:
        who = {"robot_id": self._robot_id, "key": self._credentials.key, "session_id": self._session_id}
        await auth.off_loop(robot.robot_link_check, **who)

    async def _guarded(self, action: Callable[[], Awaitable[object]]) -> None:
        """Act on a hint, under the same rules as on a frame. Before Welcome there is nothing to tell."""
        if self._is_closing or self._session.state is not LinkState.OPEN:
            return
        try:
            await action()
        except (ProtocolError, Unauthorised) as error:
            await self._fail(error)
        except Exception:  # the heartbeat repeats what a failed hint would have done
            logger.exception("hint failed", extra={"event": {"robot": self._robot_id}})

    # --- Sending and closing ------------------------------------------------------------------------------------------

    def _send(self, message: m.ServerMessage) -> None:
        """Queue a message. Raises: OutboxFull."""
        if not self._is_closing:
            self._session.send(message)
            self._outbox_filled.set()

    async def _differs(self, revision: int) -> None:
        """The robot works by another revision. If it was told of this one a moment ago, its heartbeat was under way."""
        if self._told_revision != revision or time.monotonic() - self._told_s > settings.SOP_HEARTBEAT_S:
            await self._send_state(links().spread)

    async def _send_state(self, read: Callable[[str], Awaitable[m.DesiredState]] | None = None) -> None:
        """Send the whole state. One that was overtaken by another, and so may be older, is read again."""
        while True:
            sent, state = self._states_sent, await (read or links().state)(self._robot_id)
            if sent == self._states_sent:
                break
        self._states_sent, self._told_revision, self._told_s = sent + 1, state.revision, time.monotonic()
        self._send(m.StateChanged(state=state))

    async def _answer_error(self, code: str, message: str) -> None:
        logger.warning("message refused", extra={"event": {"robot": self._robot_id, "code": code, "text": message}})
        try:
            self._send(m.Fault(code=code, message=message[:2000], is_fatal=False))
        except OutboxFull as error:
            await self._fail(error)

    async def _fail(self, error: SopError) -> None:
        """End the link with a typed Fault and the close code that belongs to it."""
        if self._is_closing:
            return
        self._is_closing = True
        code = auth.close_code(error)
        event = {"robot": self._robot_id, "code": error.code, "text": error.message, "close": code}
        logger.warning("link refused", extra={"event": event})
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                if not isinstance(error, OutboxFull):  # that peer does not read
                    self._session.send(m.Fault(code=error.code, message=error.message[:2000], is_fatal=True))
                    await self._flush()
                await self.close(code)
        except (TimeoutError, OutboxFull):  # uvicorn's own ping ends a socket that takes nothing
            logger.warning("link not closed in time", extra={"event": {"robot": self._robot_id, "close": code}})

    async def _flush(self) -> None:
        for frame in self._session.drain():
            await self.send(bytes_data=frame)

    async def _write(self) -> None:
        """Empty the outbox. While the socket takes no more, messages wait in the outbox, which is bounded."""
        while True:
            await self._outbox_filled.wait()
            self._outbox_filled.clear()
            await self._flush()

    def _fell_silent(self, error: PeerSilent) -> None:
        self._tasks.append(asyncio.create_task(self._fail(error)))

    async def _see(self) -> None:
        """Have heartbeats seen. What fails costs this one alone: the next repeats it."""
        while True:
            try:
                await self._beats.see(self._help, self._differs, lambda: self._send_state(links().spread))
            except (ProtocolError, Unauthorised) as error:
                await self._fail(error)
            except SopError as error:
                await self._answer_error(error.code, error.message)
            except Exception as error:  # rows or Redis are away; links.py logs it once for all
                event = {"robot": self._robot_id, "error": repr(error)[:200]}
                logger.info("heartbeat not seen", extra={"event": event})

    async def _work(self) -> None:
        """Answer uploads one after the other."""
        while True:
            message = await self._work_queue.get()
            try:
                if isinstance(message, m.UploadRequest):
                    parts = self._takes_parts
                    self._send(await auth.off_loop_delivery(answer_upload, self._robot_id, message, takes_parts=parts))
                else:
                    self._send(await auth.off_loop_delivery(answer_ready, self._robot_id, message))
            except OutboxFull as error:
                await self._fail(error)
