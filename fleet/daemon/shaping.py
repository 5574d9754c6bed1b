"""From what the driver of record asks for to what is executed: a person's speed cap, smooth changes of driver. Pure.

One `Shaper` an episode, asked once a step by the control loop. The scripted supervisor and the policy pass through the
guard alone; only where a person drives, takes over or hands back are commands slowed and their changes bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.daemon.command_gate import Cap, speed_cap
from fleet.daemon.config import SafetyConfig, TeleopConfig
from fleet.daemon.inbox import Command
from fleet.daemon.safety import ActionGuard
from fleet.protocol.authority import Authority, Mode, Source

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Shaped:
    """What becomes of one request. `action`: float32 [A].

    `is_moving`: the driver applies the action; otherwise it holds still. `is_held`: the request was unusable.
    `share`: of full speed that was allowed; `limits`: what changed the request.
    """

    action: Array
    is_moving: bool
    is_held: bool
    share: float = 1.0
    limits: tuple[str, ...] = ()


class Shaper:
    """Keeps the last command and how long its changes stay bounded."""

    def __init__(
        self, guard: ActionGuard, safety: SafetyConfig, teleop: TeleopConfig, *, resting: Array | None = None
    ) -> None:
        """`resting`: the command that changes nothing at the episode's start, float32 [A]; None for `guard.rest`."""
        self._guard = guard
        self._ramp_steps = safety.handover_ramp_steps
        self._teleop = teleop
        self._previous = guard.rest if resting is None else resting
        self._ramp_left = 0
        self._is_slowing = False

    def follow(self, before: Authority, after: Authority) -> None:
        """Note who drives from this step on.

        A person who takes over brings the robot to rest within the handover's change a step, and so begins and ends
        their driving. Whatever ends driving for safety (commands that stop, a lapse, a stop) brakes at once.
        """
        is_change = before.mode is not after.mode or before.holder != after.holder
        if not is_change or Source.PERSON not in (before.source, after.source):
            return
        is_faltering = after.mode is Mode.HANDOVER and before.holder == after.holder
        is_smooth = after.mode in (Mode.AUTONOMOUS, Mode.HANDOVER, Mode.TELEOP) and not is_faltering
        self._ramp_left = self._ramp_steps if is_smooth else 0
        self._is_slowing = is_smooth and after.mode is Mode.HANDOVER

    def shape(
        self, asked: Array | None, state: Array, *, authority: Authority, command: Command | None, now_s: float
    ) -> Shaped:
        """Return what is executed of `asked` (float [A], None to hold) in the state (float [P]).

        `command`: the person's, which `asked` came from; None if nobody or somebody else drives.
        """
        shaped = self._shape(asked, state, authority=authority, command=command, now_s=now_s)
        self._ramp_left = max(0, self._ramp_left - 1)
        self._previous = shaped.action
        return shaped

    def _shape(
        self, asked: Array | None, state: Array, *, authority: Authority, command: Command | None, now_s: float
    ) -> Shaped:
        rest, is_handover = self._guard.hold(self._previous), self._ramp_left > 0
        if authority.mode is Mode.HANDOVER and self._is_slowing and self._guard.is_moving(self._previous):
            slowing = self._guard.guard(rest, self._previous, state, is_handover=True)
            return Shaped(slowing.action, is_moving=True, is_held=False)
        if authority.mode not in (Mode.AUTONOMOUS, Mode.TELEOP):
            return Shaped(rest, is_moving=False, is_held=False)
        cap = speed_cap(self._teleop, command, now_s=now_s) if command is not None else Cap(1.0)
        if asked is not None and cap.share == 0.0:
            return Shaped(rest, is_moving=True, is_held=False, share=0.0, limits=cap.limits)
        slowed = asked if asked is None or cap.share == 1.0 else self._guard.slowed(asked, cap.share)
        guarded = self._guard.guard(slowed, self._previous, state, is_handover=is_handover)
        limits = (*cap.limits, *guarded.limits)
        return Shaped(guarded.action, is_moving=True, is_held=guarded.is_held, share=cap.share, limits=limits)
