"""What the daemon asks of live video: answer a browser's offer, carry its messages, say how old a picture is.

Called by `teleop.py`, implemented by `host.py`. Everything here runs on the daemon's event loop. Free of aiortc on
purpose: the daemon starts, and its tests run, without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fleet.protocol.errors import SopError
from fleet.protocol.messages import PeerOffer

OnText = Callable[[str, str], None]  # peer_id, text
OnClosed = Callable[[str, str], None]  # peer_id, reason


class MediaError(SopError):
    """Base of what may go wrong with an offer.

    MediaError             media_error
    ├── MediaDown          media_down       the child process is not running, or aiortc is not installed
    ├── MalformedSdp       malformed_sdp    an offer that does not parse or cannot be answered
    ├── TooManyPeers       too_many_peers   the stated limit of viewers is reached
    └── UnknownView        unknown_view     this robot has no such view, or no views at all
    """

    code = "media_error"


class MediaDown(MediaError):
    code = "media_down"


class MalformedSdp(MediaError):
    code = "malformed_sdp"


class TooManyPeers(MediaError):
    code = "too_many_peers"


class UnknownView(MediaError):
    code = "unknown_view"


class Media(Protocol):
    """The robot's end of every peer connection. All methods are called on the daemon's event loop."""

    def start(self, on_text: OnText, on_closed: OnClosed) -> None:
        """Say, once and before `run`, whom to call; both are called on the event loop and must not block.

        `on_text(peer_id, text)`: a message of either data channel, at most 4 KiB. `on_closed(peer_id, reason)`: a peer
        went away by itself or with the child process; not called for `close_peer` nor for a peer that was replaced.
        """

    async def run(self) -> None:
        """Keep the child process alive, film what is watched and pump messages, until cancelled."""

    async def answer(self, offer: PeerOffer) -> str:
        """Return the SDP answer with all candidates, within 10 s. The same `peer_id` again replaces that peer.

        Raises: MediaDown, MalformedSdp, TooManyPeers, UnknownView.
        """

    async def close_peer(self, peer_id: str, reason: str) -> None:
        """Hang up. Nothing happens for a peer that is unknown or gone."""

    def send(self, peer_id: str, text: str) -> None:
        """Send on the "drive" channel; dropped if it is not open or its buffer is full."""

    def filmed_s(self, view: str) -> float | None:
        """Return the monotonic seconds at which the newest frame of `view` was captured; None before the first."""
