"""Thousands of robots' links in one event loop: the real messages through `protocol.session.RobotSession`.

What a daemon does on its link is kept: Hello, heartbeats as Welcome asks, the whole state taken over by its revision,
redialling by the daemon's own back-off. Nothing is driven or recorded, and no version is fetched.

Heartbeats say when they were sent, by CLOCK_MONOTONIC, which all processes of a machine share: each in `overruns`, in
milliseconds; one in CHANGE_EVERY, with which the robot's activity changes, also in `detail`. consoles.py reads both.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from benchmarks.fleet_load.child import Crowd
from benchmarks.fleet_load.delays import Delays
from fleet.daemon.backoff import Backoff
from fleet.daemon.config import LinkConfig
from fleet.daemon.link import STEADY_S
from fleet.protocol import messages as m
from fleet.protocol.authority import Mode
from fleet.protocol.codec import MAX_SERVER_FRAME_BYTES
from fleet.protocol.errors import SopError
from fleet.protocol.session import LinkState, RobotSession

DIALLING = 200  # at once at the first connect; after a restart all dial as their back-off says
STAMP = "since "  # before the nanoseconds in a heartbeat's detail
CHANGE_EVERY = 15  # heartbeats: episodes of 15 s and resets of as long
_SPOOL = m.SpoolStats(pending_episodes=0, pending_bytes=0, capacity_bytes=10**9)


@dataclass
class Counts:
    """Since the parent asked last. `acks`: send to HeartbeatAck; `announced`: publish to StateChanged, by version."""

    beats: int = 0
    acks: Delays = field(default_factory=Delays)
    announced: dict[str, Delays] = field(default_factory=dict)
    states: int = 0
    state_bytes: int = 0
    closes: Counter[str] = field(default_factory=Counter)


class Robots(Crowd[Counts]):
    """All robots of one process. `keys`: (robot id, key) of each."""

    def __init__(self, url: str, keys: list[tuple[str, str]], seed: int) -> None:
        super().__init__(len(keys), Counts)
        self._url, self._keys, self._seed = url, keys, seed
        self._dialling = asyncio.Semaphore(DIALLING)
        self._told: set[tuple[int, str]] = set()  # (robot, version) that counted already

    async def _live(self, number: int) -> None:
        """One robot: dial, serve, wait, dial again, as fleet/daemon/link.py does."""
        rng, config = random.Random(self._seed * 1_000_003 + number), LinkConfig()
        backoff = Backoff(min_s=config.backoff_min_s, max_s=config.backoff_max_s, rng=rng)
        revision, is_first = [0], True
        while True:
            try:
                async with self._dialling if is_first else contextlib.nullcontext():
                    socket = await self._dial(number, config)
                is_first = False
                async with socket:
                    await self._serve(number, socket, rng, revision)
                reason = "closed"
            except ConnectionClosed as error:
                reason = str(error.rcvd.code) if error.rcvd is not None else "lost"
            except (OSError, TimeoutError, InvalidHandshake, SopError) as error:
                reason = type(error).__name__
            self.counts.closes[reason] += 1
            opened_s = self.opened_s.pop(number, None)
            if opened_s is not None and time.monotonic() - opened_s > STEADY_S:
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    async def _dial(self, number: int, config: LinkConfig) -> ClientConnection:
        robot_id, key = self._keys[number]
        return await connect(
            self._url,
            additional_headers={"Authorization": f"Bearer {robot_id}.{key}"},
            open_timeout=config.connect_timeout_s,
            close_timeout=1.0,
            ping_interval=None,
            compression=None,
            max_size=MAX_SERVER_FRAME_BYTES,
        )

    async def _serve(self, number: int, socket: ClientConnection, rng: random.Random, revision: list[int]) -> None:
        session = RobotSession(hello(), now=time.monotonic())
        await _flush(session, socket)
        beating: asyncio.Task[None] | None = None
        try:
            async for data in socket:
                assert isinstance(data, bytes)
                for message in session.receive(data, now=time.monotonic()):
                    self._heard(number, message, len(data), revision)
                if beating is None and session.state is LinkState.OPEN:
                    self.opened_s[number] = time.monotonic()
                    beating = asyncio.create_task(self._beat(session, socket, rng, revision))
        finally:
            if beating is not None:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
        raise socket.protocol.close_exc

    def _heard(self, number: int, message: m.ServerMessage, size: int, revision: list[int]) -> None:
        if isinstance(message, m.HeartbeatAck):
            self.counts.acks.add((time.monotonic_ns() - message.clock_ns) / 1e9)
            return
        if isinstance(message, m.Welcome | m.StateChanged):
            revision[0] = message.state.revision
            self.counts.states += 1
            self.counts.state_bytes += size
        if isinstance(message, m.StateChanged) and (target := message.state.policy) is not None:
            if (number, target.version_id) in self._told:
                return
            self._told.add((number, target.version_id))
            found = self.counts.announced.setdefault(target.version_id, Delays())
            found.add((time.time_ns() - target.published_ns) / 1e9)

    async def _beat(
        self, session: RobotSession, socket: ClientConnection, rng: random.Random, revision: list[int]
    ) -> None:
        """One heartbeat a period, from a random moment of it on, so that robots do not beat together."""
        loop, step, since_ns = asyncio.get_running_loop(), rng.randrange(2 * CHANGE_EVERY), time.monotonic_ns()
        due_s = loop.time() + rng.random() * session.heartbeat_s
        while True:
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            due_s += session.heartbeat_s
            step += 1
            now_ns = time.monotonic_ns()
            since_ns = now_ns if step % CHANGE_EVERY == 0 else since_ns
            session.send(m.Heartbeat(clock_ns=now_ns, status=status(step, revision[0], now_ns, since_ns)))
            self.counts.beats += 1
            await _flush(session, socket)


async def _flush(session: RobotSession, socket: ClientConnection) -> None:
    for frame in session.drain():
        await socket.send(frame)


def hello() -> m.Hello:
    driver = m.DriverInfo(
        name="load",
        version="1",
        control_rate_hz=10.0,
        action_names=("x", "y", "z", "gripper"),
        proprio_names=("hand_x", "hand_y"),
        cameras=(m.CameraInfo(name="front", width=128, height=128),),
        tasks=("load",),
    )
    return m.Hello(
        protocol=m.PROTOCOL_VERSION,
        daemon_version="load",
        boot_id=str(uuid.uuid4()),
        clock_ns=time.time_ns(),
        driver=driver,
        architectures=("tiny",),
        capabilities=(),
        policy_version_id=None,
    )


def status(step: int, revision: int, now_ns: int, since_ns: int) -> m.RobotStatus:
    is_resetting = step // CHANGE_EVERY % 2 == 1
    return m.RobotStatus(
        mode=Mode.AUTONOMOUS,
        activity="resetting" if is_resetting else "running",
        detail=f"{STAMP}{since_ns}",
        step=0 if is_resetting else step % CHANGE_EVERY,
        max_steps=CHANGE_EVERY,
        state_revision=revision,
        episodes_closed=step // (2 * CHANGE_EVERY),
        control=m.ControlStats(rate_hz=10.0, overruns=now_ns // 1_000_000, worst_period_ms=101.0),
        spool=_SPOOL,
    )
