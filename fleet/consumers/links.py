"""What the robots' connections of one process ask for together (batch.py): to be seen, and what they shall do.

A robot whose own rows changed, as by a stop or a lease, asks in a lane of its own: behind a publish to thousands it
would wait for all of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from fleet.consumers.auth import off_loop
from fleet.consumers.batch import Batch
from fleet.errors import NotFound
from fleet.protocol.messages import DesiredState
from fleet.selectors.robot import desired_states
from fleet.services.robot_seen import Beat, Seen, robots_seen

logger = logging.getLogger(__name__)

BEATS_PERIOD_S = 0.1  # well below the fleet page's own quarter second
MOST_BEATS = 500
MOST_STATES = 50  # some 20 ms; more at once would keep a robot's own state waiting for the processor


class Links:
    """One a process. `seen`: takes a heartbeat; `state`: of a robot by id, `spread`: the same where all robots ask."""

    def __init__(self) -> None:
        self.seen: Batch[Beat, Seen] = Batch(_see, most=MOST_BEATS, period_s=BEATS_PERIOD_S)
        self.state: Batch[str, DesiredState] = Batch(_read_states, most=MOST_STATES)
        self.spread: Batch[str, DesiredState] = Batch(_read_states, most=MOST_STATES)


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
    return _links.setdefault(asyncio.get_running_loop(), Links())
