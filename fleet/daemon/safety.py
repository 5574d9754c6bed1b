"""The last word before the driver: limits, slew rate, workspace, non-finite values. Pure.

Called by the control loop for every action, whoever asked for it. It never decides who drives (pilot.py), only what
may be executed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.daemon.config import ConfigError, SafetyConfig

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Guarded:
    """What may be executed, float32 [A]. `is_held`: the request was unusable and the robot holds still instead.

    `limits`: what changed the request: "slew", "rate" (the range of an axis), "workspace".
    """

    action: Array
    is_held: bool
    limits: tuple[str, ...] = ()


class ActionGuard:
    """Limits of one robot, spread over its axes.

    Raises (constructor): ConfigError if a tuple fits neither one value nor the axes, or a range is empty; if
    `kept_axes`, the driver's own, differ from those of `safety.kept_axes`: one that only the driver keeps would be sent
    to the middle of its range to hold still, one that only the configuration keeps would go on moving.
    """

    def __init__(
        self, config: SafetyConfig, action_names: tuple[str, ...], *, kept_axes: tuple[str, ...] | None = None
    ) -> None:
        self._low = _spread("safety.low", config.low, len(action_names))
        self._high = _spread("safety.high", config.high, len(action_names))
        self._max_change = _spread("safety.max_change_per_step", config.max_change_per_step, len(action_names))
        self._handover_change = np.minimum(
            self._max_change,
            _spread("safety.handover_change_per_step", config.handover_change_per_step, len(action_names)),
        )
        self._box = (np.array(config.workspace_low, np.float32), np.array(config.workspace_high, np.float32))
        if len(config.workspace_low) > len(action_names):
            raise ConfigError("'safety.workspace_low' has more values than there are axes", key="safety.workspace_low")
        if bool((self._low >= self._high).any()):
            raise ConfigError("'safety.low' must be below 'safety.high' on every axis", key="safety.low")
        self._kept = np.array([name in config.kept_axes for name in action_names])
        kept = [name for name, is_kept in zip(action_names, self._kept, strict=True) if is_kept]
        if kept_axes is not None and set(kept) != set(kept_axes):
            text = f"the driver keeps {sorted(kept_axes)} when nobody moves them, 'safety.kept_axes' means {kept}"
            raise ConfigError(text, key="safety.kept_axes")

    @property
    def rest(self) -> Array:
        """The command before the first action: zero on every axis."""
        return np.zeros(len(self._kept), np.float32)

    def hold(self, previous: Array) -> Array:
        """Return the action that stands still after `previous`: zero, except on the axes that keep their command."""
        return np.where(self._kept, previous, np.float32(0)).astype(np.float32)

    def slowed(self, asked: Array, share: float) -> Array:
        """Return a request at `share` in [0, 1] of its speed; axes that keep their command are no speeds."""
        return np.where(self._kept, asked, asked * np.float32(share)).astype(np.float32)

    def is_moving(self, action: Array) -> bool:
        """Whether a command moves the robot: any axis that does not keep its command is off zero."""
        return bool(action[~self._kept].any())

    def guard(self, asked: Array | None, previous: Array, state: Array, *, is_handover: bool = False) -> Guarded:
        """Return what may be executed of `asked` (float [A]) after the command `previous` in the state (float [P]).

        `is_handover`: somebody takes over or hands back now, so commands may change by less from step to step.
        A missing, wrongly shaped or non-finite request holds still. Holding obeys no slew limit: it is the brake.
        """
        if not is_usable(asked, len(self._kept)):
            return Guarded(self.hold(previous), is_held=True)
        wanted = np.asarray(asked, np.float32)
        change = self._handover_change if is_handover else self._max_change
        slewed = np.clip(wanted, previous - change, previous + change)
        ranged = np.clip(slewed, self._low, self._high).astype(np.float32)
        action = self._inside(ranged, state)
        steps = (("slew", wanted, slewed), ("rate", slewed, ranged), ("workspace", ranged, action))
        limits = tuple(name for name, before, after in steps if not np.array_equal(before, after))
        return Guarded(action, is_held=False, limits=limits)

    def _inside(self, action: Array, state: Array) -> Array:
        """Stop each axis that would leave the workspace further; back inside it may always move."""
        low, high = self._box
        count = len(low)
        if count == 0:
            return action
        moving, at = action[:count], state[:count]
        is_leaving = ((at >= high) & (moving > 0)) | ((at <= low) & (moving < 0))
        return np.concatenate([np.where(is_leaving, np.float32(0), moving), action[count:]])


def is_usable(action: Array | None, axes: int) -> bool:
    """Whether an action exists, has one value an axis, and all of them are finite."""
    return action is not None and action.shape == (axes,) and bool(np.isfinite(action).all())


def _spread(key: str, values: tuple[float, ...], axes: int) -> Array:
    if len(values) not in (1, axes):
        raise ConfigError(f"'{key}' has {len(values)} values for {axes} axes", key=key)
    return np.broadcast_to(np.array(values, np.float32), (axes,)).copy()
