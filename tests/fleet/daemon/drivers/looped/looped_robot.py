"""A LeRobot robot without hardware: two joints and a gripper that go where they are told, and one camera.

A plugin in lerobot's own sense; it runs under the real lerobot (make verify-robot) and under the stand-in beside it
(make test). What goes wrong is written into the file `faults` while it works: absent, uncalibrated, unplug, hang, die,
freeze, nan, grey. What was done to it is appended to the file `events`, one JSON value a line.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lerobot.robots import Robot, RobotConfig
from lerobot.utils.errors import DeviceNotConnectedError

JOINTS = ("pan", "lift", "gripper")
SPEED = 5.0  # of one send_action
HEIGHT, WIDTH = 48, 64


@RobotConfig.register_subclass("looped")
@dataclass(kw_only=True)
class LoopedRobotConfig(RobotConfig):
    port: str
    folder: str  # of the files faults and events
    speed: float = SPEED
    max_age_s: float = 0.5  # as lerobot's OpenCVCamera.read_latest


class LoopedCamera:
    def __init__(self, robot: LoopedRobot) -> None:
        self._robot = robot
        self.latest_timestamp: float | None = None
        self._frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def read_latest(self) -> np.ndarray:
        if "freeze" not in self._robot.faults or self.latest_timestamp is None:
            self._frame = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
            column = int(np.clip((self._robot.position["pan"] + 100) / 200, 0, 0.99) * WIDTH)
            self._frame[:, max(0, column - 4) : column + 4] = (240, 120, 60)
            self.latest_timestamp = time.perf_counter()
        if time.perf_counter() - self.latest_timestamp > self._robot.config.max_age_s:
            raise TimeoutError("latest frame is too old")
        return self._frame[:, :, :1] if "grey" in self._robot.faults else self._frame


class LoopedRobot(Robot):
    config_class = LoopedRobotConfig
    name = "looped"

    def __init__(self, config: LoopedRobotConfig) -> None:
        super().__init__(config)
        self.config = config
        self.position = dict.fromkeys(JOINTS, 10.0)
        self.cameras = {"top": LoopedCamera(self)}
        self._is_connected = False

    @property
    def faults(self) -> str:
        path = Path(self.config.folder, "faults")
        return path.read_text() if path.exists() else ""

    def _note(self, event: object) -> None:
        with Path(self.config.folder, "events").open("a") as file:
            file.write(json.dumps(event) + "\n")

    @property
    def observation_features(self) -> dict:
        return {**{f"{joint}.pos": float for joint in JOINTS}, "load": float, "top": (HEIGHT, WIDTH, 3)}

    @property
    def action_features(self) -> dict:
        return {f"{joint}.pos": float for joint in JOINTS}

    @property
    def is_connected(self) -> bool:
        return self._is_connected

    @property
    def is_calibrated(self) -> bool:
        return "uncalibrated" not in self.faults

    def connect(self, calibrate: bool = True) -> None:
        if "absent" in self.faults:
            raise ConnectionError(f"could not connect on port '{self.config.port}'")
        self._is_connected = True
        self._note("connected")

    def calibrate(self) -> None:
        input("move the robot to the middle and press ENTER")

    def configure(self) -> None:
        pass

    def get_observation(self) -> dict:
        faults = self.faults
        if "unplug" in faults:
            raise DeviceNotConnectedError(f"{self.config.port} is gone")
        if "hang" in faults:
            time.sleep(60)
        if "die" in faults:
            os._exit(3)
        values: dict = {f"{joint}.pos": position for joint, position in self.position.items()}
        values["load"] = float("nan") if "nan" in faults else 0.25
        values["top"] = self.cameras["top"].read_latest()
        return values

    def send_action(self, action: dict) -> dict:
        for name, goal in action.items():
            joint = name.removesuffix(".pos")
            change = min(max(goal - self.position[joint], -self.config.speed), self.config.speed)
            self.position[joint] += change
        self._note(action)
        return dict(action)

    def disconnect(self) -> None:
        if not self._is_connected:
            raise DeviceNotConnectedError("not connected")
        self._is_connected = False
        self._note("disconnected")
