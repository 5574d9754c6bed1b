"""A LeRobot policy trained online: its learner and robot in lerobot's own Python, everything else in ours.

SOP_LEROBOT_PYTHON names that Python (scripts/policy-environment makes it); scripts/verify-policy runs this.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sop_web.demo.config import REPOSITORY
from sop_web.demo.stack import start_learner
from tests.stack.harness import RUN, TASK, System, running_system

PYTHON = os.environ.get("SOP_LEROBOT_PYTHON", "")
pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not PYTHON, reason="SOP_LEROBOT_PYTHON names no environment with lerobot (make verify-policy)"),
]

ROBOT = "act-robot"
QUEUE = "learner-lerobot"  # where rounds of LeRobot's policies go, as the guide has it; others stay with "learner"
WAIT_S = 300.0  # lerobot's imports take a minute on a slow disk
CONFIG = {
    "round": {"steps": 10, "publish_steps": 10, "publish_interval_s": 0},
    "optim": {"batch_size": 8, "learning_rate": 0.0003, "warmup_steps": 2},
}
ACT = {
    "type": "act",
    "chunk_size": 12,
    "n_action_steps": 6,
    "pretrained_backbone_weights": None,
    "dim_model": 32,
    "n_heads": 2,
    "dim_feedforward": 64,
    "n_encoder_layers": 1,
    "use_vae": False,
    "input_features": {
        "observation.images.front": {"type": "VISUAL", "shape": [3, 32, 32]},
        "observation.state": {"type": "STATE", "shape": [8]},
    },
}
CREATE = """
from fleet.services.training import training_run_create
print(training_run_create(name="elsewhere", algorithm="hg_dagger", config={}, seed=3, task_slugs=[%r]).id)
"""
START = "from fleet.services.training import training_run_start; training_run_start(run_id={run!r})"
STATE = "SELECT state, failure_code, failure_message FROM fleet_trainingrun WHERE id = %s"
VERSIONS = "SELECT number, step, manifest_key FROM fleet_policyversion WHERE run_id = %s ORDER BY number"
# Of a version that the learner made, driven by the robot, and drawn; with the first round that began with it known.
DRAWN = """
SELECT e.id, v.number, (SELECT min(r.index) FROM fleet_traininground r WHERE r.run_id = v.run_id AND
    r.ingest_upto >= e.index_seq AND r.committed_at IS NOT NULL)
FROM fleet_episode e JOIN fleet_policyversion v ON v.id = e.policy_version_id JOIN fleet_robot b ON b.id = e.robot_id
WHERE v.run_id = %s AND b.name = %s AND v.number >= 1 AND e.origin = 'online' AND e.first_sampled_at > e.indexed_at
ORDER BY e.index_seq LIMIT 1
"""


@pytest.fixture(scope="module")
def act(stack_folder: Path, demonstrations: Path) -> Path:
    """A fresh ACT as a policy directory, made as the guide makes it; its picture encoder is frozen."""
    folder = stack_folder / "act"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(ACT))
    command = [PYTHON, "-m", "learner", "import-lerobot", str(folder), "--episodes", str(demonstrations)]
    command += ["--freeze", "model.backbone", "--out", str(folder / "base")]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "base"


@pytest.fixture(scope="module")
def system(make_open_folder: Callable[[str], Path], act: Path, demonstrations: Path) -> Iterator[System]:
    """A running system whose run has the ACT as version 0 and learns from three demonstrations to begin with."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as exits:
        patch.setenv("SOP_LEARNER_QUEUES", json.dumps({"lerobot.v1": QUEUE}))
        running = exits.enter_context(running_system(make_open_folder("lerobot")))
        running.rows("UPDATE fleet_trainingrun SET config = %s::jsonb WHERE name = %s", json.dumps(CONFIG), RUN)
        running.manage("policy_import", str(act), "--run", RUN)
        running.manage("import_episodes", str(demonstrations))
        yield running


def _start(system: System, run: str, *, python: str) -> None:
    """Start the worker of LeRobot's rounds in an environment, and a run."""
    start_learner(system.processes, system.stack, queue=QUEUE, python=python)
    system.manage("shell", "--no-imports", "-c", START.format(run=run))


def test_a_worker_without_lerobot_fails_the_run_by_name(system: System, act: Path) -> None:
    """Its version 0 is untouched; the message says what to install."""
    run = system.manage("shell", "--no-imports", "-c", CREATE % TASK).split()[-1]
    system.manage("policy_import", str(act), "--run", "elsewhere")
    _start(system, run, python=sys.executable)
    system.wait_for(lambda: system.rows(STATE, run)[0][0] == "failed", what="the run failed", timeout_s=WAIT_S)
    _, code, message = system.rows(STATE, run)[0]
    assert (code, [row[0] for row in system.rows(VERSIONS, run)]) == ("lerobot_missing", [0])
    assert "lerobot==0.6.1 on Python 3.12" in message
    system.processes.stop(QUEUE)


def test_a_run_is_trained_driven_and_learned_from(system: System) -> None:
    """Rounds publish versions, the robot fetches and drives them, and a later round draws what it recorded.

    The worker of all other rounds is there as well, without lerobot: had it been asked, the run would have failed.
    """
    start_learner(system.processes, system.stack)
    run = str(system.rows("SELECT id FROM fleet_trainingrun WHERE name = %s", RUN)[0][0])
    _start(system, run, python=PYTHON)
    system.wait_for(lambda: len(system.rows(VERSIONS, run)) >= 2, what="a version of a round", timeout_s=WAIT_S)
    system.start_robot(ROBOT, python=PYTHON)

    def is_drawn() -> bool:
        state, code, message = system.rows(STATE, run)[0]
        assert state == "running", (code, message)
        found = system.rows(DRAWN, run, ROBOT)
        return bool(found and found[0][2] is not None)

    system.wait_for(is_drawn, what="an episode of a trained version drawn by a round", timeout_s=WAIT_S)
    ((episode, number, round_index),) = system.rows(DRAWN, run, ROBOT)
    assert number >= 1 and round_index >= 1, "the round that drew it came after the one that made its version"
    assert str(episode) in system.closed(ROBOT)

    versions = system.rows(VERSIONS, run)
    assert [(count, step) for count, step, _ in versions] == [(n, 10 * n) for n in range(len(versions))]
    manifest = json.loads((system.stack.data_dir / "objects" / versions[number][2]).read_text())
    assert (manifest["architecture"], manifest["step"]) == ("lerobot.v1", 10 * number)
    assert manifest["config"]["policy"]["type"] == "act"
    refused = (
        "SELECT refused_code FROM fleet_policydeployment d JOIN fleet_robot r ON r.id = d.robot_id WHERE r.name = %s"
    )
    assert {code for (code,) in system.rows(refused, ROBOT)} == {""}
    print(f"version {number} drove an episode that round {round_index} drew; {len(versions) - 1} versions were made")
    system.processes.stop(ROBOT, "learner", QUEUE)
