"""A console's video connections and orders: passed on to robots, answered by them, bounded in number and time.

The server passes offers and answers on and sees no picture. While a peer is open, its console's rights are looked at
again and again (console.py), and with the console its peers end: nobody watches or drives whom nobody watches over.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from fleet.consumers import auth
from fleet.consumers.caller import Caller, asker_of, canonical_uuid, online_robot_of
from fleet.consumers.calls import Answer, send_to_robot
from fleet.errors import Busy, InvalidRequest, OrderUnanswered, PeerRevoked, PeerUnanswered, TooManyPeers
from fleet.protocol import messages as m
from fleet.selectors.ice import ice_servers
from fleet.selectors.lease import lease_held

logger = logging.getLogger(__name__)

PEERS_LIMIT = 8  # of one console
VIEWS_LIMIT = 8  # video tracks of one peer
PEER_ANSWER_S = 15.0  # the robot gathers its candidates first, which takes up to 10 s where STUN is out of reach
ORDERS_LIMIT = 4  # unanswered, of one console
ORDER_ANSWER_S = 5.0

Tell = Callable[[m.ConsoleServerMessage], Awaitable[None]]


@dataclass
class _Peer:
    robot_id: str
    deadline: asyncio.Task[None] | None  # while the robot's answer is awaited


@dataclass
class _Order:
    request_id: str
    deadline: asyncio.Task[None]


class ConsoleCalls:
    """Of one console connection. `channel`: its own, where answers come in; `tell`: sends to the browser."""

    def __init__(self, caller: Caller, channel: str, tell: Tell) -> None:
        self._caller = caller
        self._channel = channel
        self._tell = tell
        self._peers: dict[str, _Peer] = {}
        self._orders: dict[str, _Order] = {}

    @property
    def robots(self) -> frozenset[str]:
        """Robots that this console has a peer with."""
        return frozenset(peer.robot_id for peer in self._peers.values())

    async def offer(self, request: m.ConsolePeerOffer) -> m.ConsoleReply:
        """Pass an offer on; the answer follows within PEER_ANSWER_S.

        Raises: TooManyPeers, InvalidRequest, NotFound, RobotOffline, Unauthorised.
        """
        peer_id = canonical_uuid(request.peer_id, "peer_id")
        known = self._peers.get(peer_id)
        if known is None and len(self._peers) >= PEERS_LIMIT:
            raise TooManyPeers(f"this page has {PEERS_LIMIT} video connections open: close one")
        robot_id, offer = await auth.off_loop(_peer_offer, request, peer_id, self._caller)
        if known is not None and known.robot_id != robot_id:
            raise InvalidRequest("this peer belongs to another robot", field="peer_id")
        await auth.cancel(known.deadline if known else None)
        self._peers[peer_id] = _Peer(robot_id, asyncio.create_task(self._give_up_peer(peer_id)))
        try:
            await self._send(robot_id, offer)
        except BaseException:
            await auth.cancel(self._peers.pop(peer_id).deadline)
            raise
        return m.ConsoleReply(request_id=request.request_id)

    async def close(self, request: m.ConsolePeerClose) -> m.ConsoleReply:
        """Close one of this console's peers; one that is not open is closed already. Raises: InvalidRequest."""
        await self._end([canonical_uuid(request.peer_id, "peer_id")], "closed by the person who watched")
        return m.ConsoleReply(request_id=request.request_id)

    async def order(self, request: m.ConsoleOrder) -> None:
        """Pass an order on; the reply follows with the robot's answer, at the latest after ORDER_ANSWER_S.

        Raises: Busy, LeaseFenced, DriveForbidden, InvalidRequest, NotFound, RobotOffline, Unauthorised.
        """
        if len(self._orders) >= ORDERS_LIMIT:
            raise Busy(f"{ORDERS_LIMIT} orders wait for an answer already")
        robot_id, order = await auth.off_loop(_episode_order, request, self._caller)
        order_id = order.order_id
        self._orders[order_id] = _Order(request.request_id, asyncio.create_task(self._give_up_order(order_id)))
        try:
            await self._send(robot_id, order)
        except BaseException:
            await auth.cancel(self._orders.pop(order_id).deadline)
            raise
        event = {
            "robot": robot_id,
            "epoch": order.epoch,
            "kind": order.kind,
            "episode": order.episode_id,
            "order": order_id,
            "request": request.request_id,
        }
        logger.info("order given", extra={"event": {**event, "by": order.by}})

    async def answered(self, answer: Answer) -> None:
        """Take a robot's answer; one that came too late is dropped."""
        if isinstance(answer, m.OrderDone):
            order = self._orders.pop(answer.order_id, None)
            if order is not None:
                await auth.cancel(order.deadline)
                reply = m.ConsoleReply(request_id=order.request_id, code=answer.code, message=answer.message)
                await self._tell(reply)
            return
        peer = self._peers.get(answer.peer_id)
        if peer is None:
            return
        await auth.cancel(peer.deadline)
        peer.deadline = None
        if answer.code:
            self._peers.pop(answer.peer_id, None)
        await self._tell(
            m.ConsolePeerAnswer(peer_id=answer.peer_id, sdp=answer.sdp, code=answer.code, message=answer.message)
        )

    async def revoke(self, robots: Iterable[str], reason: str) -> None:
        """Close the peers with these robots and tell the page why."""
        gone = set(robots)
        peer_ids = [peer_id for peer_id, peer in self._peers.items() if peer.robot_id in gone]
        await self._end(peer_ids, reason)
        for peer_id in peer_ids:
            logger.warning(
                "peer revoked", extra={"event": {"peer": peer_id, "user": self._caller.name, "text": reason}}
            )
            await self._tell(m.ConsolePeerAnswer(peer_id=peer_id, code=PeerRevoked.code, message=reason))

    async def end(self) -> None:
        """The console is gone: so are its peers."""
        orders, self._orders = self._orders, {}
        await auth.cancel(*(order.deadline for order in orders.values()))
        await self._end(list(self._peers), "the page was left")

    async def _end(self, peer_ids: Iterable[str], reason: str) -> None:
        for peer_id in peer_ids:
            peer = self._peers.pop(peer_id, None)
            if peer is None:
                continue
            await auth.cancel(peer.deadline)
            try:
                await self._send(peer.robot_id, m.PeerClose(peer_id=peer_id, reason=reason))
            except Exception:  # whatever the layer raises; the browser's own end closes the peer as well
                logger.exception("peer not closed", extra={"event": {"robot": peer.robot_id, "peer": peer_id}})

    async def _send(self, robot_id: str, call: m.PeerOffer | m.PeerClose | m.EpisodeOrder) -> None:
        await send_to_robot(robot_id, call, channel=self._channel, connection=self._caller.connection)

    async def _give_up_peer(self, peer_id: str) -> None:
        await asyncio.sleep(PEER_ANSWER_S)
        await self._end([peer_id], "not answered in time")
        text = f"the robot did not answer within {PEER_ANSWER_S:.0f} s"
        await self._tell(m.ConsolePeerAnswer(peer_id=peer_id, code=PeerUnanswered.code, message=text))

    async def _give_up_order(self, order_id: str) -> None:
        await asyncio.sleep(ORDER_ANSWER_S)
        order = self._orders.pop(order_id)
        text = f"the robot did not answer within {ORDER_ANSWER_S:.0f} s"
        await self._tell(m.ConsoleReply(request_id=order.request_id, code=OrderUnanswered.code, message=text))


