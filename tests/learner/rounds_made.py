"""Episodes at rest, runs and rounds for tests of the worker's rounds, through the real services and object store."""

from __future__ import annotations

from typing import Any

import msgspec

from fleet.models import Robot, TrainingRun
from fleet.protocol.policy import PolicyManifest, encode_policy_manifest
from fleet.protocol.recording import Origin, decode_manifest
from fleet.selectors.objects import object_store
from fleet.services.episode import episode_register
from fleet.services.policy import policy_version_publish
from fleet.services.task import task_create
from fleet.services.training import training_run_create, training_run_start
from fleet.storage import keys
from learner import tasks
from learner.publisher import build_artifact
from tests.learner.hand_made import TELEOP, make_manifest, make_network, stored_objects

CONFIG: dict[str, Any] = {
    "optim": {"batch_size": 8},
    "round": {"steps": 6, "publish_steps": 2, "publish_interval_s": 0.0},
}


def register(name: str, robot: Robot | None = None) -> str:
    """Store and register a demonstration of 30 steps of box-close, or an online episode of `robot`; return its id."""
    task_create(slug="box-close", instruction="close the box", driver_task="box-close-v3", max_steps=250)
    manifest = make_manifest(name, [(30, TELEOP)], origin=Origin.DEMONSTRATION)
    if robot is not None:
        manifest = msgspec.structs.replace(manifest, origin=Origin.ONLINE, robot_id=str(robot.id))
    objects = stored_objects(manifest)
    for name_, data in objects.items():
        object_store().put(keys.episode_object(manifest.episode_id, name_), data)
    episode_register(robot_id=manifest.robot_id, manifest=decode_manifest(objects["manifest.json"]), uploaded_ns=None)
    return manifest.episode_id


def start(name: str, algorithm: str = "hg_dagger", network_seed: int = 0, **changes: Any) -> TrainingRun:
    """Start a run of rounds of six steps, two a version, on a base of its own."""
    run = training_run_create(name=name, algorithm=algorithm, config=CONFIG | changes, seed=5)
    network = make_network(network_seed)
    base = build_artifact(network, network.blob_state("head"), run_id=None, parent_id=name, step=0)
    policy_version_publish(
        run_id=str(run.id), manifest_bytes=encode_policy_manifest(_renamed(base.manifest, run)), blobs=base.blobs
    )
    return training_run_start(run_id=run.id)


def train(run: TrainingRun) -> None:
    """Run one round, as the worker would."""
    run.refresh_from_db()
    tasks.train_round(str(run.id), run.epoch)


def _renamed(manifest: PolicyManifest, run: TrainingRun) -> PolicyManifest:
    """The same base under an id of its own for each run: version ids are unique."""
    return msgspec.structs.replace(manifest, version_id=str(run.id))
