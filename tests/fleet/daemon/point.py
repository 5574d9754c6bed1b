"""A small deterministic robot for the daemon's tests: a point that must reach x = 1, and a supervisor that knows how.

It checks what it is given like a strict driver would. `POINT_POLICY`-like policies push the point along x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fleet.daemon.drivers.base import DriverError, StepFeedback
from fleet.daemon.supervisor import SupervisorWish
from fleet.protocol.messages import CameraInfo, DriverInfo
from fleet.protocol.policy import ActionChunk, Observation

Array = np.ndarray[Any, Any]
SIZE = 32


class PointDriver:
    """State: x, gripper. Action: dx (0.05 a step at most) and gripper, both in [-1, 1]. Success at x >= 1."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.info = DriverInfo(
            name="point",
            version="1",
            control_rate_hz=10.0,
            action_names=("dx", "gripper"),
            proprio_names=("x", "gripper"),
            cameras=(CameraInfo(name="front", width=SIZE, height=SIZE),),
            tasks=("reach",),
            kept_axes=("gripper",),
        )
        self.x = 0.0
        self.gripper = 0.0
        self.applied: list[Array] = []
        self.holds = 0
        self.seeds: list[int] = []
        self.is_connected = False
        self.fail_at = fail_at

    def connect(self) -> None:
        self.is_connected = True

    def close(self) -> None:
        self.is_connected = False

    def reset(self, task: str, *, seed: int) -> Observation:
        if task not in self.info.tasks:
            raise DriverError(f"unknown task '{task}'")
        self.x = float(np.random.default_rng(seed).uniform(0.0, 0.2))
        self.gripper = 0.0
        self.seeds.append(seed)
        return self.observe()

    def observe(self) -> Observation:
        image = np.zeros((SIZE, SIZE, 3), np.uint8)
        column = int(np.clip(self.x, 0, 0.999) * SIZE)
        image[:, column] = (255, 255, 255)
        return Observation(images={"front": image}, state=np.array([self.x, self.gripper], np.float32))

    def apply(self, action: Array) -> StepFeedback:
        assert action.shape == (2,) and action.dtype == np.float32 and np.isfinite(action).all()
        assert np.abs(action).max() <= 1
        self.applied.append(action.copy())
        if self.fail_at is not None and len(self.applied) >= self.fail_at:
            raise DriverError("the point fell off")
        self.x += 0.05 * float(action[0])
        self.gripper = float(action[1])
        return StepFeedback(reward=self.x, success=self.x >= 1.0)

    def hold(self) -> None:
        self.holds += 1

    def snapshot(self, width: int, height: int) -> Array:
        return np.full((height, width, 3), 128, np.uint8)


class ConstantPolicy:
    """Answers chunks of six equal actions; counts what it was asked."""

    execute_steps = 3

    def __init__(self, dx: float = 1.0, gripper: float = 0.5) -> None:
        self.action = np.array([dx, gripper], np.float32)
        self.inferences = 0
        self.resets: list[tuple[str, int]] = []

    def reset(self, *, instruction: str, seed: int) -> None:
        self.resets.append((instruction, seed))

    def infer(self, observation: Observation) -> ActionChunk:
        self.inferences += 1
        return ActionChunk(np.tile(self.action, (6, 1)))


class ScriptedSupervisor:
    """Wants to drive from `take_at` until `hand_back_at` (steps), by pushing at full speed."""

    def __init__(self, take_at: int, hand_back_at: int) -> None:
        self.reason = ""
        self.take_at = take_at
        self.hand_back_at = hand_back_at
        self.driving: list[bool] = []

    def begin(self, task: str, max_steps: int) -> None:
        self.driving.clear()

    def observe(self, step: int, proposed: Array | None, is_driving: bool) -> SupervisorWish:
        self.driving.append(is_driving)
        if is_driving and step >= self.hand_back_at:
            self.reason = "done"
            return SupervisorWish.HAND_BACK
        if not is_driving and self.take_at <= step < self.hand_back_at:
            self.reason = "no progress"
            return SupervisorWish.TAKE
        return SupervisorWish.NONE

    def action(self) -> Array:
        return np.array([1.0, -1.0], np.float32)