def _peer_offer(request: m.ConsolePeerOffer, peer_id: str, caller: Caller) -> tuple[str, m.PeerOffer]:
    """Return the robot's id and what it is told. Anyone who sees the robot may watch."""
    robot = online_robot_of(asker_of(caller, request), request.robot_id)
    if not request.sdp or not 1 <= len(request.views) <= VIEWS_LIMIT:
        raise InvalidRequest(f"an offer has SDP and 1 to {VIEWS_LIMIT} views", field="views")
    offer = m.PeerOffer(
        peer_id=peer_id,
        connection=caller.connection,
        user=caller.name,
        views=request.views,
        sdp=request.sdp,
        ice_servers=ice_servers(name=f"robot-{robot.id}"),
    )
    return str(robot.id), offer


def _episode_order(request: m.ConsoleOrder, caller: Caller) -> tuple[str, m.EpisodeOrder]:
    robot = online_robot_of(asker_of(caller, request), request.robot_id)
    lease_held(robot_id=robot.id, epoch=request.epoch, connection=caller.connection)
    order = m.EpisodeOrder(
        order_id=str(uuid.uuid4()),
        epoch=request.epoch,
        kind=request.kind,
        episode_id=canonical_uuid(request.episode_id, "episode_id"),
        by=caller.name,
        reason=request.reason,
    )
    return str(robot.id), order
