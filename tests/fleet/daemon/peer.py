"""A small fleet server for the daemon's tests: real sockets on loopback, protocol.session on its end.

It verifies episodes like the real one. Faults are switched on by the test; nothing in it is random.

    with Peer() as peer:
        peer.update(assignments=(peer.task(),))
        ... start a daemon with --server peer.url --token peer.token ...
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import uvicorn

from fleet.protocol.authority import Source
from fleet.protocol.errors import SopError
from fleet.protocol.messages import (
    PROTOCOL_VERSION,
    AssignedTask,
    DesiredState,
    EpisodeReady,
    EpisodeRefused,
    EpisodeRegistered,
    Fault,
    Heartbeat,
    HeartbeatAck,
    Hello,
    LeaseInfo,
    LeaseRelease,
    LeaseRenew,
    LeaseReply,
    LeaseRequest,
    Resync,
    RobotMessage,
    RobotStatus,
    ServerMessage,
    ShadowEpisode,
    ShadowOrder,
    ShadowWish,
    StateChanged,
    UploadGrant,
    UploadRequest,
    UploadTarget,
    Welcome,
)
from fleet.protocol.recording import EpisodeManifest, validate_manifest, validate_steps
from fleet.protocol.session import LinkState, ServerSession
from fleet.protocol.steps import decode_steps
from tests.fleet.daemon.point_policy import make_version
from tests.fleet.waiting import wait_for

HEARTBEAT_S = 0.5
LEASE_S = 2.0
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Peer:
    """A server in a thread. Attributes may be read from the test's thread at any time."""

    def __init__(self) -> None:
        self.token = "one-time"
        self.keys = {"robot-1": "secret"}
        self.objects: dict[str, bytes] = {}
        self.registered: dict[str, EpisodeManifest] = {}
        self.registrations: list[str] = []
        self.shadowed: dict[str, ShadowEpisode] = {}  # by episode
        self.received: list[RobotMessage] = []
        self.requests: list[tuple[str, str, str]] = []  # method, path, Range
        self.connections = 0
        self.enrolments = 0
        # Faults
        self.failing_puts = 0  # answer the next n PUTs with 503
        self.close_code = 1011  # of links that are dropped
        self.cut_gets_at: int | None = None  # close the next GET of a blob after that many bytes
        self.is_ranged = True  # else every GET of a range is answered with the whole
        self.later_s: int | None = None  # answer GETs of blobs with "later, in so many seconds"
        self.corrupt: set[str] = set()  # paths served with a flipped last byte
        self.deaf_to: set[type] = set()  # messages that are not answered
        self.refuse_episodes: tuple[str, bool] | None = None  # code, is_final
        self.refuse_leases = False
        self._state = DesiredState(
            revision=1,
            robot_id="robot-1",
            robot_name="point-1",
            is_paused=False,
            assignments=(),
            policy=None,
            lease=None,
        )
        self._epoch = 0
        self._sockets: dict[int, tuple[ServerSession, asyncio.Event, asyncio.Event]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        config = uvicorn.Config(
            self._app,
            host="127.0.0.1",
            port=0,
            interface="asgi3",
            log_level="warning",
            ws="websockets-sansio",
            lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="peer")

    # --- For the test ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Peer:
        self._thread.start()
        wait_for(lambda: self._server.started)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    @staticmethod
    def task(**changes: Any) -> AssignedTask:
        values = {
            "task_id": "task-1",
            "slug": "reach",
            "instruction": "reach the wall",
            "driver_task": "reach",
            "max_steps": 40,
            "weight": 1.0,
        }
        return AssignedTask(**(values | changes))

    def update(self, **changes: Any) -> None:
        """Change what the server wants and tell the robot."""
        self._state = msgspec.structs.replace(self._state, revision=self._state.revision + 1, **changes)
        self.tell(StateChanged(state=self._state))

    def publish(self, number: int, *, dx: float, **options: Any) -> str:
        """Announce a policy version; return its id."""
        target, files = make_version(number, dx=dx, **options)
        self.objects.update(files)
        self.update(policy=target)
        return target.version_id

    def shadow(self, number: int, *, dx: float, **changes: Any) -> ShadowOrder:
        """Order a version to be shadowed; return the order."""
        options = {name: changes.pop(name) for name in ("padding", "architecture") if name in changes}
        target, files = make_version(number, dx=dx, **options)
        self.objects.update(files)
        values: dict[str, Any] = {"shadow_id": f"shadow-{number}", "policy": target, "max_episodes": 100}
        order = ShadowOrder(**(values | {"ends_ns": time.time_ns() + 3600 * 10**9} | changes))
        self.update(shadow=ShadowWish(order=order))
        return order

    def drop(self) -> None:
        """Close all sockets without a word."""
        for _, _, closing in list(self._sockets.values()):
            self._call(closing.set)

    def of(self, kind: type) -> list[Any]:
        """Return the messages of a kind received so far."""
        return [message for message in list(self.received) if type(message) is kind]

    @property
    def status(self) -> RobotStatus | None:
        beats = self.of(Heartbeat)
        return beats[-1].status if beats else None

    def tell(self, message: ServerMessage) -> None:
        """Send to every robot that is connected; one that is not greeted yet has the newest state in its Welcome."""

        def send(session: ServerSession, wake: asyncio.Event) -> None:
            if session.state is LinkState.OPEN:
                session.send(message)
                wake.set()

        for session, wake, _ in list(self._sockets.values()):
            self._call(functools.partial(send, session, wake))

    def _call(self, action: Callable[[], object]) -> None:
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(action)

    def _serve(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve()

        asyncio.run(main())

    # --- ASGI --------------------------------------------------------------------------------------------------------

    async def _app(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = b""
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        self.requests.append((scope["method"], scope["path"], headers.get("range", "")))
        if scope["path"] == "/api/v1/robots/enrol":
            await self._enrol(body, send)
        elif scope["method"] == "PUT":
            await self._put(scope["path"], headers, body, send)
        else:
            await self._get(scope["path"], headers, send)

    async def _enrol(self, body: bytes, send: Send) -> None:
        wanted = json.loads(body)
        if wanted["token"] != self.token or self.enrolments:
            await _respond(send, 403, json.dumps({"code": "token_used", "detail": "this token is not valid"}).encode())
            return
        self.enrolments += 1
        answer = {"robot_id": "robot-1", "key": self.keys["robot-1"], "name": wanted["name"]}
        await _respond(send, 201, json.dumps(answer).encode())

    async def _put(self, path: str, headers: dict[str, str], body: bytes, send: Send) -> None:
        if self.failing_puts > 0:
            self.failing_puts -= 1
            await _respond(send, 503, b"{}")
            return
        is_whole = hashlib.sha256(body).hexdigest() == headers["x-sop-sha256"]
        if is_whole:
            self.objects[path] = body
        await _respond(send, 201 if is_whole else 400, b"{}")

    async def _get(self, path: str, headers: dict[str, str], send: Send) -> None:
        data = self.objects.get(path)
        if data is None:
            await _respond(send, 404, b"{}")
            return
        if path in self.corrupt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if self.later_s is not None and len(data) > 1500:
            await _respond(send, 503, b'{"code": "downloads_busy"}', extra={"retry-after": str(self.later_s)})
            return
        extra, status, body = {}, 200, data
        if "range" in headers and self.is_ranged:
            first, _, last = headers["range"].removeprefix("bytes=").partition("-")
            body = data[int(first) : int(last) + 1]
            extra, status = {"content-range": f"bytes {first}-{last}/{len(data)}"}, 206
        cut_at, self.cut_gets_at = (self.cut_gets_at, None) if len(data) > 1500 else (None, self.cut_gets_at)
        await _respond(send, status, body, extra=extra, cut_at=cut_at)

    async def _socket(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        headers = dict(scope["headers"])
        robot_id, _, key = headers[b"authorization"].decode().removeprefix("Bearer ").partition(".")
        await send({"type": "websocket.accept"})
        if self.keys.get(robot_id) != key:
            await send({"type": "websocket.close", "code": 4401, "reason": "unauthorised"})
            return
        self.connections += 1
        session = ServerSession(now=time.monotonic(), heartbeat_s=HEARTBEAT_S)
        wake, closing = asyncio.Event(), asyncio.Event()
        self._sockets[id(session)] = (session, wake, closing)
        tasks = [
            asyncio.create_task(self._read(session, receive, wake)),
            asyncio.create_task(self._write(session, send, wake)),
            asyncio.create_task(closing.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._sockets[id(session)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not any(task.done() and not task.cancelled() for task in tasks[:2]):
            await send({"type": "websocket.close", "code": self.close_code})

    async def _read(self, session: ServerSession, receive: Receive, wake: asyncio.Event) -> None:
        while (event := await receive())["type"] == "websocket.receive":
            for message in session.receive(event["bytes"], now=time.monotonic()):
                self.received.append(message)
                if type(message) not in self.deaf_to:
                    for answer in self._answer(message):
                        session.send(answer)
            wake.set()

    async def _write(self, session: ServerSession, send: Send, wake: asyncio.Event) -> None:
        while True:
            for frame in session.drain():
                await send({"type": "websocket.send", "bytes": frame})
            await wake.wait()
            wake.clear()

    # --- What a server answers ---------------------------------------------------------------------------------------

    def _answer(self, message: RobotMessage) -> list[ServerMessage]:
        now_ns = time.time_ns()
        match message:
            case Hello():
                return [
                    Welcome(
                        protocol=PROTOCOL_VERSION,
                        session_id="s",
                        heartbeat_s=HEARTBEAT_S,
                        clock_ns=now_ns,
                        state=self._state,
                    )
                ]
            case Heartbeat(clock_ns=clock_ns):
                return [HeartbeatAck(clock_ns=clock_ns, server_clock_ns=now_ns)]
            case Resync():
                return [StateChanged(state=self._state)]
            case UploadRequest():
                return [self._grant(message)]
            case EpisodeReady():
                return [self._register(message)]
            case LeaseRequest(request_id=request_id):
                return [self._lease(request_id)]
            case LeaseRenew(epoch=epoch) if epoch == self._epoch:
                return [LeaseReply(request_id="", lease=self._lease_info())]
            case LeaseRelease():
                return []
        return []

    def _grant(self, request: UploadRequest) -> ServerMessage:
        targets = []
        for record in request.objects:
            url = f"/objects/episodes/{request.episode_id}/{record.name}"
            held = self.objects.get(url)
            targets.append(
                UploadTarget(
                    name=record.name,
                    url=url,
                    headers={"X-Sop-Sha256": record.sha256},
                    is_stored=held is not None and hashlib.sha256(held).hexdigest() == record.sha256,
                )
            )
        return UploadGrant(episode_id=request.episode_id, targets=tuple(targets))

    def _register(self, ready: EpisodeReady) -> ServerMessage:
        manifest = ready.manifest
        if self.refuse_episodes is not None:
            code, is_final = self.refuse_episodes
            return EpisodeRefused(
                episode_id=ready.episode_id, code=code, message="as the test wants", is_final=is_final
            )
        try:
            validate_manifest(manifest)
            for record in manifest.objects:
                data = self.objects[f"/objects/episodes/{ready.episode_id}/{record.name}"]
                assert (len(data), hashlib.sha256(data).hexdigest()) == (record.size, record.sha256)
            steps = self.objects[f"/objects/episodes/{ready.episode_id}/steps.parquet"]
            validate_steps(decode_steps(steps), manifest)
        except SopError as error:
            return EpisodeRefused(episode_id=ready.episode_id, code=error.code, message=error.message, is_final=True)
        self.registered[ready.episode_id] = manifest
        if isinstance(ready.shadow, ShadowEpisode):
            self.shadowed[ready.episode_id] = ready.shadow
        self.registrations.append(ready.episode_id)
        return EpisodeRegistered(episode_id=ready.episode_id, indexed_ns=time.time_ns())

    def _lease(self, request_id: str) -> ServerMessage:
        if self.refuse_leases:
            return LeaseReply(request_id=request_id, lease=None, code="lease_held", message="a person is there")
        self._epoch += 1
        return LeaseReply(request_id=request_id, lease=self._lease_info())

    def _lease_info(self) -> LeaseInfo:
        expires_ns = time.time_ns() + int(LEASE_S * 1e9)
        return LeaseInfo(epoch=self._epoch, source=Source.SCRIPTED, operator="scripted", expires_ns=expires_ns)

    def fault(self, code: str) -> None:
        """Tell the robot that it did something wrong."""
        self.tell(Fault(code=code, message="as the test wants", is_fatal=False))


async def _respond(
    send: Send, status: int, body: bytes, *, extra: dict[str, str] | None = None, cut_at: int | None = None
) -> None:
    headers = {"content-length": str(len(body)), "content-type": "application/octet-stream", **(extra or {})}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    if cut_at is not None:
        await send({"type": "http.response.body", "body": body[:cut_at], "more_body": True})
        await send({"type": "http.response.body", "body": b""})  # fewer bytes than promised: uvicorn drops the socket
        return
    await send({"type": "http.response.body", "body": body})
