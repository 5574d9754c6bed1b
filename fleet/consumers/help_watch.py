"""What one robot's connection knows of its request for help, so that most heartbeats cost no query."""

from __future__ import annotations

import time

from fleet.consumers.auth import off_loop
from fleet.protocol.messages import RobotStatus
from fleet.services.help import HelpNote, help_is_news, help_seen


class HelpWatch:
    """Lives with the connection; a new one looks at the rows first."""

    def __init__(self) -> None:
        self._note: HelpNote | None = None
        self._is_outdated = False
        self._is_first = True  # nobody looked at the rows yet

    def forget(self) -> None:
        """Look at the rows with the next heartbeat: a lease may have begun or ended."""
        self._note, self._is_outdated = None, True

    async def first_look(self, robot_id: str, status: RobotStatus, *, is_quiet: bool) -> None:
        """Take in what was seen together with other robots. `is_quiet`: the rows know of no request."""
        if not self._is_first:
            return
        if is_quiet and status.help is None:
            self._is_first, self._note = False, HelpNote(checked_s=time.monotonic())
        else:
            await self._look(robot_id, status)

    async def heard(self, robot_id: str, status: RobotStatus) -> None:
        """Take in a heartbeat; a new connection's that asks for nothing waits for `first_look`. Raises: NotFound."""
        if not self._is_first or status.help is not None:
            await self._look(robot_id, status)

    async def _look(self, robot_id: str, status: RobotStatus) -> None:
        now_s = time.monotonic()
        if not help_is_news(note=self._note, signal=status.help, now_s=now_s):
            return
        self._is_outdated = False
        self._is_first = False
        note = await off_loop(help_seen, robot_id=robot_id, status=status, now_s=now_s)
        if not self._is_outdated:  # by a lease that changed while the rows were looked at
            self._note = note
