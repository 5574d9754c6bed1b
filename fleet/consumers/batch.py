"""Calls for many at once: what arrives while a call runs goes with the next one, so who is alone waits for nobody.

Robots' heartbeats and states go this way (links.py): thousands of connections in one process would each cost a thread's
turn, a transaction and a message of Redis otherwise. Nobody waits here who must not wait for others: stops and leases.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from fleet.consumers.auth import shared_task

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Batch(Generic[_Item, _Result]):
    """`act` answers each item, in order. An exception among its results is raised to who asked, one it raises to all.

    `most` items a call. `period_s`: between the beginnings of two calls at least. As many wait as connections ask, each
    with one item at a time.
    """

    def __init__(
        self,
        act: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result | Exception]]],
        *,
        most: int,
        period_s: float = 0.0,
    ) -> None:
        self._act, self._most, self._period_s = act, most, period_s
        self._waiting: deque[tuple[_Item, asyncio.Future[_Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: _Item) -> _Result:
        """Return the answer to this item. Raises: whatever `act` says or raises."""
        answer: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._running is None:
            self._running = shared_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                began_s = time.monotonic()
                await self._call([self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))])
                await asyncio.sleep(max(0.0, began_s + self._period_s - time.monotonic()))
        finally:
            self._running = None

    async def _call(self, taken: list[tuple[_Item, asyncio.Future[_Result]]]) -> None:
        asked = [(item, answer) for item, answer in taken if not answer.done()]  # else who asked is gone
        if not asked:
            return
        try:
            results = await self._act([item for item, _ in asked])
        except Exception as error:
            results = [error] * len(asked)
        for (_, answer), result in zip(asked, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
