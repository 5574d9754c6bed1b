"""Live video and commands: from glass to glass, a command's round trip, what encoding costs, what filming costs.

    python -m benchmarks.video [--seconds 8] [--rounds 2] [--receiver chromium] [--out FILE] [--quick]

Prints JSON; asserts nothing. "bare" is aiortc as it comes (bare_aiortc.py), measured in turns with ours in one run,
with the same recorded footage of the simulated robot at 640x480. "glass": from the capture, drawn into the picture, to
the decoded picture at a receiver on this machine: Chromium, up to its presentation, or aiortc, which hands a picture on
when the next one begins, so that one period of each figure is its own. "trip": a message on an
unordered data channel without retransmits at 40 Hz beside the video, from the viewer through the robot's daemon and
back. Bare aiortc echoes in the process that encodes, which no robot should (its control loop would wait too). "cpu": of
the sending process, in percent of one core; ours is the media process, without the daemon's copy of each picture.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from av import VideoFrame
from playwright.async_api import async_playwright

from benchmarks import bare_aiortc
from benchmarks.video_receivers import CHROMIUM_FLAGS, AiortcReceiver, ChromiumReceiver, Receiver, chromium_path
from fleet.daemon.clock import Pacer, SystemClock
from fleet.daemon.config import MediaConfig
from fleet.daemon.drivers.metaworld.driver import MetaWorldDriver, create
from fleet.daemon.media.encoder import H264, to_yuv
from fleet.daemon.media.host import MediaHost
from fleet.protocol.messages import CameraInfo, PeerOffer

Array = np.ndarray[Any, Any]

VIEW = CameraInfo(name="overview", width=640, height=480)
TASK = "bin-picking"
WARM_UP_S = 2.0
TIMEOUT_S = 30.0


# --- Footage and encoders ---------------------------------------------------------------------------------------------


def film(driver: MetaWorldDriver, count: int) -> Array:
    """Return the expert at work, uint8 [count, 480, 640, 3]."""
    driver.reset(TASK, seed=0)
    pictures = []
    for _ in range(count):
        driver.apply(driver.advisor.action())
        pictures.append(driver.film(VIEW.name)[0].copy())
    return np.array(pictures)


def encoding(pictures: Array, fps: float) -> dict[str, dict[str, float]]:
    """Return CPU ms a picture (conversion included), kbit/s and the largest picture, of a second pass."""
    ours = H264(MediaConfig())
    vp8, h264 = Vp8Encoder(), H264Encoder()
    limit = MediaConfig().bitrate_max_bps
    vp8.target_bitrate = h264.target_bitrate = limit

    def stock(encoder: Any) -> Callable[[Array, int], int]:
        def encode(pixels: Array, index: int) -> int:
            frame = VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(index * 90_000 / fps), Fraction(1, 90_000)
            return sum(len(payload) for payload in encoder.encode(frame, force_keyframe=index % 40 == 0)[0])

        return encode

    def own(pixels: Array, index: int) -> int:
        frame = to_yuv(pixels, scale=1.0)
        return ours.encode(frame, bitrate_bps=limit, fps=fps, is_key=index % 40 == 0).size_bytes

    ways = {"bare vp8": stock(vp8), "bare h264": stock(h264), "ours": own}
    result = {}
    for name, encode in ways.items():
        for index, pixels in enumerate(pictures):
            encode(pixels, index)
        began_s = time.process_time()
        sizes = [encode(pixels, len(pictures) + index) for index, pixels in enumerate(pictures)]
        spent_ms = (time.process_time() - began_s) * 1e3
        rate = sum(sizes) * 8 * fps / len(sizes) / 1e3
        result[name] = {"cpu_ms": spent_ms / len(sizes), "kbit_s": rate, "largest_kib": max(sizes) / 1024}
    return result


# --- Ours and bare ----------------------------------------------------------------------------------------------------


class Player:
    """A robot's cameras: the footage."""

    def __init__(self, pictures: Array) -> None:
        self._pictures = pictures
        self._count = 0

    def film(self, view: str) -> tuple[Array, float]:
        self._count += 1
        return self._pictures[self._count % len(self._pictures)], time.monotonic()

    def end_filming(self) -> None:
        """Nothing is held."""


