"""Time for the control loop: a clock that is passed in, and the pacer that holds the rate.

`SystemClock` is the robot's; `VirtualClock` jumps to each deadline, so offline rollouts run as fast as the machine
allows and still carry the times of a robot at its control rate (equal seeds give equal bytes).
"""

from __future__ import annotations

import time
from typing import Protocol

from fleet.daemon import telemetry
from fleet.protocol.messages import ControlStats


class Clock(Protocol):
    """Monotonic seconds, Unix nanoseconds, and waiting. Only `monotonic` may be used for intervals and deadlines."""

    def monotonic(self) -> float: ...

    def wall_ns(self) -> int: ...

    def sleep_until(self, deadline_s: float) -> None:
        """Return when `monotonic()` has reached `deadline_s`, at once if it has passed."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ns(self) -> int:
        return time.time_ns()

    def sleep_until(self, deadline_s: float) -> None:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s > 0:
            time.sleep(remaining_s)


class VirtualClock:
    """Time that passes only by waiting. `start_ns`: the Unix time it starts at."""

    def __init__(self, *, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_s = 0.0
        self._start_ns = start_ns

    def monotonic(self) -> float:
        return self._now_s

    def wall_ns(self) -> int:
        return self._start_ns + round(self._now_s * 1e9)

    def sleep_until(self, deadline_s: float) -> None:
        self._now_s = max(self._now_s, deadline_s)


class Pacer:
    """Holds a fixed rate by absolute deadlines and counts what was missed.

    A period that overran is not caught up: two actions in quick succession are worse for an arm than one late action.

    pacer.start()
    while ...:
        work()
        pacer.wait()
    """

    def __init__(self, clock: Clock, *, period_s: float) -> None:
        """`period_s` 0 means as fast as possible: nothing waits and nothing overruns."""
        self._clock = clock
        self._period_s = period_s
        self._deadline_s = 0.0
        self._began_s: float | None = None
        self._periods = 0
        self._elapsed_s = 0.0
        self._overruns = 0
        self._worst_s = 0.0

    def start(self) -> None:
        """Begin a run of periods now; time before it counts nowhere."""
        self._began_s = self._clock.monotonic()
        self._deadline_s = self._began_s + self._period_s

    def slack_s(self) -> float:
        """Return the seconds left in this period; infinite when nothing is paced."""
        return self._deadline_s - self._clock.monotonic() if self._period_s > 0 else float("inf")

    def wait(self) -> None:
        """Wait for the end of the period and account for it."""
        if self._period_s > 0:
            if self._clock.monotonic() > self._deadline_s:
                self._overruns += 1
                telemetry.OVERRUNS.inc()
                self._deadline_s = self._clock.monotonic()
            else:
                self._clock.sleep_until(self._deadline_s)
            self._deadline_s += self._period_s
        self._account()

    def _account(self) -> None:
        now_s = self._clock.monotonic()
        if self._began_s is not None:
            elapsed_s = now_s - self._began_s
            self._elapsed_s += elapsed_s
            self._worst_s = max(self._worst_s, elapsed_s)
            self._periods += 1
            if self._period_s > 0:
                telemetry.JITTER_SECONDS.observe(abs(elapsed_s - self._period_s))
        self._began_s = now_s

    def stats(self) -> ControlStats:
        """Return the rate reached and the overruns since construction."""
        rate_hz = self._periods / self._elapsed_s if self._elapsed_s > 0 else 0.0
        return ControlStats(rate_hz=rate_hz, overruns=self._overruns, worst_period_ms=self._worst_s * 1e3)
