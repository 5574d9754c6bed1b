"""Bytes <-> frames, with the size limits. The only place where the wire format is chosen."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from fleet.protocol.errors import UNPARSABLE, FrameTooLarge, MalformedFrame
from fleet.protocol.messages import ConsoleClientFrame, ConsoleServerFrame, RobotFrame, ServerFrame

MAX_ROBOT_FRAME_BYTES = 1024 * 1024  # the largest is EpisodeReady: a manifest with some thousand segments
MAX_SERVER_FRAME_BYTES = 1024 * 1024
MAX_CONSOLE_FRAME_BYTES = 64 * 1024  # the largest is a peer offer with its SDP

_encoder = msgspec.msgpack.Encoder()
_json_encoder = msgspec.json.Encoder()
_robot = msgspec.msgpack.Decoder(RobotFrame)
_server = msgspec.msgpack.Decoder(ServerFrame)
_console_client = msgspec.json.Decoder(ConsoleClientFrame)
_console_server = msgspec.json.Decoder(ConsoleServerFrame)

_Frame = TypeVar("_Frame")


def encode_robot_frame(frame: RobotFrame) -> bytes:
    return _encoder.encode(frame)


def encode_server_frame(frame: ServerFrame) -> bytes:
    return _encoder.encode(frame)


def encode_console_frame(frame: ConsoleServerFrame) -> bytes:
    return _json_encoder.encode(frame)


def decode_robot_frame(data: bytes) -> RobotFrame:
    """Parse what a robot sent. Raises: FrameTooLarge, MalformedFrame."""
    return _decode(_robot, data, MAX_ROBOT_FRAME_BYTES)


def decode_server_frame(data: bytes) -> ServerFrame:
    """Parse what the server sent to a robot. Raises: FrameTooLarge, MalformedFrame."""
    return _decode(_server, data, MAX_SERVER_FRAME_BYTES)


def decode_console_client_frame(data: bytes) -> ConsoleClientFrame:
    """Parse what a browser sent. Raises: FrameTooLarge, MalformedFrame."""
    return _decode(_console_client, data, MAX_CONSOLE_FRAME_BYTES)


def decode_console_server_frame(data: bytes) -> ConsoleServerFrame:
    """Parse what the server sent to a browser (used by tests and tools). Raises: FrameTooLarge, MalformedFrame."""
    return _decode(_console_server, data, 64 * MAX_SERVER_FRAME_BYTES)


def peek_protocol(data: bytes) -> int | None:
    """Return the `protocol` of a frame whose body may have fields unknown here, else None.

    A newer peer's Hello need not parse; its version still tells both sides what is wrong. `data` is within its limit.
    """
    try:
        match msgspec.msgpack.decode(data):
            case [int(), {"protocol": int(protocol)}]:
                return protocol
    except UNPARSABLE:
        pass
    return None


def _decode(decoder: msgspec.msgpack.Decoder[_Frame] | msgspec.json.Decoder[_Frame], data: bytes, limit: int) -> _Frame:
    if len(data) > limit:
        raise FrameTooLarge(f"frame of {len(data)} bytes, the limit is {limit}", size=len(data), limit=limit)
    try:
        return decoder.decode(data)
    except UNPARSABLE as error:
        raise MalformedFrame(f"frame does not parse: {str(error)[:200]}") from None
