"""A real robot shadows another version with real networks: it drives with its own, and the distance reaches the API.

The whole stack but for the learner. The candidate has other random weights, so that what it proposes is told apart.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fleet.protocol.steps import decode_steps
from tests.stack.harness import RUN, System
from tests.stack.test_rollout import as_admin

# Under load the robot's own priority: what is shown here is what happens, not how soon.
SETTINGS = ("shadow.nice=0", "shadow.load_timeout_s=600", "shadow.answer_timeout_s=60", "shadow.drain_s=5")


def _steps(system: System, episode_id: str) -> dict[str, np.ndarray]:
    key = system.rows("SELECT manifest_key FROM fleet_episode WHERE id = %s", episode_id)[0][0]
    return decode_steps((system.stack.data_dir / "objects" / Path(key).parent / "steps.parquet").read_bytes())


def test_a_robot_shadows_a_version_and_drives_with_its_own(running: System, other_policy: Path) -> None:
    """Every executed action is the one that its own version proposed, bit for bit up to the safety limits."""
    run = str(running.rows("SELECT id FROM fleet_trainingrun WHERE name = %s", RUN)[0][0])
    own = str(running.rows("SELECT id FROM fleet_policyversion WHERE number = 0")[0][0])
    as_admin(running, ("PUT", f"/api/v1/training-runs/{run}/release", {"strategy": "manual"}))
    running.manage("policy_import", str(other_policy), "--run", RUN)
    candidate = str(running.rows("SELECT id FROM fleet_policyversion WHERE number = 1")[0][0])
    options = [part for setting in SETTINGS for part in ("--set", setting)]
    running.start_robot("arm-1", *options, "--set", "supervisor.is_enabled=false")
    running.wait_for(lambda: running.registered("arm-1"), what="an episode of its own", timeout_s=300)

    body = {"robots": [running.robot_id("arm-1")], "duration_s": 3600, "max_episodes": 50}
    begun = as_admin(running, ("POST", f"/api/v1/policy-versions/{candidate}/shadows", body))
    query = "SELECT episode_id::text, policy_n, policy_total FROM fleet_shadowresult WHERE answered > 0"
    running.wait_for(lambda: running.rows(query), what="an episode with proposals", timeout_s=600)

    for episode_id, proposals, total in running.rows(query):
        assert proposals >= 1 and total / proposals > 0.01, "other weights propose otherwise"
        steps = _steps(running, episode_id)
        assert np.array_equal(steps["action"], np.clip(steps["action.proposed"], -1, 1))
    drove = running.rows("SELECT DISTINCT policy_version_id::text FROM fleet_episode WHERE robot_id IS NOT NULL")
    assert drove == [(own,)]
    assert running.rows("SELECT policy_version_id::text FROM fleet_robot WHERE name = 'arm-1'") == [(own,)]
    assert not running.rows("SELECT 1 FROM fleet_policydeployment WHERE version_id = %s", candidate)

    shown = as_admin(running, ("POST", f"/api/v1/shadows/{begun['id']}/end", {"reason": "seen"}))
    assert shown["sentence"].startswith("Version 1 proposed ") and shown["total"]["answered"] >= 1
    assert [row["robot_name"] for row in shown["robots"]] == ["arm-1"]
    known = len(running.registered("arm-1"))
    running.wait_for(lambda: len(running.registered("arm-1")) >= known + 2, what="it works on", timeout_s=300)
    running.processes.stop("arm-1")
