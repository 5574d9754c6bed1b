"""A robot and a browser for tests: real sockets, the real protocol."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from django.test import Client
from msgspec.json import encode
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from fleet.protocol import messages as m
from fleet.protocol.codec import decode_console_server_frame
from fleet.protocol.session import RobotSession
from fleet.services.enrolment import Enrolled
from tests.fleet import builders

_Message = TypeVar("_Message")


class RobotPeer:
    """A connected robot. Reads drive `RobotSession`, so sequence numbers and the handshake are checked on the way."""

    def __init__(self, socket: ClientConnection, hello: m.Hello) -> None:
        self.socket = socket
        self.session = RobotSession(hello, now=time.monotonic())
        self._read: list[m.ServerMessage] = []
        self.flush()

    def flush(self) -> None:
        """Send what waits; if the server has closed meanwhile, the next read says why."""
        with suppress(ConnectionClosed):
            for frame in self.session.drain():
                self.socket.send(frame)

    def send(self, message: m.RobotMessage) -> None:
        self.session.send(message)
        self.flush()

    def beat(self, **changes: object) -> None:
        self.send(m.Heartbeat(clock_ns=time.time_ns(), status=builders.status(**changes)))

    def expect(self, kind: type[_Message], timeout_s: float = 5.0) -> _Message:
        """Return the next message of this kind; others are skipped."""
        deadline = time.monotonic() + timeout_s
        while True:
            while self._read:
                message = self._read.pop(0)
                if isinstance(message, kind):
                    return message
            data = self.socket.recv(timeout=max(0.01, deadline - time.monotonic()))
            assert isinstance(data, bytes)
            self._read += self.session.receive(data, now=time.monotonic())

    def closed_with(self, timeout_s: float = 5.0) -> tuple[str | None, int]:
        """Read until the server closes; return the code of the last Fault and the close code."""
        fault = None
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                data = self.socket.recv(timeout=max(0.01, deadline - time.monotonic()))
                assert isinstance(data, bytes)
                for message in self.session.receive(data, now=time.monotonic()):
                    fault = message.code if isinstance(message, m.Fault) else fault
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return fault, closed.rcvd.code


@contextmanager
def robot_peer(server: str, robot_id: object, key: str, hello: m.Hello | None = None) -> Iterator[RobotPeer]:
    headers = {"Authorization": f"Bearer {robot_id}.{key}"}
    with connect(f"ws://{server}/ws/robot", additional_headers=headers, open_timeout=10) as socket:
        yield RobotPeer(socket, hello or builders.hello())


@contextmanager
def joined_robot(server: str, enrolled: Enrolled) -> Iterator[RobotPeer]:
    """A robot that was welcomed."""
    with robot_peer(server, enrolled.robot.id, enrolled.key) as peer:
        peer.expect(m.Welcome)
        yield peer


class ConsolePeer:
    """A browser's socket."""

    # What comes between and is looked for later; cards and charts are only worth their newest.
    _KEPT = (m.ConsoleReply, m.LeaseLost, m.LeaseAsked, m.LeaseOffered, m.ConsolePeerAnswer)

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seq = 0
        self._sent = 0
        self._held: list[m.ConsoleServerMessage] = []

    def watch(self, run_id: str | None) -> None:
        self.send(m.WatchRun(run_id=run_id))

    def send(self, message: m.ConsoleClientMessage) -> None:
        self._sent += 1
        self.socket.send(encode(m.ConsoleClientFrame(self._sent, message)).decode())

    def ask(self, kind: type, robot_id: object, /, **values: object) -> m.ConsoleReply:
        """Send a request and return its reply."""
        return self.reply(self.request(kind, robot_id, **values))

    def request(self, kind: type, robot_id: object, /, **values: object) -> str:
        """Send a request; return its id."""
        request_id = str(uuid.uuid4())
        self.send(kind(request_id=request_id, robot_id=str(robot_id), **values))
        return request_id

    def reply(self, request_id: str) -> m.ConsoleReply:
        others = []
        while (reply := self.expect(m.ConsoleReply)).request_id != request_id:
            others.append(reply)
        self._held += others
        return reply

    def expect(self, kind: type[_Message], timeout_s: float = 5.0) -> _Message:
        """Return the next message of this kind; others are skipped. Checks that nothing is missing between."""
        for message in self._held:
            if isinstance(message, kind):
                self._held.remove(message)
                return message
        deadline = time.monotonic() + timeout_s
        while True:
            data = self.socket.recv(timeout=max(0.01, deadline - time.monotonic()))
            assert isinstance(data, str)
            frame = decode_console_server_frame(data.encode())
            self.seq += 1
            assert frame.seq == self.seq
            if isinstance(frame.body, kind):
                return frame.body
            if isinstance(frame.body, self._KEPT):
                self._held.append(frame.body)

    def close_code(self) -> int:
        """Read until the server closes the socket; return its code."""
        try:
            while True:
                self.socket.recv(timeout=5)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return closed.rcvd.code


@contextmanager
def console_peer(server: str, cookie: str = "", origin: str | None = None, tab: str = "") -> Iterator[ConsolePeer]:
    headers = {"Cookie": cookie, "Origin": origin or f"http://{server}"}
    url = f"ws://{server}/ws/console" + (f"?tab={tab}" if tab else "")
    with connect(url, additional_headers=headers, open_timeout=10) as socket:
        yield ConsolePeer(socket)


def cookie_of(user: object) -> str:
    """Sign the user in, in a new session."""
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return f"sessionid={client.cookies['sessionid'].value}"
