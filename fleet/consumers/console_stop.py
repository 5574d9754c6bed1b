"""A console's stop: to the robot first, to the rows after it, and past every queue.

It must work when other things do not. If the database does not say in time who may stop, the robot is stopped: the one
wrong answer that harms nobody. Its row follows, or comes from the robot, which reports what it latched.
"""

from __future__ import annotations

import asyncio
import logging
import time

from fleet.consumers import auth
from fleet.consumers.caller import Caller, asker_of, canonical_uuid, robot_to_stop, user_of
from fleet.consumers.calls import send_to_robot
from fleet.errors import Busy, StopUnrecorded
from fleet.protocol import messages as m
from fleet.protocol.errors import SopError
from fleet.services.stop import stop_register

logger = logging.getLogger(__name__)

CHECK_S = 0.2  # how long the database may take to say who stops; a round trip takes some 3 ms
WRITE_S = 10.0
STOPS_LIMIT = 64  # of one console at once: a whole wall of robots
STOPS_TOGETHER = 2  # so that one console's flood of stops leaves threads to everyone else's


class ConsoleStops:
    """The stops that one console has under way."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._turns = asyncio.Semaphore(STOPS_TOGETHER)
        self._open = 0

    async def stop(self, request: m.ConsoleStop) -> m.ConsoleReply:
        """Stop the robot; return once the stop is recorded.

        Raises: Busy, InvalidRequest, NotFound, Unauthorised: not stopped; StopUnrecorded: sent all the same.
        """
        if self._open >= STOPS_LIMIT:
            raise Busy(f"{STOPS_LIMIT} stops of this page are under way")
        self._open += 1
        try:
            return await self._stop(request)
        finally:
            self._open -= 1

    async def _stop(self, request: m.ConsoleStop) -> m.ConsoleReply:
        stop = m.StopInfo(
            stop_id=canonical_uuid(request.stop_id, "stop_id"),
            by=self._caller.name,
            reason=request.reason,
            at_ns=time.time_ns(),
        )
        robot_id = canonical_uuid(request.robot_id, "robot_id")
        async with self._turns:
            await self._check(request, robot_id)
            try:
                await send_to_robot(robot_id, m.StopRobot(stop=stop))
            except Exception:  # whatever the layer raises: the row reaches the robot as well, a little later
                logger.exception("stop not sent", extra={"event": {"robot": robot_id, "stop": stop.stop_id}})
            await self._record(robot_id, stop)
        return m.ConsoleReply(request_id=request.request_id)

    async def _check(self, request: m.ConsoleStop, robot_id: str) -> None:
        """Refuse who may not stop, and what is no robot; if that cannot be found out in time, do not.

        Groups limit what people see, not what they may stop.
        """
        try:
            async with asyncio.timeout(CHECK_S):
                await auth.off_loop(_check_access, self._caller, request, robot_id)
        except SopError:
            raise
        except Exception:
            logger.exception("stop goes on unchecked", extra={"event": {"robot": robot_id, "user": self._caller.name}})

    async def _record(self, robot_id: str, stop: m.StopInfo) -> None:
        try:
            async with asyncio.timeout(WRITE_S):
                await auth.off_loop(_register, self._caller, robot_id, stop)
        except SopError:
            raise
        except Exception as error:
            logger.exception("stop not recorded", extra={"event": {"robot": robot_id, "stop": stop.stop_id}})
            raise StopUnrecorded("the stop was sent to the robot but could not be recorded") from error


def _check_access(caller: Caller, request: m.ConsoleStop, robot_id: str) -> None:
    robot_to_stop(asker_of(caller, request), robot_id)


def _register(caller: Caller, robot_id: str, stop: m.StopInfo) -> None:
    stop_register(robot_id=robot_id, stop=stop, user=user_of(caller))
