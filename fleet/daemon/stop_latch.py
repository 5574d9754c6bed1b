"""Stops: they win over everything and stay until a person clears them by name. Pure.

Belongs to the daemon's event loop, where all stops arrive: the server's, the data channels', signals. The control loop
is told through the inbox, `state_dir.py` keeps the latch over a restart, `RobotStatus.stop` shows it.
"""

from __future__ import annotations

from collections import deque

import msgspec

from fleet.protocol.messages import StopInfo

LATCHED = 8  # an older one is cleared with a newer one anyway
CLEARED = 64  # remembered, so that a copy of a stop that took the longer way does not stop the robot again


class Latched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The latch at rest. `stops`: in the order in which they arrived; `cleared`: stop ids."""

    stops: tuple[StopInfo, ...] = ()
    cleared: tuple[str, ...] = ()


class StopLatch:
    """Stops that are in force. `count` grows with every new one, so that none is missed between two looks."""

    def __init__(self, kept: Latched | None = None) -> None:
        kept = kept if kept is not None else Latched()
        self._stops = deque(kept.stops, maxlen=LATCHED)
        self._cleared = deque(kept.cleared, maxlen=CLEARED)  # by name
        self._implied: deque[str] = deque(maxlen=CLEARED)  # with a later one
        self.count = len(self._stops)

    @property
    def newest(self) -> StopInfo | None:
        """The stop that is shown and has to be cleared; None if the robot is not stopped."""
        return self._stops[-1] if self._stops else None

    @property
    def state(self) -> Latched:
        return Latched(tuple(self._stops), tuple(self._cleared))

    def stop(self, info: StopInfo, *, is_in_force: bool = False) -> bool:
        """Latch; False if this stop is known already, in force or cleared.

        `is_in_force`: the server says that nobody cleared it. Two stops may reach the robot and the server in different
        orders; one that was cleared here only with a later one is then latched again, until it is cleared by name.
        """
        is_cleared = info.stop_id in self._cleared or (info.stop_id in self._implied and not is_in_force)
        if is_cleared or any(info.stop_id == known.stop_id for known in self._stops):
            return False
        self._stops.append(info)
        self.count += 1
        return True

    def clear(self, stop_id: str) -> bool:
        """Clear this stop and those before it, which its clearer saw; a later one stays. False if it is not in force.

        It is remembered even if it has not arrived yet: then it never stops the robot.
        """
        if stop_id not in self._cleared:
            self._cleared.append(stop_id)
        if all(stop_id != known.stop_id for known in self._stops):
            return False
        while self._stops:
            known = self._stops.popleft()
            if known.stop_id == stop_id:
                break
            self._implied.append(known.stop_id)
        return True
