"""Films the views that somebody watches, in a thread of its own, into shared memory.

Owned by `host.py`. The driver's `film` runs here while the control thread works, and takes at most a set share of the
time; a view whose slots are all with the media process waits, so pictures are never queued.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from fleet.daemon import telemetry
from fleet.daemon.config import MediaConfig
from fleet.daemon.drivers.base import DriverError, Filmed
from fleet.daemon.media import timecode
from fleet.daemon.media.frames import FrameStore

logger = logging.getLogger(__name__)

RETRY_S = 0.5  # after a picture that could not be taken, as before the first reset
STOP_S = 5.0  # for the picture being taken when the daemon stops


class Filmer:
    """The filming thread. `post(slot, captured_s)` is called from it with every picture."""

    def __init__(
        self, driver: Filmed, store: FrameStore, config: MediaConfig, post: Callable[[int, float], None]
    ) -> None:
        self._driver = driver
        self._store = store
        self._config = config
        self._post = post
        self._changed = threading.Condition()
        self._period_s: dict[str, float] = {}  # of the views watched now
        self._due_s: dict[str, float] = {}
        self._free = {view.name: set(store.slots(view.name)) for view in store.views}
        self._rest_until_s = 0.0
        self._stopping = False
        self._is_expected = False
        self._thread: threading.Thread | None = None
        self._failing: set[str] = set()
        self.filmed_s: dict[str, float] = {}  # view -> monotonic time of its newest picture

    def watch(self, fps: dict[str, float]) -> None:
        """Film these views from now on, so many times a second each, and no others."""
        with self._changed:
            self._period_s = {view: 1.0 / rate for view, rate in fps.items() if view in self._free and rate > 0}
            if self._period_s:
                self._is_expected = False
                self._begin()
            self._changed.notify()

    def expect(self) -> None:
        """Somebody is about to watch: take one picture now, so that the cameras are ready when they are connected."""
        with self._changed:
            self._is_expected = True
            self._begin()
            self._changed.notify()

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="filming", daemon=True)
            self._thread.start()

    def release(self, slot: int) -> None:
        """The media process has taken what lay in `slot`."""
        with self._changed:
            self._free[self._store.view(slot)].add(slot)
            self._changed.notify()

    def release_all(self) -> None:
        """There is no media process any more: nothing is watched, every slot is free."""
        with self._changed:
            self._period_s = {}
            self._free = {view.name: set(self._store.slots(view.name)) for view in self._store.views}
            self._changed.notify()

    def stop(self) -> bool:
        """End the thread; return whether it ended in time. Blocks while a picture is being taken."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is None:
            return True
        self._thread.join(STOP_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (turn := self._next()) is not None:
                self._film(*turn)
        finally:
            self._driver.end_filming()

    def _next(self) -> tuple[str, int] | None:
        """Wait for a view that is due and has a free slot; take the slot. None when the thread shall end."""
        with self._changed:
            while not self._stopping:
                now_s = time.monotonic()
                if not self._period_s:
                    if self._is_expected and self._free[main := self._store.views[0].name]:
                        self._is_expected = False
                        return main, self._free[main].pop()
                    if not self._changed.wait(self._config.film_linger_s) and not self._period_s:
                        self._driver.end_filming()  # frees the cameras' memory
                        self._changed.wait_for(lambda: self._stopping or self._is_expected or bool(self._period_s))
                    continue
                ready = [view for view in self._period_s if self._free[view]]
                if not ready:
                    self._changed.wait()
                    continue
                view = min(ready, key=lambda name: self._due_s.get(name, 0.0))
                wait_s = max(self._due_s.get(view, 0.0), self._rest_until_s) - now_s
                if wait_s > 0:
                    self._changed.wait(wait_s)
                    continue
                self._due_s[view] = max(self._due_s.get(view, 0.0) + self._period_s[view], now_s)
                return view, self._free[view].pop()
        return None

    def _film(self, view: str, slot: int) -> None:
        began_s = time.monotonic()
        try:
            pixels, captured_s = self._driver.film(view)
            target = self._store.pixels(slot)
            np.copyto(target, pixels)
        except Exception as error:  # a picture for people must not end the thread, nor the daemon
            self._missed(view, slot, error)
            return
        if self._config.time_code:
            timecode.draw(target, captured_s * 1e3)
        self._failing.discard(view)
        self.filmed_s[view] = captured_s
        telemetry.PICTURES.labels(view).inc()
        self._post(slot, captured_s)
        ended_s = time.monotonic()
        self._rest_until_s = ended_s + (ended_s - began_s) * (1.0 / self._config.film_share - 1.0)

    def _missed(self, view: str, slot: int, error: Exception) -> None:
        if view not in self._failing:
            expected = isinstance(error, DriverError)
            logger.warning("view %s cannot be filmed now: %s", view, error, exc_info=None if expected else error)
        self._failing.add(view)
        with self._changed:
            self._free[view].add(slot)
            self._due_s[view] = time.monotonic() + RETRY_S
