"""Decode an episode's MP4 into frames for training. Used by `index.StoredEpisodes` and `lerobot.py`.

Frames come out at half the camera's size, averaged while still in YUV. The video's chroma has half the resolution
anyway; going to RGB first clips the colours that chroma smears over an edge, and the policy's encoder, which averages
to half size itself, then sees other colours than on the robot: shelf-place's block moved by 1.4 cm (median) that way,
by 0.2 cm this way (docs/experiments.md). Networks that were trained on whole pictures get those.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from fleet.protocol.errors import InvalidEpisode

Array = np.ndarray[Any, Any]
# BT.601, limited range: what libx264 is given for RGB input unless told otherwise.
_TO_RGB = np.array([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]], dtype=np.float32)
_SCALE = np.array([255 / 219, 255 / 224, 255 / 224], dtype=np.float32)
_OFFSET = np.array([16, 128, 128], dtype=np.float32)


def decode_video(data: bytes, *, frames: int, height: int, width: int) -> Array:
    """Return all frames at half size, float32 [T, H/2, W/2, 3] RGB in 0..255 (a little outside at sharp edges).

    Raises: InvalidEpisode if the bytes are no yuv420p video, or it has not exactly `frames` frames of the stated, even
    size (a truncated file, for one).
    """
    return _decode(data, frames, height, width, is_whole=False)


def decode_whole_video(data: bytes, *, frames: int, height: int, width: int) -> Array:
    """Return all frames at full size, uint8 [T, H, W, 3] RGB. Raises: as `decode_video`."""
    return _decode(data, frames, height, width, is_whole=True)


def _decode(data: bytes, frames: int, height: int, width: int, *, is_whole: bool) -> Array:
    with _open_video(io.BytesIO(data)) as container:
        decoded = container.decode(video=0)
        images, count = _read_frames(decoded, frames, height, width, is_whole=is_whole)
        if next(decoded, None) is not None:
            # One too many is enough to know; a hostile file may have any number.
            raise InvalidEpisode(f"video has more than the {frames} frames that the manifest says")
    if count != frames:
        raise InvalidEpisode(f"video has {count} frames, the manifest says {frames}")
    return images


def decode_video_part(
    path: Path, *, start_s: float, rate_hz: float, frames: int, height: int, width: int, is_whole: bool = False
) -> Array:
    """Return the frames that a longer file shows at start_s, start_s + 1 / rate_hz, ... as `decode_video` does.

    `is_whole`: as `decode_whole_video` does.

    Raises: InvalidEpisode as `decode_video`, and if a frame is missing at its time; OSError if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no video {path}")
    with _open_video(path) as container:
        stream = container.streams.video[0]
        container.seek(int(start_s / stream.time_base), stream=stream)  # the key frame at or before it
        from_start = (frame for frame in container.decode(stream) if frame.time >= start_s - 0.5 / rate_hz)
        images, count = _read_frames(_on_time(from_start, start_s, rate_hz), frames, height, width, is_whole=is_whole)
    if count != frames:
        raise InvalidEpisode(f"video ends {frames - count} frames before the episode")
    return images


@contextlib.contextmanager
def _open_video(source: io.BytesIO | Path) -> Iterator[Any]:
    try:
        with av.open(source if isinstance(source, io.BytesIO) else str(source), mode="r") as container:
            container.streams.video[0].thread_count = 1
            yield container
    except (av.error.FFmpegError, IndexError) as error:
        raise InvalidEpisode(f"video does not decode: {type(error).__name__}") from None


def _on_time(decoded: Iterator[Any], start_s: float, rate_hz: float) -> Iterator[Any]:
    for index, frame in enumerate(decoded):
        late_s = frame.time - (start_s + index / rate_hz)
        if abs(late_s) > 0.5 / rate_hz:
            raise InvalidEpisode(f"video has no frame {index} at its time: the next one is {late_s:.3f} s away")
        yield frame


def _read_frames(decoded: Iterator[Any], frames: int, height: int, width: int, *, is_whole: bool) -> tuple[Array, int]:
    """Return at most `frames` images, and how many there were."""
    if is_whole:
        images = np.empty((frames, height, width, 3), dtype=np.uint8)
    else:
        images = np.empty((frames, height // 2, width // 2, 3), dtype=np.float32)
    count = 0
    for frame in itertools.islice(decoded, frames):
        found = (frame.format.name, frame.height, frame.width)
        if found != ("yuv420p", height // 2 * 2, width // 2 * 2):
            raise InvalidEpisode(f"video has frames of {found}, the manifest says {width}x{height}")
        images[count] = (
            frame.to_ndarray(format="rgb24") if is_whole else _half_size_rgb(frame.to_ndarray(), height, width)
        )
        count += 1
    return images, count


def _half_size_rgb(planes: Array, height: int, width: int) -> Array:
    """`planes`: uint8 [1.5 H, W], luma above both chroma planes."""
    rows, columns = height // 2, width // 2
    luma = planes[:height].reshape(rows, 2, columns, 2).mean(axis=(1, 3), dtype=np.float32)
    chroma = planes[height:].reshape(2, rows, columns).astype(np.float32)
    yuv = np.stack([luma, chroma[0], chroma[1]], axis=-1)
    rgb: Array = ((yuv - _OFFSET) * _SCALE) @ _TO_RGB.T
    return rgb
