"""It must show: an admin stages a deliberately bad version; the fleet sees it, halts it and goes back by itself.

The whole stack but for the learner, with real daemons on the tests' point robot: it reaches its goal when it is pushed
forwards and never when it is pushed back, so a version is good or bad by what its episodes show and by nothing else.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.protocol.policy import decode_policy_manifest
from tests.fleet.daemon.point_policy import make_version
from tests.stack.harness import PASSWORD, RUN, System, running_system

ROBOTS = ("arm-1", "arm-2", "arm-3")
POINT_TASK = "UPDATE fleet_task SET driver_task = 'reach', max_steps = 40"
STATE = "SELECT state, reason, is_automatic, evidence FROM fleet_rollout ORDER BY began_at DESC LIMIT 1"


def write_version(folder: Path, number: int, *, dx: float) -> Path:
    """Write a policy directory that pushes by `dx`."""
    target, files = make_version(number, dx=dx)
    folder.mkdir()
    data = files[target.manifest_url]
    (folder / "manifest.json").write_bytes(data)
    for blob in decode_policy_manifest(data).blobs:
        (folder / f"{blob.sha256}.safetensors").write_bytes(files[target.blob_urls[blob.sha256]])
    return folder


@pytest.fixture(scope="module")
def fleet(make_open_folder: Callable[[str], Path]) -> Iterator[System]:
    """Three point robots that drive with a good version 0."""
    with running_system(make_open_folder("rollout")) as system:
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


def as_admin(system: System, *requests: tuple[str, str, dict[str, Any]]) -> Any:
    """Sign in at the console's API and send (method, path, body); return the last answer."""
    answer: Any = None
    with httpx.Client(base_url=system.stack.url, timeout=30) as client:
        client.get("/api/v1/session")
        sign_in = ("POST", "/api/v1/session", {"username": "admin", "password": PASSWORD})
        for method, path, body in (sign_in, *requests):
            headers = {"X-CSRFToken": client.cookies.get("csrftoken", "")}
            if method == "PUT":
                headers["If-Match"] = client.get(path).headers["ETag"]
            response = client.request(method, path, json=body, headers=headers)
            assert response.is_success, response.text
            answer = response.json()
    return answer


def _episodes_of(system: System, version: str) -> int:
    return int(system.rows("SELECT count(*) FROM fleet_episode WHERE policy_version_id = %s", version)[0][0])


def _newest(system: System) -> str:
    return str(system.rows("SELECT id FROM fleet_policyversion ORDER BY number DESC LIMIT 1")[0][0])


def test_a_bad_version_is_halted_and_rolled_back_by_itself(fleet: System, capsys: pytest.CaptureFixture[str]) -> None:
    """It drives one robot of three, for a handful of episodes; all robots are on the old version at the end."""
    good = _newest(fleet)
    fleet.wait_for(lambda: _episodes_of(fleet, good) >= 8, what="episodes of the good version", timeout_s=120)
    run = str(fleet.rows("SELECT id FROM fleet_trainingrun WHERE name = %s", RUN)[0][0])
    as_admin(fleet, ("PUT", f"/api/v1/training-runs/{run}/release", {"strategy": "manual"}))
    fleet.manage("policy_import", str(write_version(fleet.stack.data_dir / "bad", 2, dx=-0.5)), "--run", RUN)
    bad = _newest(fleet)
    assert _episodes_of(fleet, bad) == 0
    began_s = time.monotonic()
    staged = as_admin(fleet, ("POST", f"/api/v1/policy-versions/{bad}/stage", {"strategy": "canary"}))
    (member,) = staged["rollout"]["robots"]

    fleet.wait_for(lambda: fleet.rows(STATE)[0][0] == "rolled_back", what="the bad version rolled back", timeout_s=180)
    halted_s = time.monotonic() - began_s
    _, reason, is_automatic, evidence = fleet.rows(STATE)[0]
    assert is_automatic and "100 points lower" in reason
    deployed = fleet.rows(
        "SELECT r.name FROM fleet_episode e JOIN fleet_robot r ON r.id = e.robot_id WHERE e.policy_version_id = %s", bad
    )
    assert {name for (name,) in deployed} == {member}, "no other robot ever drove with it"

    def is_back() -> bool:
        found = fleet.rows("SELECT DISTINCT policy_version_id::text FROM fleet_robot")
        return found == [(good,)]

    fleet.wait_for(is_back, what="every robot back on the good version", timeout_s=120)
    back_s = time.monotonic() - began_s
    cost = _episodes_of(fleet, bad)
    with capsys.disabled():
        print(
            f"\nbad version: decided {halted_s:.1f} s after staging on {evidence['candidate']} episodes of it,"
            f" {cost} driven in all; every robot back after {back_s:.1f} s"
        )
    assert cost < 200
    after = _episodes_of(fleet, good)
    fleet.wait_for(lambda: _episodes_of(fleet, good) >= after + 4, what="work goes on")
    assert _episodes_of(fleet, bad) <= cost + 2, "only what was still on its way"


def test_a_good_version_is_promoted_by_itself(fleet: System) -> None:
    fleet.manage("policy_import", str(write_version(fleet.stack.data_dir / "better", 3, dx=1.0)), "--run", RUN)
    better = _newest(fleet)
    body = {"strategy": "canary", "settings": {"margin": 0.3, "min_episodes": 10}}
    as_admin(fleet, ("POST", f"/api/v1/policy-versions/{better}/stage", body))
    fleet.wait_for(lambda: fleet.rows(STATE)[0][0] == "promoted", what="the good version promoted", timeout_s=180)

    def is_everywhere() -> bool:
        return fleet.rows("SELECT DISTINCT policy_version_id::text FROM fleet_robot") == [(better,)]

    fleet.wait_for(is_everywhere, what="every robot on the better version", timeout_s=120)
