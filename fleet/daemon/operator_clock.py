"""An operator's clock as the robot measures it: by asking for it and timing the answer. Pure; time is passed in.

Used by teleop.py, one for each peer. A browser's command says when its input was read by the browser's own monotonic
clock; only with this offset can the robot tell how old it is. The answer that took the shortest way round is believed:
its error is at most half its round trip, and a lag spike, whose answers take longer, changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from fleet.protocol.teleop import ClockEcho, ClockProbe

OPEN_PROBES = 64  # asked and not answered; older ones are forgotten


class OperatorClock:
    """Offset of one browser's clock. `window`: answers remembered, which bounds what clock drift can do."""

    def __init__(self, *, window: int) -> None:
        self._asked: OrderedDict[int, float] = OrderedDict()
        self._answers: deque[tuple[float, float]] = deque(maxlen=window)  # (round trip s, browser minus robot s)
        self._count = 0

    def probe(self, *, now_s: float) -> ClockProbe:
        """Return the next question, to be sent at once. `now_s`: the robot's monotonic clock."""
        self._count += 1
        self._asked[self._count] = now_s
        while len(self._asked) > OPEN_PROBES:
            self._asked.popitem(last=False)
        return ClockProbe(probe=self._count)

    def answer(self, echo: ClockEcho, *, now_s: float) -> None:
        """Take an answer; one that was not asked for, or is answered a second time, is ignored."""
        asked_s = self._asked.pop(echo.probe, None)
        if asked_s is not None and now_s >= asked_s:
            self._answers.append((now_s - asked_s, echo.clock_ms / 1e3 - (asked_s + now_s) / 2))

    @property
    def round_trip_s(self) -> float | None:
        """The shortest remembered round trip; None until an answer came."""
        return min(self._answers)[0] if self._answers else None

    @property
    def offset_s(self) -> float | None:
        """Browser clock minus robot clock; None until an answer came."""
        return min(self._answers)[1] if self._answers else None

    def robot_time(self, clock_ms: float) -> float | None:
        """Return the browser's time on the robot's clock, in seconds; None until an answer came."""
        offset_s = self.offset_s
        return None if offset_s is None else clock_ms / 1e3 - offset_s
