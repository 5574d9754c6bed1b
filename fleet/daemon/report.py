"""What the control thread tells the event loop about each step: for browsers, orders and the state directory.

Handed over, never waited for: an implementation of `ControlEvents` puts the value elsewhere and returns at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fleet.protocol.authority import Mode, Source

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One control step, or one look between episodes, then with `episode_id` None and empty actions.

    Actions are float32 [A], `state` float32 [P]; `at_s` is the robot's monotonic clock. `share` and `limits`: how much
    of full speed a command was allowed, and what changed it.
    """

    at_s: float
    mode: Mode
    source: Source
    operator: str
    epoch: int
    asked: Array
    applied: Array
    proposed: Array | None = None
    share: float = 1.0
    limits: tuple[str, ...] = ()
    state: Array
    episode_id: str | None = None
    step: int = 0
    max_steps: int = 0
    steps_left: int | None = None  # standing still takes none
    detail: str


class ControlEvents(Protocol):
    """Called from the control thread."""

    def stepped(self, report: StepReport) -> None:
        """A step was made."""

    def ordered(self, order_id: str, code: str, message: str) -> None:
        """An operator's order was done, or refused with a code."""

    def attended(self, epoch: int | None) -> None:
        """From now on only a person with a newer lease than `epoch` may let the robot move; None: that is over."""


class LoopEvents:
    """ControlEvents for the control thread: each call becomes one of `receiver`'s on the event loop."""

    def __init__(self, receiver: ControlEvents, loop: asyncio.AbstractEventLoop) -> None:
        self._receiver = receiver
        self._loop = loop

    def stepped(self, report: StepReport) -> None:
        self._loop.call_soon_threadsafe(self._receiver.stepped, report)

    def ordered(self, order_id: str, code: str, message: str) -> None:
        self._loop.call_soon_threadsafe(self._receiver.ordered, order_id, code, message)

    def attended(self, epoch: int | None) -> None:
        self._loop.call_soon_threadsafe(self._receiver.attended, epoch)
