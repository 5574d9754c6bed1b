"""The last word before the driver: limits, slew rate, non-finite values, deadman, stop latch. Pure; time is passed in.

Called by the control loop for every action, whoever asked for it. It never decides who drives (pilot.py), only what
may be executed. The server's lease is not the brake: without a valid lease or fresh commands the robot holds by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.daemon.config import ConfigError, SafetyConfig

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Guarded:
    """What may be executed, float32 [A]. `is_held`: the request was unusable and the robot holds still instead."""

    action: Array
    is_held: bool


class ActionGuard:
    """Limits of one robot, spread over its axes.

    Raises (constructor): ConfigError if a tuple fits neither one value nor the axes, or a range is empty.
    """

    def __init__(self, config: SafetyConfig, action_names: tuple[str, ...]) -> None:
        self._low = _spread("safety.low", config.low, len(action_names))
        self._high = _spread("safety.high", config.high, len(action_names))
        self._max_change = _spread("safety.max_change_per_step", config.max_change_per_step, len(action_names))
        if bool((self._low >= self._high).any()):
            raise ConfigError("'safety.low' must be below 'safety.high' on every axis", key="safety.low")
        self._kept = np.array([name in config.kept_axes for name in action_names])

    @property
    def rest(self) -> Array:
        """The command before the first action: zero on every axis."""
        return np.zeros(len(self._kept), np.float32)

    def hold(self, previous: Array) -> Array:
        """Return the action that stands still after `previous`: zero, except on the axes that keep their command."""
        return np.where(self._kept, previous, np.float32(0)).astype(np.float32)

    def guard(self, asked: Array | None, previous: Array) -> Guarded:
        """Return what may be executed of `asked` (float [A]) after the command `previous`.

        A missing, wrongly shaped or non-finite request holds still. Holding obeys no slew limit: it is the brake.
        """
        if not is_usable(asked, len(self._kept)):
            return Guarded(self.hold(previous), is_held=True)
        slewed = np.clip(np.asarray(asked, np.float32), previous - self._max_change, previous + self._max_change)
        action = np.clip(slewed, self._low, self._high)
        return Guarded(action.astype(np.float32), is_held=False)


def is_usable(action: Array | None, axes: int) -> bool:
    """Whether an action exists, has one value an axis, and all of them are finite."""
    return action is not None and action.shape == (axes,) and bool(np.isfinite(action).all())


def _spread(key: str, values: tuple[float, ...], axes: int) -> Array:
    if len(values) not in (1, axes):
        raise ConfigError(f"'{key}' has {len(values)} values for {axes} axes", key=key)
    return np.broadcast_to(np.array(values, np.float32), (axes,)).copy()


def has_lapsed(
    *, now_s: float, expires_at_s: float, commanded_at_s: float | None, command_timeout_s: float | None
) -> bool:
    """The deadman: whether the driver's lease ran out, or its commands stopped.

    `commanded_at_s`: when the newest command (or, before it, the lease) was received. `command_timeout_s` None: this
    driver sits in the same process and sends no commands over a network, so only its lease counts.
    """
    if now_s >= expires_at_s:
        return True
    return command_timeout_s is not None and (commanded_at_s is None or now_s - commanded_at_s > command_timeout_s)


class StopLatch:
    """Stop wins over everything and stays until it is cleared on purpose."""

    def __init__(self) -> None:
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why the robot is stopped, None if it is not."""
        return self._reason

    def stop(self, reason: str) -> None:
        """Latch; the first reason is kept."""
        if self._reason is None:
            self._reason = reason

    def clear(self) -> None:
        self._reason = None
