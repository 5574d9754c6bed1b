"""Leads a feed's pictures into one of aiortc's senders, past its own encoder, and its reports back to the feed.

aiortc encodes once for each sender, and ignores keyframe requests when fed with packets (limits.md 5). So four of its
parts are replaced on the sender object: where it gets its next encoded frame, what a keyframe request does, and what
is seen of the receiver's reports. aiortc's version is pinned in requirements.txt, and tests fail when these move.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiortc import MediaStreamTrack, RTCRtpSender
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtcrtpsender import RTCEncodedFrame
from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, RtcpRrPacket, RtcpSrPacket, unpack_remb_fci

from fleet.daemon.media.feed import Feed, Picture, Viewer
from fleet.protocol.teleop import FrameTimes

RATE_WINDOW_S = 1.0


class FeedTrack(MediaStreamTrack):
    """One view on its way to one peer. `on_sent` is called with the times of every picture sent."""

    kind = "video"

    def __init__(self, feed: Feed, *, on_sent: Callable[[FrameTimes], None], on_heard: Callable[[], None]) -> None:
        super().__init__()
        self._feed = feed
        self._on_sent = on_sent
        self._on_heard = on_heard
        self._sender: Any = None
        self._viewer: Viewer | None = None
        self._sending: Picture | None = None
        self._estimate_bps: float | None = None
        self._sent: list[tuple[float, int]] = []  # when and how many bytes, in the last second

    async def recv(self) -> Any:
        raise AssertionError("the sender takes encoded pictures from `_next_encoded_frame`")

    def bind(self, sender: RTCRtpSender) -> None:
        """Take over `sender`, which carries this track."""
        self._sender = sender
        self._stock_rtcp = sender._handle_rtcp_packet
        replaced: Any = sender
        replaced._next_encoded_frame = self._next_encoded_frame
        replaced._send_keyframe = self._feed.request_key
        replaced._handle_rtcp_packet = self._handle_rtcp_packet

    def leave(self) -> None:
        """Stop watching; safe to call twice."""
        if self._viewer is not None:
            self._feed.detach(self._viewer)
            self._viewer = None

    async def _next_encoded_frame(self, codec: RTCRtpCodecParameters) -> RTCEncodedFrame:
        """Wait for the next picture. First called when the peer is connected: then, and not before, it watches."""
        if self._viewer is None:
            self._viewer = self._feed.attach(codec.mimeType.lower())
        self._report_sent()
        self._sending = await self._viewer.get()
        return RTCEncodedFrame(self._sending.encoded.payloads, self._sending.rtp, None)  # type: ignore[arg-type]

    def _report_sent(self) -> None:
        """Tell the times of the picture whose packets have all been sent.

        Only now is its RTP timestamp known: aiortc adds a random origin that it keeps to itself.
        """
        picture, self._sending = self._sending, None
        if picture is None:
            return
        self._sent.append((time.monotonic(), picture.encoded.size_bytes))
        self._on_sent(
            FrameTimes(
                view=self._feed.view,
                rtp=self._sender._RTCRtpSender__rtp_timestamp,
                captured_ms=picture.captured_s * 1e3,
                encoded_ms=picture.encoded_s * 1e3,
                size_bytes=picture.encoded.size_bytes,
                is_key=picture.encoded.is_key,
            )
        )

    async def _handle_rtcp_packet(self, packet: Any) -> None:
        self._on_heard()
        await self._stock_rtcp(packet)
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == self._sender._ssrc:
                    self._judge(report.fraction_lost / 256)
        elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            try:
                self._estimate_bps = float(unpack_remb_fci(packet.fci)[0])
            except ValueError:
                return  # another kind of application message

    def _judge(self, loss: float) -> None:
        if self._viewer is None:
            return
        now_s = time.monotonic()
        self._sent = [item for item in self._sent if item[0] > now_s - RATE_WINDOW_S]
        self._viewer.ladder.report(
            now_s,
            loss=loss,
            rtt_s=self._sender._RTCRtpSender__rtt,
            sent_bps=8 * sum(size for _, size in self._sent) / RATE_WINDOW_S,
            estimate_bps=self._estimate_bps,
        )
        self._feed.adapt()
