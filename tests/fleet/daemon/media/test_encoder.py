"""Encoders and the time code, on real codecs: sizes, keyframes, a rate that changes in place, a code that survives."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from fleet.daemon.config import MediaConfig
from fleet.daemon.media import timecode
from fleet.daemon.media.encoder import H264, Encoded, Encoder, Vp8, to_yuv

Array = np.ndarray[Any, Any]
CONFIG = MediaConfig()


def scene(index: int, *, grain: int = 1) -> Array:
    """Return a textured picture that moves, uint8 [480, 640, 3], in squares of `grain` pixels."""
    texture = np.random.default_rng(0).integers(0, 255, (480 // grain, 640 // grain, 3), dtype=np.uint8)
    return np.roll(texture.repeat(grain, axis=0).repeat(grain, axis=1), 4 * index, axis=1)


def encode(
    encoder: Encoder, count: int, *, bitrate_bps: int = 2_000_000, keys: tuple[int, ...] = (), grain: int = 1
) -> list[Encoded]:
    return [
        encoder.encode(to_yuv(scene(i, grain=grain), scale=1.0), bitrate_bps=bitrate_bps, fps=20.0, is_key=i in keys)
        for i in range(count)
    ]


@pytest.mark.parametrize("make", [lambda: H264(CONFIG), Vp8], ids=["h264", "vp8"])
def test_keyframes_come_first_and_on_request_and_at_no_other_time(make: Any) -> None:
    pictures = encode(make(), 12, keys=(5,))

    assert [index for index, picture in enumerate(pictures) if picture.is_key] == [0, 5]
    assert all(0 < len(payload) <= 1300 for picture in pictures for payload in picture.payloads)


def test_no_h264_picture_is_larger_than_its_bound() -> None:
    """The worst texture there is, noise; stock aiortc sends 297 KiB at once (limits.md 5)."""
    bound = CONFIG.bitrate_max_bps * CONFIG.vbv_s / 8

    assert max(picture.size_bytes for picture in encode(H264(CONFIG), 8, keys=(4,))) <= 1.3 * bound


def test_h264_changes_its_rate_without_a_keyframe() -> None:
    encoder = H264(CONFIG)
    before = encode(encoder, 30, grain=16)
    after = encode(encoder, 40, grain=16, bitrate_bps=500_000)

    assert not any(picture.is_key for picture in after)
    assert sum(item.size_bytes for item in after[20:]) < 0.5 * sum(item.size_bytes for item in before[10:])


def test_a_new_size_begins_with_a_keyframe_that_decodes() -> None:
    encoder = H264(CONFIG)
    encode(encoder, 2)
    frame = to_yuv(scene(0), scale=0.75)

    smaller = encoder.encode(frame, bitrate_bps=500_000, fps=20.0, is_key=False)

    assert (frame.width, frame.height, smaller.is_key) == (480, 360, True)


def test_a_time_code_survives_encoding_at_half_the_size() -> None:
    pixels = scene(0)
    timecode.draw(pixels, 1_234_567.9)
    codec = av.CodecContext.create("libx264", "w")
    frame = to_yuv(pixels, scale=0.5)
    codec.width, codec.height, codec.pix_fmt, codec.time_base = frame.width, frame.height, "yuv420p", 1
    codec.options = {"tune": "zerolatency", "crf": "35"}
    frame.pts = 0
    (seen,) = av.CodecContext.create("h264", "r").decode(codec.encode(frame)[0]) or [frame]

    code = timecode.read(seen.to_ndarray(format="rgb24"))

    assert code == 1_234_567 % timecode.PERIOD_MS
    assert timecode.age_ms(code, 1_234_600.0) == 33.0
    assert timecode.age_ms(timecode.PERIOD_MS - 10, timecode.PERIOD_MS + 5.0) == 15.0
    assert timecode.read(scene(1)) is None
