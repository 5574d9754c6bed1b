"""The LeRobot driver through a real process, with the looped robot; `make verify-robot` takes the real lerobot."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fleet.daemon.config import ConfigError, SafetyConfig
from fleet.daemon.drivers.base import DriverError, declared_calibration
from fleet.daemon.drivers.lerobot import wire
from fleet.daemon.drivers.lerobot.driver import LeRobotDriver
from fleet.daemon.drivers.lerobot.process import RobotError
from fleet.daemon.drivers.registry import create_driver
from fleet.daemon.recorder import write_episode
from fleet.protocol.recording import Outcome
from tests.fleet.daemon.drivers.lerobot_made import IS_REAL, events, goals, inject, looped_options
from tests.fleet.daemon.loop_made import runner, spec
from tests.fleet.daemon.point import ConstantPolicy

Made = Callable[..., LeRobotDriver]
FROZEN_S = 2.0  # a picture of this age is old, on a busy machine too


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Made]:
    """Make connected drivers, closed at the end; their files are in tmp_path."""
    made: list[LeRobotDriver] = []

    def connect(**changes: Any) -> LeRobotDriver:
        driver = create_driver("lerobot", looped_options(tmp_path, **changes))
        assert isinstance(driver, LeRobotDriver)
        made.append(driver)
        driver.connect()
        return driver

    yield connect
    for driver in made:
        driver.close()


def action(pan: float = 0.0, lift: float = 0.0, gripper: float = 0.0) -> Any:
    return np.array([pan, lift, gripper], np.float32)


# --- What an action becomes -------------------------------------------------------------------------------------------


def test_steps_move_a_goal_and_positions_are_places_in_the_range(make: Made, tmp_path: Path) -> None:
    driver = make()
    first = driver.reset("reach", seed=0)
    assert first.state.tolist() == [10.0, 10.0, 10.0, 0.25]
    assert first.images["front"].shape == (24, 32, 3)
    driver.apply(action(pan=1.0, lift=-0.5, gripper=-0.6))
    assert goals(tmp_path) == [{"pan.pos": 14.0, "lift.pos": 8.0, "gripper.pos": pytest.approx(20.0, abs=1e-4)}]
    assert driver.observe().state.tolist() == [14.0, 8.0, 15.0, 0.25]


def test_no_goal_is_further_from_the_arm_than_max_move_nor_outside_its_range(make: Made, tmp_path: Path) -> None:
    """The looped robot follows by 1 a step and is asked for 4: the goal waits for it 8 ahead, and ends at 45."""
    robot = looped_options(tmp_path)["robot"] | {"speed": 1.0}
    driver = make(robot=robot)
    driver.reset("reach", seed=0)
    for _ in range(40):
        at = driver.observe().state[1]
        driver.apply(action(lift=1.0))
        assert abs(goals(tmp_path)[-1]["lift.pos"] - at) <= 8.0
    asked = [goal["lift.pos"] for goal in goals(tmp_path)]
    assert asked[:4] == [14.0, 18.0, 20.0, 21.0]
    assert max(asked) == 45.0 and asked[-1] == 45.0


def test_holding_stands_where_the_arm_is_once_and_keeps_the_gripper(make: Made, tmp_path: Path) -> None:
    robot = looped_options(tmp_path)["robot"] | {"speed": 1.0}
    driver = make(robot=robot)
    driver.reset("reach", seed=0)
    driver.apply(action(pan=1.0, gripper=-1.0))
    measured = driver.observe().state
    for _ in range(3):
        driver.hold()
    assert len(goals(tmp_path)) == 2
    held = goals(tmp_path)[-1]
    assert (held["pan.pos"], held["lift.pos"]) == (measured[0], measured[1])
    assert held["gripper.pos"] == 0.0
    assert driver.resting_action.tolist() == [0.0, 0.0, -1.0]


def test_reset_brings_the_arm_home_step_by_step(make: Made, tmp_path: Path) -> None:
    axes = looped_options(tmp_path)["axes"]
    driver = make(axes=[axes[0] | {"home": -20}, axes[1] | {"home": 0}, axes[2]], home_tolerance=0.5)
    observation = driver.reset("reach", seed=0)
    assert observation.state[:3].tolist() == [-20.0, 0.0, 10.0]
    way = [goal["pan.pos"] for goal in goals(tmp_path)]
    assert all(abs(after - before) <= 4.0 for before, after in zip([10.0, *way], way, strict=False))


def test_a_stop_ends_the_way_home_where_the_arm_is(make: Made, tmp_path: Path) -> None:
    axes = looped_options(tmp_path)["axes"]
    driver = make(axes=[axes[0] | {"home": -80}, *axes[1:]])
    asked = iter([False, False, True])
    driver.watch_stop(lambda: next(asked))
    driver.reset("reach", seed=0)
    assert [goal["pan.pos"] for goal in goals(tmp_path)] == [6.0, 2.0, 2.0]


def test_a_home_that_is_not_reached_is_an_error_with_the_axis(make: Made, tmp_path: Path) -> None:
    axes = looped_options(tmp_path)["axes"]
    robot = looped_options(tmp_path)["robot"] | {"speed": 0.0}
    driver = make(axes=[axes[0] | {"home": -80}, *axes[1:]], robot=robot, home_s=0.4)
    with pytest.raises(RobotError, match=r"'pan' is 90\.0 deg from home") as raised:
        driver.reset("reach", seed=0)
    assert raised.value.code == "home_not_reached"


# --- An episode -------------------------------------------------------------------------------------------------------


class _Policy(ConstantPolicy):
    def __init__(self) -> None:
        super().__init__()
        self.action = action(pan=0.5, gripper=0.2)


def test_an_episode_is_recorded_with_the_calibration(make: Made, tmp_path: Path) -> None:
    driver = make()
    recorded = runner(driver).run(spec(max_steps=12), _Policy())  # type: ignore[arg-type]
    manifest = write_episode(recorded, tmp_path / "episodes", software={})
    assert (manifest.driver, manifest.steps, manifest.outcome) == ("lerobot", 12, Outcome.TIMEOUT)
    assert manifest.proprio_names == ("pan_deg", "lift_deg", "gripper", "load")
    assert recorded.arrays["observation.state"][:4, 0].tolist() == [10.0, 12.0, 14.0, 16.0]
    calibration = declared_calibration(driver)
    assert calibration is not None and manifest.calibration == calibration
    said = json.loads(calibration.document)
    assert (said["robot_type"], said["robot_id"]) == ("looped", "arm-1")
    assert said["lerobot"] == ("0.6.1" if IS_REAL else said["lerobot"])


def test_an_axis_that_is_kept_begins_where_it_is(make: Made, tmp_path: Path) -> None:
    """Nobody asks for anything: the gripper is told to stay at 10, not to go to the middle of its range."""

    class Silent(ConstantPolicy):
        def infer(self, observation: Any) -> Any:
            raise ValueError("no answer")

    runner(make()).run(spec(max_steps=5), Silent())  # type: ignore[arg-type]
    assert {round(goal["gripper.pos"], 3) for goal in goals(tmp_path)} == {10.0}


def test_kept_axes_must_be_those_of_the_safety_configuration(tmp_path: Path) -> None:
    driver = create_driver("lerobot", looped_options(tmp_path))
    with pytest.raises(ConfigError, match="keeps \\['gripper'\\]") as raised:
        runner(driver, safety=SafetyConfig(kept_axes=()))  # type: ignore[arg-type]
    assert raised.value.data["key"] == "safety.kept_axes"


# --- What goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code"), [("absent", "device_missing"), ("uncalibrated", "not_calibrated")]
)  # fmt: skip
def test_a_robot_that_cannot_be_connected_says_why(make: Made, tmp_path: Path, fault: str, code: str) -> None:
    inject(tmp_path, fault)
    with pytest.raises(RobotError) as raised:
        make()
    assert raised.value.code == code
    assert events(tmp_path) == ([] if fault == "absent" else ["connected", "disconnected"])
    inject(tmp_path, "")
    assert make().reset("reach", seed=0).state.size == 4


@pytest.mark.parametrize(
    ("fault", "code"),
    [("unplug", "device_lost"), ("nan", "device_lost"), ("grey", "device_lost"), ("die", "robot_lost"),
     ("hang", "robot_silent"), ("freeze", "camera_frozen")],
)  # fmt: skip
def test_what_fails_in_an_episode_aborts_it_with_its_code(make: Made, tmp_path: Path, fault: str, code: str) -> None:
    """And after it is mended, the driver connects anew and works."""
    driver = make(**({"reply_s": 3.0} if fault == "hang" else {}), max_frame_age_s=FROZEN_S)

    class Breaking(_Policy):
        execute_steps = 1

        def infer(self, observation: Any) -> Any:
            if self.inferences == 4:
                inject(tmp_path, fault)
                time.sleep(FROZEN_S + 0.1 if fault == "freeze" else 0.0)
            return super().infer(observation)

    made = runner(driver)
    recorded = made.run(spec(max_steps=50), Breaking())  # type: ignore[arg-type]
    assert recorded.outcome is Outcome.ABORTED
    assert recorded.outcome_reason.startswith(f"{code}: ")
    assert recorded.steps == 5
    assert made.driver_error is not None and made.driver_error.code == code
    driver.close()
    inject(tmp_path, "")
    driver.connect()
    assert driver.reset("reach", seed=0).state.size == 4


@pytest.mark.parametrize(
    ("ours_s", "its_own_s", "text"), [(FROZEN_S, 60.0, "camera 'front' shows what was"), (60.0, FROZEN_S, "too old")]
)
def test_a_camera_that_stands_still_is_seen(
    make: Made, tmp_path: Path, ours_s: float, its_own_s: float, text: str
) -> None:
    """By the age of its picture here, and by lerobot's own limit; in observing, and in filming for people."""
    driver = make(max_frame_age_s=ours_s, robot=looped_options(tmp_path)["robot"] | {"max_age_s": its_own_s})
    driver.reset("reach", seed=0)
    driver.film("front")
    inject(tmp_path, "freeze")
    time.sleep(FROZEN_S + 0.1)
    for look in (driver.observe, lambda: driver.film("front"), lambda: driver.snapshot(32, 24)):
        with pytest.raises(RobotError, match=text) as raised:
            look()
        assert raised.value.code == "camera_frozen"
    inject(tmp_path, "")
    assert driver.observe().images["front"].std() > 10


