"""Where objects and goals start: Meta-World's "random vector", drawn from a seed of ours.

Called by the simulation at each reset. Meta-World's own generator is global and its rejection loops spin for ever on a
frozen vector, so vectors are drawn and rejected here and only then frozen into the environment.
"""

from __future__ import annotations

import enum
import zlib
from typing import Any

import numpy as np

from fleet.daemon.drivers.base import DriverError

Array = np.ndarray[Any, Any]

NARROW_SHARE = 0.4  # of each range, about its centre: what the demonstrations of the base policy cover
MAX_DRAWS = 100_000  # narrow box-close accepts about 1 in 100; a range that accepts nothing must not hang


class Starts(enum.StrEnum):
    FULL = "full"
    NARROW = "narrow"


def start_range(low: Array, high: Array, starts: Starts) -> tuple[Array, Array]:
    """Return the bounds (float64 [n] each, metres) that start vectors are drawn from."""
    if starts is Starts.FULL:
        return low, high
    centre, half = (low + high) / 2, (high - low) / 2
    return centre - NARROW_SHARE * half, centre + NARROW_SHARE * half


def draw_start(*, task: str, seed: int, low: Array, high: Array, starts: Starts, min_distance_m: float | None) -> Array:
    """Return a start vector, float64 [n], in metres: object xyz, then goal xyz where the task has one.

    Equal arguments give equal vectors. The horizontal distance of object and goal is at least `min_distance_m`.
    Raises: DriverError if no draw satisfies that.
    """
    generator = np.random.default_rng([zlib.crc32(task.encode()), seed])
    bounds = start_range(low, high, starts)
    for _ in range(MAX_DRAWS):
        vector = generator.uniform(*bounds)
        if min_distance_m is None or float(np.linalg.norm(vector[:2] - vector[-3:-1])) >= min_distance_m:
            return vector
    raise DriverError(f"task '{task}' has no {starts.value} start in {MAX_DRAWS} draws", task=task)
