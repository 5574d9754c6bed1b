"""What others want of the control loop, handed over between threads. Latest wins; nothing here blocks or decides.

The link's thread puts, the control thread takes once a step. `LeaseDesk` is where the scripted supervisor's leases
come from: the server (app.py wires the link) or, in offline rollouts, `LocalLeases`.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from fleet.protocol.authority import Holder, Source

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
    """A person's newest command: action float [A], under which lease, when received (monotonic seconds)."""

    epoch: int
    action: Array
    received_s: float


@dataclass(frozen=True)
class Wishes:
    """What the control loop reads at a step. `lease`: as the server last stated it, None if nobody holds one."""

    is_paused: bool = False
    lease: Grant | None = None
    command: Command | None = None
    stop_reason: str | None = None
    is_clear_wanted: bool = False
    abort_reason: str | None = None


class ControlInbox:
    """Thread-safe and bounded: one value of each kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wishes = Wishes()

    def take(self) -> Wishes:
        """Return what is wanted now. Stop and clear are handed out once, the rest stays until replaced."""
        with self._lock:
            wishes = self._wishes
            self._wishes = replace(wishes, stop_reason=None, is_clear_wanted=False)
            return wishes

    def put_state(self, *, is_paused: bool, lease: Grant | None) -> None:
        """Note what the server wants."""
        self._put(is_paused=is_paused, lease=lease)

    def put_command(self, command: Command) -> None:
        """Note a person's newest command."""
        self._put(command=command)

    def stop(self, reason: str) -> None:
        """Stop at the next step and stay stopped until `clear`."""
        self._put(stop_reason=reason, is_clear_wanted=False)

    def clear(self) -> None:
        """Release the stop latch; the robot is then paused."""
        self._put(is_clear_wanted=True)

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
