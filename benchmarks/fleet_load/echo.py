"""The ruler: a bare websocket echo on the same server library, behind the same nginx, with as many sockets and as many
messages a second. What the site needs beyond this is its own doing."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.fleet_load.child import Crowd
from benchmarks.fleet_load.delays import Delays
from benchmarks.fleet_load.robots import DIALLING

BYTES = 420  # of a heartbeat's frame


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Raw ASGI: accept, echo, nothing else. `uvicorn benchmarks.fleet_load.echo:application`."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": event["bytes"]})


class Echoes(Crowd[Delays]):
    """The client's side: `count` sockets, each with one message a `period_s`."""

    def __init__(self, url: str, count: int, period_s: float) -> None:
        super().__init__(count, Delays)
        self._url, self._period_s = url, period_s
        self._dialling = asyncio.Semaphore(DIALLING)

    async def _live(self, number: int) -> None:
        async with self._dialling:
            socket = await connect(self._url, ping_interval=None, compression=None, open_timeout=30, close_timeout=1.0)
        async with socket:
            self.opened_s[number] = time.monotonic()
            sending = asyncio.create_task(self._send(socket, number))
            try:
                async for data in socket:
                    assert isinstance(data, bytes)
                    self.counts.add((time.monotonic_ns() - int.from_bytes(data[:8], "big")) / 1e9)
            finally:
                sending.cancel()

    async def _send(self, socket: ClientConnection, number: int) -> None:
        loop, filling = asyncio.get_running_loop(), bytes(BYTES - 8)
        due_s = loop.time() + random.Random(number).random() * self._period_s
        while True:
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            due_s += self._period_s
            await socket.send(time.monotonic_ns().to_bytes(8, "big") + filling)
