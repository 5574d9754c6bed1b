"""Decode an episode's MP4 into frames. Used by `index.StoredEpisodes`."""

from __future__ import annotations

import io
from typing import Any

import av
import av.error
import numpy as np

from fleet.protocol.errors import InvalidEpisode


def decode_video(data: bytes, *, frames: int, height: int, width: int) -> np.ndarray[Any, Any]:
    """Return all frames as uint8 [T, H, W, 3] RGB.

    Raises: InvalidEpisode if the bytes are no video, or it has not exactly `frames` frames of the stated size
    (a truncated file, for one).
    """
    images = np.empty((frames, height, width, 3), dtype=np.uint8)
    count = 0
    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            container.streams.video[0].thread_count = 1
            for frame in container.decode(video=0):
                if count < frames and (frame.height, frame.width) == (height, width):
                    images[count] = frame.to_ndarray(format="rgb24")
                count += 1
                if (frame.height, frame.width) != (height, width):
                    raise InvalidEpisode(f"video is {frame.width}x{frame.height}, the manifest says {width}x{height}")
    except (av.error.FFmpegError, IndexError) as error:
        raise InvalidEpisode(f"video does not decode: {type(error).__name__}") from None
    if count != frames:
        raise InvalidEpisode(f"video has {count} frames, the manifest says {frames}")
    return images
