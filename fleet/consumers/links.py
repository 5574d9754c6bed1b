"""What the robots' connections of one process ask for together (batch.py): who they are, to be greeted, to be seen,
what to do, to go. And the door by which they come, the post they are told by, and who notices that they fell silent.

A robot whose own rows changed, as by a stop or a lease, asks in a lane of its own: behind a publish to thousands it
would wait for all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from django.db import DataError

from fleet.consumers.auth import RobotCredentials, off_loop
from fleet.consumers.batch import Batch
from fleet.consumers.door import Door
from fleet.consumers.post import Post
from fleet.consumers.silence import Silence
from fleet.errors import NotFound
from fleet.protocol.errors import Unauthorised
from fleet.protocol.messages import DesiredState
from fleet.selectors.robot import desired_states
from fleet.services.robot import robot_keys_check
from fleet.services.robot_hello import Arrival, robots_hello
from fleet.services.robot_seen import Beat, Seen, robots_gone, robots_seen

logger = logging.getLogger(__name__)

BEATS_PERIOD_S = 0.1  # well below the fleet page's own quarter second
MOST_BEATS = 500
MOST_STATES = 50  # some 20 ms; more at once would keep a robot's own state waiting for the processor


class Links:
    """One a process. `key`: takes credentials, returns the robot's id as the rows spell it; `hello`: as robots_hello;
    `seen`: takes a heartbeat; `state`: of a robot by id, `spread`: the same where all robots ask; `gone`: as
    robots_gone."""

    def __init__(self) -> None:
        self.door = Door()
        self.post = Post()
        self.silence = Silence()
        self.key: Batch[RobotCredentials, str] = Batch(_check_keys, most=MOST_BEATS)
        self.hello: Batch[Arrival, bool] = Batch(_greet, most=MOST_BEATS)
        self.seen: Batch[Beat, Seen] = Batch(_see, most=MOST_BEATS, period_s=BEATS_PERIOD_S)
        self.state: Batch[str, DesiredState] = Batch(_read_states, most=MOST_STATES)
        self.spread: Batch[str, DesiredState] = Batch(_read_states, most=MOST_STATES)
        self.gone: Batch[tuple[str, str], bool] = Batch(_leave, most=MOST_BEATS)


async def _check_keys(asked: Sequence[RobotCredentials]) -> Sequence[str | Exception]:
    found = await off_loop(robot_keys_check, keys=[(one.robot_id, one.key) for one in asked])
    return [robot if isinstance(robot, Unauthorised) else str(robot.id) for robot in found]


async def _greet(arrivals: Sequence[Arrival]) -> Sequence[bool | Exception]:
    try:
        return await off_loop(robots_hello, arrivals=arrivals)
    except (DataError, ValueError):  # one of them says what no column takes: each by itself, so that it fails alone
        return [False] * len(arrivals)


async def _leave(sessions: Sequence[tuple[str, str]]) -> Sequence[bool | Exception]:
    return await off_loop(robots_gone, sessions=sessions)


async def _see(beats: Sequence[Beat]) -> Sequence[Seen | Exception]:
    try:
        return await off_loop(robots_seen, beats=beats)
    except Exception:  # once for all of them; each then waits for its next heartbeat
        logger.exception("heartbeats not seen", extra={"event": {"robots": len(beats)}})
        raise


async def _read_states(robot_ids: Sequence[str]) -> Sequence[DesiredState | Exception]:
    found = await off_loop(desired_states, robot_ids=robot_ids)
    return [found.get(robot_id) or NotFound("there is no such robot") for robot_id in robot_ids]


_links: WeakKeyDictionary[asyncio.AbstractEventLoop, Links] = WeakKeyDictionary()


def links() -> Links:
    """Return those of the running event loop: one a process, and one a loop in tests."""
    loop = asyncio.get_running_loop()
    found = _links.get(loop)  # every heartbeat asks: nothing may be made in vain, as by setdefault
    if found is None:
        found = _links[loop] = Links()
    return found