@asynccontextmanager
async def ours(pictures: Array, fps: float) -> Any:
    """Give (how to connect, the media process)."""
    media = MediaHost(Player(pictures), (VIEW,), MediaConfig(fps=fps, time_code=True), max_peers=8)
    media.start(media.send, lambda peer_id, reason: None)
    running = asyncio.create_task(media.run())
    count = iter(range(1000))

    async def connect(sdp: str) -> str:
        name = f"peer-{next(count)}"
        return await media.answer(
            PeerOffer(peer_id=name, connection=name, user="bench", views=(VIEW.name,), sdp=sdp, ice_servers=())
        )

    try:
        async with asyncio.timeout(TIMEOUT_S):
            await media._ready.wait()
        assert media._child is not None
        yield connect, psutil.Process(media._child.process.pid)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def bare(pictures: Array, fps: float, mime: str) -> Any:
    """Give (how to connect, the sending process)."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=bare_aiortc.serve, args=(theirs, pictures, fps, mime))
    process.start()

    async def connect(sdp: str) -> str:
        pipe.send(sdp)
        return str(await asyncio.to_thread(pipe.recv))

    try:
        yield connect, psutil.Process(process.pid)
    finally:
        pipe.send(None)
        await asyncio.to_thread(process.join, TIMEOUT_S)
        process.kill()


async def watch(
    open_sender: Callable[[], Any], make: Callable[[], Receiver], *, viewers: int, seconds: float
) -> dict[str, Any]:
    """Connect so many viewers one after the other and return what they saw."""
    async with open_sender() as (connect, process):
        receivers = []
        for _ in range(viewers):
            receivers.append(make())
            await receivers[-1].connect(connect)
        await asyncio.sleep(WARM_UP_S)
        for receiver in receivers:
            await receiver.start()
        began_s, before = time.monotonic(), process.cpu_times()
        await asyncio.sleep(seconds)
        after, spent_s = process.cpu_times(), time.monotonic() - began_s
        seen = [await receiver.seen() for receiver in receivers]
        result = {
            "glass_ms": [age for ages, _ in seen for age in ages],
            "trips_ms": [trip for _, trips in seen for trip in trips],
            "cpu": 100 * (after.user + after.system - before.user - before.system) / spent_s,
            "first_frame_s": receivers[-1].first_frame_s,
            "fps": sum(len(ages) for ages, _ in seen) / viewers / spent_s,
        }
        for receiver in receivers:
            await receiver.close()
    return result


# --- Filming beside a control loop ------------------------------------------------------------------------------------


def control(driver: MetaWorldDriver, *, is_filmed: bool, fps: float, seconds: float) -> dict[str, float]:
    """Return the periods of a 10 Hz loop that steps and observes, with or without the overview being filmed."""
    driver.reset(TASK, seed=0)
    stopping = threading.Event()
    count = 0

    def run() -> None:
        nonlocal count
        while not stopping.wait(1 / fps):
            driver.film(VIEW.name)
            count += 1
        driver.end_filming()

    camera = threading.Thread(target=run)
    if is_filmed:
        camera.start()
    pacer = Pacer(SystemClock(), period_s=0.1)
    pacer.start()
    last_s = began_s = time.monotonic()
    periods_ms = []
    while time.monotonic() - began_s < seconds:
        driver.apply(driver.advisor.action())
        driver.observe()
        pacer.wait()
        periods_ms.append((time.monotonic() - last_s) * 1e3)
        last_s = time.monotonic()
    stopping.set()
    if is_filmed:
        camera.join()
    stats = pacer.stats()
    return {"p99_ms": _at(periods_ms, 99), "worst_ms": max(periods_ms), "overruns": stats.overruns, "films": count}


# --- Together ---------------------------------------------------------------------------------------------------------


def _at(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else float("nan")


def summary(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Pool the rounds of one way."""
    glass = [age for item in rounds for age in item["glass_ms"]]
    trips = [trip for item in rounds for trip in item["trips_ms"]]
    medians = {key: statistics.median(item[key] for item in rounds) for key in ("cpu", "first_frame_s", "fps")}
    return {
        "glass_p50_ms": _at(glass, 50),
        "glass_p95_ms": _at(glass, 95),
        "pictures": len(glass),
        "trip_p50_ms": _at(trips, 50),
        "trip_p99_ms": _at(trips, 99),
        "trips": len(trips),
        **medians,
    }


