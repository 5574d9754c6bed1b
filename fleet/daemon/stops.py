"""Where all stops arrive, on the event loop: the control loop is told first, then the state directory.
A driver whose `reset` moves a robot asks here by itself (`base.StopAware`).

The server's (StopRobot and DesiredState), a viewer's data channel, SIGUSR1; clearing comes from the server or SIGUSR2.
"""

from __future__ import annotations

import logging
import time
import uuid

from fleet.daemon.drivers.base import Driver, StopAware
from fleet.daemon.inbox import ControlInbox
from fleet.daemon.state_dir import StateDir
from fleet.daemon.stop_latch import StopLatch
from fleet.protocol.messages import DesiredState, StopInfo

logger = logging.getLogger(__name__)


class Stops:
    """The robot's stop latch, kept in `state_dir` over a restart."""

    def __init__(self, inbox: ControlInbox, state_dir: StateDir, driver: Driver | None = None) -> None:
        self._inbox = inbox
        self._state_dir = state_dir
        self._latch = StopLatch(state_dir.read_stops())
        self._inbox.put_stop(self._latch.newest, count=self._latch.count)
        if isinstance(driver, StopAware):
            driver.watch_stop(lambda: self.newest is not None)

    @property
    def newest(self) -> StopInfo | None:
        """The stop in force, for RobotStatus.stop."""
        return self._latch.newest

    def stop(self, info: StopInfo) -> None:
        """Stop the robot; a copy of a known stop does nothing."""
        if self._latch.stop(info):
            logger.warning("stopped by %s %s", info.by, info.reason)
            self._pass_on()

    def follow(self, state: DesiredState) -> None:
        """Take in what the server says of stops; it repeats the newest of both with every state."""
        cleared, stop = state.cleared_stop_id, state.stop
        is_cleared = cleared is not None and cleared not in self._latch.state.cleared
        if cleared is not None and is_cleared and self._latch.clear(cleared):
            logger.warning("stop %s cleared", cleared)
        is_stopped = stop is not None and self._latch.stop(stop, is_in_force=True)
        if stop is not None and is_stopped:
            logger.warning("stopped by %s %s", stop.by, stop.reason)
        if is_cleared or is_stopped:
            self._pass_on()

    def stop_by_signal(self) -> None:
        """SIGUSR1."""
        self.stop(StopInfo(stop_id=str(uuid.uuid4()), by="SIGUSR1", at_ns=time.time_ns()))

    def clear_by_signal(self) -> None:
        """SIGUSR2: whoever can signal the process stands at the robot, and clears all there is."""
        for stop in self._latch.state.stops:
            self._latch.clear(stop.stop_id)
            logger.warning("stop %s cleared by SIGUSR2", stop.stop_id)
        self._pass_on()

    def _pass_on(self) -> None:
        self._inbox.put_stop(self._latch.newest, count=self._latch.count)
        try:
            self._state_dir.write_stops(self._latch.state)
        except OSError:
            logger.exception("a restart will not know of this stop")
