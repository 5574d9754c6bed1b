"""The contract of drivers/base.py, run against every driver of the registry. Ray casting needs no OpenGL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleet.daemon.drivers.base import Advised, Driver, DriverError
from fleet.daemon.drivers.registry import UnknownDriver, create_driver, driver_names
from tests.fleet.daemon.drivers.lerobot_made import looped_options
from tests.fleet.daemon.drivers.recorded import record_episodes

Options = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    folder = tmp_path_factory.mktemp("episodes")
    record_episodes(folder, seeds=(1, 2))
    return {
        "lerobot": _looped(tmp_path_factory.mktemp("looped")),
        "metaworld": {"renderer": "raycast"},
        "replay": {"folder": str(folder)},
    }


def _looped(folder: Path) -> dict[str, Any]:
    """Where it was told to be after one step: a gripper may go on to its place while the robot holds."""
    options = looped_options(folder)
    return options | {"robot": options["robot"] | {"speed": 100.0}}


@pytest.fixture(scope="module", params=driver_names())
def driver(request: pytest.FixtureRequest, options: Options) -> Iterator[Driver]:
    created = create_driver(request.param, options[request.param])
    created.connect()
    yield created
    created.close()


def test_info_describes_what_observations_and_actions_hold(driver: Driver) -> None:
    observation = driver.reset(driver.info.tasks[0], seed=0)

    assert observation.state.dtype == np.float32
    assert observation.state.shape == (len(driver.info.proprio_names),)
    assert set(observation.images) == {camera.name for camera in driver.info.cameras}
    for camera in driver.info.cameras:
        image = observation.images[camera.name]
        assert image.dtype == np.uint8
        assert image.shape == (camera.height, camera.width, 3)
    assert len(set(driver.info.tasks)) == len(driver.info.tasks)


def test_info_is_known_before_connect(options: Options) -> None:
    for name in driver_names():
        assert create_driver(name, options[name]).info.name == name


def test_apply_answers_with_a_finite_reward_and_changes_the_observation(driver: Driver) -> None:
    before = driver.reset(driver.info.tasks[0], seed=0)
    action = np.full(len(driver.info.action_names), 0.5, np.float32)

    feedback = driver.apply(action)

    assert np.isfinite(feedback.reward)
    assert isinstance(feedback.success, bool)
    assert not np.array_equal(before.state, driver.observe().state)


def test_observing_twice_gives_the_same_and_holding_keeps_still(driver: Driver) -> None:
    driver.reset(driver.info.tasks[0], seed=0)
    driver.apply(np.full(len(driver.info.action_names), 0.5, np.float32))
    before = driver.observe()
    driver.hold()
    after = driver.observe()

    np.testing.assert_array_equal(before.state, after.state)
    for name, image in before.images.items():
        np.testing.assert_array_equal(image, after.images[name])


def test_snapshot_has_the_size_asked_for(driver: Driver) -> None:
    driver.reset(driver.info.tasks[0], seed=0)

    picture = driver.snapshot(160, 120)

    assert picture.shape == (120, 160, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10  # a scene, not one colour


def test_an_unknown_task_is_refused_and_the_driver_goes_on(driver: Driver) -> None:
    with pytest.raises(DriverError):
        driver.reset("no-such-task", seed=0)

    assert driver.reset(driver.info.tasks[0], seed=0).state.size


def test_an_advisor_acts_within_the_limits(driver: Driver) -> None:
    if not isinstance(driver, Advised):
        pytest.skip("carries no expert")
    driver.reset(driver.info.tasks[0], seed=0)
    driver.advisor.begin(driver.info.tasks[0])

    action = driver.advisor.action()

    assert action.dtype == np.float32
    assert action.shape == (len(driver.info.action_names),)
    assert np.abs(action).max() <= 1.0
    assert 0.0 <= driver.advisor.progress() <= 1.0


def test_close_may_be_called_twice_and_before_connect(options: Options) -> None:
    for name in driver_names():
        created = create_driver(name, options[name])
        created.close()
        created.close()


def test_an_unknown_driver_is_a_typed_error() -> None:
    with pytest.raises(UnknownDriver) as raised:
        create_driver("no-such-robot", {})

    assert raised.value.code == "unknown_driver"
