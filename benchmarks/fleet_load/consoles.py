"""Hundreds of browsers' sockets in one event loop.

Observers parse every frame and take the delay of each card from its robot's stamp. Readers take the bytes and drop
them, for hundreds of JSON parsers on these cores would measure themselves. Stalled ones read their first frame and then
nothing, as a laptop that was closed; when the server ends them they dial again and stall again.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from benchmarks.fleet_load.child import Crowd
from benchmarks.fleet_load.delays import Delays
from benchmarks.fleet_load.robots import STAMP

MOST_BYTES = 64 * 1024**2
BACKOFF_S = (0.5, 5.0)  # frontend/src/lib/socket/connection.ts


class _Card(msgspec.Struct):
    robot_id: str
    detail: str
    overruns: int


class _Body(msgspec.Struct):
    type: str
    robots: list[_Card] = []


_decode = msgspec.json.Decoder(tuple[int, _Body]).decode


@dataclass
class Counts:
    """Since the parent asked last, on observers. `shown`: a changed activity sent to its card received; `aged`: how old
    a card's figures are when it is received."""

    shown: Delays = field(default_factory=Delays)
    aged: Delays = field(default_factory=Delays)
    frames: int = 0
    bytes: int = 0
    snapshots: int = 0
    closes: Counter[str] = field(default_factory=Counter)


class Consoles(Crowd[Counts]):
    """All consoles of one process. `kinds`: observer, reader or stalled, of each; `cookies`: signed-in sessions."""

    def __init__(self, url: str, origin: str, cookies: list[str], kinds: list[str]) -> None:
        super().__init__(len(kinds), Counts)
        self._url, self._origin, self._cookies, self._kinds = url, origin, cookies, kinds
        self._seen: list[dict[str, str]] = [{} for _ in kinds]  # robot id -> detail

    async def _live(self, number: int) -> None:
        rng, tab, failures = random.Random(number), str(uuid.UUID(int=number + 1, version=4)), 0
        while True:
            began_s = time.monotonic()
            try:
                async with await self._dial(number, tab) as socket:
                    await self._serve(number, socket)
                reason = "closed"
            except ConnectionClosed as error:
                reason = str(error.rcvd.code) if error.rcvd is not None else "lost"
            except (OSError, TimeoutError, InvalidHandshake) as error:
                reason = type(error).__name__
            self.counts.closes[f"{self._kinds[number]} {reason}"] += 1
            self.opened_s.pop(number, None)
            failures = 0 if time.monotonic() - began_s > 5.0 else failures + 1
            await asyncio.sleep(min(BACKOFF_S[1], BACKOFF_S[0] * 2**failures) * rng.uniform(0.5, 1.0))

    async def _dial(self, number: int, tab: str) -> ClientConnection:
        return await connect(
            f"{self._url}?tab={tab}",
            additional_headers={"Cookie": self._cookies[number % len(self._cookies)]},
            origin=self._origin,  # type: ignore[arg-type]
            open_timeout=30,
            close_timeout=1.0,
            ping_interval=None,
            compression=None,
            max_size=MOST_BYTES,
        )

    async def _serve(self, number: int, socket: ClientConnection) -> None:
        kind = self._kinds[number]
        data = await socket.recv(decode=False)
        self._note(number, data)
        if kind == "stalled":
            await asyncio.Event().wait()
        async for data in _raw(socket):
            self.counts.frames += 1
            self.counts.bytes += len(data)
            if kind == "observer":
                self._observe(number, data)

    def _note(self, number: int, data: bytes) -> None:
        self._seen[number].clear()
        self.counts.snapshots += 1
        self.counts.bytes += len(data)
        if self._kinds[number] != "stalled":
            self.opened_s[number] = time.monotonic()

    def _observe(self, number: int, data: bytes) -> None:
        now_ns, (_, body) = time.monotonic_ns(), _decode(data)
        seen = self._seen[number]
        for card in body.robots if body.type == "robots_changed" else ():
            if not card.detail.startswith(STAMP):
                continue
            self.counts.aged.add(now_ns / 1e9 - card.overruns / 1e3)
            before, seen[card.robot_id] = seen.get(card.robot_id), card.detail
            if before is not None and before != card.detail:
                self.counts.shown.add((now_ns - int(card.detail[len(STAMP) :])) / 1e9)


async def _raw(socket: ClientConnection) -> AsyncIterator[bytes]:
    while True:
        yield await socket.recv(decode=False)
