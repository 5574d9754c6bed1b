"""People at browsers, seen from the robot: their offers, their commands, their stops, and what they are told.

    media (peers, video)  --text-->  Teleop  --commands-->  inbox  -->  control loop  --reports-->  Teleop  --> media

Belongs to the event loop. Decides nothing about motion: `command_gate.py` says which commands pass, the control loop
what becomes of them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Callable

from fleet.daemon.command_gate import CommandGate, HeldLease, RateBound
from fleet.daemon.config import SafetyConfig, TeleopConfig
from fleet.daemon.inbox import Command, ControlInbox
from fleet.daemon.media.base import Media, MediaError, TooManyPeers
from fleet.daemon.operator_clock import OperatorClock
from fleet.daemon.report import Array, StepReport
from fleet.daemon.stops import Stops
from fleet.protocol.authority import Source
from fleet.protocol.errors import ProtocolError
from fleet.protocol.messages import DriverInfo, LeaseInfo, PeerAnswer, PeerOffer, RobotMessage, StopInfo
from fleet.protocol.teleop import (
    ClockEcho,
    Drive,
    Feedback,
    PeerStop,
    decode_peer_message,
    encode_peer_message,
)

logger = logging.getLogger(__name__)

DIGITS = 4  # of actions and proprioception as people see them
STOPS_HZ, STOPS_BURST = 1.0, 10  # further stops of one browser while the robot is stopped: each is written to the disk


class Peer:
    """One browser's connection; a new one for each offer, so that nothing of an older one counts."""

    def __init__(self, offer: PeerOffer, gate: CommandGate, config: TeleopConfig, *, now_s: float) -> None:
        self.peer_id = offer.peer_id
        self.user = offer.user
        self.gate = gate
        self.clock = OperatorClock(window=config.clock_window)
        self.rate = RateBound(rate_hz=config.message_rate_hz, burst=max(1, int(config.message_rate_hz)))
        self.stops = RateBound(rate_hz=STOPS_HZ, burst=STOPS_BURST)
        self.heard_s = now_s
        self.unlinked_at_s: float | None = None  # when the server was lost since the offer
        self.told_s = float("-inf")
        self.command: Command | None = None


