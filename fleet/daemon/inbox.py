"""What others want of the control loop, handed over between threads. Latest wins; nothing here blocks or decides.

The link's thread puts, the control thread takes once a step. `LeaseDesk` is where the scripted supervisor's leases
come from: the server (app.py wires the link) or, in offline rollouts, `LocalLeases`.
"""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from fleet.protocol.authority import Holder, Source
from fleet.protocol.messages import EpisodeOrder, StopInfo

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Grant:
    """A lease as the robot sees it: `received_s` and `expires_at_s` are the robot's own monotonic seconds."""

    holder: Holder
    received_s: float
    expires_at_s: float


@dataclass(frozen=True)
class Refusal:
    """The server's "no" to a lease request."""

    code: str
    message: str


@dataclass(frozen=True)
class Command:
    """A person's newest command: action float32 [A] under which lease; times are the robot's monotonic seconds.

    `delay_s`: its way from the operator. `video_seen_s`: when the picture that the operator acted on was decoded there,
    or filmed if it is an old one that was sent again.
    """

    epoch: int
    action: Array
    received_s: float
    delay_s: float = 0.0
    video_seen_s: float = math.inf

    @property
    def sent_s(self) -> float:
        """When the operator sent it. Silence counts from here: what was on its way adds nothing to it."""
        return self.received_s - self.delay_s


@dataclass(frozen=True)
class Wishes:
    """What the control loop reads at a step. `lease`: as the server last stated it, None if nobody holds one.

    `handed_back_epoch`: of the newest person's lease if its holder gave it back, else 0.
    `stop`: in force now. `stop_count` grows with every stop: one that was cleared between two steps still stopped.
    """

    is_paused: bool = False
    lease: Grant | None = None
    handed_back_epoch: int = 0
    command: Command | None = None
    stop: StopInfo | None = None
    stop_count: int = 0
    order: EpisodeOrder | None = None
    abort_reason: str | None = None


class ControlInbox:
    """Thread-safe and bounded: one value of each kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wishes = Wishes()

    def take(self) -> Wishes:
        """Return what is wanted now. An order is handed out once, the rest stays until replaced."""
        with self._lock:
            wishes = self._wishes
            self._wishes = replace(wishes, order=None)
            return wishes

    def put_state(self, *, is_paused: bool, lease: Grant | None, handed_back_epoch: int = 0) -> None:
        """Note what the server wants."""
        self._put(is_paused=is_paused, lease=lease, handed_back_epoch=handed_back_epoch)

    def put_command(self, command: Command) -> None:
        """Note a person's newest command."""
        self._put(command=command)

    def put_stop(self, stop: StopInfo | None, *, count: int) -> None:
        """Note the latch: the stop in force, None if there is none, and how many there were (stop_latch.py)."""
        self._put(stop=stop, stop_count=count)

    def put_order(self, order: EpisodeOrder) -> bool:
        """Note what an operator wants of the episode; False while an earlier order waits for its step."""
        with self._lock:
            if self._wishes.order is not None:
                return False
            self._wishes = replace(self._wishes, order=order)
        logger.info("order %s of %s: %s", order.order_id, order.by, order.kind)
        return True

    def abort(self, reason: str) -> None:
        """End the open episode and take no other: the daemon is going down."""
        self._put(abort_reason=reason)

    def _put(self, **changes: Any) -> None:
        with self._lock:
            self._wishes = replace(self._wishes, **changes)


class LeaseDesk(Protocol):
    """Where leases of the scripted supervisor come from. Called from the control thread; never blocks."""

    def request(self, reason: str) -> bool:
        """Ask for a lease; False if there is nobody to ask now."""

    def take_reply(self) -> Grant | Refusal | None:
        """Return the answer to the newest request once it is there, and a renewed lease while one is held."""

    def renew(self, epoch: int) -> None:
        """Ask for more time."""

    def release(self, epoch: int, reason: str) -> None:
        """Give the lease back."""


class LocalLeases:
    """Grants every request at once, for ever: there is no server and no person in an offline rollout."""

    def __init__(self) -> None:
        self._epoch = 0
        self._reply: Grant | None = None

    def request(self, reason: str) -> bool:
        self._epoch += 1
        holder = Holder(source=Source.SCRIPTED, name="scripted", epoch=self._epoch)
        self._reply = Grant(holder, received_s=0.0, expires_at_s=math.inf)
        return True

    def take_reply(self) -> Grant | Refusal | None:
        reply, self._reply = self._reply, None
        return reply

    def renew(self, epoch: int) -> None:
        """Nothing to do: these leases do not expire."""

    def release(self, epoch: int, reason: str) -> None:
        """Nothing to do: nobody waits for it."""
