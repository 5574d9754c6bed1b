"""Pictures of one episode out of a dataset's files: where the packets allow it they are copied, else encoded anew.

Copied are H.264 and AV1 in yuv420p, which browsers and the learner play, when the episode begins at a key frame and
every frame is stored in the order it is shown; a file that is one episode is copied byte by byte. Everything else
(another codec, a cut between key frames, another size) is decoded and written with the recorder's settings.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import pyarrow as pa

from fleet.protocol.errors import InvalidEpisode
from fleet.protocol.video import VIDEO_CRF, write_video

Array = np.ndarray[Any, Any]
COPIED_CODECS = ("h264", "av1", "libdav1d")
_EXACT_S = 1e-4  # of LeRobot's readers and of the exports


MAX_PIXELS = 4096 * 4096  # of one picture, 50 MB decoded: half a megabyte of PNG can ask for hundreds
# FFmpeg refuses what is larger before it takes the memory, when it looks at the file and when it decodes.
_BOUNDS = {"max_pixels": str(MAX_PIXELS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoIndex:
    """The frames of a file, in the order they are shown. `is_plain`: stored in that order too."""

    path: Path
    codec: str
    pix_fmt: str
    width: int
    height: int
    rate_hz: float
    shown_F: Array  # seconds
    is_key_F: Array
    is_plain: bool


def index_video(path: Path) -> VideoIndex:
    """Look at every packet, decode none. Raises: InvalidEpisode if it is no video; FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(path.name)
    shown: list[int] = []
    keys: list[bool] = []
    is_plain = True
    with _reading(path) as (container, stream):
        context, unit = stream.codec_context, stream.time_base
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if packet.pts is None:
                raise InvalidEpisode(f"video '{path.name}' has a frame without a time")
            is_plain &= packet.pts == packet.dts and (not shown or packet.pts > shown[-1])
            shown.append(packet.pts)
            keys.append(bool(packet.is_keyframe))
        order = np.argsort(np.array(shown, np.int64), kind="stable")
        return VideoIndex(
            path=path,
            codec=str(context.name),
            pix_fmt=str(context.pix_fmt),
            width=context.width,
            height=context.height,
            rate_hz=float(stream.average_rate or 0),
            shown_F=np.array(shown, np.float64)[order] * float(unit),
            is_key_F=np.array(keys, bool)[order],
            is_plain=is_plain,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`length` frames of a file from the `first` on, at `rate_hz`."""

    index: VideoIndex
    first: int
    length: int
    rate_hz: float

    def late_frame(self) -> int | None:
        """Return the first frame that is not shown within half a frame of its time, None if there is none."""
        shown_s = self.index.shown_F[self.first : self.first + self.length]
        late = np.abs(shown_s - shown_s[0] - np.arange(len(shown_s)) / self.rate_hz) > 0.5 / self.rate_hz
        return int(late.argmax()) if late.any() else None

    @property
    def is_whole(self) -> bool:
        """Whether the file is this episode and nothing else, each frame exactly at its time."""
        if self.first != 0 or self.length != len(self.index.shown_F):
            return False
        late_s = np.abs(self.index.shown_F - np.arange(self.length) / self.rate_hz)
        return bool(late_s.max() <= _EXACT_S) and bool(self.index.is_key_F[0])

    @property
    def is_copied(self) -> bool:
        """Whether the packets can stand as they are."""
        index = self.index
        is_known = index.codec in COPIED_CODECS and index.pix_fmt == "yuv420p"
        is_even = index.width % 2 == 0 and index.height % 2 == 0
        return is_known and is_even and (self.is_whole or (index.is_plain and bool(index.is_key_F[self.first])))


def part_of(index: VideoIndex, *, start_s: float, length: int, rate_hz: float) -> Part:
    """Return the part that begins at `start_s`; it may be shorter than the episode: see `len(index.shown_F)`."""
    first = int(np.searchsorted(index.shown_F, start_s - 0.5 / rate_hz))
    return Part(index=index, first=first, length=length, rate_hz=rate_hz)


def copy_part(part: Part, target: Path) -> None:
    """Write a part that `is_copied`. Raises: InvalidEpisode, OSError."""
    if part.is_whole:
        shutil.copyfile(part.index.path, target)
        return
    tick, written = 1 / Fraction(part.rate_hz).limit_denominator(1001), 0
    begin_s = part.index.shown_F[part.first] - 0.25 / part.rate_hz
    with _reading(part.index.path) as (source, stream), av.open(str(target), "w", format="mp4") as container:
        copied: Any = container.add_stream_from_template(stream)
        copied.time_base = tick
        _seek(source, stream, part)
        for packet in source.demux(stream):
            if packet.size == 0 or packet.pts is None or float(packet.pts * stream.time_base) < begin_s:
                continue
            if written == part.length:
                break
            packet.stream, packet.time_base = copied, tick
            packet.pts = packet.dts = written
            packet.duration = 1
            container.mux_one(packet)
            written += 1
    if written != part.length:
        raise InvalidEpisode(f"video '{part.index.path.name}' ends {part.length - written} frames early")


def decode_part(part: Part, *, size: tuple[int, int] | None = None, every: int = 1) -> Iterator[Array]:
    """Yield the part's frames as uint8 [H, W, 3], each n-th of them. `size`: (height, width), None for the file's.

    Raises: InvalidEpisode if it does not decode or ends early.
    """
    begin_s, seen = part.index.shown_F[part.first] - 0.25 / part.rate_hz, 0
    with _reading(part.index.path) as (container, stream):
        _seek(container, stream, part)
        for frame in container.decode(stream):
            if frame.time < begin_s:
                continue
            if seen % every == 0:
                yield pixels_of(frame, size)
            seen += 1
            if seen == part.length:
                return
    raise InvalidEpisode(f"video '{part.index.path.name}' decodes to {seen} frames, {part.length} are needed")


def decode_images(column: pa.ChunkedArray, *, size: tuple[int, int] | None, every: int) -> Iterator[Array]:
    """Yield pictures that are stored in the data, as PNG or JPEG. Raises: InvalidEpisode naming the frame."""
    for number in range(0, len(column), every):
        value = column[number].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        try:
            if not isinstance(data, bytes):
                raise ValueError("no bytes")
            with av.open(io.BytesIO(data), mode="r", options=_BOUNDS) as container:
                container.streams.video[0].codec_context.options = _BOUNDS
                yield pixels_of(next(container.decode(video=0)), size)
        except (av.error.FFmpegError, IndexError, StopIteration, ValueError):
            raise InvalidEpisode(f"picture {number} does not decode", frame=number) from None


def encode(frames: Iterator[Array], target: Path, *, rate_hz: float) -> None:
    write_video(target, frames, rate_hz=rate_hz, crf=VIDEO_CRF)


def pixels_of(frame: Any, size: tuple[int, int] | None) -> Array:
    height, width = size or (frame.height, frame.width)
    pixels: Array = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA").to_ndarray()
    return pixels


def _seek(container: Any, stream: Any, part: Part) -> None:
    """Go to the key frame at or before the part's beginning."""
    start = part.index.shown_F[part.first]
    container.seek(round(float(start) / float(stream.time_base)), stream=stream, backward=True)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tuple[Any, Any]]:
    try:
        with av.open(str(path), mode="r", options=_BOUNDS) as container:
            stream = container.streams.video[0]
            stream.codec_context.options = _BOUNDS
            stream.codec_context.thread_count = 1
            yield container, stream
    except (av.error.FFmpegError, IndexError) as error:
        if isinstance(error, OSError) and error.errno is not None and error.errno == 28:  # of what is written meanwhile
            raise
        raise InvalidEpisode(f"video '{path.name}' is none that can be read ({type(error).__name__})") from None
