"""Viewers for `video.py`: aiortc in this process, or a real Chromium. Both read the time code off the picture."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from playwright.async_api import Browser, Page

from fleet.daemon.media import timecode

Connect = Callable[[str], Awaitable[str]]  # an offer's SDP -> the answer's

COMMAND_HZ = 40.0
TIMEOUT_S = 30.0
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]


class Receiver(Protocol):
    """A viewer that notes how old each decoded picture is, and how long its commands take to come back."""

    first_frame_s: float  # from the wish to watch

    async def connect(self, connect: Connect) -> None:
        """Watch; returns with the first picture."""

    async def start(self) -> None:
        """Forget what was seen so far."""

    async def seen(self) -> tuple[list[float], list[float]]:
        """Return (ages of pictures, round trips) since `start`, milliseconds."""

    async def close(self) -> None: ...


class AiortcReceiver:
    def __init__(self) -> None:
        self._glass_ms: list[float] = []
        self._trips_ms: list[float] = []

    async def connect(self, connect: Connect) -> None:
        began_s = time.monotonic()
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._drive = self._connection.createDataChannel("drive", ordered=False, maxRetransmits=0)
        self._drive.on("message", self._take)
        receiver = self._connection.addTransceiver("video", direction="recvonly").receiver
        await self._connection.setLocalDescription(await self._connection.createOffer())
        answer = await connect(self._connection.localDescription.sdp)
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        self._tasks = [asyncio.create_task(self._watch(receiver)), asyncio.create_task(self._command())]
        async with asyncio.timeout(TIMEOUT_S):
            while not self._glass_ms:
                await asyncio.sleep(0.005)
        self.first_frame_s = time.monotonic() - began_s

    async def start(self) -> None:
        self._glass_ms.clear()
        self._trips_ms.clear()

    async def seen(self) -> tuple[list[float], list[float]]:
        return list(self._glass_ms), list(self._trips_ms)

    async def _watch(self, receiver: RTCRtpReceiver) -> None:
        assert receiver.track is not None
        try:
            while True:
                frame: Any = await receiver.track.recv()
                now_ms = time.monotonic() * 1e3
                code = timecode.read(frame.to_ndarray(format="rgb24"))
                if code is not None:
                    self._glass_ms.append(timecode.age_ms(code, now_ms))
        except MediaStreamError:
            return

    async def _command(self) -> None:
        while True:
            await asyncio.sleep(1 / COMMAND_HZ)
            if self._drive.readyState == "open":
                self._drive.send(f"ping {time.monotonic()}")

    def _take(self, message: str) -> None:
        if message.startswith("ping "):
            self._trips_ms.append((time.monotonic() - float(message[5:])) * 1e3)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._connection.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)


# The page's clock is the wall clock of this machine; the caller takes the robot's monotonic clock off it.
_OFFER = """async (commandMs) => {
  const connection = new RTCPeerConnection({ iceServers: [] });
  const drive = connection.createDataChannel("drive", { ordered: false, maxRetransmits: 0 });
  Object.assign(window, { connection, glass: [], trips: [] });
  drive.onmessage = ({ data }) => data.startsWith("ping ") && trips.push(performance.now() - Number(data.slice(5)));
  setInterval(() => drive.readyState === "open" && drive.send(`ping ${performance.now()}`), commandMs);
  connection.addTransceiver("video", { direction: "recvonly" });
  connection.ontrack = ({ track, receiver }) => {
    receiver.jitterBufferTarget = 0;
    const video = Object.assign(document.createElement("video"), { muted: true, autoplay: true });
    video.srcObject = new MediaStream([track]);
    document.body.append(video);
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const look = () => {
      const now = performance.timeOrigin + performance.now();
      const side = video.videoWidth / 40;
      [canvas.width, canvas.height] = [16 * side, 2 * side];
      context.drawImage(video, 0, 0);
      const light = (column, row) =>
        context.getImageData((column + 0.5) * side, (row + 0.5) * side, 1, 1).data[1];
      let code = 0, clear = true;
      for (let bit = 0; bit < 16; bit++) {
        const [high, low] = [light(bit, 0), light(bit, 1)];
        clear &&= Math.abs(high - low) >= 64;
        code = 2 * code + (high > low ? 1 : 0);
      }
      if (clear) glass.push([code, now]);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  };
  await connection.setLocalDescription(await connection.createOffer());
  return connection.localDescription.sdp;
}"""


class ChromiumReceiver:
    """A page of its own; the picture's age is taken when Chromium presents it to `requestVideoFrameCallback`."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    async def connect(self, connect: Connect) -> None:
        self._page: Page = await self._browser.new_page()
        await self._page.goto("about:blank")
        began_s = time.monotonic()
        answer = await connect(await self._page.evaluate(_OFFER, 1e3 / COMMAND_HZ))
        await self._page.evaluate("sdp => connection.setRemoteDescription({ type: 'answer', sdp })", answer)
        await self._page.wait_for_function("glass.length > 0", polling=10, timeout=TIMEOUT_S * 1e3)
        self.first_frame_s = time.monotonic() - began_s

    async def start(self) -> None:
        await self._page.evaluate("glass.length = trips.length = 0")

    async def seen(self) -> tuple[list[float], list[float]]:
        offset_ms = (time.time() - time.monotonic()) * 1e3
        glass, trips = await self._page.evaluate("[glass, trips]")
        return [timecode.age_ms(code, wall_ms - offset_ms) for code, wall_ms in glass], trips

    async def close(self) -> None:
        await self._page.evaluate("connection.close()")
        await self._page.close()


def chromium_path() -> str | None:
    """Return the system's Chromium; None for Playwright's own, as scripts/ensure-chromium may have installed it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("SOP_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
