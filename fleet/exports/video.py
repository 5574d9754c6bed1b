"""Join episodes' videos without re-encoding: packets are copied, only their times are shifted.

Videos join if their codec parameters are equal to the byte and every frame is shown in the order it is stored, at
k / rate. Another video that has its frames at their times (with B-frames, say) is copied as a file of its own.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from fleet.exports.base import Entry
from fleet.exports.sink import FULL
from fleet.exports.stats import PictureStats
from fleet.protocol.errors import InvalidVideo
from fleet.protocol.recording import CameraRecord, EpisodeManifest

TIME_TOLERANCE_S = 1e-4  # of LeRobot's readers
PICTURES = 16  # key frames decoded for an episode's statistics
_PIECE = 1024 * 1024
_BOUNDS = {"max_pixels": str(8192 * 8192)}  # of a picture; the file decides how much memory it takes otherwise
# FFmpeg decodes a picture when it opens a file, to learn its pixel format. Who decodes the first one anyway need not.
_INDEX_ALONE = {**_BOUNDS, "skip_frame": "all", "probesize": "32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """`signature`: equal for videos that may share a file; None for one that must have its own."""

    codec: str
    pix_fmt: str
    signature: tuple[object, ...] | None
    key_frames: int


def rate_of(rate_hz: float) -> Fraction:
    """Return the exact rate, as the recorder wrote it (30000/1001 and the like included)."""
    return Fraction(rate_hz).limit_denominator(1001)


def probe_video(
    file: IO[bytes], manifest: EpisodeManifest, camera: CameraRecord, *, first_seen: Callable[[], object] = lambda: None
) -> VideoFacts:
    """Check that a video has one frame a step, of the stated size, each at its time; leaves `file` at its beginning.

    Every packet is read, only the first picture is decoded. `file`: seekable. `first_seen`: called after that picture.
    Raises: InvalidVideo with the episode's id.
    """
    rate = rate_of(manifest.control_rate_hz)
    with _reading(file, manifest, camera, options=_INDEX_ALONE) as (container, stream):
        context = stream.codec_context
        if (context.width, context.height) != (camera.width, camera.height):
            problem = f"has {context.width}x{context.height} pixels, the manifest says {camera.width}x{camera.height}"
            raise _invalid(manifest, camera, problem)
        shown: list[float] = []
        is_plain, key_frames = True, 0
        unit_s = float(stream.time_base)
        ticks = 1 / (stream.time_base * rate)  # a frame, in the stream's units
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if packet.pts is None or len(shown) >= manifest.steps:
                raise _invalid(manifest, camera, f"has more than {manifest.steps} frames, or one without a time")
            if not shown:
                _check_picture(packet, manifest, camera)
                first_seen()
            is_plain &= packet.pts == packet.dts and packet.pts * ticks.denominator == len(shown) * ticks.numerator
            shown.append(packet.pts * unit_s)
            key_frames += packet.is_keyframe
        _check_times(shown, manifest, camera, float(rate))
        signature = (context.name, context.pix_fmt, bytes(context.extradata or b""), rate) if is_plain else None
        facts = VideoFacts(
            codec=context.name, pix_fmt=str(context.pix_fmt), signature=signature, key_frames=max(key_frames, 1)
        )
    file.seek(0)
    return facts


def _check_picture(packet: Any, manifest: EpisodeManifest, camera: CameraRecord) -> None:
    """Decode the first picture by itself: what the index promises may be no video at all."""
    context = packet.stream.codec_context
    pictures = [*context.decode(packet), *context.decode(None)]
    context.flush_buffers()
    if [(picture.width, picture.height) for picture in pictures] != [(camera.width, camera.height)]:
        raise _invalid(manifest, camera, "does not begin with a picture of its size")


def _check_times(shown_s: list[float], manifest: EpisodeManifest, camera: CameraRecord, rate_hz: float) -> None:
    if len(shown_s) != manifest.steps:
        raise _invalid(manifest, camera, f"has {len(shown_s)} frames, the manifest says {manifest.steps}")
    late_s = np.abs(np.sort(shown_s) - np.arange(len(shown_s)) / rate_hz)
    if float(late_s.max()) > TIME_TOLERANCE_S:
        raise _invalid(manifest, camera, f"has no frame {int(late_s.argmax())} at its time")


class VideoJoiner:
    """Writes one MP4 of several episodes into `out`. Use as a context; nothing is complete before it ends."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._container: Any = None
        self._stream: Any = None
        self._frames = 0
        self._rgb = _Rgb()

    def __enter__(self) -> VideoJoiner:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._container is not None and kind is None:
            self._container.close()

    def append(self, file: IO[bytes], entry: Entry, camera: CameraRecord, facts: VideoFacts) -> PictureStats:
        """Copy a video that `probe_video` passed behind the ones before; return statistics of its key frames."""
        tick = 1 / rate_of(entry.manifest.control_rate_hz)
        pictures = _Pictures(facts, self._rgb)
        with _reading(file, entry.manifest, camera) as (container, stream):
            if self._container is None:
                self._open(stream, tick)
            for packet in container.demux(stream):
                pictures.take(packet)
                if packet.size == 0:
                    continue
                packet.stream, packet.time_base = self._stream, tick
                packet.pts = packet.dts = self._frames
                packet.duration = 1
                self._container.mux_one(packet)
                self._frames += 1
        return pictures.stats

    def _open(self, template: Any, tick: Fraction) -> None:
        # Bit-exact: the library's version must not become part of the file.
        self._container = av.open(self._out, "w", format="mp4", options={"fflags": "+bitexact"})
        self._stream = self._container.add_stream_from_template(template)
        self._stream.time_base = tick