class Teleop:
    """`send`: to the server; `now`: the robot's monotonic clock in seconds."""

    def __init__(
        self,
        *,
        media: Media,
        info: DriverInfo,
        config: TeleopConfig,
        safety: SafetyConfig,
        inbox: ControlInbox,
        stops: Stops,
        send: Callable[[RobotMessage], bool],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._media = media
        self._main_view = info.views[0].name if info.views else ""
        self._kept = tuple(name in safety.kept_axes for name in info.action_names)
        self._config = config
        self._safety = safety
        self._inbox = inbox
        self._stops = stops
        self._send = send
        self._now = now
        self._offers = RateBound(rate_hz=config.offer_rate_hz, burst=config.offer_burst)
        self._lease: HeldLease | None = None
        self._heard_epoch = 0  # of the newest lease that the robot was told of, whoever held it
        self._peers: dict[str, Peer] = {}
        self._answering: dict[str, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()  # a task that nobody keeps may be collected
        media.start(self._on_text, self._on_closed)

    @property
    def is_watched(self) -> bool:
        """Whether anybody watches or drives, or is about to."""
        return bool(self._peers or self._answering)

    async def run(self) -> None:
        """Keep video alive and the operators' clocks measured, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._media.run())
            group.create_task(self._probe())

    # --- From the server ---------------------------------------------------------------------------------------------

    def follow(self, lease: LeaseInfo | None) -> None:
        """Note whose commands may drive, as the server says."""
        self._heard_epoch = max(self._heard_epoch, lease.epoch if lease is not None else 0)
        is_person = lease is not None and lease.source is Source.PERSON
        self._lease = HeldLease(lease.epoch, lease.connection) if lease is not None and is_person else None

    def unlinked(self) -> None:
        """The server is away and can tell of no stop and of no other driver: commands wait for it to come back.

        Nor can it say whose right to watch has ended, and it does not say so again: peers have to be offered anew.
        """
        self._lease = None
        for peer_id in list(self._answering):  # nobody hears the answer any more
            self.closed(peer_id, "unlinked")
        for peer in self._peers.values():
            peer.unlinked_at_s = self._now() if peer.unlinked_at_s is None else peer.unlinked_at_s

    def offered(self, offer: PeerOffer) -> None:
        """Answer a browser's offer in the background; a newer offer of that peer ends the answering of the older."""
        earlier = self._answering.pop(offer.peer_id, None)
        if earlier is not None:
            earlier.cancel()
        task = asyncio.create_task(self._answer(offer))
        self._answering[offer.peer_id] = task
        task.add_done_callback(lambda done: self._answered(offer.peer_id, done))

    def closed(self, peer_id: str, reason: str) -> None:
        """The server says that this person left, or may not watch any more: from now on nothing of theirs counts."""
        self._peers.pop(peer_id, None)
        answering = self._answering.pop(peer_id, None)
        if answering is not None:
            answering.cancel()
        self._hang_up(peer_id, reason)

    def _answered(self, peer_id: str, task: asyncio.Task[None]) -> None:
        if self._answering.get(peer_id) is task:
            del self._answering[peer_id]

    async def _answer(self, offer: PeerOffer) -> None:
        try:
            self._check_room(offer.peer_id)
            sdp = await self._media.answer(offer)
        except MediaError as error:
            logger.warning("offer of %s refused: %s", offer.user, error.message)
            self._send(PeerAnswer(peer_id=offer.peer_id, code=error.code, message=error.message[:2000]))
            return
        gate = CommandGate(
            self._config,
            kept=self._kept,
            timeout_s=self._safety.command_timeout_s,
            connection=offer.connection,
        )
        self._peers[offer.peer_id] = Peer(offer, gate, self._config, now_s=self._now())
        self._send(PeerAnswer(peer_id=offer.peer_id, sdp=sdp))

    def _check_room(self, peer_id: str) -> None:
        others = (self._peers.keys() | self._answering.keys()) - {peer_id}
        if not self._config.is_enabled:
            raise MediaError("this robot's configuration allows no viewers")
        if not self._offers.allows(now_s=self._now()):
            raise TooManyPeers("too many offers at once; try again")
        if len(others) >= self._config.max_peers:
            raise TooManyPeers(f"{len(others)} people watch this robot already", limit=self._config.max_peers)

    # --- From browsers -----------------------------------------------------------------------------------------------

    def _on_text(self, peer_id: str, text: str) -> None:
        peer, now_s = self._peers.get(peer_id), self._now()
        if peer is None:
            return
        peer.heard_s = now_s
        if not peer.rate.allows(now_s=now_s):
            peer.gate.refuse("flood")
            return
        try:
            message = decode_peer_message(text)
        except ProtocolError as error:
            peer.gate.refuse(error.code)
            return
        match message:
            case Drive():
                self._drive(peer, message, now_s=now_s)
            case ClockEcho():
                peer.clock.answer(message, now_s=now_s)
            case PeerStop():
                self._stop(peer, message)

    def _drive(self, peer: Peer, drive: Drive, *, now_s: float) -> None:
        if drive.epoch > self._heard_epoch:
            return  # the console has its lease before the robot hears of it: nothing is wrong, so nothing is refused
        command = peer.gate.decide(
            drive,
            lease=self._lease,
            clock=peer.clock,
            now_s=now_s,
            filmed_s=self._filmed_s(),
            is_stopped=self._stops.newest is not None,
        )
        if command is not None:
            peer.command = command
            self._inbox.put_command(command)

    def _filmed_s(self) -> float | None:
        """When the main camera last gave a picture; one that never did is as old as can be."""
        if not self._main_view:
            return None
        filmed_s = self._media.filmed_s(self._main_view)
        return filmed_s if filmed_s is not None else -math.inf

    def _stop(self, peer: Peer, message: PeerStop) -> None:
        if self._stops.newest is not None and not peer.stops.allows(now_s=self._now()):
            peer.gate.refuse("flood")
            return
        try:
            stop_id = str(uuid.UUID(message.stop_id))
        except ValueError:  # stop all the same: a browser that spells it wrong means it
            stop_id = str(uuid.uuid4())
        self._stops.stop(StopInfo(stop_id=stop_id, by=peer.user, reason=message.reason, at_ns=time.time_ns()))

    def _on_closed(self, peer_id: str, reason: str) -> None:
        peer = self._peers.pop(peer_id, None)
        if peer is not None:
            logger.info("%s does not watch any more: %s", peer.user, reason)

    # --- To browsers -------------------------------------------------------------------------------------------------

    async def _probe(self) -> None:
        """Ask every browser for its clock; hang up on those that say nothing for long."""
        while True:
            await asyncio.sleep(1.0 / self._config.probe_hz)
            now_s = self._now()
            for peer in list(self._peers.values()):
                if (reason := self._why_hang_up(peer, now_s=now_s)) is not None:
                    self.closed(peer.peer_id, reason)
                    continue
                self._media.send(peer.peer_id, encode_peer_message(peer.clock.probe(now_s=self._now())))

    def _why_hang_up(self, peer: Peer, *, now_s: float) -> str | None:
        if peer.unlinked_at_s is not None and now_s - peer.unlinked_at_s > self._config.unlinked_s:
            return "unlinked"
        return "silent" if now_s - peer.heard_s > self._config.silent_s else None

    def _hang_up(self, peer_id: str, reason: str) -> None:
        logger.info("peer %s closed: %s", peer_id, reason)
        task = asyncio.create_task(self._media.close_peer(peer_id, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def stepped(self, report: StepReport) -> None:
        """Tell the browsers what the control loop did."""
        now_s = self._now()
        for peer in self._peers.values():
            if now_s - peer.told_s >= 1.0 / self._config.feedback_hz:
                peer.told_s = now_s
                self._media.send(peer.peer_id, encode_peer_message(self._feedback(peer, report, now_s=now_s)))

    def _feedback(self, peer: Peer, report: StepReport, *, now_s: float) -> Feedback:
        gate, clock, command, lease = peer.gate, peer.clock, peer.command, self._lease
        is_obeyed = lease is not None and lease.epoch == report.epoch  # not one that lapsed on the robot's own clock
        offset_s, round_trip_s = clock.offset_s, clock.round_trip_s
        age_s = now_s - command.sent_s if command is not None else None
        return Feedback(
            step_ms=report.at_s * 1e3,
            mode=report.mode,
            source=report.source,
            operator=report.operator,
            epoch=report.epoch,
            is_driver=gate.is_driver(lease),
            is_armed=is_obeyed and gate.is_armed(lease, now_s=now_s),
            asked=_shown(report.asked),
            applied=_shown(report.applied),
            proposed=_shown(report.proposed) if report.proposed is not None else None,
            limits=report.limits,
            speed_cap=round(report.share, 2),
            command_age_ms=_ms(age_s),
            offset_ms=_ms(offset_s),
            rtt_ms=_ms(round_trip_s),
            refused=dict(gate.refused),
            last_refusal=gate.last_refusal,
            state=_shown(report.state),
            episode_id=report.episode_id,
            step=report.step,
            max_steps=report.max_steps,
            steps_left=report.steps_left,
            stop=self._stops.newest,
            detail=report.detail[:2000],
        )


def _ms(seconds: float | None) -> float | None:
    return round(seconds * 1e3, 1) if seconds is not None else None


def _shown(values: Array) -> tuple[float, ...]:
    return tuple(round(value, DIGITS) for value in values.tolist())
