"""What consoles say to a robot through the server, and its answers: the two ends meet over the channel layer.

A call goes to the robots' group, where the robot's one connection hears it (post.py) and remembers which console's
channel the answer belongs to. Nothing is kept: a call that is lost, or whose robot falls silent, is answered by the
console's own clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from channels.layers import get_channel_layer

from fleet.errors import InvalidRequest, RobotOffline
from fleet.events import ROBOTS_GROUP
from fleet.protocol import messages as m

logger = logging.getLogger(__name__)

Call = m.PeerOffer | m.PeerClose | m.EpisodeOrder | m.StopRobot | m.LogsWanted
Answer = m.PeerAnswer | m.OrderDone

SEND_S = 2.0  # for Redis to take a message; it bounds no call by itself
WAITING_LIMIT = 64  # calls that came for one robot and are yet to be passed on
CALLERS_LIMIT = 256  # peers and orders remembered a robot; the oldest is forgotten


async def send_to_robot(robot_id: str, call: Call, *, channel: str = "", connection: str = "") -> None:
    """Pass a message on. `channel`: where the answer goes; `connection`: of the console, whose peers are its own.

    Raises: TimeoutError, or whatever the layer raises.
    """
    event = {
        "type": "robot.call",
        "robots": [robot_id],
        "message": msgspec.to_builtins(call),
        "channel": channel,
        "connection": connection,
    }
    async with asyncio.timeout(SEND_S):
        await get_channel_layer().group_send(ROBOTS_GROUP, event)


async def send_to_console(channel: str, answer: Answer) -> None:
    async with asyncio.timeout(SEND_S):
        await get_channel_layer().send(channel, {"type": "robot.answer", "message": msgspec.to_builtins(answer)})


def answer_of(event: dict[str, Any]) -> Answer:
    answer: Answer = msgspec.convert(event["message"], Answer)
    return answer


@dataclass
class _Asker:
    channel: str
    connection: str
    is_peer: bool
    is_waiting: bool = True


class RobotCalls:
    """The consoles that one robot's connection speaks for. `send`: to the robot."""

    def __init__(self, send: Callable[[m.ServerMessage], None]) -> None:
        self._send = send
        self._askers: OrderedDict[str, _Asker] = OrderedDict()  # by peer id and order id
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING_LIMIT)

    def heard(self, event: dict[str, Any]) -> None:
        """Take a call from the channel layer. One too many is lost, and answered by its console's own clock."""
        with contextlib.suppress(asyncio.QueueFull):
            self._heard.put_nowait(event)

    async def next(self) -> dict[str, Any]:
        """Return the next call that was heard."""
        return await self._heard.get()

    async def pass_on(self, event: dict[str, Any]) -> None:
        """Say a call to the robot. Raises: OutboxFull."""
        call: Call = msgspec.convert(event["message"], Call)
        asker = _Asker(event["channel"], event["connection"], is_peer=isinstance(call, m.PeerOffer))
        if isinstance(call, m.PeerOffer):
            await self._offer(call, asker)
        elif isinstance(call, m.PeerClose):
            self._close(call, asker)
        else:
            if isinstance(call, m.EpisodeOrder):
                self._remember(call.order_id, asker)
            self._send(call)

    async def _offer(self, offer: m.PeerOffer, asker: _Asker) -> None:
        """A peer is its console's own: nobody replaces another's by naming it."""
        known = self._askers.get(offer.peer_id)
        if known is not None and known.connection != asker.connection:
            refusal = m.PeerAnswer(peer_id=offer.peer_id, code=InvalidRequest.code, message="this peer is another's")
            await send_to_console(asker.channel, refusal)
            return
        self._remember(offer.peer_id, asker)
        self._send(offer)

    def _close(self, close: m.PeerClose, asker: _Asker) -> None:
        """A socket that was replaced by its tab's next one closes its peers late: not those offered anew."""
        known = self._askers.get(close.peer_id)
        if known is None or known.channel == asker.channel:
            self._askers.pop(close.peer_id, None)
            self._send(close)

    def _remember(self, key: str, asker: _Asker) -> None:
        self._askers[key] = asker
        self._askers.move_to_end(key)
        if len(self._askers) > CALLERS_LIMIT:
            self._askers.popitem(last=False)

    async def answered(self, answer: Answer) -> None:
        """Hand the robot's answer to the console that asked; one that nobody waits for is dropped."""
        key = answer.peer_id if isinstance(answer, m.PeerAnswer) else answer.order_id
        asker = self._askers.get(key)
        if asker is None:
            logger.info("answer that nobody waits for", extra={"event": {"answer": key}})
            return
        asker.is_waiting = False
        if isinstance(answer, m.OrderDone) or answer.code:
            del self._askers[key]
        await send_to_console(asker.channel, answer)

    async def gone(self) -> None:
        """The robot's connection ended: who waits is told at once. Open peers may live on without the server."""
        text = "the robot's connection ended"
        waiting = [(key, asker) for key, asker in self._askers.items() if asker.is_waiting]
        self._askers.clear()
        for key, asker in waiting:
            lost: Answer
            if asker.is_peer:
                lost = m.PeerAnswer(peer_id=key, code=RobotOffline.code, message=text)
            else:
                lost = m.OrderDone(order_id=key, code=RobotOffline.code, message=text)
            try:
                await send_to_console(asker.channel, lost)
            except Exception:  # whatever the layer raises: the console's own clock answers then
                logger.warning("console not told", extra={"event": {"answer": key}}, exc_info=True)
