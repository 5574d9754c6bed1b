"""The scripted supervisor: plays the person who stands by a simulated robot.

Asked by the control loop at every step; pure, no I/O, no clock. When the policy strays from what the robot's own
expert would do, or the task stops progressing, it takes over, recovers, corrects and FINISHES (up to `drive_steps`),
then hands back. Handing back after a short correction teaches recoveries that never finish (design/learning.md, "B").

Honesty: gate and expert use the simulator's privileged state and reward. Everything it drives is marked `scripted`; it
asks for a lease like a person does and never takes one from a person (protocol/authority.py).
"""

from __future__ import annotations

import enum
import math
from collections import deque
from typing import Any, Protocol

import msgspec
import numpy as np

from fleet.daemon.drivers.base import Advised, Advisor, Driver

Array = np.ndarray[Any, Any]

XYZ = slice(0, 3)  # the gate ignores the gripper, whose two states differ by 2 whenever they differ
MIN_PROGRESS_GAIN = 0.01  # of [0, 1]: less is noise of the reward


class SupervisorWish(enum.StrEnum):
    NONE = "none"
    TAKE = "take"
    HAND_BACK = "hand_back"


class SupervisorLike(Protocol):
    """A supervisor as the loop sees it.

    `observe` is asked at every step and answers TAKE for as long as it wants to drive and does not. The first
    `action()` of a takeover comes in the step in which the lease engages, after `observe(is_driving=False)`.
    """

    reason: str

    def begin(self, task: str, max_steps: int) -> None: ...

    def observe(self, step: int, proposed: Array | None, is_driving: bool) -> SupervisorWish: ...

    def action(self) -> Array: ...


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When to take over and for how long, in control steps; actions lie in [-1, 1].

    deviation: mean |proposed - expert| over x, y, z and the last `deviation_steps` steps. grace_steps: at the start of
    an episode and after handing back, during which nothing is judged.
    """

    deviation: float = 0.8
    deviation_steps: int = 18
    stalled_steps: int = 100  # box-close carries its lid for 70 to 100 steps without a gain (docs/experiments.md)
    drive_steps: int = 120
    grace_steps: int = 6

    def __post_init__(self) -> None:
        if not (math.isfinite(self.deviation) and self.deviation > 0):
            raise ValueError("deviation must be positive")
        for name in ("deviation_steps", "stalled_steps", "drive_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.grace_steps < 0:
            raise ValueError("grace_steps must not be negative")


class Supervisor:
    """One robot's gate and expert. `reason` says why it last wished to take or hand back."""

    def __init__(self, advisor: Advisor, thresholds: Thresholds | None = None) -> None:
        self.reason = ""
        self._advisor = advisor
        self._thresholds = thresholds if thresholds is not None else Thresholds()
        self._deviations: deque[float] = deque(maxlen=self._thresholds.deviation_steps)
        self._watched = 0
        self._best_progress = 0.0
        self._since_gain = 0
        self._driven = 0
        self._is_due = False

    def begin(self, task: str, max_steps: int) -> None:
        """Forget the previous episode. `max_steps` is the loop's to enforce: an episode may end while it drives."""
        self._advisor.begin(task)
        self.reason = ""
        self._watch()

    def observe(self, step: int, proposed: Array | None, is_driving: bool) -> SupervisorWish:
        """Judge one step; called at every step, before `action()`.

        `proposed`: the policy's action float32 [A], None without a usable one. Returns TAKE at every step at which it
        wants to drive and does not; HAND_BACK once it has driven for `drive_steps`; else NONE.
        """
        if is_driving:
            return self._judge_driving()
        if self._driven:  # handed back, lapsed, or a person took over
            self._watch()
        self._judge_policy(proposed)
        return SupervisorWish.TAKE if self._is_due else SupervisorWish.NONE

    def action(self) -> Array:
        """Return what it does now, float32 [A]; called once a driven step. The first call is the takeover."""
        if self._driven == 0:
            self._advisor.takeover()
        self._driven += 1
        return self._advisor.action()

    def _watch(self) -> None:
        """Start to watch the policy anew."""
        self._deviations.clear()
        self._watched = 0
        self._best_progress = self._advisor.progress()
        self._since_gain = 0
        self._driven = 0
        self._is_due = False

    def _judge_driving(self) -> SupervisorWish:
        if self._driven < self._thresholds.drive_steps:
            return SupervisorWish.NONE
        self.reason = f"handed back after {self._driven} steps"
        return SupervisorWish.HAND_BACK

    def _judge_policy(self, proposed: Array | None) -> None:
        self._watched += 1
        if self._is_due or self._watched <= self._thresholds.grace_steps:
            return
        self._judge_progress()
        if proposed is not None:
            self._judge_deviation(proposed)

    def _judge_progress(self) -> None:
        progress = self._advisor.progress()
        if progress > self._best_progress + MIN_PROGRESS_GAIN:
            self._best_progress = progress
            self._since_gain = 0
            return
        self._since_gain += 1
        if self._since_gain >= self._thresholds.stalled_steps:
            self._is_due = True
            self.reason = f"no progress for {self._since_gain} steps"

    def _judge_deviation(self, proposed: Array) -> None:
        self._deviations.append(float(np.abs(proposed[XYZ] - self._advisor.action()[XYZ]).mean()))
        is_full = len(self._deviations) == self._thresholds.deviation_steps
        mean = sum(self._deviations) / len(self._deviations)
        if is_full and mean > self._thresholds.deviation:
            self._is_due = True
            self.reason = f"{mean:.2f} from the expert over {len(self._deviations)} steps"


def create_supervisor(driver: Driver, options: dict[str, Any]) -> Supervisor | None:
    """Build the supervisor from configuration (strings or numbers); None if the driver carries no expert.

    Raises: ValueError for an unknown or unusable option.
    """
    try:
        thresholds = msgspec.convert(options, Thresholds, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"supervisor options: {error}") from None
    return Supervisor(driver.advisor, thresholds) if isinstance(driver, Advised) else None
