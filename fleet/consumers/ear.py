"""Hears a group of the channel layer for a whole process: Redis is told once, however many connections want to know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from channels.layers import get_channel_layer

from fleet.consumers.auth import cancel, shared_task

logger = logging.getLogger(__name__)

AGAIN_S = 1.0  # after the layer failed


class Ear:
    """`note` is given each event of the group while the ear is open. It must wait for nothing."""

    def __init__(self, group: str, note: Callable[[dict[str, Any]], None]) -> None:
        self._group, self._note = group, note
        self._task: asyncio.Task[None] | None = None
        self._hears = asyncio.Event()

    def open(self) -> None:
        """Begin to listen; said again it changes nothing."""
        if self._task is None:
            self._hears = asyncio.Event()
            self._task = shared_task(self._listen(self._hears))

    async def hears(self) -> None:
        """Wait until the layer has this ear."""
        await self._hears.wait()

    async def close(self) -> None:
        task, self._task = self._task, None
        await cancel(task)

    async def _listen(self, hears: asyncio.Event) -> None:
        """If the layer fails, say so and listen anew: events may be lost by contract."""
        while True:
            try:
                await self._hear(hears)
            except Exception:  # whatever the layer raises, also on leaving the group
                logger.warning("hints interrupted", extra={"event": {"group": self._group}}, exc_info=True)
                await asyncio.sleep(AGAIN_S)

    async def _hear(self, hears: asyncio.Event) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel()
        try:
            await layer.group_add(self._group, channel)
            hears.set()
            while True:
                self._note(await layer.receive(channel))
        finally:
            await layer.group_discard(self._group, channel)
