"""When a system has recovered: seen from what it does, and timed from the moment at which a fault was lifted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tests.chaos.site import ROBOTS, Site
from tests.stack.harness import RUN

RECOVERY_S = 240.0  # several times what it takes: on busy cores everything is slow, and slow is not broken
_STEPPED = """
SELECT count(*) FROM fleet_traininground r JOIN fleet_trainingrun t ON t.id = r.run_id
WHERE t.name = %s AND r.index > %s
AND (r.committed_at IS NOT NULL
     OR EXISTS (SELECT 1 FROM fleet_runmetric m WHERE m.run_id = r.run_id AND m.step > r.start_step))
"""
_NEWEST_ROUND = """
SELECT coalesce(max(r.index), -1) FROM fleet_traininground r JOIN fleet_trainingrun t ON t.id = r.run_id
WHERE t.name = %s
"""


@dataclass
class Recovery:
    """Seconds from the end of a fault until each part worked again; None where it has not yet."""

    connected_s: float | None = None
    delivered_s: float | None = None
    stepped_s: float | None = None

    @property
    def is_whole(self) -> bool:
        return None not in (self.connected_s, self.delivered_s, self.stepped_s)

    @property
    def seconds(self) -> float:
        return max(self.connected_s or 0.0, self.delivered_s or 0.0, self.stepped_s or 0.0)


@dataclass
class Watch:
    """Made when a fault is lifted.

    Connected: the server has a heartbeat of every robot that came after. Delivered: of every robot an episode is
    registered that it began after (the second that it closed since). Stepped: a round that began after made a step.
    """

    site: Site
    lifted_at: float
    statuses: dict[str, bytes | None] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    round: int | None = None

    @classmethod
    def begin(cls, site: Site) -> Watch:
        """Start the clock: the fault is over."""
        closed = {name: len(site.system.closed(name)) for name in ROBOTS}
        return cls(site, time.monotonic(), closed=closed)

    def wait(self) -> Recovery:
        """Return the times. Raises: AssertionError if something works no more after `RECOVERY_S`."""
        found = Recovery()
        self.site.wait_for(lambda: self._look(found), what="recovered", timeout_s=RECOVERY_S)
        return found

    def _look(self, found: Recovery) -> bool:
        now_s = time.monotonic() - self.lifted_at
        if found.delivered_s is None and all(self._is_delivered(name) for name in ROBOTS):
            found.delivered_s = now_s
        if found.stepped_s is None and self._is_stepped():
            found.stepped_s = now_s
        if found.connected_s is None and all(self._is_connected(name) for name in ROBOTS):
            found.connected_s = now_s
        return found.is_whole

    def _is_connected(self, name: str) -> bool:
        robot_id = str(self.site.system.robot_id(name))
        status = self.site.status_of(robot_id)
        if robot_id not in self.statuses:
            self.statuses[robot_id] = status
        return status is not None and status != self.statuses[robot_id]

    def _is_delivered(self, name: str) -> bool:
        after = self.site.system.closed(name)[self.closed[name] + 1 :]
        return bool(after) and not set(after).isdisjoint(self.site.system.registered(name))

    def _is_stepped(self) -> bool:
        if self.round is None:
            self.round = int(self.site.value(_NEWEST_ROUND, RUN))
        return int(self.site.value(_STEPPED, RUN, self.round)) > 0
