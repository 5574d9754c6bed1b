"""The robot's working day: draws, failing drivers, failing disks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleet.daemon.drivers.base import DriverError, StepFeedback
from fleet.daemon.spool import Spool
from fleet.daemon.status import StatusBoard
from fleet.daemon.work import Writer, draw
from fleet.protocol.authority import Mode
from fleet.protocol.messages import StopInfo
from fleet.protocol.recording import Outcome
from tests.fleet.daemon.harness import closed_ids, running
from tests.fleet.daemon.peer import Peer
from tests.fleet.daemon.point import PointDriver
from tests.fleet.daemon.test_spool import record
from tests.fleet.waiting import until, wait_for

TASKS = tuple(Peer.task(task_id=name, weight=weight) for name, weight in (("a", 3.0), ("b", 1.0), ("off", 0.0)))


def test_draws_follow_from_seed_name_and_counter_alone() -> None:
    first = [draw(TASKS, seed=7, robot_name="r1", counter=k) for k in range(50)]
    assert first == [draw(TASKS[::-1], seed=7, robot_name="r1", counter=k) for k in range(50)]
    assert first != [draw(TASKS, seed=8, robot_name="r1", counter=k) for k in range(50)]
    assert first != [draw(TASKS, seed=7, robot_name="r2", counter=k) for k in range(50)]
    seeds = {found[1] for found in first if found is not None}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_draws_are_weighted_and_a_weight_of_zero_is_never_drawn() -> None:
    found = Counter(drawn[0].task_id for k in range(2000) if (drawn := draw(TASKS, seed=1, robot_name="r", counter=k)))
    assert set(found) == {"a", "b"}
    assert 0.70 < found["a"] / 2000 < 0.80  # 0.75, five standard deviations either side
    assert draw(TASKS[2:], seed=1, robot_name="r", counter=0) is None
    assert draw((), seed=1, robot_name="r", counter=0) is None


async def test_a_driver_that_fails_is_connected_again_and_its_episode_is_kept(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken episode is closed as aborted with its reason; the next one runs after a reconnect."""

    class FailsOnce(PointDriver):
        connects = 0

        def connect(self) -> None:
            super().connect()
            self.connects += 1

        def apply(self, action: np.ndarray[Any, Any]) -> StepFeedback:
            if self.connects == 1 and len(self.applied) == 5:
                raise DriverError("the cable came loose")
            return super().apply(action)

    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.8)
    driver = FailsOnce()
    async with running(peer, tmp_path, monkeypatch, driver=driver):
        await until(lambda: peer.status is not None and "cable" in peer.status.detail)
        await until(lambda: len(peer.registered) >= 3)
    manifests = [peer.registered[episode_id] for episode_id in peer.registrations]
    assert [manifest.outcome for manifest in manifests[:2]] == [Outcome.ABORTED, Outcome.SUCCESS]
    assert (manifests[0].steps, manifests[0].outcome_reason) == (5, "driver_error: the cable came loose")
    assert driver.connects == 2
    assert not driver.is_connected


@pytest.mark.parametrize(("rate_hz", "warnings"), [(10, 0), (5, 1)])
async def test_a_rate_that_is_not_the_drivers_is_warned_of_once(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    rate_hz: int, warnings: int,
) -> None:  # fmt: skip
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.8)
    async with running(peer, tmp_path, monkeypatch, f"control.control_rate_hz={rate_hz}"):
        await until(lambda: len(peer.registered) >= 1)
    told = [record.message for record in caplog.records if "the driver's rate is 10" in record.message]
    assert len(told) == warnings


async def test_memory_is_settled_once_before_the_first_motion(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is loaded then is never looked through while the robot moves."""
    driver, seeds_before = PointDriver(), []
    monkeypatch.setattr("fleet.daemon.work.gc.freeze", lambda: seeds_before.append(list(driver.seeds)))
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.8)
    async with running(peer, tmp_path, monkeypatch, driver=driver):
        await until(lambda: len(peer.registered) >= 3)
    assert seeds_before == [[]]


async def test_a_stop_while_the_scene_is_reset_comes_before_any_motion(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.8)
    driver = PointDriver()
    settings = ("control.speed_factor=1", "control.reset_s=20")
    async with running(peer, tmp_path, monkeypatch, *settings, driver=driver) as daemon:
        await until(lambda: peer.status is not None and peer.status.activity == "resetting")
        daemon._stops.stop(StopInfo(stop_id="7", by="ben", reason="button", at_ns=1))
        await until(lambda: peer.status is not None and peer.status.mode is Mode.STOPPED)
        await until(lambda: peer.status is not None and peer.status.activity == "idle")
        assert peer.status is not None and "button" in peer.status.detail
    assert driver.seeds == []


async def test_a_robot_whose_disk_is_behind_still_hears_its_people(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one recording being written and one waiting it begins no third, says why, and follows a stop."""
    peer.update(assignments=(peer.task(),))
    peer.publish(1, dx=0.8)
    driver = PointDriver()
    async with running(peer, tmp_path, monkeypatch, driver=driver) as daemon:
        monkeypatch.setattr(daemon._spool, "add", _full_disk)
        await until(lambda: peer.status is not None and "No space left" in peer.status.detail)
        await until(lambda: len(driver.seeds) == 2)
        daemon._stops.stop(StopInfo(stop_id="7", by="ben", reason="button", at_ns=1))
        await until(lambda: peer.status is not None and peer.status.mode is Mode.STOPPED)
        assert len(driver.seeds) == 2


def _full_disk(*arguments: Any, **options: Any) -> Any:
    raise OSError(28, "No space left on device")


def test_a_defect_in_writing_costs_one_episode_and_is_shown(tmp_path: Path) -> None:
    spool, board = Spool(tmp_path / "spool", capacity_bytes=2**30), StatusBoard()
    odd = record(1)
    odd.arrays.pop("action")
    writer = Writer(spool=spool, board=board, software={})
    writer.start()
    for recording in (odd, record(2)):
        assert spool.reserve()
        writer.put(recording)
    writer.stop()
    assert "not recorded" in board.status.detail
    assert len(spool.pending()) == len(closed_ids(tmp_path)) == 1


def test_a_failing_disk_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An episode that cannot be written waits, says so on the board, and is closed once the disk works."""
    monkeypatch.setattr("fleet.daemon.work.DISK_RETRY_S", 0.02)
    spool, board = Spool(tmp_path / "spool", capacity_bytes=2**30), StatusBoard()
    real, failures = spool.add, [OSError(28, "No space left on device")] * 3

    def add(*arguments: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return real(*arguments, **options)

    monkeypatch.setattr(spool, "add", add)
    writer = Writer(spool=spool, board=board, software={})
    writer.start()
    try:
        writer.put(record(1))
        wait_for(lambda: spool.pending())
        assert "No space left" in board.status.detail
    finally:
        writer.stop()
    assert len(closed_ids(tmp_path)) == 1


def test_an_episode_that_breaks_the_contract_is_not_stored(tmp_path: Path) -> None:
    spool, board = Spool(tmp_path / "spool", capacity_bytes=2**30), StatusBoard()
    broken = record(1)
    broken.arrays["action"][0] = np.nan
    writer = Writer(spool=spool, board=board, software={})
    writer.start()
    writer.put(broken)
    writer.put(record(2))
    writer.stop()
    assert "action" in board.status.detail
    assert len(spool.pending()) == 1
    assert closed_ids(tmp_path) == spool.pending()
