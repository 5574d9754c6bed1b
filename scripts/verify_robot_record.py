"""Drive robots of the real lerobot: `verify_robot_record.py EPISODES FEETECH`, run by scripts/verify-robot.

Records six episodes of the looped robot through the daemon's control loop, then builds LeRobot's own SO-101 from
docs/guides/so101.toml, without one. FEETECH: a folder with what its motors' bus needs. SOP_LEROBOT_PYTHON: lerobot's.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from fleet.daemon.clock import SystemClock
from fleet.daemon.config import ControlConfig, load_config
from fleet.daemon.drivers.lerobot.process import RobotError
from fleet.daemon.drivers.registry import create_driver
from fleet.daemon.recorder import write_episode
from fleet.daemon.software import software
from fleet.protocol.policy import ActionChunk, Observation
from tests.fleet.daemon.drivers.lerobot_made import PYTHON, looped_options
from tests.fleet.daemon.loop_made import runner, spec

ROOT = Path(__file__).resolve().parents[1]
EPISODES, STEPS = 6, 30


class Swaying:
    """Moves every axis back and forth, so that each frame differs."""

    execute_steps = 1

    def __init__(self) -> None:
        self._step = 0

    def reset(self, *, instruction: str, seed: int) -> None:
        self._step = seed

    def infer(self, observation: Observation) -> ActionChunk:
        self._step += 1
        wave = np.sin(self._step / 4 + np.arange(3))
        return ActionChunk(wave[None].astype(np.float32))


def record(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as files:
        options = looped_options(Path(files), max_frame_age_s=2.0)
        options["cameras"] = {"front": {"feature": "top", "width": 64, "height": 48}}
        driver = create_driver("lerobot", options)
        driver.connect()
        try:
            _record(driver, folder)
        finally:
            driver.close()


def _record(driver: Any, folder: Path) -> None:
    control = ControlConfig(control_rate_hz=driver.info.control_rate_hz)
    made = runner(driver, control=control, clock=SystemClock())
    for seed in range(EPISODES):
        began_s = time.monotonic()
        episode = spec(episode_id=str(uuid.UUID(int=seed, version=4)), seed=seed, max_steps=STEPS)
        recording = made.run(episode, Swaying())
        manifest = write_episode(recording, folder, software=software())
        rate_hz = manifest.steps / (time.monotonic() - began_s)
        print(
            f"recorded {manifest.steps} steps at {rate_hz:.1f} of {manifest.control_rate_hz:g} Hz, {manifest.outcome}"
        )
    assert manifest.calibration
    said = json.loads(manifest.calibration.document)
    assert said["lerobot"] == "0.6.1", said
    print(f"calibration of each episode: {manifest.calibration.document}")


def build_so101(feetech: str) -> None:
    """Up to the missing arm: type, fields, axes, cameras and sizes are LeRobot's own."""
    config = load_config(path=ROOT / "docs/guides/so101.toml")
    options = config.driver_options | {"python": PYTHON, "plugin_path": [feetech]}
    options["robot"] |= {"port": "/dev/no-arm-here"}
    try:
        create_driver("lerobot", options).connect()
    except RobotError as error:
        assert error.code == "device_missing", (error.code, error.message)
        print(f"so101.toml fits LeRobot's SO-101; without an arm: {error.code}: {error.message[:120]}")
        return
    raise AssertionError("an arm that is not there was connected")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
    build_so101(sys.argv[2])
