"""The robot's link without I/O: handshake, sequence numbers, deadlines, and a bounded coalescing outbox.

A shell (daemon/link.py, consumers/robot.py) moves bytes and calls `receive`, `drain` and the deadline checks; the
clock is passed in as monotonic seconds, so every deadline is tested with a fake one. Neither side retries here: a
session lives as long as one connection, and each new connection starts from Hello and a full snapshot.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from fleet.protocol.codec import (
    decode_robot_frame,
    decode_server_frame,
    encode_robot_frame,
    encode_server_frame,
    peek_protocol,
)
from fleet.protocol.compat import OLDEST_ROBOT, for_robot
from fleet.protocol.errors import MalformedFrame, OutboxFull, PeerSilent, UnexpectedMessage, UnsupportedProtocol
from fleet.protocol.messages import (
    PROTOCOL_VERSION,
    Fault,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Resync,
    RobotFrame,
    RobotMessage,
    ServerFrame,
    ServerMessage,
    StateChanged,
    Thumbnail,
    Welcome,
)

HELLO_TIMEOUT_S = 5.0  # from accepted connection to Hello, and from Hello to Welcome
SILENCE_FACTOR = 3.5  # heartbeats that may be missed before the peer counts as silent
OUTBOX_LIMIT = 256  # messages; a peer that reads more slowly than this loses its connection

_Message = TypeVar("_Message")
_Frame = TypeVar("_Frame")

# Of these only the newest is worth sending: a newer one replaces the one still waiting.
_COALESCED: dict[type, str] = {
    StateChanged: "state",
    HeartbeatAck: "heartbeat_ack",
    Heartbeat: "heartbeat",
    Thumbnail: "thumbnail",
    Resync: "resync",
}


class Outbox(Generic[_Message]):
    """Messages waiting for the socket, at most `limit`; of coalesced kinds only the newest is kept."""

    def __init__(self, limit: int = OUTBOX_LIMIT) -> None:
        self._limit = limit
        self._waiting: OrderedDict[object, _Message] = OrderedDict()

    def put(self, message: _Message) -> None:
        """Queue a message. Raises: OutboxFull when `limit` messages wait already."""
        key: object = _COALESCED.get(type(message), object())
        if key not in self._waiting and len(self._waiting) >= self._limit:
            raise OutboxFull(f"{self._limit} messages wait for a peer that does not read", limit=self._limit)
        self._waiting[key] = message

    def take_all(self) -> list[_Message]:
        """Remove and return everything that waits, oldest first."""
        messages = list(self._waiting.values())
        self._waiting.clear()
        return messages


def _check_protocol(protocol: int, *, oldest: int) -> None:
    if not oldest <= protocol <= PROTOCOL_VERSION:
        spoken = f"{oldest} to {PROTOCOL_VERSION}" if oldest < PROTOCOL_VERSION else f"{PROTOCOL_VERSION}"
        text = f"this side speaks protocol {spoken}, the peer {protocol}"
        raise UnsupportedProtocol(text, spoken=PROTOCOL_VERSION, offered=protocol)


def _decoded(decode: Callable[[bytes], _Frame], data: bytes, state: LinkState, *, oldest: int) -> _Frame:
    """Decode; a greeting that does not parse is blamed on its version if that differs."""
    try:
        return decode(data)
    except MalformedFrame:
        protocol = peek_protocol(data) if state is LinkState.GREETING else None
        if protocol is not None:
            _check_protocol(protocol, oldest=oldest)
        raise


class LinkState(enum.StrEnum):
    GREETING = "greeting"  # Hello or Welcome is awaited
    OPEN = "open"


class _Sequence:
    """Counts frames in both directions of one connection and sees gaps."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0

    def next_sent(self) -> int:
        self.sent += 1
        return self.sent

    def has_gap(self, seq: int) -> bool:
        """Note a received number; True if some before it are missing or it went backwards."""
        is_gap = seq != self.received + 1
        self.received = seq
        return is_gap


