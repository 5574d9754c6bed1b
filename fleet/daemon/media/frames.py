"""Pictures in memory that the daemon and its media process share: a few slots for each view, no copy through a socket.

A slot belongs to the daemon until it is named in `wire.Filmed`, and then to the media process until `wire.Taken`. So
nobody reads what is half written, and a media process that lags, or stopped, stops the filming too.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fleet.protocol.messages import CameraInfo

Array = np.ndarray[Any, Any]

SLOTS = 2  # of a view: one is being encoded while the next is filmed


class FrameStore:
    """Slots of uint8 [height, width, 3] RGB. `fd`: what the other process maps; closing the last one frees it."""

    def __init__(self, views: Sequence[CameraInfo], fd: int | None = None) -> None:
        self.views = tuple(views)
        size = max(1, sum(SLOTS * view.width * view.height * 3 for view in views))
        self.fd = os.memfd_create("sop-media") if fd is None else fd
        if fd is None:
            os.ftruncate(self.fd, size)
        self._memory = mmap.mmap(self.fd, size)
        self._slots: list[Array] = []
        offset = 0
        for view in views:
            for _ in range(SLOTS):
                shape = (view.height, view.width, 3)
                pixels = np.frombuffer(self._memory, np.uint8, count=view.width * view.height * 3, offset=offset)
                self._slots.append(pixels.reshape(shape))
                offset += pixels.size

    def slots(self, view: str) -> tuple[int, ...]:
        """Return the slots of a view."""
        index = [item.name for item in self.views].index(view)
        return tuple(range(index * SLOTS, (index + 1) * SLOTS))

    def view(self, slot: int) -> str:
        """Return the view that a slot belongs to. Raises: IndexError."""
        return self.views[slot // SLOTS].name

    def pixels(self, slot: int) -> Array:
        """Return the slot's memory itself, uint8 [height, width, 3]. Raises: IndexError."""
        return self._slots[slot]

    def close(self) -> None:
        """Free the memory; arrays given out before must not be used any more."""
        self._slots.clear()
        os.close(self.fd)
