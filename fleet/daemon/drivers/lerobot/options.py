"""The `[driver_options]` of a LeRobot robot, checked. docs/guides/so101.md shows a whole file."""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.daemon.drivers.base import DriverError
from fleet.protocol.messages import CameraInfo, DriverInfo

STEP, POSITION = "step", "position"


class Sensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A number that the policy sees: lerobot's `feature` under our `name`, in `unit`."""

    name: str
    feature: str
    unit: str = ""


class Axis(Sensor, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One axis of our action, and its measured position in our proprioception, in `unit`.

    feature: lerobot's name of it, in actions and observations alike. low, high: no goal leaves this range.
    kind: "step": an action of 1 moves the goal by `step` in one control step, 0 stands still. "position": -1 is `low`,
    1 is `high`, and the value is kept while nobody drives; then `safety.kept_axes` must name the axis.
    max_move: no goal is further from the measured position. home: where `reset` brings it, None leaves it.
    """

    low: float
    high: float
    max_move: float
    kind: str = STEP
    step: float = 0.0
    home: float | None = None


class Camera(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """width, height: of lerobot's pictures, which people see. policy_width, policy_height: of the policy's, 0 as is."""

    feature: str
    width: int
    height: int
    policy_width: int = 0
    policy_height: int = 0


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `create_driver("lerobot", {...})` takes.

    python: of the environment that has lerobot. type, robot: lerobot's robot type and its fields. plugins, plugin_path:
    modules that register further types, and folders to find them in. max_frame_age_s: older pictures are a frozen
    camera. reply_s, connect_s: how long the robot may take for one observation or action, and to connect.
    home_s: how long `reset` may take to reach the home pose, within `home_tolerance` of each axis' unit.
    """

    python: str
    type: str
    axes: tuple[Axis, ...]
    tasks: tuple[str, ...]
    control_rate_hz: float
    robot: dict[str, Any] = {}
    cameras: dict[str, Camera] = {}
    sensors: tuple[Sensor, ...] = ()
    plugins: tuple[str, ...] = ()
    plugin_path: tuple[str, ...] = ()
    max_frame_age_s: float = 0.3
    reply_s: float = 0.5
    connect_s: float = 60.0
    home_s: float = 10.0
    home_tolerance: float = 3.0

    @property
    def numbers(self) -> tuple[Sensor, ...]:
        """The proprioception, in its order."""
        return (*self.axes, *self.sensors)


def read_options(options: dict[str, Any]) -> Options:
    """Raises: DriverError naming what is missing, unknown or out of range."""
    try:
        read = msgspec.convert(options, Options, strict=False)
    except msgspec.ValidationError as error:
        raise DriverError(f"lerobot options: {error}") from None
    for problem in _problems(read):
        raise DriverError(f"lerobot options: {problem}")
    return read


def _problems(options: Options) -> list[str]:
    found = []
    if not options.axes or not options.tasks:
        found.append("at least one axis and one task are needed")
    if not 0 < options.control_rate_hz <= 200:
        found.append("control_rate_hz must lie in (0, 200]")
    for name in ("max_frame_age_s", "reply_s", "connect_s", "home_s", "home_tolerance"):
        if not getattr(options, name) > 0:
            found.append(f"{name} must be positive")
    for names, what in (
        ([axis.name for axis in options.axes], "axis"),
        ([axis.feature for axis in options.axes], "axis feature"),
        ([*_proprio_names(options)], "proprioception"),
    ):
        doubled = sorted({name for name in names if names.count(name) > 1})
        found += [f"{what} '{name}' is there twice" for name in doubled]
    for axis in options.axes:
        found += _axis_problems(axis)
    for name, camera in options.cameras.items():
        own, policy = (camera.width, camera.height), (camera.policy_width, camera.policy_height)
        is_even = all(size >= 0 and size % 2 == 0 for size in (*own, *policy))
        if not is_even or min(own) == 0 or (min(policy) == 0) != (max(policy) == 0):
            found.append(f"camera '{name}': sizes must be even and positive, both policy sizes given or neither")
    return found


def _axis_problems(axis: Axis) -> list[str]:
    found = []
    if not axis.low < axis.high:
        found.append(f"axis '{axis.name}': low must lie below high")
    if axis.kind not in (STEP, POSITION):
        found.append(f"axis '{axis.name}': kind is {STEP} or {POSITION}")
    if not axis.max_move > 0:
        found.append(f"axis '{axis.name}': max_move must be positive")
    if axis.kind == STEP and not 0 < axis.step <= axis.max_move:
        found.append(f"axis '{axis.name}': step must be positive and at most max_move")
    if axis.home is not None and not axis.low <= axis.home <= axis.high:
        found.append(f"axis '{axis.name}': home must lie in [low, high]")
    return found


def _proprio_names(options: Options) -> tuple[str, ...]:
    return tuple(f"{part.name}_{part.unit}" if part.unit else part.name for part in options.numbers)


def driver_info(options: Options) -> DriverInfo:
    """Return what the robot is, from the configuration alone: `connect` checks it against the robot."""
    cameras = options.cameras.items()
    return DriverInfo(
        name="lerobot",
        version=options.type,
        control_rate_hz=options.control_rate_hz,
        action_names=tuple(axis.name for axis in options.axes),
        proprio_names=_proprio_names(options),
        cameras=tuple(
            CameraInfo(name=name, width=one.policy_width or one.width, height=one.policy_height or one.height)
            for name, one in cameras
        ),
        tasks=options.tasks,
        views=tuple(CameraInfo(name=name, width=one.width, height=one.height) for name, one in cameras),
        kept_axes=tuple(axis.name for axis in options.axes if axis.kind == POSITION),
    )
