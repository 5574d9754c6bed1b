"""Finds the robots that fell silent, once a process, by the clock of a server that may be late itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import copy_context

from fleet.consumers.auth import cancel, shared_task
from fleet.protocol.errors import PeerSilent
from fleet.protocol.session import ServerSession

LOOK_S = 0.25  # between two looks at all of them: by so much a silent robot may be found late
LATE_S = 0.25  # by which a timer of a loop that has time to read is never late


class Silence:
    """One a process: a timer for each link would wake it thousands of times a second."""

    def __init__(self) -> None:
        self._watched: dict[ServerSession, Callable[[PeerSilent], None]] = {}
        self._looking: asyncio.Task[None] | None = None

    def watch(self, session: ServerSession, fell_silent: Callable[[PeerSilent], None]) -> None:
        """Say once when the session's peer is silent, in the caller's context. `fell_silent` must wait for nothing."""
        context = copy_context()
        self._watched[session] = lambda error: context.run(fell_silent, error)
        if self._looking is None:
            self._looking = shared_task(self._look())

    async def forget(self, session: ServerSession) -> None:
        self._watched.pop(session, None)
        if not self._watched:
            looking, self._looking = self._looking, None
            await cancel(looking)

    async def _look(self) -> None:
        """A loop that woke late has frames to read that came in time: they are read before a robot is judged. Else an
        overloaded server hangs up on robots that speak, and their dialling anew loads it more."""
        while True:
            due_s = time.monotonic() + LOOK_S
            await asyncio.sleep(LOOK_S)
            late_s = time.monotonic() - due_s
            if late_s > LATE_S:
                await asyncio.sleep(late_s)
            now_s = time.monotonic()
            for session, fell_silent in list(self._watched.items()):
                try:
                    session.check_deadline(now=now_s)
                except PeerSilent as error:
                    del self._watched[session]
                    fell_silent(error)
