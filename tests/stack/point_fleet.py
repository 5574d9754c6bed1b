"""Three real daemons on the tests' point robot, and versions that are good or bad by what their episodes show.

The point reaches its goal when it is pushed forwards and never when it is pushed back.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from fleet.protocol.policy import decode_policy_manifest
from tests.fleet.daemon.point_policy import make_version
from tests.stack.harness import RUN, System, running_system

ROBOTS = ("arm-1", "arm-2", "arm-3")
POINT_TASK = "UPDATE fleet_task SET driver_task = 'reach', max_steps = 40"


def write_version(folder: Path, number: int, *, dx: float) -> Path:
    """Write a policy directory that pushes by `dx`."""
    target, files = make_version(number, dx=dx)
    folder.mkdir()
    data = files[target.manifest_url]
    (folder / "manifest.json").write_bytes(data)
    for blob in decode_policy_manifest(data).blobs:
        (folder / f"{blob.sha256}.safetensors").write_bytes(files[target.blob_urls[blob.sha256]])
    return folder


@contextlib.contextmanager
def point_fleet(folder: Path) -> Iterator[System]:
    """The whole stack but for the learner, and three point robots that drive with a good version 0."""
    with running_system(folder) as system:
        system.rows(POINT_TASK)
        system.manage("policy_import", str(write_version(system.stack.data_dir / "good", 1, dx=0.9)), "--run", RUN)
        for seed, name in enumerate(ROBOTS):
            start_point_robot(system, name, seed=seed)
        yield system
        for name in ROBOTS:
            system.processes.stop(name)


def start_point_robot(system: System, name: str, *, seed: int) -> None:
    state = system.robot_state(name)
    state.mkdir(parents=True)
    token = system.manage("enrol_token", "--name", name).split()[-1]
    command = [
        sys.executable, "-m", "tests.fleet.daemon.point_daemon", "--server", system.stack.url, "--state", str(state),
        "--driver", "point", "--name", name, f"--token={token}", "--seed", str(seed),
        "--set", "control.speed_factor=20", "--set", "control.reset_s=30", "--set", "thumbnail.is_enabled=false",
    ]  # fmt: skip
    system.processes.start(name, command, env=system.stack.robot_environment(OMP_NUM_THREADS="1"), stop_timeout_s=20)
    system.wait_for(lambda: system.robot_id(name), what=f"{name} enrolled")
    system.assign(name)


def episodes_of(system: System, version: str) -> int:
    return int(system.rows("SELECT count(*) FROM fleet_episode WHERE policy_version_id = %s", version)[0][0])


def newest_version(system: System) -> str:
    return str(system.rows("SELECT id FROM fleet_policyversion ORDER BY number DESC LIMIT 1")[0][0])
