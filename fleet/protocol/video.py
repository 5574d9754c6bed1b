"""An episode's pictures at rest: constant-frame-rate H.264, as the recorder and the import of datasets write it.

Frame k of a video belongs to step k and is shown at k / fps exactly, without B-frames and with a key frame every ten
frames, so that the learner can seek to any step cheaply. Apart from `recording.py` because it needs PyAV.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

Array = np.ndarray[Any, Any]
KEY_FRAME_EVERY = 10
_INDEX_FIRST = {"movflags": "faststart"}  # who checks or plays it has the index and the first picture in one read
VIDEO_CRF = 18


def write_video(path: Path, frames: Iterable[Array], *, rate_hz: float, crf: int) -> None:
    """Write frames (uint8 [H, W, 3] RGB, of one even size, at least one) as one MP4; equal frames give equal bytes."""
    rate = Fraction(rate_hz).limit_denominator(1001)
    options = {
        "crf": str(crf),
        "preset": "veryfast",
        "g": str(KEY_FRAME_EVERY),
        "bf": "0",
        "threads": "1",
        "x264-params": "scenecut=0:rc-lookahead=0",
    }
    with av.open(str(path), "w", format="mp4", options=_INDEX_FIRST) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = 1 / rate
        stream.codec_context.thread_count = 1
        for index, pixels in enumerate(frames):
            if index == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