def copy_video(file: IO[bytes], out: IO[bytes], entry: Entry, camera: CameraRecord, facts: VideoFacts) -> PictureStats:
    """Copy a video as it is; return statistics of its key frames."""
    pictures = _Pictures(facts, _Rgb())
    with _reading(file, entry.manifest, camera) as (container, stream):
        for packet in container.demux(stream):
            pictures.take(packet)
    file.seek(0)
    shutil.copyfileobj(file, out, _PIECE)
    return pictures.stats


def decode_frames(file: IO[bytes], entry: Entry, camera: CameraRecord) -> Iterator[np.ndarray[Any, Any]]:
    """Yield each frame as uint8 [H, W, 3] RGB. Raises: InvalidEpisode unless there is exactly one a step."""
    count, rgb = 0, _Rgb()
    with _reading(file, entry.manifest, camera) as (container, stream):
        for frame in container.decode(stream):
            count += 1
            if count > entry.manifest.steps or (frame.width, frame.height) != (camera.width, camera.height):
                break
            yield rgb(frame)
    if count != entry.manifest.steps:
        raise _invalid(entry.manifest, camera, f"does not decode to {entry.manifest.steps} frames of its size")


class _Rgb:
    """Turns frames into uint8 [H, W, 3]. A converter for each frame, as `to_ndarray` makes, costs ten times as much."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> np.ndarray[Any, Any]:
        pixels: np.ndarray[Any, Any] = self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
        return pixels


class _Pictures:
    """Decodes evenly spread key frames: each stands by itself, so no other frame is decoded for the statistics."""

    def __init__(self, facts: VideoFacts, rgb: _Rgb) -> None:
        self.stats = PictureStats()
        self._rgb = rgb
        self._every = -(-facts.key_frames // PICTURES)
        self._seen = 0

    def take(self, packet: Any) -> None:
        """Look at a packet before its times are changed; an empty one ends the stream."""
        is_wanted = packet.size == 0
        if packet.size and packet.is_keyframe:
            is_wanted = self._seen % self._every == 0
            self._seen += 1
        if is_wanted:
            for frame in packet.decode():
                self.stats.add(self._rgb(frame))


@contextlib.contextmanager
def _reading(
    file: IO[bytes], manifest: EpisodeManifest, camera: CameraRecord, *, options: dict[str, str] = _BOUNDS
) -> Iterator[tuple[Any, Any]]:
    file.seek(0)
    container = None
    try:
        # Of this format alone: FFmpeg would take a playlist too, and open whatever files and addresses it names.
        container = av.open(file, mode="r", format="mp4", metadata_errors="replace", options=options)
        stream = container.streams.video[0]
        if stream.codec_context is None or not stream.time_base:
            raise _invalid(manifest, camera, "has a codec that cannot be read here")
        stream.codec_context.options = _BOUNDS
        stream.codec_context.thread_count = 1
        yield container, stream
    except (av.error.FFmpegError, IndexError) as error:
        if getattr(error, "errno", None) in FULL:  # of the file that is written meanwhile
            raise
        raise _invalid(manifest, camera, f"is no video that can be read ({type(error).__name__})") from None
    finally:
        if container is not None:
            container.close()


def _invalid(manifest: EpisodeManifest, camera: CameraRecord, problem: str) -> InvalidVideo:
    episode_id = manifest.episode_id
    return InvalidVideo(
        f"video '{camera.object}' of episode {episode_id} {problem}", episode_id=episode_id, object=camera.object
    )
