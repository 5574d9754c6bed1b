"""The replay driver: what was recorded is observed again, and no action passes that a real robot would refuse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from fleet.daemon.config import ControlConfig
from fleet.daemon.drivers.base import DriverError, declared_calibration
from fleet.daemon.drivers.registry import create_driver
from fleet.daemon.drivers.replay.driver import ActionRefused, ReplayDriver
from fleet.daemon.drivers.replay.recordings import RecordingBroken
from fleet.daemon.recorder import write_episode
from fleet.protocol.recording import Outcome
from fleet.protocol.steps import decode_steps
from tests.fleet.daemon.drivers.recorded import record_episodes
from tests.fleet.daemon.loop_made import runner, spec
from tests.fleet.daemon.point import ConstantPolicy, PointDriver
from tests.learner.hand_made import TELEOP, make_images, make_manifest, make_steps
from tests.learner.lerobot_made import VIDEO, write_dataset

STILL = np.zeros(2, np.float32)


@pytest.fixture
def episodes(tmp_path: Path) -> Path:
    folder = tmp_path / "episodes"
    record_episodes(folder, seeds=(1, 2))
    return folder


Connected = Callable[..., ReplayDriver]


@pytest.fixture
def connected() -> Iterator[Connected]:
    """Make connected drivers, closed at the end."""
    made: list[ReplayDriver] = []

    def connect(folder: Path, **options: Any) -> ReplayDriver:
        driver = create_driver("replay", {"folder": str(folder), **options})
        assert isinstance(driver, ReplayDriver)
        made.append(driver)
        driver.connect()
        return driver

    yield connect
    for driver in made:
        driver.close()


def columns(folder: Path) -> dict[str, Any]:
    return decode_steps((folder / "steps.parquet").read_bytes())


def test_every_step_is_observed_again_and_then_from_the_beginning(connected: Connected, episodes: Path) -> None:
    folder = sorted(episodes.iterdir())[1]
    recorded = columns(folder)
    driver = connected(folder)
    seen = [driver.reset("reach", seed=5)]
    rewards = []
    for _ in range(len(recorded["action"])):
        rewards.append(driver.apply(STILL).reward)
        seen.append(driver.observe())

    assert np.array_equal([one.state for one in seen[:-1]], recorded["observation.state"])
    assert np.array_equal(np.array(rewards, np.float32), recorded["reward"])
    assert np.array_equal(seen[-1].state, seen[0].state)
    assert np.array_equal(seen[-1].images["front"], seen[0].images["front"])
    columns_lit = [int(one.images["front"].mean(axis=(0, 2)).argmax()) for one in seen[:-1]]
    assert columns_lit == [int(min(x, 0.999) * 32) for x in recorded["observation.state"][:, 0]]
    driver.close()


def test_the_info_is_the_recordings(episodes: Path) -> None:
    info = create_driver("replay", {"folder": str(episodes)}).info
    recorded = PointDriver().info
    assert (info.name, info.control_rate_hz, info.tasks) == ("replay", 10.0, ("reach",))
    assert (info.action_names, info.proprio_names, info.cameras) == (
        recorded.action_names, recorded.proprio_names, recorded.cameras,
    )  # fmt: skip
    assert info.kept_axes == ("gripper",)


def test_the_seed_chooses_the_recording(connected: Connected, episodes: Path) -> None:
    starts = [columns(folder)["observation.state"][0] for folder in sorted(episodes.iterdir())]
    driver = connected(episodes)
    assert [driver.reset("reach", seed=seed).state.tolist() for seed in range(4)] == [
        starts[0].tolist(), starts[1].tolist(), starts[0].tolist(), starts[1].tolist(),
    ]  # fmt: skip


def test_without_the_loop_the_recording_succeeds_where_it_did(connected: Connected, episodes: Path) -> None:
    folder = sorted(episodes.iterdir())[0]
    driver = connected(folder, is_looped=False)
    driver.reset("reach", seed=0)
    steps = len(columns(folder)["action"])
    assert [driver.apply(STILL).success for _ in range(steps)] == [False] * (steps - 1) + [True]


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (np.array([1.5, 0], np.float32), "lie in"),
        (np.array([np.nan, 0], np.float32), "lie in"),
        (np.zeros(3, np.float32), r"float32\[2\]"),
        (np.zeros(2, np.float64), "float64"),
        (np.array([0.6, 0], np.float32), "'dx' changes by 0.600"),
    ],
)
def test_an_action_out_of_limits_is_refused_and_nothing_moves(
    connected: Connected,
    episodes: Path,
    tmp_path: Path,
    action: Any,
    text: str,
) -> None:
    driver = connected(episodes, max_change=0.5, log=str(tmp_path / "log"))
    before = driver.reset("reach", seed=0)
    with pytest.raises(ActionRefused, match=text) as raised:
        driver.apply(action)
    assert raised.value.code == "action_refused"
    assert np.array_equal(driver.observe().state, before.state)
    assert (tmp_path / "log").read_text() == ""


def test_every_action_is_logged_beside_the_recorded_one(connected: Connected, episodes: Path, tmp_path: Path) -> None:
    driver = connected(episodes, log=str(tmp_path / "log"))
    driver.reset("reach", seed=0)
    driver.apply(np.array([0.25, -1], np.float32))
    driver.apply(np.array([0.5, -1], np.float32))
    driver.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    first = sorted(episodes.iterdir())[0]
    assert [(line["step"], line["action"], line["recording"]) for line in lines] == [
        (0, [0.25, -1.0], first.name), (1, [0.5, -1.0], first.name),
    ]  # fmt: skip
    assert lines[0]["recorded"] == pytest.approx(columns(first)["action"][0].tolist())


def test_the_log_of_actions_is_bounded(connected: Connected, episodes: Path, tmp_path: Path) -> None:
    driver = connected(episodes, log=str(tmp_path / "log"), log_bytes=4096)
    driver.reset("reach", seed=0)
    for _ in range(200):
        driver.apply(STILL)
    driver.close()
    assert sum(path.stat().st_size for path in tmp_path.glob("log*")) <= 4 * 4096


def test_the_control_loop_records_a_replay_that_says_so(connected: Connected, episodes: Path, tmp_path: Path) -> None:
    """Through the real loop and recorder: an episode like any other, whose calibration names what it replays."""
    driver = connected(episodes, is_looped=False)
    recorded = runner(driver, control=ControlConfig()).run(spec(), ConstantPolicy(dx=0.5))  # type: ignore[arg-type]
    manifest = write_episode(recorded, tmp_path / "out", software={})
    assert (manifest.driver, manifest.outcome) == ("replay", Outcome.SUCCESS)
    calibration = declared_calibration(driver)
    assert calibration is not None and manifest.calibration == calibration
    assert set(json.loads(calibration.document)["replay_of"]) == {path.name for path in episodes.iterdir()}


def test_a_replay_is_filmed_and_its_pictures_are_never_old(connected: Connected, episodes: Path) -> None:
    driver = connected(episodes)
    with pytest.raises(DriverError, match="nothing yet"):
        driver.film("front")
    driver.hold()
    picture, first_s = driver.film("front")
    assert picture.shape == (32, 32, 3) and picture.std() > 10
    assert driver.film("front")[1] >= first_s
    driver.end_filming()
    driver.close()
    with pytest.raises(DriverError):
        driver.film("front")


# --- What is no recording ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["steps.parquet", "front.mp4"])
def test_a_swapped_object_is_refused_by_name(connected: Connected, episodes: Path, name: str) -> None:
    first, second = sorted(episodes.iterdir())
    (first / name).write_bytes((second / name).read_bytes())
    driver = connected(episodes)
    with pytest.raises(RecordingBroken, match=f"{name} is not what its manifest says"):
        driver.reset("reach", seed=0)
    assert driver.reset("reach", seed=1).state.size == 2


def test_recordings_of_two_robots_are_not_mixed(episodes: Path) -> None:
    other = PointDriver()
    other.info = msgspec.structs.replace(other.info, proprio_names=("x", "opening"))
    record_episodes(episodes, seeds=(9,), driver=other)
    with pytest.raises(RecordingBroken, match="another rate, axes or cameras"):
        create_driver("replay", {"folder": str(episodes)})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"folder": "/no/such/folder"}, "neither recorded episodes nor"),
        ({}, "folder"),
        ({"folder": "/tmp", "speed": 2}, "speed"),
        ({"folder": "/tmp", "max_change": 0}, "max_change"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DriverError, match=text):
        create_driver("replay", options)


# --- LeRobot datasets -------------------------------------------------------------------------------------------------


MADE = tuple(make_manifest(name, [(steps, TELEOP)]) for name, steps in (("one", 9), ("two", 7), ("three", 8)))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three episodes in two files, the second file with B-frames."""
    root = tmp_path / "dataset"
    write_dataset(root, [MADE[:2], MADE[2:]])
    return root


