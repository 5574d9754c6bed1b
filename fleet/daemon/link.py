"""The socket around protocol.session.RobotSession: connect, reconnect with back-off, time out, move bytes.

Owns no meaning: messages go to `on_message`, and everything else in the daemon works on while the link is away.
All methods belong to the event loop's thread; other threads use `loop.call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from fleet.daemon.backoff import Backoff
from fleet.daemon.config import LinkConfig
from fleet.protocol.codec import MAX_SERVER_FRAME_BYTES
from fleet.protocol.errors import OutboxFull, SopError, Unauthorised
from fleet.protocol.messages import Fault, Goodbye, Heartbeat, Hello, RobotMessage, RobotStatus, ServerMessage
from fleet.protocol.session import LinkState, RobotSession

logger = logging.getLogger(__name__)

UNAUTHORISED_CLOSE = 4401
KEPT_REPORTS = 64  # reports that wait for the next connection
STEADY_S = 5.0  # a session that stood open for this long ends the count of failures; dialling in vain does not
TICK_S = 0.2  # how finely heartbeats and silence are watched


class Link:
    """The robot's connection. `run` never returns; cancel it to end.

    link.send(message)    # now or never: False while there is no connection
    link.post(message)    # now or at the next connection
    """

    def __init__(
        self,
        *,
        server: str,
        config: LinkConfig,
        authorization: str,
        hello: Callable[[], Hello],
        status: Callable[[], RobotStatus],
        on_message: Callable[[ServerMessage], None],
        on_closed: Callable[[], None],
        rng: random.Random,
    ) -> None:
        self.problem = "not connected yet"  # "" while the link is open
        self._url = websocket_url(server)
        self._config = config
        self._authorization = authorization
        self._hello = hello
        self._status = status
        self._on_message = on_message
        self._on_closed = on_closed
        self._backoff = Backoff(min_s=config.backoff_min_s, max_s=config.backoff_max_s, rng=rng)
        self._session: RobotSession | None = None
        self._opened_s: float | None = None  # when Welcome came, monotonic
        self._wake = asyncio.Event()
        self._reports: deque[RobotMessage] = deque(maxlen=KEPT_REPORTS)

    @property
    def is_open(self) -> bool:
        """Whether Welcome was received on a connection that still stands."""
        return self._session is not None and self._session.state is LinkState.OPEN

    def send(self, message: RobotMessage) -> bool:
        """Queue a message on the present connection; False if there is none or its outbox is full."""
        if self._session is None or self._session.state is not LinkState.OPEN:
            return False
        try:
            self._session.send(message)
        except OutboxFull as error:
            logger.warning("%s: %s", error.code, error.message)
            return False
        self._wake.set()
        return True

    def post(self, message: RobotMessage) -> None:
        """Send a report now, or keep it for the next connection (the newest KEPT_REPORTS are kept)."""
        if not self.send(message):
            self._reports.append(message)

    async def run(self) -> None:
        """Keep a connection open until cancelled."""
        while True:
            self._opened_s = None
            try:
                await self._connect_once()
                problem, wait_s = "the server closed the connection", None
            except Unauthorised as error:
                problem, wait_s = error.message, self._config.unauthorised_wait_s
            except SopError as error:
                problem, wait_s = f"{error.code}: {error.message}", None
            except ConnectionClosed as error:
                problem, wait_s = _closing_problem(error), None
                if error.rcvd is not None and error.rcvd.code == UNAUTHORISED_CLOSE:
                    problem, wait_s = UNAUTHORISED_TEXT, self._config.unauthorised_wait_s
            except (OSError, TimeoutError, InvalidHandshake) as error:
                problem, wait_s = f"{type(error).__name__}: {error}", None
            if self._opened_s is not None and time.monotonic() - self._opened_s > STEADY_S:
                self._backoff.reset()
            wait_s = self._backoff.next_s() if wait_s is None else wait_s
            self.problem = problem
            logger.warning("link down (%s), next try in %.1f s; the robot works on", problem, wait_s)
            await asyncio.sleep(wait_s)

    async def _connect_once(self) -> None:
        headers = {"Authorization": self._authorization}
        connecting = connect(
            self._url,
            additional_headers=headers,
            open_timeout=self._config.connect_timeout_s,
            close_timeout=1.0,
            ping_interval=None,  # the session has heartbeats of its own
            max_size=MAX_SERVER_FRAME_BYTES,
        )
        try:
            async with connecting as socket:
                await self._serve(socket)
        except InvalidStatus as error:
            if error.response.status_code in (401, 403):
                raise Unauthorised(UNAUTHORISED_TEXT) from None
            raise

    async def _serve(self, socket: ClientConnection) -> None:
        session = RobotSession(self._hello(), now=time.monotonic())
        self._session = session
        self._wake.set()
        writer = asyncio.create_task(self._write(socket, session))
        reader = asyncio.create_task(self._read(socket, session))
        try:
            done, _ = await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
            # The reader knows why the peer closed; the writer only that it cannot write any more.
            for task in sorted(done, key=lambda task: task is writer):
                task.result()
        finally:
            self._session = None
            self.problem = "connection lost"
            for task in (writer, reader):
                task.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)
            self._on_closed()

    async def _read(self, socket: ClientConnection, session: RobotSession) -> None:
        async for data in socket:
            payload = data if isinstance(data, bytes) else data.encode()
            was_open = session.state is LinkState.OPEN
            for message in session.receive(payload, now=time.monotonic()):
                if isinstance(message, Fault):
                    logger.error("the server reports a fault: %s: %s", message.code, message.message)
                self._on_message(message)
            if not was_open and session.state is LinkState.OPEN:
                self._opened()
            self._wake.set()
        await socket.wait_closed()
        raise socket.protocol.close_exc  # says who closed first, also where both said 1000

    def _opened(self) -> None:
        self.problem, self._opened_s = "", time.monotonic()
        logger.info("link open")
        reports = list(self._reports)
        self._reports.clear()
        for report in reports:
            self.post(report)

    async def _write(self, socket: ClientConnection, session: RobotSession) -> None:
        while True:
            if session.is_heartbeat_due(now=time.monotonic()):
                session.send(Heartbeat(clock_ns=time.time_ns(), status=self._status()))
            for frame in session.drain():
                async with asyncio.timeout(self._config.send_timeout_s):
                    await socket.send(frame)
            self._wake.clear()
            try:
                async with asyncio.timeout(min(TICK_S, session.heartbeat_s / 2)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def say_goodbye(self, reason: str) -> None:
        """Tell the server that the robot leaves on purpose, and give the bytes a moment to go out."""
        if self.send(Goodbye(reason=reason)):
            await asyncio.sleep(TICK_S)


UNAUTHORISED_TEXT = "unauthorised: this robot's key was revoked or is wrong; enrol it again with a new token"


def websocket_url(server: str) -> str:
    """Return the robot socket's URL on an http(s) server."""
    parts = urlsplit(server)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws/robot", "", ""))


def _closing_problem(error: ConnectionClosed) -> str:
    if error.rcvd is None:
        return "connection lost"
    return f"closed by the server: {error.rcvd.code} {error.rcvd.reason}".strip()
