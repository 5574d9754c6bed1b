"""What the daemon and its media process say to each other: MessagePack over one socket pair, each after its length.

Pictures do not travel here: they lie in shared memory (`frames.py`) and only their slot is named. `request` numbers the
offers, so that what an older peer of the same id still says is told apart from the newer one's.
"""

from __future__ import annotations

import asyncio
import struct

import msgspec

from fleet.daemon.config import MediaConfig
from fleet.protocol.messages import CameraInfo, PeerOffer

MAX_MESSAGE_BYTES = 256 * 1024  # an offer has up to 48 KiB of SDP
MAX_WAITING_BYTES = 512 * 1024  # unsent
BEAT_S = 0.25  # the media process says that it is alive
_LENGTH = struct.Struct("!I")


class _Wire(msgspec.Struct, frozen=True, tag=True):
    """Base of all messages here."""


class Configure(_Wire, frozen=True):
    """First message to the media process. `views`: in the order of their slots in the shared memory."""

    config: MediaConfig
    views: tuple[CameraInfo, ...]


class Ask(_Wire, frozen=True):
    request: int
    offer: PeerOffer


class Hang(_Wire, frozen=True):
    """Hang up on a peer."""

    peer_id: str


class Say(_Wire, frozen=True):
    """Send on the peer's "drive" channel."""

    peer_id: str
    text: str


class Filmed(_Wire, frozen=True):
    """A picture lies in `slot`, captured at monotonic `captured_s`; it stays there until Taken."""

    slot: int
    captured_s: float


class Ready(_Wire, frozen=True):
    """First message of the media process: aiortc is imported."""


class Beat(_Wire, frozen=True):
    pass


class Answered(_Wire, frozen=True):
    """`code` is "" when `sdp` is an answer."""

    request: int
    sdp: str = ""
    code: str = ""
    message: str = ""


class Heard(_Wire, frozen=True):
    """A data-channel message of a peer."""

    peer_id: str
    request: int
    text: str


class Gone(_Wire, frozen=True):
    """A peer went away by itself."""

    peer_id: str
    request: int
    reason: str


class Watched(_Wire, frozen=True):
    """The views somebody watches now, and how many pictures a second each shall have."""

    fps: dict[str, float]


class Taken(_Wire, frozen=True):
    """The slot may be filled again."""

    slot: int


ToMedia = Configure | Ask | Hang | Say | Filmed
FromMedia = Ready | Beat | Answered | Heard | Gone | Watched | Taken

_RECURRING = (Say, Filmed, Heard, Beat)

_encoder = msgspec.msgpack.Encoder()
to_media_decoder: msgspec.msgpack.Decoder[ToMedia] = msgspec.msgpack.Decoder(ToMedia)
from_media_decoder: msgspec.msgpack.Decoder[FromMedia] = msgspec.msgpack.Decoder(FromMedia)


def write(writer: asyncio.StreamWriter, message: ToMedia | FromMedia) -> bool:
    """Queue a message without waiting; return False if it was dropped.

    Dropped when the other side has stopped reading are only messages that keep coming; the others are few.
    """
    transport = writer.transport
    is_behind = transport.get_write_buffer_size() > MAX_WAITING_BYTES
    if transport.is_closing() or (is_behind and isinstance(message, _RECURRING)):
        return False
    data = _encoder.encode(message)
    writer.write(_LENGTH.pack(len(data)) + data)
    return True


async def read(reader: asyncio.StreamReader) -> bytes:
    """Return the next message's bytes. Raises: EOFError when the other side is gone or sends nonsense."""
    try:
        (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if size > MAX_MESSAGE_BYTES:
            raise EOFError(f"a message of {size} bytes")
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise EOFError(str(error)) from None
