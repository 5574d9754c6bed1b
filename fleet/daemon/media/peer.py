"""One browser's connection in the media process: answer, tracks, data channels, and when it counts as gone."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from fleet.daemon.config import MediaConfig
from fleet.daemon.media.base import MalformedSdp
from fleet.daemon.media.encoder import encoders
from fleet.daemon.media.feed import Feed
from fleet.daemon.media.offers import usable_offer, usable_servers
from fleet.daemon.media.track import FeedTrack
from fleet.protocol.messages import PeerOffer
from fleet.protocol.teleop import (
    CONTROL_CHANNEL,
    DRIVE_CHANNEL,
    MAX_PEER_MESSAGE_BYTES,
    FrameTimes,
    encode_peer_message,
)

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 3.0
NEGOTIATION_S = 3.0  # beyond gathering


class Peer:
    """Construct, `open`, `close`. `on_text(text)` and `on_gone(reason)` are called on the event loop."""

    def __init__(
        self,
        offer: PeerOffer,
        config: MediaConfig,
        feeds: Mapping[str, Feed],
        *,
        on_text: Callable[[str], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self.offer = offer
        self._config = config
        self._feeds = feeds
        self._on_text = on_text
        self._on_gone = on_gone
        self._connection: RTCPeerConnection | None = None
        self._tracks: list[FeedTrack] = []
        self._drive: RTCDataChannel | None = None
        self._opened_s = self._heard_s = self._refilled_s = time.monotonic()
        self._tokens = float(config.message_burst)
        self._dropped = 0
        self._is_connected = False
        self.is_gone = False

    async def open(self) -> str:
        """Return the answer with all candidates. Raises: MalformedSdp; TimeoutError."""
        text = usable_offer(self.offer.sdp, views=len(self.offer.views))
        connection = RTCPeerConnection(RTCConfiguration(iceServers=usable_servers(self.offer.ice_servers)))
        self._connection = connection
        connection.on("datachannel", self._take_channel)
        connection.on("connectionstatechange", self._follow)
        try:
            async with asyncio.timeout(self._config.gather_timeout_s + NEGOTIATION_S):
                for view in self.offer.views:
                    self._add_track(connection, self._feeds[view])
                await self._negotiate(connection, text)
        except TimeoutError:
            raise
        except Exception as error:  # aiortc raises whatever an offer it cannot follow leads to
            logger.info("an offer could not be answered", exc_info=True)
            raise MalformedSdp(f"the offer cannot be answered: {type(error).__name__}: {str(error)[:200]}") from None
        return str(connection.localDescription.sdp)

    def _add_track(self, connection: RTCPeerConnection, feed: Feed) -> None:
        track = FeedTrack(feed, on_sent=self._tell_times, on_heard=self._hear)
        transceiver = connection.addTransceiver(track, direction="sendonly")
        order = list(encoders(self._config))
        known = RTCRtpSender.getCapabilities("video").codecs
        by_mime = sorted(
            (codec for codec in known if codec.mimeType.lower() in order),
            key=lambda codec: order.index(codec.mimeType.lower()),
        )
        transceiver.setCodecPreferences([*by_mime, *(codec for codec in known if codec.mimeType == "video/rtx")])
        track.bind(transceiver.sender)
        self._tracks.append(track)

    async def _negotiate(self, connection: RTCPeerConnection, text: str) -> None:
        await connection.setRemoteDescription(RTCSessionDescription(sdp=text, type="offer"))
        assert connection.sctp is not None  # usable_offer saw it
        transports = {item.receiver.transport.transport for item in connection.getTransceivers()}
        for transport in transports | {connection.sctp.transport.transport}:
            ice: Any = transport._connection
            # aioice waits 5 s for a STUN or TURN server that does not answer; it takes no setting.
            ice.get_component_candidates = functools.partial(
                ice.get_component_candidates, timeout=self._config.gather_timeout_s
            )
        await connection.setLocalDescription(await connection.createAnswer())

    async def close(self) -> None:
        """Hang up and leave the feeds; never raises."""
        self.is_gone = True
        for track in self._tracks:
            track.leave()
        if self._connection is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._connection.close()
        except Exception:  # a connection that cannot be closed properly is dropped as it is
            logger.warning("a peer connection could not be closed", exc_info=True)

    def say(self, text: str) -> None:
        """Send on the "drive" channel; dropped if it is not open or too much waits there."""
        channel = self._drive
        if channel is None or channel.readyState != "open":
            return
        if channel.bufferedAmount <= self._config.send_buffer_bytes:
            channel.send(text)

    def check(self, now_s: float) -> None:
        """Notice a peer that never connected or fell silent; called about once a second."""
        if self._dropped:
            logger.warning("peer %s sends too much: %d messages dropped", self.offer.peer_id, self._dropped)
            self._dropped = 0
        if not self._is_connected and now_s - self._opened_s > self._config.connect_timeout_s:
            self._go("connect_timeout")
        elif self._is_connected and now_s - self._heard_s > self._config.silence_s:
            self._go("silent")

    def _go(self, reason: str) -> None:
        if not self.is_gone:
            self.is_gone = True
            self._on_gone(reason)

    def _follow(self) -> None:
        assert self._connection is not None
        state = self._connection.connectionState
        if state == "connected":
            self._is_connected = True
            self._hear()
        elif state in ("failed", "closed"):
            self._go(f"connection_{state}")

    def _take_channel(self, channel: RTCDataChannel) -> None:
        if channel.label not in (DRIVE_CHANNEL, CONTROL_CHANNEL):
            logger.warning("peer %s opened an unknown channel; it is not read", self.offer.peer_id)
            return
        if channel.label == DRIVE_CHANNEL:
            self._drive = channel
        channel.on("message", self._take_message)

    def _take_message(self, message: str | bytes) -> None:
        self._hear()
        if not isinstance(message, str) or len(message) > MAX_PEER_MESSAGE_BYTES or not self._admit():
            self._dropped += 1
            return
        if len(message.encode()) <= MAX_PEER_MESSAGE_BYTES:
            self._on_text(message)

    def _admit(self) -> bool:
        now_s = time.monotonic()
        gained = (now_s - self._refilled_s) * self._config.message_rate_hz
        self._tokens = min(float(self._config.message_burst), self._tokens + gained)
        self._refilled_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _hear(self) -> None:
        self._heard_s = time.monotonic()

    def _tell_times(self, times: FrameTimes) -> None:
        self.say(encode_peer_message(times))