@pytest.mark.parametrize("seed", range(3))
def test_an_episode_of_a_lerobot_dataset_is_played(connected: Connected, dataset: Path, seed: int) -> None:
    made = MADE[seed]
    driver = connected(dataset)
    seen = [driver.reset(driver.info.tasks[0], seed=seed)]
    for _ in range(made.steps):
        driver.apply(np.zeros(len(driver.info.action_names), np.float32))
        seen.append(driver.observe())
    assert np.array_equal([one.state for one in seen[:-1]], make_steps(made)["observation.state"])
    assert np.array_equal(seen[-1].state, seen[0].state)
    shown = np.stack([one.images["top"] for one in seen[:-1]]).astype(float)
    assert np.abs(shown - make_images(made)).mean() < 12  # the codec's loss on hand-made noise
    assert driver.info.control_rate_hz == 10.0


def test_a_dataset_of_another_version_is_refused(dataset: Path) -> None:
    info = json.loads((dataset / "meta/info.json").read_text())
    (dataset / "meta/info.json").write_text(json.dumps(info | {"codebase_version": "v2.1"}))
    with pytest.raises(RecordingBroken, match=r"v2\.1"):
        create_driver("replay", {"folder": str(dataset)})


def test_a_dataset_that_lost_a_file_says_which(connected: Connected, dataset: Path) -> None:
    (dataset / "data/chunk-000/file-001.parquet").unlink()
    driver = connected(dataset)
    with pytest.raises(RecordingBroken, match=r"file-001\.parquet"):
        driver.reset(driver.info.tasks[0], seed=2)
    (dataset / f"videos/{VIDEO}/chunk-000/file-000.mp4").write_bytes(b"no video")
    with pytest.raises(RecordingBroken, match=r"file-000\.mp4"):
        driver.reset(driver.info.tasks[0], seed=0)


def test_a_dataset_without_its_columns_is_refused(dataset: Path) -> None:
    path = next(dataset.glob("meta/episodes/*/*.parquet"))
    pq.write_table(pq.read_table(path).drop_columns(["length"]), path)
    with pytest.raises(RecordingBroken, match="metadata cannot be read"):
        create_driver("replay", {"folder": str(dataset)})
