"""CPU seconds and resident memory of the site's processes, and of the load's own."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import psutil

Parts = Mapping[str, Sequence[psutil.Process]]
SAMPLE_S = 2.0


class Usage:
    """Watches for a `with` block. `parts`: asked again at each sample, for servers' children come and go."""

    def __init__(self, parts: Callable[[], Parts]) -> None:
        self._parts = parts
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._memory: dict[str, list[tuple[float, float]]] = {}
        self._began_s = self._ended_s = 0.0

    def __enter__(self) -> Usage:
        self._began_s = time.monotonic()
        self._first = _cpu(self._parts())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended_s = time.monotonic()
        self._last = _cpu(self._parts())
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            now_s = time.monotonic()
            for name, processes in self._parts().items():
                self._memory.setdefault(name, []).append((now_s, _memory_mb(processes)))

    @property
    def seconds(self) -> float:
        return self._ended_s - self._began_s

    def cores(self) -> dict[str, float]:
        """Return how much of a core each part took."""
        return {
            name: round((self._last[name] - self._first.get(name, 0.0)) / self.seconds, 3)
            for name in sorted(self._last)
        }

    def memory(self) -> dict[str, dict[str, float | None]]:
        """Return first, last and highest resident MB of each part, and its slope over the second half."""
        return {
            name: {
                "first_mb": round(rows[0][1], 1),
                "last_mb": round(rows[-1][1], 1),
                "most_mb": round(max(mb for _, mb in rows), 1),
                "mb_a_minute": slope(rows[len(rows) // 2 :]),
            }
            for name, rows in sorted(self._memory.items())
        }


def slope(rows: Sequence[tuple[float, float]]) -> float | None:
    """Return MB a minute of (seconds, MB) by least squares; None for fewer than five samples."""
    if len(rows) < 5:
        return None
    found = statistics.linear_regression([at_s / 60 for at_s, _ in rows], [mb for _, mb in rows])
    return round(found.slope, 3)


def _cpu(parts: Parts) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, processes in parts.items():
        found[name] = 0.0
        for process in processes:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                found[name] += times.user + times.system
    return found


def _memory_mb(processes: Sequence[psutil.Process]) -> float:
    """Unique memory: PostgreSQL's processes share their buffers, which count once each as resident."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss - process.memory_info().shared
    return total / 1e6
