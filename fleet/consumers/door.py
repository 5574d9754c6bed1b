"""Lets robots' links in a few at a time, in the order in which they came.

After a restart all robots dial at once. Greeted side by side each would take as long as all of them: more than either
side waits for a greeting, so that all would hang up and dial anew, for ever. In turns the first ones are done at once,
and who would wait for too long is sent away before anything was spent on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

AT_ONCE = 32  # greetings under way; some 5 ms of a processor each
MOST_WAIT_S = 6.0  # below the daemon's `link.connect_timeout_s`: who is told to come later need not find out
GREETING_S = 1.0  # after which a robot that does not say Hello no longer keeps others waiting


class DoorBusy(Exception):
    """Its turn did not come in time."""


class Turn:
    """To be greeted. Ends by itself after GREETING_S."""

    def __init__(self, door: asyncio.Semaphore) -> None:
        self._door: asyncio.Semaphore | None = door
        self._timer = asyncio.get_running_loop().call_later(GREETING_S, self.over)

    def over(self) -> None:
        """The next one may come; said again it changes nothing."""
        self._timer.cancel()
        door, self._door = self._door, None
        if door is not None:
            door.release()


class Door:
    """One a process."""

    def __init__(self, *, at_once: int = AT_ONCE, most_wait_s: float = MOST_WAIT_S) -> None:
        self._slots = asyncio.Semaphore(at_once)  # wakes who waits in order
        self._most_wait_s = most_wait_s

    async def turn(self) -> Turn:
        """Wait for a turn. Raises: DoorBusy."""
        try:
            async with asyncio.timeout(self._most_wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise DoorBusy from None
        return Turn(self._slots)


async def send_away(send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Answer the upgrade with 503, which the daemon tries again by its back-off. A close before the upgrade would reach
    it as 403: a key that is not valid."""
    await send({"type": "websocket.http.response.start", "status": 503, "headers": [(b"retry-after", b"5")]})
    await send({"type": "websocket.http.response.body", "body": b"too many robots dial at once; try again"})
