"""Waits for a robot to fall silent, by the clock of a server that may be late itself."""

from __future__ import annotations

import asyncio
import time

from fleet.protocol.session import ServerSession

LATE_S = 0.25  # by which a timer of a loop that has time to read is never late


async def silence_awaited(session: ServerSession, *, look_s: float) -> None:
    """Return never. `look_s`: how often to look at least, since the deadline draws near once the robot was greeted.

    A loop that woke late has frames to read that came in time: they are read before the robot is judged. Else an
    overloaded server hangs up on robots that speak, and their dialling anew loads it more.

    Raises: PeerSilent.
    """
    while True:
        await asyncio.sleep(min(look_s, max(0.01, session.deadline() - time.monotonic())))
        late_s = time.monotonic() - session.deadline()
        if late_s > LATE_S:
            await asyncio.sleep(late_s)
        session.check_deadline(now=time.monotonic())