def test_filming_goes_on_while_control_hangs(make: Made, tmp_path: Path) -> None:
    driver = make(reply_s=3.0)
    driver.reset("reach", seed=0)
    inject(tmp_path, "hang")
    began_s = time.monotonic()
    with pytest.raises(RobotError) as raised:
        driver.observe()
    assert raised.value.code == "robot_silent"
    assert driver.film("front")[0].shape == (48, 64, 3)
    driver.close()  # kills the process that hangs
    assert time.monotonic() - began_s < 55  # it would have hung for 60


def test_a_daemon_that_is_killed_leaves_a_disconnected_robot(make: Made, tmp_path: Path) -> None:
    """The daemon's end is the end of its sockets: here the driver's end of one is closed without a word."""
    driver = make()
    driver.reset("reach", seed=0)
    assert driver._host is not None
    driver._host._control.close()
    deadline_s = time.monotonic() + 30
    while events(tmp_path)[-1] != "disconnected":
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_process_that_is_killed_is_an_error_at_once(make: Made) -> None:
    driver = make()
    driver.reset("reach", seed=0)
    assert driver._host is not None
    os.kill(driver._host._process.pid, signal.SIGKILL)
    driver._host._process.wait(10)
    with pytest.raises(RobotError, match="ended with -9") as raised:
        driver.apply(action(pan=1.0))
    assert raised.value.code == "robot_lost"


