"""A robot that is silent is found so in time; one that spoke while the server slept is not."""

from __future__ import annotations

import asyncio
import time

import pytest

from fleet.consumers.silence import silence_awaited
from fleet.protocol.codec import encode_robot_frame
from fleet.protocol.errors import PeerSilent
from fleet.protocol.messages import RobotFrame
from fleet.protocol.session import LinkState, ServerSession
from tests.fleet import builders


async def test_a_silent_robot_is_silent_at_its_deadline() -> None:
    began_s = time.monotonic()
    session = ServerSession(now=began_s - 4.8, heartbeat_s=1.0)  # Hello is due within 5 s
    with pytest.raises(PeerSilent):
        await silence_awaited(session, look_s=1.0)
    assert time.monotonic() - began_s >= 0.2


async def test_what_came_while_the_server_slept_is_read_before_the_robot_is_judged() -> None:
    session = ServerSession(now=time.monotonic() - 4.8, heartbeat_s=1.0)
    waiting = asyncio.create_task(silence_awaited(session, look_s=1.0))
    await asyncio.sleep(0)  # it waits for 0.2 s now
    hello = encode_robot_frame(RobotFrame(1, builders.hello()))
    asyncio.get_running_loop().call_later(0.7, lambda: session.receive(hello, now=time.monotonic()))
    time.sleep(0.6)  # the whole loop, past the deadline; the frame is read a moment after it wakes
    await asyncio.sleep(0.3)
    assert not waiting.done()
    waiting.cancel()


async def test_the_deadline_draws_near_with_the_greeting() -> None:
    """Hello may take 5 s, a heartbeat of 0.1 s only 0.35 s."""
    began_s = time.monotonic()
    session = ServerSession(now=began_s, heartbeat_s=0.1)
    waiting = asyncio.create_task(silence_awaited(session, look_s=0.1))
    await asyncio.sleep(0)
    session.receive(encode_robot_frame(RobotFrame(1, builders.hello())), now=time.monotonic())
    session.state = LinkState.OPEN  # as Welcome makes it
    with pytest.raises(PeerSilent):
        await asyncio.wait_for(waiting, 4)
