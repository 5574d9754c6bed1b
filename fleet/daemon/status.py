"""The robot's present state for people and for the server: one board, written by all parts, read by the publisher.

Thread-safe, latest wins. `Picture` is the newest camera picture, taken by the control thread (only it may touch the
driver) and encoded elsewhere.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fleet.protocol.authority import Mode
from fleet.protocol.messages import ControlStats, RobotStatus, SpoolStats


@dataclass(frozen=True)
class Picture:
    """uint8 [height, width, 3] RGB, and when it was taken (Unix ns)."""

    pixels: np.ndarray[Any, Any]
    captured_ns: int


class StatusBoard:
    """Holder of the newest RobotStatus and the newest picture. What the spool counts is filled in when it is sent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._picture: Picture | None = None
        self._status = RobotStatus(
            mode=Mode.AUTONOMOUS,
            activity="idle",
            control=ControlStats(rate_hz=0.0, overruns=0, worst_period_ms=0.0),
            spool=SpoolStats(pending_episodes=0, pending_bytes=0, capacity_bytes=0),
        )

    @property
    def status(self) -> RobotStatus:
        with self._lock:
            return self._status

    def update(self, **changes: Any) -> None:
        """Replace fields of the status."""
        with self._lock:
            self._status = msgspec.structs.replace(self._status, **changes)

    def put_picture(self, picture: Picture) -> None:
        with self._lock:
            self._picture = picture

    def take_picture(self) -> Picture | None:
        """Return the newest picture once."""
        with self._lock:
            picture, self._picture = self._picture, None
            return picture