def test_a_process_that_ends_while_the_robot_holds_is_noticed(make: Made) -> None:
    driver = make()
    driver.reset("reach", seed=0)
    driver.hold()
    assert driver._host is not None
    os.kill(driver._host._process.pid, signal.SIGKILL)
    driver._host._process.wait(10)
    with pytest.raises(RobotError, match="ended with -9"):
        driver.hold()


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"python": "/no/such/python"}, "lerobot_missing", "cannot be started"),
        ({"type": "no_such_robot"}, "robot_config", "'no_such_robot' is unknown; there are"),
        ({"plugins": ["no_such_plugin"]}, "robot_config", "no_such_plugin"),
        ({"robot": {"port": "x", "folder": "y", "colour": 1}}, "robot_config", "colour"),
        ({"cameras": {"front": {"feature": "top", "width": 64, "height": 64}}}, "robot_differs", "camera 'top' is"),
        ({"sensors": [{"name": "heat", "feature": "heat"}]}, "robot_differs", "no observation 'heat'"),
    ],
)
def test_a_configuration_that_does_not_fit_the_robot_is_named(
    make: Made, tmp_path: Path, changes: dict[str, Any], code: str, text: str
) -> None:
    with pytest.raises(RobotError, match=text) as raised:
        make(**changes)
    assert raised.value.code == code
    assert goals(tmp_path) == []


