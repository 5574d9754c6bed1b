"""What the daemon and its shadow process say to each other: MessagePack over one socket pair, each after its length.

One question at a time, asked by the daemon's shadow thread, which may wait: the control thread never does. There is no
message by which the process could say anything about the robot but an answer to a question.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec
import numpy as np

from fleet.protocol.policy import Observation, PolicyManifest

Array = np.ndarray[Any, Any]

MAX_MESSAGE_BYTES = 64 * 1024**2  # pictures of all cameras of one observation
_LENGTH = struct.Struct("!I")


class _Wire(msgspec.Struct, frozen=True, tag=True):
    """Base of all messages here."""


class Values(msgspec.Struct, frozen=True):
    """An array of uint8 or float32."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class Load(_Wire, frozen=True):
    """First message. `paths`: SHA-256 -> file, verified by the daemon."""

    manifest: PolicyManifest
    paths: dict[str, str]
    device: str
    threads: int
    memory_bytes: int
    nice: int


class Look(_Wire, frozen=True):
    """What would you do? The policy is reset when `episode_id` is another than before."""

    episode_id: str
    instruction: str
    seed: int
    images: dict[str, Values]
    state: Values


class Loaded(_Wire, frozen=True):
    pass


class Failed(_Wire, frozen=True):
    """It cannot be loaded, and the process ends."""

    code: str
    message: str


class Answer(_Wire, frozen=True):
    """`actions`: float32 [H, A]; None if the policy failed or was not finite."""

    actions: Values | None
    inference_ms: float


ToShadow = Load | Look
FromShadow = Loaded | Failed | Answer

to_shadow_decoder = msgspec.msgpack.Decoder(ToShadow)
from_shadow_decoder = msgspec.msgpack.Decoder(FromShadow)
_encoder = msgspec.msgpack.Encoder()


def packed(array: Array) -> Values:
    return Values(str(array.dtype), array.shape, np.ascontiguousarray(array).tobytes())


def unpacked(values: Values) -> Array:
    """Raises: ValueError if the bytes do not fit the shape."""
    return np.frombuffer(values.data, np.dtype(values.dtype)).reshape(values.shape)


def look_of(observation: Observation, *, episode_id: str, instruction: str, seed: int) -> Look:
    images = {name: packed(image) for name, image in observation.images.items()}
    return Look(episode_id, instruction, seed, images, packed(observation.state))


def observation_of(look: Look) -> Observation:
    return Observation(images={name: unpacked(each) for name, each in look.images.items()}, state=unpacked(look.state))


def send(link: socket.socket, message: ToShadow | FromShadow) -> None:
    """Raises: OSError, TimeoutError."""
    data = _encoder.encode(message)
    link.sendall(_LENGTH.pack(len(data)) + data)


def receive(link: socket.socket) -> bytes:
    """Raises: EOFError when the other side is gone or talks nonsense; OSError, TimeoutError."""
    (size,) = _LENGTH.unpack(_exactly(link, _LENGTH.size))
    if size > MAX_MESSAGE_BYTES:
        raise EOFError("a message is too long")
    return _exactly(link, size)


def _exactly(link: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = link.recv(min(size - len(data), 1024 * 1024))
        if not piece:
            raise EOFError("the other side is gone")
        data += piece
    return bytes(data)
