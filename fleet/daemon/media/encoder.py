"""Encoders for live video: one picture in, RTP payloads out, shared by all viewers of that view and codec.

H.264 is aiortc's choice of profile (Baseline 3.1, zerolatency) with the preset and the bound on picture size that were
measured (limits.md 5): 1.3 ms instead of 11.2 ms a picture at 640x480, keyframes of 36 KiB instead of 137. The bitrate
changes in place, without the keyframe that aiortc's own way costs. VP8 is aiortc's encoder as it is. Both take payloads
apart by aiortc's code, whose version is pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import av
import numpy as np
from aiortc.codecs.h264 import H264Encoder as AiortcH264
from aiortc.codecs.vpx import Vp8Encoder as AiortcVp8
from aiortc.codecs.vpx import VpxPayloadDescriptor
from av.video.frame import PictureType, VideoFrame

from fleet.daemon.config import MediaConfig

Array = np.ndarray[Any, Any]

RTP_CLOCK_HZ = 90_000
PROFILE = {"level": "31", "tune": "zerolatency", "preset": "ultrafast", "threads": "1"}


@dataclass(frozen=True)
class Encoded:
    """One picture, ready to send. `payloads`: of its RTP packets, in order."""

    payloads: list[bytes]
    size_bytes: int
    is_key: bool


class Encoder(Protocol):
    def encode(self, frame: VideoFrame, *, bitrate_bps: int, fps: float, is_key: bool) -> Encoded:
        """Encode a yuv420p picture. A new size or rate of pictures starts anew, with a keyframe."""


class H264:
    """libx264 by PyAV."""

    def __init__(self, config: MediaConfig) -> None:
        self._config = config
        self._codec: Any = None
        self._made_for: tuple[int, int, float] | None = None
        self._count = 0

    def encode(self, frame: VideoFrame, *, bitrate_bps: int, fps: float, is_key: bool) -> Encoded:
        wanted = (frame.width, frame.height, fps)
        if self._made_for != wanted:
            self._codec, self._made_for, self._count = self._open(*wanted, bitrate_bps), wanted, 0
        elif self._codec.bit_rate != bitrate_bps:
            self._codec.bit_rate = bitrate_bps  # libx264 is told before the next picture; the bound on sizes stays
        frame.pts, frame.time_base = self._count, self._codec.time_base
        self._count += 1
        # Set each time: the flag would stay on the picture, which the other encoder gets too (limits.md 5).
        frame.pict_type = PictureType.I if is_key else PictureType.NONE
        packets = self._codec.encode(frame)
        data = b"".join(bytes(packet) for packet in packets)
        payloads = AiortcH264._packetize(AiortcH264._split_bitstream(data))
        return Encoded(payloads, len(data), any(packet.is_keyframe for packet in packets))

    def _open(self, width: int, height: int, fps: float, bitrate_bps: int) -> Any:
        codec = av.CodecContext.create("libx264", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.framerate = Fraction(fps).limit_denominator(1001)
        codec.time_base = 1 / codec.framerate  # pictures are counted: rate control then needs no clock
        codec.bit_rate = bitrate_bps
        codec.gop_size = max(1, round(fps * self._config.keyframe_interval_s))
        codec.profile = "Baseline"
        top = self._config.bitrate_max_bps
        bound = {"maxrate": str(top), "bufsize": str(max(1, round(top * self._config.vbv_s)))}
        codec.options = PROFILE | bound
        return codec


class Vp8:
    """libvpx as aiortc uses it, for browsers without H.264. aiortc keeps the bitrate within [250 k, 1.5 M]."""

    def __init__(self) -> None:
        self._encoder = AiortcVp8()
        self._count = 0

    def encode(self, frame: VideoFrame, *, bitrate_bps: int, fps: float, is_key: bool) -> Encoded:
        self._encoder.target_bitrate = bitrate_bps
        frame.pts, frame.time_base = self._count, Fraction(1, 30)  # aiortc's encoder counts thirtieths of a second
        self._count += max(1, round(30 / fps))
        frame.pict_type = PictureType.NONE
        payloads, _ = self._encoder.encode(frame, force_keyframe=is_key)
        first = VpxPayloadDescriptor.parse(payloads[0])[1]
        return Encoded(payloads, sum(len(payload) for payload in payloads), not first[0] & 1)


def encoders(config: MediaConfig) -> dict[str, Callable[[], Encoder]]:
    """Return how to make an encoder for each MIME type, in lower case, the one preferred first."""
    kinds: dict[str, Callable[[], Encoder]] = {"video/h264": lambda: H264(config), "video/vp8": Vp8}
    return kinds if config.prefer_h264 else dict(reversed(kinds.items()))


def to_yuv(pixels: Array, *, scale: float) -> VideoFrame:
    """Return uint8 [H, W, 3] RGB as yuv420p of `scale` times the size, in even numbers of pixels: once a picture."""
    height, width = (max(2, round(side * scale / 2) * 2) for side in pixels.shape[:2])
    return VideoFrame.from_ndarray(pixels, format="rgb24").reformat(width=width, height=height, format="yuv420p")