class RobotSession:
    """The robot's end. Created once the socket is open; `drain()` then yields Hello first."""

    def __init__(self, hello: Hello, *, now: float) -> None:
        self.state = LinkState.GREETING
        self.heartbeat_s = 1.0
        self.last_ack: HeartbeatAck | None = None
        self._sequence = _Sequence()
        self._outbox: Outbox[RobotMessage] = Outbox()
        self._outbox.put(hello)
        self._heard_at = now
        self._beat_at = now

    def send(self, message: RobotMessage) -> None:
        """Queue a message. Raises: UnexpectedMessage before Welcome; OutboxFull."""
        if self.state is LinkState.GREETING:
            raise UnexpectedMessage("nothing but Hello may be sent before Welcome")
        self._outbox.put(message)

    def drain(self) -> list[bytes]:
        """Return the frames to write to the socket now, in order."""
        return [
            encode_robot_frame(RobotFrame(self._sequence.next_sent(), message)) for message in self._outbox.take_all()
        ]

    def receive(self, data: bytes, *, now: float) -> list[ServerMessage]:
        """Take one frame from the socket; return the messages to act on, Welcome included.

        A gap queues a Resync. Raises: MalformedFrame, FrameTooLarge, UnexpectedMessage, UnsupportedProtocol.
        """
        frame = _decoded(decode_server_frame, data, self.state, oldest=PROTOCOL_VERSION)
        self._heard_at = now
        is_gap = self._sequence.has_gap(frame.seq)
        body = frame.body
        if isinstance(body, Fault):
            return [body]
        if self.state is LinkState.GREETING:
            self._greet(body)
            return [body]
        if isinstance(body, Welcome):
            raise UnexpectedMessage("a second Welcome")
        if is_gap:
            self._outbox.put(Resync(last_seq=frame.seq))
        if isinstance(body, HeartbeatAck):
            self.last_ack = body
        return [body]

    def _greet(self, body: ServerMessage) -> None:
        if not isinstance(body, Welcome):
            raise UnexpectedMessage(f"expected Welcome, got {type(body).__name__}")
        _check_protocol(body.protocol, oldest=PROTOCOL_VERSION)
        self.state = LinkState.OPEN
        self.heartbeat_s = body.heartbeat_s

    def is_heartbeat_due(self, *, now: float) -> bool:
        """Whether to send a Heartbeat now; asking marks it as sent. Raises: PeerSilent past the deadline."""
        limit = HELLO_TIMEOUT_S if self.state is LinkState.GREETING else SILENCE_FACTOR * self.heartbeat_s
        if now - self._heard_at > limit:
            raise PeerSilent(f"nothing heard from the server for {now - self._heard_at:.1f} s")
        if self.state is LinkState.GREETING or now < self._beat_at:
            return False
        self._beat_at = now + self.heartbeat_s
        return True


class ServerSession:
    """The server's end, one a robot connection. `protocol`: the robot's, from its Hello on."""

    def __init__(self, *, now: float, heartbeat_s: float) -> None:
        self.state = LinkState.GREETING
        self.protocol = PROTOCOL_VERSION
        self._heartbeat_s = heartbeat_s
        self._sequence = _Sequence()
        self._outbox: Outbox[ServerMessage] = Outbox()
        self._heard_at = now

    def send(self, message: ServerMessage) -> None:
        """Queue a message, without what an older robot cannot read; Welcome opens the session.

        Raises: UnexpectedMessage, OutboxFull.
        """
        if isinstance(message, Welcome):
            self.state = LinkState.OPEN
        elif self.state is LinkState.GREETING and not isinstance(message, Fault):
            raise UnexpectedMessage("nothing but Welcome or Fault may be sent before Welcome")
        readable = for_robot(message, self.protocol)
        if readable is not None:
            self._outbox.put(readable)

    def drain(self) -> list[bytes]:
        """Return the frames to write to the socket now, in order."""
        return [
            encode_server_frame(ServerFrame(self._sequence.next_sent(), message)) for message in self._outbox.take_all()
        ]

    def receive(self, data: bytes, *, now: float) -> list[RobotMessage]:
        """Take one frame; return the messages to act on. A gap yields a Resync before the message itself.

        Raises: MalformedFrame, FrameTooLarge, UnexpectedMessage, UnsupportedProtocol.
        """
        frame = _decoded(decode_robot_frame, data, self.state, oldest=OLDEST_ROBOT)
        self._heard_at = now
        is_gap = self._sequence.has_gap(frame.seq)
        body = frame.body
        if self.state is LinkState.GREETING:
            if not isinstance(body, Hello):
                raise UnexpectedMessage(f"expected Hello, got {type(body).__name__}")
            _check_protocol(body.protocol, oldest=OLDEST_ROBOT)
            self.protocol = body.protocol
            return [body]
        if isinstance(body, Hello):
            raise UnexpectedMessage("a second Hello")
        return [Resync(last_seq=frame.seq), body] if is_gap else [body]

    def deadline(self) -> float:
        """Return until when the robot must be heard, by the clock of `now`. Each frame puts it off."""
        limit = HELLO_TIMEOUT_S if self.state is LinkState.GREETING else SILENCE_FACTOR * self._heartbeat_s
        return self._heard_at + limit

    def check_deadline(self, *, now: float) -> None:
        """Raises: PeerSilent if Hello or the heartbeats are overdue."""
        if now > self.deadline():
            raise PeerSilent(f"nothing heard from the robot for {now - self._heard_at:.1f} s")
