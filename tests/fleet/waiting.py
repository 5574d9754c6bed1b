"""Waiting for what another thread, process or task does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], *, timeout_s: float = 20.0) -> None:
    """Wait until a condition holds. Raises: AssertionError when it does not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.01)


async def until(condition: Callable[[], object], *, timeout_s: float = 20.0) -> None:
    """Wait until a condition holds, without stopping the event loop."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        await asyncio.sleep(0.01)