def test_an_axis_too_few_is_named(make: Made, tmp_path: Path) -> None:
    with pytest.raises(RobotError, match=r"no axis for its action 'gripper\.pos'"):
        make(axes=looped_options(tmp_path)["axes"][:2])


def _axis(**changes: Any) -> dict[str, Any]:
    return {"name": "pan", "feature": "pan.pos", "low": 0, "high": 1, "step": 1, "max_move": 1} | changes


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"axes": []}, "at least one axis"),
        ({"axes": [_axis(), _axis()]}, "'pan' is there twice"),
        ({"axes": [_axis(low=2)]}, "low must lie below high"),
        ({"axes": [_axis(step=0)]}, "step must be positive"),
        ({"axes": [_axis(step=5)]}, "at most max_move"),
        ({"axes": [_axis(home=3)]}, "home must lie"),
        ({"axes": [_axis(kind="speed")]}, "kind is step or position"),
        ({"control_rate_hz": 0}, "control_rate_hz"),
        ({"cameras": {"a": {"feature": "top", "width": 63, "height": 48}}}, "sizes must be even"),
        ({"speed": 3}, "speed"),
    ],
)
def test_options_that_cannot_be_used_are_named(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(DriverError, match=text):
        create_driver("lerobot", looped_options(tmp_path, **changes))


# --- The wire ---------------------------------------------------------------------------------------------------------


def test_a_message_crosses_whole_and_a_late_one_is_given_up() -> None:
    left, right = socket.socketpair()
    with left, right:
        wire.send(left, {"op": "x"}, [np.arange(6, dtype=np.uint8), b"abc"])
        assert wire.receive(right, timeout_s=5) == ({"op": "x"}, bytearray(b"\0\1\2\3\4\5abc"))
        left.sendall(b"\0\0\0\2")  # half of the lengths
        with pytest.raises(TimeoutError):
            wire.receive(right, timeout_s=0.05)


@pytest.mark.parametrize("data", [b"\xff" * 8, b"\0\0\0\2\0\0\0\0[]", b"\0\0\0\2\0\0\0\0{x"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(data)
        with pytest.raises(wire.Garbled):
            wire.receive(right, timeout_s=5)


def test_the_info_is_known_before_a_process_runs(tmp_path: Path) -> None:
    info = create_driver("lerobot", looped_options(tmp_path)).info
    assert (info.name, info.version, info.control_rate_hz, info.kept_axes) == ("lerobot", "looped", 20.0, ("gripper",))
    assert [msgspec.structs.astuple(camera) for camera in (*info.cameras, *info.views)] == [
        ("front", 32, 24), ("front", 64, 48),
    ]  # fmt: skip
