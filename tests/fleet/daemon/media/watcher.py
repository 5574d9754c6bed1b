"""A real aiortc client in place of a browser, and a robot that films a moving pattern."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import Any, Self

import av
import msgspec
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from fleet.daemon.drivers.base import DriverError
from fleet.daemon.media.base import Media
from fleet.protocol.messages import CameraInfo, PeerOffer
from fleet.protocol.teleop import FrameTimes
from tests.fleet.daemon.point import PointDriver

Array = np.ndarray[Any, Any]

VIEWS = (CameraInfo(name="overview", width=320, height=240), CameraInfo(name="side", width=160, height=128))
TIMEOUT_S = 30.0  # generous: a passing test takes a second or two, on an overloaded machine ten


class FilmedPoint(PointDriver):
    """A point robot with two cameras that see a pattern which moves with time."""

    def __init__(self) -> None:
        super().__init__()
        self.info = msgspec.structs.replace(self.info, views=VIEWS)
        self.filmed: dict[str, int] = {view.name: 0 for view in VIEWS}
        self.endings = 0
        self.is_dark = False
        generator = np.random.default_rng(0)
        self._texture = generator.integers(0, 255, (240, 320, 3), dtype=np.uint8)

    def film(self, view: str) -> tuple[Array, float]:
        if self.is_dark:
            raise DriverError("the camera is unplugged")
        self.filmed[view] += 1
        size = next(item for item in VIEWS if item.name == view)
        captured_s = time.monotonic()
        moved = np.roll(self._texture, int(captured_s * 50), axis=1)
        return moved[: size.height, : size.width], captured_s

    def end_filming(self) -> None:
        self.endings += 1


class Watcher:
    """One viewer. Everything it received is kept: pictures, data-channel messages, RTP timestamps."""

    def __init__(self, *, views: tuple[str, ...] = ("overview",), mime: str | None = None, loss: float = 0.0) -> None:
        """`loss`: share of the video's packets that never arrive."""
        self.loss = loss
        self._rng = random.Random(0)
        self.peer_id = str(uuid.uuid4())
        self.views = views
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.drive = self.connection.createDataChannel("drive", ordered=False, maxRetransmits=0)
        self.control = self.connection.createDataChannel("control")
        self.texts: list[str] = []
        self.drive.on("message", self.texts.append)
        self.frames: dict[str, list[av.VideoFrame]] = {view: [] for view in views}
        self.rtp: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []
        for view in views:
            transceiver = self.connection.addTransceiver("video", direction="recvonly")
            if mime is not None:
                codecs = RTCRtpReceiver.getCapabilities("video").codecs
                transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == mime])
            self._tap(transceiver.receiver)
            self._tasks.append(asyncio.create_task(self._drain(view, transceiver.receiver)))

    def _tap(self, receiver: RTCRtpReceiver) -> None:
        stock: Any = receiver._handle_rtp_packet

        async def tapped(packet: Any, arrival_time_ms: int) -> None:
            self.rtp.add(packet.timestamp)
            if self._rng.random() >= self.loss:
                await stock(packet, arrival_time_ms)

        receiver._handle_rtp_packet = tapped  # type: ignore[method-assign]

    async def _drain(self, view: str, receiver: RTCRtpReceiver) -> None:
        while receiver.track is None:
            await asyncio.sleep(0.01)
        try:
            while True:
                self.frames[view].append(await receiver.track.recv())  # type: ignore[arg-type]
        except MediaStreamError:
            return

    async def offer(self) -> PeerOffer:
        if self.connection.localDescription is None:
            await self.connection.setLocalDescription(await self.connection.createOffer())
        return PeerOffer(
            peer_id=self.peer_id,
            connection=str(uuid.uuid4()),
            user="ada",
            views=self.views,
            sdp=self.connection.localDescription.sdp,
            ice_servers=(),
        )

    async def join(self, media: Media) -> Self:
        sdp = await media.answer(await self.offer())
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))
        await until(lambda: self.drive.readyState == self.control.readyState == "open")
        return self

    def times(self, view: str = "overview") -> list[FrameTimes]:
        """Return the FrameTimes received for a view."""
        decoded = (msgspec.json.decode(text) for text in self.texts)
        told = [msgspec.convert(item, FrameTimes) for item in decoded if item["type"] == "frame_times"]
        return [item for item in told if item.view == view]

    async def request_key(self) -> None:
        """Send a picture loss indication for every video, as a browser does after losses."""
        for transceiver in self.connection.getTransceivers():
            receiver: Any = transceiver.receiver
            for ssrc in list(receiver._RTCRtpReceiver__remote_streams):
                await receiver._send_rtcp_pli(ssrc)

    async def leave(self) -> None:
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def until(condition: Any, *, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until `condition()` holds. Raises: TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)
