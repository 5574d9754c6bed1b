"""Meta-World's scripted experts as the robot's Advisor: they play the person who stands by.

Used by the scripted supervisor and for demonstrations. Privileged: an expert reads object and goal positions from the
simulator, and progress from its reward. Departure from Meta-World: on shelf-place a takeover first backs off (opens the
gripper, lifts), because the expert never re-opens after a missed grasp; on the other tasks that lowers success
(design/learning.md: shelf-place .73 -> .93, bin-picking .87 -> .73, box-close .93 -> .60).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from metaworld.policies import ENV_POLICY_MAP

from fleet.daemon.drivers.base import DriverError
from fleet.daemon.drivers.metaworld.simulation import Simulation

Array = np.ndarray[Any, Any]

BACK_OFF_TASKS = frozenset({"shelf-place"})
BACK_OFF_STEPS = 20
BACK_OFF_HEIGHT_M = 0.25
_BACK_OFF = np.array([0.0, 0.0, 1.0, -1.0], np.float32)  # straight up, gripper open


def _new_expert(task: str) -> Any:
    policies: dict[str, Any] = ENV_POLICY_MAP  # typed upstream as its abstract base
    return policies[f"{task}-v3"]()


class MetaWorldAdvisor:
    """The expert of whichever task the driver runs; follows `base.Advisor`."""

    def __init__(self, current: Callable[[], Simulation]) -> None:
        """`current` returns the running simulation; raises DriverError before the first reset."""
        self._current = current
        self._back_off_until = 0
        self._task = ""
        self._expert: Any = None

    def begin(self, task: str) -> None:
        """Forget the previous episode. Raises: DriverError if `task` is not the one the driver was reset to."""
        if self._current().task != task:
            raise DriverError(f"the driver runs '{self._current().task}', not '{task}'", task=task)
        self._back_off_until = 0

    def takeover(self) -> None:
        simulation = self._current()
        if simulation.task in BACK_OFF_TASKS:
            self._back_off_until = simulation.steps + BACK_OFF_STEPS

    def action(self) -> Array:
        """Return what the expert does now, float32 [4]. Depends on the scene alone: asking twice changes nothing."""
        simulation = self._current()
        if simulation.steps < self._back_off_until and simulation.state[2] < BACK_OFF_HEIGHT_M:
            return _BACK_OFF.copy()
        if self._task != simulation.task:
            self._task, self._expert = simulation.task, _new_expert(simulation.task)
        with warnings.catch_warnings():
            # Its proportional controller warns at nearly every step that it saturates; the clip below is the answer.
            warnings.filterwarnings("ignore", message="Constant.*may be too high", category=UserWarning)
            action = self._expert.get_action(simulation.state)
        clipped: Array = np.clip(action, -1.0, 1.0).astype(np.float32)
        return clipped

    def progress(self) -> float:
        return self._current().progress
