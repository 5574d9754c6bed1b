"""A robot that is silent is found so in time; one that spoke while the server slept is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fleet.consumers.silence import LOOK_S, Silence
from fleet.log_context import bound, log_fields
from fleet.protocol.codec import encode_robot_frame
from fleet.protocol.errors import PeerSilent
from fleet.protocol.messages import RobotFrame
from fleet.protocol.session import LinkState, ServerSession
from tests.fleet import builders

HELLO = encode_robot_frame(RobotFrame(1, builders.hello()))


@asynccontextmanager
async def _watched(*sessions: ServerSession) -> AsyncIterator[asyncio.Queue[tuple[ServerSession, PeerSilent]]]:
    silence, told = Silence(), asyncio.Queue[tuple[ServerSession, PeerSilent]]()
    for session in sessions:
        silence.watch(session, lambda error, which=session: told.put_nowait((which, error)))
    yield told
    for session in sessions:
        await silence.forget(session)
    assert len(asyncio.all_tasks()) == 1  # nobody looks any more


async def test_a_silent_robot_is_told_once_at_its_deadline() -> None:
    began_s = time.monotonic()
    silent = ServerSession(now=began_s - 4.8, heartbeat_s=1.0)  # Hello is due within 5 s
    async with _watched(silent, ServerSession(now=began_s, heartbeat_s=1.0)) as told:
        assert (await asyncio.wait_for(told.get(), 5))[0] is silent
        assert time.monotonic() - began_s >= 0.2
        await asyncio.sleep(2 * LOOK_S)
        assert told.empty()


async def test_log_lines_of_one_that_is_silent_carry_its_own_ids() -> None:
    """Not those of whoever was watched first, whose connection started the task that looks."""
    silence, ids = Silence(), asyncio.Queue[object]()
    sessions = [ServerSession(now=time.monotonic() - late_s, heartbeat_s=1.0) for late_s in (0.0, 10.0)]
    for number, session in enumerate(sessions):
        with bound(robot=number):
            silence.watch(session, lambda _: ids.put_nowait(log_fields().get("robot")))
    assert await asyncio.wait_for(ids.get(), 5) == 1
    for session in sessions:
        await silence.forget(session)


async def test_what_came_while_the_server_slept_is_read_before_the_robot_is_judged() -> None:
    session = ServerSession(now=time.monotonic() - 4.8, heartbeat_s=1.0)
    async with _watched(session) as told:
        await asyncio.sleep(0)  # it waits for its next look now
        asyncio.get_running_loop().call_later(LOOK_S + 0.6, lambda: session.receive(HELLO, now=time.monotonic()))
        time.sleep(LOOK_S + 0.5)  # the whole loop, past the deadline; the frame is read a moment after it wakes
        await asyncio.sleep(0.7)
        assert told.empty()


async def test_the_deadline_draws_near_with_the_greeting() -> None:
    """Hello may take 5 s, a heartbeat of 0.1 s only 0.35 s."""
    session = ServerSession(now=time.monotonic(), heartbeat_s=0.1)
    async with _watched(session) as told:
        await asyncio.sleep(0)
        session.receive(HELLO, now=time.monotonic())
        session.state = LinkState.OPEN  # as Welcome makes it
        assert (await asyncio.wait_for(told.get(), 4))[0] is session
