"""What `video.py` compares with: footage sent by aiortc as it comes, in a process of its own, and an echo of messages.

One track for each viewer, one encoder for each track, everything on one event loop, as in aiortc's own examples.
"""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)
from av import VideoFrame
from av.frame import Frame

from fleet.daemon.media import timecode

Array = np.ndarray[Any, Any]
CLOCK_HZ = 90_000


class Footage(VideoStreamTrack):
    """Recorded pictures, uint8 [N, H, W, 3], at a fixed rate, each with the time at which it was taken drawn in."""

    def __init__(self, pictures: Array, fps: float) -> None:
        super().__init__()
        self._pictures = pictures
        self._period_s = 1 / fps
        self._began_s = time.monotonic()
        self._count = 0

    async def recv(self) -> Frame:
        await asyncio.sleep(self._began_s + self._count * self._period_s - time.monotonic())
        pixels = self._pictures[self._count % len(self._pictures)].copy()
        timecode.draw(pixels, time.monotonic() * 1e3)
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = round(self._count * self._period_s * CLOCK_HZ), Fraction(1, CLOCK_HZ)
        self._count += 1
        return frame


async def _serve(pipe: Connection, pictures: Array, fps: float, mime: str) -> None:
    connections = []
    loop = asyncio.get_running_loop()
    while (sdp := await loop.run_in_executor(None, pipe.recv)) is not None:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.append(connection)

        @connection.on("datachannel")
        def echo(channel: RTCDataChannel) -> None:
            channel.on("message", channel.send)

        transceiver = connection.addTransceiver(Footage(pictures, fps), direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in (mime, "video/rtx")])
        await connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        pipe.send(connection.localDescription.sdp)
    for connection in connections:
        await connection.close()


def serve(pipe: Connection, pictures: Array, fps: float, mime: str) -> None:
    """Answer the offers that come through the pipe, until None comes."""
    asyncio.run(_serve(pipe, pictures, fps, mime))
