"""A thumbnail's bytes. Called off the control thread; episodes' videos are `fleet.protocol.video`'s."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np

Array = np.ndarray[Any, Any]


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
