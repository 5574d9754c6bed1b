"""The time drawn into the picture: what a camera would see of a clock, for measuring from glass to glass.

Two rows of sixteen squares at the top left, white for 1: the low bits of the monotonic milliseconds, the highest first,
and below each its complement. Squares are a fortieth of the picture's width, so a scaled picture reads the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

BITS = 16  # 65 s until it repeats
PERIOD_MS = 1 << BITS
_ACROSS = 40


def draw(pixels: Array, time_ms: float) -> None:
    """Draw `time_ms` into uint8 [H, W, 3], in place."""
    side = pixels.shape[1] // _ACROSS
    value = int(time_ms) % PERIOD_MS
    bits = np.array([value >> shift & 1 for shift in range(BITS - 1, -1, -1)], np.uint8)
    rows = np.stack([bits, 1 - bits]) * np.uint8(255)
    pixels[: 2 * side, : BITS * side] = np.kron(rows, np.ones((side, side), np.uint8))[..., None]


def read(pixels: Array) -> int | None:
    """Return the low bits of the milliseconds, or None if no code can be read from uint8 [H, W, 3]."""
    side = pixels.shape[1] // _ACROSS
    middle = np.arange(side // 4, side - side // 4)
    rows = []
    for row in range(2):
        band = pixels[np.ix_(row * side + middle, np.arange(BITS * side))].mean(axis=(0, 2))
        rows.append(band.reshape(BITS, side)[:, middle].mean(axis=1))
    if (np.abs(rows[0] - rows[1]) < 64).any():
        return None
    return int("".join("1" if high > low else "0" for high, low in zip(*rows, strict=True)), 2)


def age_ms(code: int, now_ms: float) -> float:
    """Return how long ago, in [0, 65.536 s), a picture with this code was captured."""
    return (now_ms - code) % PERIOD_MS
