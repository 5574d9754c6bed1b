"""The daemon by itself: its own requirements, what deploy/robot-files copies, and a recording in the robot's place."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleet.protocol.recording import MANIFEST_OBJECT, decode_manifest
from fleet.protocol.steps import decode_steps
from tests.stack.clean_environment import make_environment
from tests.stack.harness import TASK, System

ROOT = Path(__file__).resolve().parents[2]
NAME = "replayed"


@pytest.fixture(scope="module")
def robot(make_open_folder: Callable[[str], Path]) -> Path:
    """A folder as the guide makes it on a robot: /opt/sop-robot with its venv."""
    folder = make_open_folder("alone") / "sop-robot"
    subprocess.run([str(ROOT / "deploy" / "robot-files"), str(folder)], check=True, timeout=60)
    make_environment(folder / "venv", folder / "fleet" / "daemon" / "requirements.txt")
    return folder


def test_the_environment_holds_the_daemons_packages_alone(robot: Path) -> None:
    program = """
import importlib.util, sys
import aiortc, av, httpx, msgspec, numpy, pyarrow, safetensors, torch, websockets
import fleet.daemon.app
others = "django channels celery psycopg redis metaworld pytest".split()
print(*(name for name in others if importlib.util.find_spec(name)))
"""
    done = subprocess.run(
        [str(robot / "venv/bin/python"), "-c", program], cwd=robot, env={"PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_it_drives_a_recording_against_the_server(running: System, robot: Path, demonstrations: Path) -> None:
    """Enrols, fetches the signed policy, plays, records and delivers; what it saw is what was recorded before."""
    state, log = running.robot_state(NAME), robot / "actions.jsonl"
    state.mkdir(parents=True)
    token = running.manage("enrol_token", "--name", NAME).split()[-1]
    settings = {
        "control.speed_factor": running.stack.speed,
        "control.reset_s": 0.05,
        "driver_options.folder": demonstrations,
        "driver_options.log": log,
    }
    command = [
        str(robot / "venv/bin/python"), "-m", "fleet.daemon", "--server", running.stack.url, "--state", str(state),
        "--driver", "replay", "--name", NAME, f"--token={token}",
        *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")),
    ]  # fmt: skip
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(robot), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(robot)}
    running.processes.start(NAME, command, env=environment, stop_timeout_s=20)
    running.wait_for(lambda: running.robot_id(NAME), what="enrolled")
    running.assign(NAME, TASK)
    running.wait_for(lambda: len(running.registered(NAME)) >= 3, what="three episodes registered", timeout_s=120)
    closed = running.deliver_all(NAME)
    assert sorted(running.registered(NAME)) == sorted(closed)

    played = {path.parent.name: path.parent for path in demonstrations.glob(f"*/{MANIFEST_OBJECT}")}
    for episode_id in closed[:3]:
        folder = _stored(running, episode_id)
        manifest = decode_manifest((folder / MANIFEST_OBJECT).read_bytes())
        assert (manifest.driver, manifest.task_slug) == ("replay", TASK)
        assert set(json.loads(manifest.calibration.document)["replay_of"]) == set(played)  # type: ignore[union-attr]
        seen = decode_steps((folder / "steps.parquet").read_bytes())["observation.state"]
        recorded = [
            decode_steps((path / "steps.parquet").read_bytes())["observation.state"] for path in played.values()
        ]
        assert any(np.array_equal(seen, np.resize(one, seen.shape)) for one in recorded)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["recording"] for line in lines} <= set(played) and len(lines) >= 3
    running.processes.stop(NAME)


def _states(folder: Path) -> Any:
    return decode_steps((folder / "steps.parquet").read_bytes())["observation.state"]


def _stored(running: System, episode_id: str) -> Path:
    """Where the object store keeps an episode's objects."""
    ((key,),) = running.rows("SELECT manifest_key FROM fleet_episode WHERE id = %s", episode_id)
    path = running.stack.data_dir / "objects" / os.fspath(key)
    assert path.is_file(), sorted(running.stack.data_dir.glob("objects/*"))
    return path.parent
