"""A learner's worker that is killed in the middle of a round ends in the same weights as one that was left alone."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from sop_web.demo.stack import start_learner
from tests.stack.harness import TASK, System

TARGET_STEPS = 120
CONFIG = {"round": {"steps": 60, "publish_steps": 20, "publish_interval_s": 0}}

CREATE = """
from fleet.services.training import training_run_create
run = training_run_create(
    name={name!r}, algorithm="hg_dagger", config={config!r}, seed=3, task_slugs=[{task!r}], target_steps={steps}
)
print(run.id)
"""
START = "from fleet.services.training import training_run_start; training_run_start(run_id={run!r})"
STATE = "SELECT state, failure_message FROM fleet_trainingrun WHERE id = %s"
ROUNDS = "SELECT index, attempts, end_step, checkpoint_sha256 FROM fleet_traininground WHERE run_id = %s ORDER BY index"
VERSIONS = "SELECT number, step, blobs FROM fleet_policyversion WHERE run_id = %s ORDER BY number"


def _create_run(running: System, name: str, base: Path) -> str:
    code = CREATE.format(name=name, config=CONFIG, task=TASK, steps=TARGET_STEPS)
    run = running.manage("shell", "--no-imports", "-c", code).split()[-1]
    running.manage("policy_import", str(base), "--run", name)
    return run


def _is_done(running: System, run: str) -> bool:
    state, failure = running.rows(STATE, run)[0]
    assert state != "failed", failure
    return bool(state == "stopped")


def _weights(running: System, run: str) -> list[tuple[int, int, list[str]]]:
    """Return (number, step, hashes of the blobs) of every version."""
    return [(number, step, sorted(blobs)) for number, step, blobs in running.rows(VERSIONS, run)]


def test_a_killed_round_ends_in_the_same_weights(running: System, random_policy: Path, demonstrations: Path) -> None:
    """SIGKILL in the second round: the reaper hands the run on, and every version's hash is the undisturbed one's."""
    running.manage("import_episodes", str(demonstrations))

    undisturbed = _create_run(running, "undisturbed", random_policy)
    start_learner(running.processes, running.stack)
    running.manage("shell", "--no-imports", "-c", START.format(run=undisturbed))
    running.wait_for(lambda: _is_done(running, undisturbed), what="the undisturbed run done", timeout_s=120)

    killed = _create_run(running, "killed", random_policy)
    running.manage("shell", "--no-imports", "-c", START.format(run=killed))
    running.wait_for(lambda: len(_weights(running, killed)) >= 5, what="a version of the second round", timeout_s=120)
    running.kill("learner")
    assert not _is_done(running, killed)
    start_learner(running.processes, running.stack)
    running.wait_for(lambda: _is_done(running, killed), what="the killed run done", timeout_s=120)

    rounds = running.rows(ROUNDS, killed)
    assert [row[0] for row in rounds] == [0, 1]
    assert rounds[1][1] >= 2, "the round was not interrupted"
    assert [row[2] for row in rounds] == [60, TARGET_STEPS]
    assert [step for _, step, _ in _weights(running, killed)] == [0, 20, 40, 60, 80, 100, 120]
    assert _weights(running, killed) == _weights(running, undisturbed)
    assert [row[3] for row in rounds] == [row[3] for row in running.rows(ROUNDS, undisturbed)]


def test_a_robot_and_a_learner_close_the_loop(running: System) -> None:
    """Versions published while a robot works reach it: later episodes name later versions."""
    running.rows("UPDATE fleet_trainingrun SET config = %s::jsonb WHERE name = 'demo'", json.dumps(CONFIG))
    if "learner" not in running.processes.names():
        start_learner(running.processes, running.stack)
    run = str(running.rows("SELECT id FROM fleet_trainingrun WHERE name = 'demo'")[0][0])
    running.manage("shell", "--no-imports", "-c", START.format(run=run))
    running.start_robot("loop")
    query = (
        "SELECT count(DISTINCT v.number) FROM fleet_episode e JOIN fleet_policyversion v ON v.id = e.policy_version_id "
        "JOIN fleet_robot r ON r.id = e.robot_id WHERE r.name = 'loop' AND v.run_id = %s"
    )
    running.wait_for(lambda: running.rows(query, run)[0][0] >= 3, what="episodes of three versions", timeout_s=120)
    sampled = "SELECT count(*) FROM fleet_episode WHERE origin = 'online' AND first_sampled_at > indexed_at"
    running.wait_for(lambda: running.rows(sampled)[0][0], what="an online episode was sampled")
    learner = running.processes.get("learner").process
    assert learner is not None
    os.kill(learner.pid, signal.SIGTERM)
    running.processes.stop("learner", "loop")
