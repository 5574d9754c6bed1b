"""Pictures to bytes: constant-frame-rate H.264 for episodes, JPEG for thumbnails. Called off the control thread.

Frame k of a video belongs to step k and is shown at k / fps exactly, without B-frames and with a key frame every ten
frames, so that the learner can seek to any step cheaply.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

Array = np.ndarray[Any, Any]
KEY_FRAME_EVERY = 10


def write_video(path: Path, frames: Sequence[Array], *, rate_hz: float, crf: int) -> None:
    """Write frames (uint8 [H, W, 3] RGB, of one even size, at least one) as one MP4; equal frames give equal bytes."""
    height, width = frames[0].shape[:2]
    rate = Fraction(rate_hz).limit_denominator(1001)
    options = {
        "crf": str(crf),
        "preset": "veryfast",
        "g": str(KEY_FRAME_EVERY),
        "bf": "0",
        "threads": "1",
        "x264-params": "scenecut=0:rc-lookahead=0",
    }
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = 1 / rate
        stream.codec_context.thread_count = 1
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def encode_jpeg(pixels: Array, *, quality: int = 6) -> bytes:
    """Return a picture (uint8 [H, W, 3] RGB) as JPEG. `quality`: mjpeg quantiser, 2 (best) to 31."""
    height, width = pixels.shape[:2]
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuvj420p"
    context.time_base = Fraction(1, 1)
    context.options = {"qmin": str(quality), "qmax": str(quality)}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(format="yuvj420p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
