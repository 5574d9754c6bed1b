"""Hands messages to a consumer's methods on the event loop alone."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer


class LoopConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels is untyped
    """Channels' own goes through a thread before each message, to close database connections there: half of what a
    robot's heartbeat cost (docs/capacity.md). Here nothing uses a connection in that thread; those of auth.off_loop are
    given back after each call."""

    async def dispatch(self, message: dict[str, Any]) -> None:
        handler = getattr(self, get_handler_name(message), None)
        if handler is None:
            raise ValueError(f"no handler for messages of type {message['type']}")
        await handler(message)


class SocketConsumer(LoopConsumer):
    """One that has no channel of its own, so each message of its socket is awaited and handled, with no task for it."""

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self.scope, self.base_send = scope, send
        with contextlib.suppress(StopConsumer):
            while True:
                await self.dispatch(await receive())
