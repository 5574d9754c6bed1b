"""It must show: an admin stages a deliberately bad version; the fleet sees it, halts it and goes back by itself.

With real daemons on the tests' point robot (point_fleet.py): a version is good or bad by what its episodes show and by
nothing else. The same in a browser: tests/e2e/test_release_page.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stack.harness import PASSWORD, RUN, System
from tests.stack.point_fleet import episodes_of, newest_version, point_fleet, write_version

STATE = "SELECT state, reason, is_automatic, evidence FROM fleet_rollout ORDER BY began_at DESC LIMIT 1"


@pytest.fixture(scope="module")
def fleet(make_open_folder: Callable[[str], Path]) -> Iterator[System]:
    """Three point robots that drive with a good version 0."""
    with point_fleet(make_open_folder("rollout")) as system:
        yield system


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


def test_a_bad_version_is_halted_and_rolled_back_by_itself(fleet: System, capsys: pytest.CaptureFixture[str]) -> None:
    """It drives one robot of three, for a handful of episodes; all robots are on the old version at the end."""
    good = newest_version(fleet)
    fleet.wait_for(lambda: episodes_of(fleet, good) >= 8, what="episodes of the good version", timeout_s=120)
    run = str(fleet.rows("SELECT id FROM fleet_trainingrun WHERE name = %s", RUN)[0][0])
    as_admin(fleet, ("PUT", f"/api/v1/training-runs/{run}/release", {"strategy": "manual"}))
    fleet.manage("policy_import", str(write_version(fleet.stack.data_dir / "bad", 2, dx=-0.5)), "--run", RUN)
    bad = newest_version(fleet)
    assert episodes_of(fleet, bad) == 0
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
    cost = episodes_of(fleet, bad)
    with capsys.disabled():
        print(
            f"\nbad version: decided {halted_s:.1f} s after staging on {evidence['candidate']} episodes of it,"
            f" {cost} driven in all; every robot back after {back_s:.1f} s"
        )
    assert cost < 200
    after = episodes_of(fleet, good)
    fleet.wait_for(lambda: episodes_of(fleet, good) >= after + 4, what="work goes on")
    assert episodes_of(fleet, bad) <= cost + 2, "only what was still on its way"


def test_a_good_version_is_promoted_by_itself(fleet: System) -> None:
    fleet.manage("policy_import", str(write_version(fleet.stack.data_dir / "better", 3, dx=1.0)), "--run", RUN)
    better = newest_version(fleet)
    body = {"strategy": "canary", "settings": {"margin": 0.3, "min_episodes": 10}}
    as_admin(fleet, ("POST", f"/api/v1/policy-versions/{better}/stage", body))
    fleet.wait_for(lambda: fleet.rows(STATE)[0][0] == "promoted", what="the good version promoted", timeout_s=180)

    def is_everywhere() -> bool:
        return fleet.rows("SELECT DISTINCT policy_version_id::text FROM fleet_robot") == [(better,)]

    fleet.wait_for(is_everywhere, what="every robot on the better version", timeout_s=120)
