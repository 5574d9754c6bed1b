"""Live pictures of the simulated robot: what they show, and what happens to the process that draws them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from fleet.daemon.drivers.base import DriverError, Filmed
from fleet.daemon.drivers.metaworld.driver import MetaWorldDriver, create
from fleet.daemon.drivers.metaworld.film_process import RAYS_EVERY


@pytest.fixture
def driver() -> Iterator[MetaWorldDriver]:
    created = create({"renderer": "raycast"})
    created.connect()
    yield created
    created.close()
    created.end_filming()


def test_each_view_has_its_size_and_the_time_of_its_capture(driver: MetaWorldDriver) -> None:
    assert isinstance(driver, Filmed)
    driver.reset("bin-picking", seed=0)
    assert [view.name for view in driver.info.views] == ["overview", "side"]
    pictures = []
    for view in driver.info.views:
        before_s = time.monotonic()
        picture, captured_s = driver.film(view.name)
        assert picture.shape == (view.height, view.width, 3) and picture.dtype == np.uint8
        assert before_s <= captured_s <= time.monotonic()
        pictures.append(picture[:360, :480].copy())
    assert not np.array_equal(*pictures)


def test_a_picture_shows_the_scene_of_this_moment(driver: MetaWorldDriver) -> None:
    """The overview is what `snapshot` shows, also after a reset that moves what is bolted down, and in another task."""
    for task, seed in (("shelf-place", 0), ("shelf-place", 1), ("bin-picking", 0)):
        driver.reset(task, seed=seed)
        for _ in range(5):
            driver.apply(np.array([1.0, 1.0, -1.0, 1.0], np.float32))
        picture, _ = driver.film("overview")
        expected = driver.snapshot(640 // RAYS_EVERY, 480 // RAYS_EVERY)
        np.testing.assert_array_equal(picture[::RAYS_EVERY, ::RAYS_EVERY], expected)


def test_there_is_nothing_to_see_before_a_reset_after_close_and_in_unknown_views(driver: MetaWorldDriver) -> None:
    with pytest.raises(DriverError):
        driver.film("overview")
    driver.reset("bin-picking", seed=0)
    with pytest.raises(DriverError):
        driver.film("attic")
    driver.close()
    with pytest.raises(DriverError):
        driver.film("overview")


def test_the_filming_process_ends_with_filming_and_is_replaced_when_it_dies(driver: MetaWorldDriver) -> None:
    driver.reset("bin-picking", seed=0)
    others = set(psutil.Process().children())  # of the whole test run: its database, for one
    driver.film("overview")
    (process,) = set(psutil.Process().children()) - others

    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(DriverError, match="failed"):
        driver.film("overview")

    deadline_s = time.monotonic() + 10
    while True:  # it waits a moment before it starts another one
        try:
            driver.film("overview")
            break
        except DriverError:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
    driver.end_filming()
    assert set(psutil.Process().children()) <= others
    driver.film("overview")  # and begins again when asked


def test_a_robot_that_only_waits_shows_a_scene() -> None:
    """After a restart it stands until a person takes over, and they take over by its picture."""
    driver = MetaWorldDriver()
    driver.connect()
    try:
        driver.hold()
        picture, _ = driver.film("overview")
        assert picture.std() > 10
        scene = driver.simulation
        driver.hold()
        assert driver.simulation is scene, "holding keeps the scene"
    finally:
        driver.end_filming()
        driver.close()
