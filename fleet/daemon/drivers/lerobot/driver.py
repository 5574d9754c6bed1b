"""A LeRobot robot behind the contract of `drivers/base.py`. Success is the operator's to say.

LeRobot's robots take goal positions; this turns each action into goals that lie inside the axis' range and never
further than `max_move` from where the axis was measured, and keeps them while the robot holds. A picture older than
`max_frame_age_s` is a frozen camera. Every failure is a RobotError with a code: the daemon aborts the episode, reports
the code, disconnects and connects anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import av
import numpy as np

from fleet.daemon.drivers.base import DriverError, StepFeedback
from fleet.daemon.drivers.lerobot.options import STEP, Axis, Options, driver_info, read_options
from fleet.daemon.drivers.lerobot.process import HostProcess, RobotError
from fleet.protocol.policy import Observation

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]

SETTLED_STEPS = 3  # observations in a row at the home pose


def create(options: dict[str, Any]) -> LeRobotDriver:
    """Build the driver; no process is started. Raises: DriverError for an option it does not take."""
    return LeRobotDriver(read_options(options))


class LeRobotDriver:
    """Follows `base.Driver`, `base.Filmed`, `base.Calibrated` and `base.StopAware`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.info = driver_info(options)
        self._host: HostProcess | None = None
        self._calibration: dict[str, Any] = {}
        self._measured: dict[str, float] = {}
        self._goals: dict[str, float] = {}
        self._is_holding = False
        self._is_stopped: Callable[[], bool] = lambda: False

    @property
    def calibration(self) -> dict[str, Any]:
        """Robot type and id, lerobot's version, and what `lerobot-calibrate` wrote. Empty before `connect`."""
        return self._calibration

    @property
    def resting_action(self) -> Array:
        """See `base.Resting`: position axes at their goals."""
        values = [0.0 if axis.kind == STEP else _share(axis, self._goals[axis.feature]) for axis in self.options.axes]
        return np.array(values, np.float32)

    def watch_stop(self, is_stopped: Callable[[], bool]) -> None:
        """See `base.StopAware`."""
        self._is_stopped = is_stopped

    def connect(self) -> None:
        """Start lerobot and connect the robot. Raises: RobotError."""
        if self._host is not None:
            return
        options = self.options
        self._host = HostProcess(options.python, options.plugin_path)
        try:
            described, _ = self._host.ask(
                "open", timeout_s=options.connect_s, type=options.type, fields=options.robot, plugins=options.plugins
            )
            self._check(described)
            connected, _ = self._host.ask("connect", timeout_s=options.connect_s)
        except RobotError:
            self.close()
            raise
        self._calibration = {
            "lerobot": described["version"],
            "robot_type": options.type,
            "robot_id": connected["id"],
            "motors": connected["calibration"],
        }
        self._goals, self._is_holding = {}, False

    def close(self) -> None:
        if self._host is not None:
            self._host.close()
        self._host = None

    def reset(self, task: str, *, seed: int) -> Observation:
        """Bring the axes that have one to their home pose; a stop ends that where the robot is.

        Raises: DriverError for an unknown task; RobotError, home_not_reached among them.
        """
        if task not in self.info.tasks:
            raise DriverError(f"task '{task}' is unknown; there are {', '.join(self.info.tasks)}", task=task)
        observation = self.observe()
        self._goals = {axis.feature: self._measured[axis.feature] for axis in self.options.axes}
        if any(axis.home is not None for axis in self.options.axes):
            observation = self._go_home(observation)
        return observation

    def observe(self) -> Observation:
        """Raises: RobotError, camera_frozen for a picture that is too old."""
        options = self.options
        features = [part.feature for part in options.numbers]
        answer, payload = self._asked(
            "observe", numbers=features, pictures=[camera.feature for camera in options.cameras.values()]
        )
        self._measured = answer["numbers"]
        images: dict[str, Array] = {}
        start = 0
        for (name, camera), found in zip(options.cameras.items(), answer["pictures"], strict=True):
            pixels, start = self._pixels(name, found, payload, start)
            self._check_age(name, found["captured_s"])
            images[name] = _resized(pixels, camera.policy_width or camera.width, camera.policy_height or camera.height)
        return Observation(images=images, state=np.array([self._measured[name] for name in features], np.float32))

    def apply(self, action: Array) -> StepFeedback:
        """Send the goals of one action. Raises: RobotError."""
        if not self._goals:
            raise DriverError("the driver was not reset yet")
        goals = {
            axis.feature: self._goal(axis, float(value)) for axis, value in zip(self.options.axes, action, strict=True)
        }
        self._send(goals)
        self._is_holding = False
        return StepFeedback(reward=0.0, success=False)

    def hold(self) -> None:
        """Stand where the robot was last measured; sent once, for a goal that follows a sagging arm lets it sink.

        Raises: RobotError.
        """
        if self._host is not None:
            self._host.check()  # a robot that stands idle for hours says so when it is lost
        if self._is_holding or not self._goals:
            return
        goals = {axis.feature: self._standing(axis) for axis in self.options.axes}
        self._send(goals)
        self._is_holding = True

    def snapshot(self, width: int, height: int) -> Array:
        if not self.info.views:
            raise DriverError("the robot has no camera")
        return _resized(self.film(self.info.views[0].name)[0], width, height)

    # --- base.Filmed: called from the filming thread --------------------------------------------------------------

    def film(self, view: str) -> tuple[Array, float]:
        """Raises: RobotError, camera_frozen among them."""
        host, camera = self._host, self.options.cameras.get(view)
        if host is None or camera is None:
            raise DriverError(f"view '{view}' shows nothing: the robot is not connected")
        found, payload = host.film(camera.feature, timeout_s=self.options.reply_s)
        pixels, _ = self._pixels(view, found, payload, 0)
        self._check_age(view, found["captured_s"])
        return pixels, found["captured_s"] if found["captured_s"] is not None else time.monotonic()

    def end_filming(self) -> None:
        """The cameras run as long as the robot is connected."""

    # --- Goals ----------------------------------------------------------------------------------------------------

    def _goal(self, axis: Axis, value: float) -> float:
        before = self._goals[axis.feature]
        wanted = before + value * axis.step if axis.kind == STEP else _position(axis, value)
        return self._near(axis, min(max(wanted, axis.low), axis.high))

    def _near(self, axis: Axis, wanted: float) -> float:
        at = self._measured[axis.feature]
        return min(max(wanted, at - axis.max_move), at + axis.max_move)

    def _standing(self, axis: Axis) -> float:
        """A position axis keeps its goal, as a gripper that holds something; the others stop where they are."""
        return self._measured[axis.feature] if axis.kind == STEP else self._near(axis, self._goals[axis.feature])

    def _send(self, goals: dict[str, float]) -> None:
        answer, _ = self._asked("act", goals=goals)
        self._goals = {**goals, **{name: value for name, value in answer["sent"].items() if name in goals}}

    def _go_home(self, observation: Observation) -> Observation:
        """Move at the speed of full actions, `max_move` in a second for position axes."""
        homing = [axis for axis in self.options.axes if axis.home is not None]
        period_s, ends_s = 1.0 / self.options.control_rate_hz, time.monotonic() + self.options.home_s
        settled = 0
        while settled < SETTLED_STEPS:
            if self._is_stopped():
                logger.warning("stopped on the way home")
                self.hold()
                return observation
            if time.monotonic() > ends_s:
                far = max(homing, key=self._distance)
                text = f"'{far.name}' is {self._distance(far):.1f} {far.unit} from home after {self.options.home_s:g} s"
                raise RobotError("home_not_reached", text)
            self._send({**self._goals, **{axis.feature: self._towards_home(axis, period_s) for axis in homing}})
            self._is_holding = False
            time.sleep(period_s)
            observation = self.observe()
            settled = settled + 1 if max(map(self._distance, homing)) <= self.options.home_tolerance else 0
        return observation

    def _towards_home(self, axis: Axis, period_s: float) -> float:
        assert axis.home is not None
        step = axis.step if axis.kind == STEP else axis.max_move * period_s
        before = self._goals[axis.feature]
        return self._near(axis, min(max(axis.home, before - step), before + step))

    def _distance(self, axis: Axis) -> float:
        return abs(self._measured[axis.feature] - (axis.home or 0.0))

    # --- The process ----------------------------------------------------------------------------------------------

    def _asked(self, op: str, **values: Any) -> tuple[dict[str, Any], bytearray]:
        if self._host is None:
            raise DriverError("the robot is not connected")
        return self._host.ask(op, timeout_s=self.options.reply_s, **values)

    def _check(self, described: dict[str, Any]) -> None:
        """Raises: RobotError robot_differs, if the robot has not what the configuration maps."""
        options = self.options
        actions, numbers, pictures = described["actions"], described["numbers"], described["pictures"]
        problems = [f"no action '{axis.feature}'" for axis in options.axes if axis.feature not in actions]
        mapped = {axis.feature for axis in options.axes}
        problems += [f"no axis for its action '{name}'" for name in actions if name not in mapped]
        problems += [f"no observation '{part.feature}'" for part in options.numbers if part.feature not in numbers]
        for camera in options.cameras.values():
            size = [camera.height, camera.width, 3]
            if pictures.get(camera.feature) != size:
                problems.append(f"camera '{camera.feature}' is {pictures.get(camera.feature)}, not {size}")
        if problems:
            has = f"actions {actions}, numbers {numbers}, pictures {pictures}"
            raise RobotError("robot_differs", f"{'; '.join(problems)}. It has {has}")

    def _pixels(self, name: str, found: dict[str, Any], payload: bytearray, start: int) -> tuple[Array, int]:
        camera = self.options.cameras[name]
        shape = (camera.height, camera.width, 3)
        end = start + camera.height * camera.width * 3
        if tuple(found["shape"]) != shape or end > len(payload):
            raise RobotError("device_lost", f"camera '{name}' gave {found['shape']}, not {list(shape)}")
        return np.frombuffer(payload, np.uint8, count=end - start, offset=start).reshape(shape), end

    def _check_age(self, name: str, captured_s: float | None) -> None:
        if captured_s is not None and (age_s := time.monotonic() - captured_s) > self.options.max_frame_age_s:
            text = f"camera '{name}' shows what was {age_s:.2f} s ago; {self.options.max_frame_age_s:g} s are allowed"
            raise RobotError("camera_frozen", text)


def _position(axis: Axis, value: float) -> float:
    return axis.low + (value + 1.0) / 2.0 * (axis.high - axis.low)


def _share(axis: Axis, goal: float) -> float:
    """The action in [-1, 1] that asks a position axis for `goal`."""
    return float(np.clip(2.0 * (goal - axis.low) / (axis.high - axis.low) - 1.0, -1.0, 1.0))


def _resized(pixels: Array, width: int, height: int) -> Array:
    if pixels.shape[:2] == (height, width):
        return pixels
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
        width=width, height=height, interpolation="AREA"
    )
    resized: Array = frame.to_ndarray(format="rgb24")
    return resized
