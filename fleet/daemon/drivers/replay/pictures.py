"""One camera of a recording, decoded as it is played: forwards cheaply, backwards from its beginning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import av.error
import numpy as np

from fleet.daemon.drivers.replay.recordings import RecordingBroken, VideoPart
from fleet.protocol.messages import CameraInfo

Array = np.ndarray[Any, Any]


class Pictures:
    """Frame k is what the video shows at start_s + k / rate_hz. Holds one decoded picture, whatever the length."""

    def __init__(self, part: VideoPart, camera: CameraInfo, *, rate_hz: float) -> None:
        self._part = part
        self._camera = camera
        self._rate_hz = rate_hz
        self._container: Any = None
        self._decoded: Iterator[Any] = iter(())
        self._index = -1
        self._picture: Array = np.empty((0, 0, 3), np.uint8)

    def at(self, index: int) -> Array:
        """Return frame `index`, uint8 [H, W, 3] RGB; not to be written to. Raises: RecordingBroken."""
        try:
            if self._container is None or index < self._index:
                self._open()
            while self._index < index:
                self._advance()
        except (av.error.FFmpegError, OSError, IndexError) as error:
            raise RecordingBroken(f"{self._part.path} does not decode: {error}") from None
        return self._picture

    def close(self) -> None:
        """Safe to call twice."""
        if self._container is not None:
            self._container.close()
        self._container = None

    def _open(self) -> None:
        self.close()
        self._container = av.open(str(self._part.path))
        stream = self._container.streams.video[0]
        stream.thread_count = 1  # several robots share few cores
        self._container.seek(int(self._part.start_s / stream.time_base), stream=stream)  # a key frame at or before it
        self._decoded = self._container.decode(stream)
        self._index = -1

    def _advance(self) -> None:
        wanted_s = self._part.start_s + (self._index + 1) / self._rate_hz
        frame = next((one for one in self._decoded if one.time >= wanted_s - 0.5 / self._rate_hz), None)
        if frame is None or frame.time > wanted_s + 0.5 / self._rate_hz:
            raise RecordingBroken(f"{self._part.path} has no frame at {wanted_s:.3f} s")
        if (frame.width, frame.height) != (self._camera.width, self._camera.height):
            text = f"{self._part.path} is {frame.width} x {frame.height}, not as the recording says"
            raise RecordingBroken(text)
        self._picture = frame.to_ndarray(format="rgb24")
        self._index += 1
