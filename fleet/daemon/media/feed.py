"""One view in the media process: encodes each picture once and hands it to everybody who watches.

Lives on the media process's event loop; encoding runs in one thread. A picture that comes while the last one is being
encoded is left out. The level of quality is that of the worst path among the viewers: a stated choice, because one
encode for all is what keeps the robot's processor for the robot.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.daemon.config import MediaConfig
from fleet.daemon.media.adapt import Ladder, Level, levels
from fleet.daemon.media.encoder import RTP_CLOCK_HZ, Encoded, Encoder, encoders, to_yuv

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]

MAX_QUEUED = 8  # pictures that wait for one viewer


@dataclass(frozen=True)
class Picture:
    """One encoded picture with its times, monotonic seconds. `rtp`: its time by the 90 kHz clock, without origin."""

    encoded: Encoded
    rtp: int
    captured_s: float
    encoded_s: float


class Viewer:
    """What one peer's track takes out of a feed: encoded pictures from a keyframe on, at most `MAX_QUEUED` waiting."""

    def __init__(self, feed: Feed, mime: str) -> None:
        self.mime = mime
        self.ladder = Ladder(feed.config, count=len(feed.levels))
        self._feed = feed
        self._queue: deque[Picture] = deque()
        self._arrived = asyncio.Event()
        self._needs_key = True

    def put(self, picture: Picture) -> None:
        if self._needs_key and not picture.encoded.is_key:
            return
        if len(self._queue) >= MAX_QUEUED:  # nothing after a gap can be decoded
            self._queue.clear()
            self._needs_key = True
            self._feed.request_key()
            return
        self._needs_key = False
        self._queue.append(picture)
        self._arrived.set()

    async def get(self) -> Picture:
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()


class Feed:
    """`on_change`: somebody came, left, or the rate of pictures changed: look at `fps` again."""

    def __init__(
        self,
        view: str,
        config: MediaConfig,
        *,
        executor: Executor,
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.view = view
        self.config = config
        self.levels = levels(config)
        self._level = self.levels[0]
        self._executor = executor
        self._on_change = on_change
        self._clock = clock
        self._viewers: set[Viewer] = set()
        self._makers = encoders(config)
        self._encoders: dict[str, Encoder] = {}
        self._is_busy = False
        self._wants_key = False
        self._key_s = -config.keyframe_min_s
        self.pictures = 0  # encoded so far, each once whatever the number of viewers

    @property
    def fps(self) -> float:
        """Pictures a second wanted now; 0 while nobody watches."""
        return self.config.fps * self._level.fps_share if self._viewers else 0.0

    def attach(self, mime: str) -> Viewer:
        """Begin to watch; the first picture handed out is a keyframe."""
        viewer = Viewer(self, mime)
        self._viewers.add(viewer)
        self.request_key()
        self._on_change()
        return viewer

    def detach(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        for mime in set(self._encoders) - {item.mime for item in self._viewers}:
            del self._encoders[mime]
        self.adapt()
        self._on_change()

    def request_key(self) -> None:
        """Make a keyframe soon: at most one in `keyframe_min_s`, for whoever asks."""
        self._wants_key = True

    def adapt(self) -> None:
        """Take the level that the worst path allows."""
        level = self.levels[max((viewer.ladder.index for viewer in self._viewers), default=0)]
        if level == self._level:
            return
        logger.info("view %s: %.0f kbit/s at %.2f of the size", self.view, level.bitrate_bps / 1e3, level.scale)
        is_slower = level.fps_share != self._level.fps_share
        self._level = level
        if is_slower:
            self._on_change()

    async def show(self, pixels: Array, captured_s: float) -> None:
        """Encode a picture and hand it out; returns when `pixels` may be overwritten."""
        if self._is_busy or not self._viewers:
            return
        self._is_busy = True
        try:
            await self._encode(pixels, captured_s)
        finally:
            self._is_busy = False

    async def _encode(self, pixels: Array, captured_s: float) -> None:
        mimes = sorted({viewer.mime for viewer in self._viewers})
        is_key = self._wants_key and self._clock() - self._key_s >= self.config.keyframe_min_s
        for mime in mimes:
            if mime not in self._encoders:
                self._encoders[mime] = self._makers[mime]()
        working = {mime: self._encoders[mime] for mime in mimes}
        loop = asyncio.get_running_loop()
        results = await loop.run_in_executor(
            self._executor, encode_once, working, pixels, self._level, self.config.fps, is_key
        )
        encoded_s = self._clock()
        self.pictures += 1
        if any(encoded.is_key for encoded in results.values()):
            self._key_s = encoded_s
        if all(encoded.is_key for encoded in results.values()):
            self._wants_key = False  # also for those who asked while it was being encoded: they get this one
        rtp = round(captured_s * RTP_CLOCK_HZ) % 2**32
        for viewer in tuple(self._viewers):
            if viewer.mime in results and results[viewer.mime].payloads:
                viewer.put(Picture(results[viewer.mime], rtp, captured_s, encoded_s))


def encode_once(
    working: dict[str, Encoder], pixels: Array, level: Level, fps: float, is_key: bool
) -> dict[str, Encoded]:
    """Convert one picture once and encode it once for each codec; runs in the encoding thread."""
    frame = to_yuv(pixels, scale=level.scale)
    return {
        mime: encoder.encode(frame, bitrate_bps=level.bitrate_bps, fps=fps * level.fps_share, is_key=is_key)
        for mime, encoder in working.items()
    }
