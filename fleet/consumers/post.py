"""What is said to robots over the channel layer, handed to their connections in this process.

All processes hear what is said to any robot. A channel and a group for each would be a good part of what a connection
costs, when after a restart thousands dial at once (docs/capacity.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fleet.consumers.ear import Ear
from fleet.events import ROBOTS_GROUP

JOIN_S = 5.0  # for Redis to answer; who cannot be told of a stop is no link

Hear = Callable[[dict[str, Any]], None]


class Post:
    """One a process. `hear` is given what events.py and calls.py send, and must wait for nothing."""

    def __init__(self) -> None:
        self._hearers: dict[str, set[Hear]] = {}  # by robot; an old connection may still be on its way out
        self._ear = Ear(ROBOTS_GROUP, self._note)

    async def join(self, robot_id: str, hear: Hear) -> None:
        """Hear what is said to this robot from now on. Raises: TimeoutError while the channel layer is away."""
        self._hearers.setdefault(robot_id, set()).add(hear)
        self._ear.open()
        try:
            async with asyncio.timeout(JOIN_S):
                await self._ear.hears()
        except BaseException:
            await self.leave(robot_id, hear)
            raise

    async def leave(self, robot_id: str, hear: Hear) -> None:
        hearers = self._hearers.get(robot_id, set())
        hearers.discard(hear)
        if not hearers:
            self._hearers.pop(robot_id, None)
        if not self._hearers:
            await self._ear.close()

    def _note(self, event: dict[str, Any]) -> None:
        """`robots` of the event: whom it is for; without it, for all."""
        for robot_id in event.get("robots", self._hearers):
            for hear in self._hearers.get(robot_id, ()):
                hear(event)
