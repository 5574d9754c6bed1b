"""Robots of an experiment in one process: the daemon's real driver, control loop and supervisor on a virtual clock.

Used by `run.py`. Left out: link, spool, video and parquet; recordings go to the replay buffers as arrays.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np

from fleet.daemon.clock import VirtualClock
from fleet.daemon.config import ControlConfig, SafetyConfig
from fleet.daemon.control_loop import EpisodeRunner
from fleet.daemon.drivers.registry import create_driver
from fleet.daemon.episode import EpisodeRecording, EpisodeSpec
from fleet.daemon.inbox import LocalLeases
from fleet.daemon.recorder import describe
from fleet.daemon.supervisor import create_supervisor
from fleet.protocol.policy import Policy
from fleet.protocol.recording import CameraRecord, EpisodeManifest, ObjectRecord, Origin, StepArrays, validate_steps

MAX_STEPS = 250
CAMERA = "front"
Array = np.ndarray[Any, Any]


class Simulator:
    """One Meta-World driver, shared by all virtual robots: an episode is run to its end before the next begins."""

    def __init__(self, instructions: dict[str, str], supervisor_options: dict[str, Any]) -> None:
        self.instructions = instructions
        self._driver = create_driver("metaworld", {"starts": "full"})
        self._driver.connect()
        self._runner = EpisodeRunner(
            driver=self._driver,
            control=ControlConfig(handover_steps=2),
            safety=SafetyConfig(),
            clock=VirtualClock(),
            supervisor=create_supervisor(self._driver, supervisor_options),
            leases=LocalLeases(),
        )

    def close(self) -> None:
        self._driver.close()

    def supervised(self, task: str, policy: Policy, *, seed: int, robot: str) -> EpisodeRecording:
        """Run one online episode with the scripted supervisor standing by."""
        spec = EpisodeSpec(
            episode_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{robot}/{task}/{seed}")),
            origin=Origin.ONLINE,
            task_id=None,
            task_slug=task,
            instruction=self.instructions[task],
            driver_task=task,
            max_steps=MAX_STEPS,
            seed=seed,
            policy_version_id=None,
            robot_id=None,
            robot_name=robot,
        )
        return self._runner.run(spec, policy)

    def unassisted(self, task: str, policy: Policy, *, seed: int) -> bool:
        """Run one evaluation episode without help; return whether it succeeded.

        Pictures are made only when the policy is asked, which is what makes this quicker than the runner.
        """
        observation = self._driver.reset(task, seed=seed)
        policy.reset(instruction=self.instructions[task], seed=seed)
        steps = 0
        while steps < MAX_STEPS:
            for action in policy.infer(observation).actions[: policy.execute_steps]:
                steps += 1
                if self._driver.apply(np.clip(action, -1.0, 1.0)).success:
                    return True
                if steps == MAX_STEPS:
                    break
            observation = self._driver.observe()
        return False


def to_manifest(recording: EpisodeRecording) -> EpisodeManifest:
    """Describe a recording that was never written; its objects are stand-ins without content."""
    camera = recording.info.cameras[0]
    record = CameraRecord(name=camera.name, object=f"{camera.name}.mp4", width=camera.width, height=camera.height)
    objects = tuple(ObjectRecord(name=name, size=1, sha256="0" * 64) for name in ("steps.parquet", record.object))
    manifest = describe(recording, (record,), objects, software={})
    validate_steps(recording.arrays, manifest)
    return manifest


class MemoryEpisodes:
    """An EpisodeSource over recordings held in memory, falling back to `stored` for the demonstrations."""

    def __init__(self, stored: Any) -> None:
        self._stored = stored
        self._recordings: dict[str, EpisodeRecording] = {}

    def put(self, recording: EpisodeRecording) -> EpisodeManifest:
        self._recordings[recording.spec.episode_id] = recording
        return to_manifest(recording)

    def drop_frames(self) -> None:
        """Free the pictures of ingested episodes: their features are in the replay's cache."""
        self._recordings.clear()

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        recording = self._recordings.get(manifest.episode_id)
        steps: StepArrays = recording.arrays if recording is not None else self._stored.steps(manifest)
        return steps

    def frames(self, manifest: EpisodeManifest, camera: str, *, is_whole: bool = False) -> Array:
        recording = self._recordings.get(manifest.episode_id)
        frames: Array = (
            np.stack(recording.frames[camera])
            if recording is not None
            else self._stored.frames(manifest, camera, is_whole=is_whole)
        )
        return frames


def task_order(tasks: list[str], seed: int) -> Iterator[str]:
    """Yield tasks for ever, every task once in each random permutation."""
    rng = np.random.default_rng(seed)
    while True:
        yield from (tasks[k] for k in rng.permutation(len(tasks)))