def ratios(ours_: dict[str, float], bare_: dict[str, float], keys: tuple[str, ...]) -> dict[str, float]:
    """Return ours / bare."""
    return {key: ours_[key] / bare_[key] for key in keys if bare_.get(key)}


async def end_to_end(pictures: Array, options: argparse.Namespace) -> dict[str, Any]:
    """Measure with the receiver that was asked for."""
    if options.receiver == "aiortc":
        return await in_turns(pictures, options, AiortcReceiver)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        try:
            return await in_turns(pictures, options, lambda: ChromiumReceiver(browser))
        finally:
            await browser.close()


async def in_turns(pictures: Array, options: argparse.Namespace, make: Callable[[], Receiver]) -> dict[str, Any]:
    """Measure each way in turns, with one viewer and with several."""
    senders: dict[str, Callable[[], Any]] = {
        "bare vp8": lambda: bare(pictures, options.fps, "video/VP8"),
        "bare h264": lambda: bare(pictures, options.fps, "video/H264"),
        "ours": lambda: ours(pictures, options.fps),
    }
    result: dict[str, Any] = {}
    for viewers in options.viewers:
        seen: dict[str, list[dict[str, Any]]] = {name: [] for name in senders}
        for _ in range(options.rounds):
            for name, sender in senders.items():
                seen[name].append(await watch(sender, make, viewers=viewers, seconds=options.seconds))
        table: dict[str, Any] = {name: summary(rounds) for name, rounds in seen.items()}
        keys = ("glass_p50_ms", "glass_p95_ms", "trip_p50_ms", "trip_p99_ms", "cpu")
        table["ratio to bare vp8"] = ratios(table["ours"], table["bare vp8"], keys)
        table["ratio to bare h264"] = ratios(table["ours"], table["bare h264"], keys)
        result[f"{viewers} viewers"] = table
    return result


def measure(options: argparse.Namespace) -> dict[str, Any]:
    driver = create({"renderer": options.renderer})
    driver.connect()
    try:
        pictures = film(driver, 20 if options.quick else 80)
        costs: dict[str, Any] = encoding(pictures, options.fps)
        for name in ("bare vp8", "bare h264"):
            costs[f"ratio to {name}"] = ratios(costs["ours"], costs[name], ("cpu_ms", "largest_kib"))
        loop = {
            name: control(driver, is_filmed=is_filmed, fps=options.fps, seconds=options.seconds)
            for name, is_filmed in (("alone", False), ("filmed", True), ("alone again", False))
        }
    finally:
        driver.end_filming()
        driver.close()
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    return {"machine": machine, "encoder": costs, "control": loop, "video": asyncio.run(end_to_end(pictures, options))}


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2)
    # Not 20: a divisor of the display's 60 Hz keeps one phase to it for a whole run, anywhere within 17 ms.
    parser.add_argument("--fps", type=float, default=19.0)
    parser.add_argument("--viewers", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--receiver", choices=("aiortc", "chromium"), default="aiortc")
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true", help="one short round with one viewer: does it run?")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seconds, options.rounds, options.viewers = 1.5, 1, [1]
    text = json.dumps(rounded(measure(options)), indent=2)
    if options.out is not None:
        options.out.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
