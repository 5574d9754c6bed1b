"""Rows, manifests and stored episodes for tests. Everything is valid; tests break what they are about."""

from __future__ import annotations

import functools
import hashlib
import itertools
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import save

from fleet.models import Robot, Task, TrainingRun
from fleet.protocol import messages as m
from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.policy import (
    BlobRef,
    CameraSpec,
    PolicyManifest,
    TensorSpec,
    encode_policy_manifest,
)
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    CameraRecord,
    EpisodeManifest,
    ObjectRecord,
    Origin,
    Outcome,
    encode_manifest,
    human_steps_of,
    segments_of,
)
from fleet.protocol.steps import encode_steps
from fleet.protocol.video import write_video
from fleet.selectors.objects import object_store
from fleet.services.enrolment import Enrolled, enrolment_token_create, robot_enrol
from fleet.services.task import task_create
from fleet.services.training import training_run_create, training_run_start
from fleet.storage import keys

PIXELS = 128
ACTIONS, PROPRIO = ("x", "y", "z", "gripper"), ("hand_x", "hand_y")
_numbers = itertools.count(1)


def enrol(name: str | None = None) -> Enrolled:
    _, token = enrolment_token_create()
    return robot_enrol(token=token, name=name or f"robot-{next(_numbers)}")


def task(slug: str = "box-close") -> Task:
    return task_create(slug=slug, instruction=f"do {slug}", driver_task=slug, max_steps=250)


def running_run(**values: Any) -> TrainingRun:
    run = training_run_create(
        **{"name": f"run-{next(_numbers)}", "algorithm": "hg_dagger", "config": {}, "seed": 1, **values}
    )
    return training_run_start(run_id=run.id)


def step_arrays(steps: int, *, human: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Columns of an episode whose last `human` steps the scripted supervisor drove."""
    is_human = np.arange(steps) >= steps - human
    mode = np.where(is_human, MODE_CODES[Mode.TELEOP], MODE_CODES[Mode.AUTONOMOUS]).astype(np.int8)
    source = np.where(is_human, SOURCE_CODES[Source.SCRIPTED], SOURCE_CODES[Source.POLICY]).astype(np.int8)
    return {
        "frame_index": np.arange(steps, dtype=np.int32),
        "timestamp_s": np.arange(steps, dtype=np.float64) / 10,
        "captured_ns": np.arange(steps, dtype=np.int64) * 10**8 + 10**18,
        "observation.state": np.zeros((steps, len(PROPRIO)), np.float32),
        "action": np.zeros((steps, len(ACTIONS)), np.float32),
        "action.asked": np.zeros((steps, len(ACTIONS)), np.float32),
        "action.proposed": np.zeros((steps, len(ACTIONS)), np.float32),
        "proposed": np.ones(steps, bool),
        "reward": np.zeros(steps, np.float32),
        "success": np.zeros(steps, bool),
        "mode": mode,
        "source": source,
        "lease_epoch": np.where(is_human, 1, 0).astype(np.int32),
        "inference_ms": np.zeros(steps, np.float32),
        "period_ms": np.zeros(steps, np.float32),
    }


@functools.cache
def video(steps: int, *, width: int = PIXELS, height: int = PIXELS, rate_hz: float = 10.0, shade: int = 0) -> bytes:
    """A real video of one shade of grey, which costs a moment once and a few hundred bytes."""
    frame = np.full((height, width, 3), shade, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_video(path, itertools.repeat(frame, steps), rate_hz=rate_hz, crf=40)
        return path.read_bytes()


def episode(
    task_row: Task,
    robot: Robot | None,
    *,
    steps: int = 5,
    human: int = 0,
    arrays: Mapping[str, np.ndarray[Any, Any]] | None = None,
    **changes: Any,
) -> tuple[EpisodeManifest, dict[str, bytes]]:
    """Return a manifest and the bytes of its objects, manifest.json included."""
    columns = dict(arrays) if arrays is not None else step_arrays(steps, human=human)
    files = {STEPS_OBJECT: encode_steps(columns), "front.mp4": video(steps)}
    sound = step_arrays(steps, human=human)
    segments = tuple(segments_of(sound["mode"], sound["source"], sound["lease_epoch"]))
    now = time.time_ns()
    manifest = EpisodeManifest(
        episode_id=str(uuid.uuid4()),
        origin=Origin.ONLINE if robot else Origin.DEMONSTRATION,
        robot_id=str(robot.id) if robot else None,
        robot_name=robot.name if robot else "expert",
        task_id=str(task_row.id) if robot else None,
        task_slug=task_row.slug,
        instruction=task_row.instruction,
        policy_version_id=None,
        outcome=Outcome.SUCCESS,
        seed=7,
        steps=steps,
        human_steps=human_steps_of(segments),
        control_rate_hz=10.0,
        started_ns=now - 10**9,
        ended_ns=now,
        driver="metaworld",
        action_names=ACTIONS,
        proprio_names=PROPRIO,
        cameras=(CameraRecord(name="front", object="front.mp4", width=PIXELS, height=PIXELS),),
        segments=segments,
        objects=tuple(record(name, data) for name, data in files.items()),
        software={},
    )
    manifest = msgspec.structs.replace(manifest, **changes)
    return manifest, {**files, MANIFEST_OBJECT: encode_manifest(manifest)}


def record(name: str, data: bytes) -> ObjectRecord:
    return ObjectRecord(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def store(manifest: EpisodeManifest, files: Mapping[str, bytes]) -> None:
    """Put an episode's objects where uploads go."""
    for name, data in files.items():
        object_store().put(keys.episode_object(manifest.episode_id, name), data)


def policy(
    run_id: object = None, *, step: int = 0, value: float = 0.0, **changes: Any
) -> tuple[bytes, dict[str, bytes]]:
    """Return the manifest bytes and blobs of a tiny policy version."""
    tensor = np.full(3, value, np.float32)
    data = save({"weight": tensor})
    sha256 = hashlib.sha256(data).hexdigest()
    blob = BlobRef(name="head", size=len(data), sha256=sha256, tensors={"weight": TensorSpec(dtype="F32", shape=(3,))})
    manifest = PolicyManifest(
        version_id=str(uuid.uuid4()),
        run_id=str(run_id) if run_id else None,
        parent_id=None,
        step=step,
        trained_ns=time.time_ns(),
        architecture="tiny",
        config={},
        cameras=(CameraSpec(name="front", height=128, width=128),),
        proprio_dim=2,
        action_dim=4,
        horizon=12,
        blobs=(blob,),
    )
    return encode_policy_manifest(msgspec.structs.replace(manifest, **changes)), {sha256: data}


def driver_info() -> m.DriverInfo:
    return m.DriverInfo(
        name="metaworld",
        version="3.1",
        control_rate_hz=10.0,
        action_names=ACTIONS,
        proprio_names=PROPRIO,
        cameras=(m.CameraInfo(name="front", width=128, height=128),),
        tasks=("box-close",),
    )


def hello(**changes: Any) -> m.Hello:
    message = m.Hello(
        protocol=m.PROTOCOL_VERSION,
        daemon_version="0.1.0",
        boot_id=str(uuid.uuid4()),
        clock_ns=time.time_ns(),
        driver=driver_info(),
        architectures=("tiny",),
        capabilities=(),
        policy_version_id=None,
    )
    return msgspec.structs.replace(message, **changes)


def status(**changes: Any) -> m.RobotStatus:
    message = m.RobotStatus(
        mode=Mode.AUTONOMOUS,
        activity="running",
        step=3,
        max_steps=250,
        control=m.ControlStats(rate_hz=10.0, overruns=0, worst_period_ms=101.0),
        spool=m.SpoolStats(pending_episodes=0, pending_bytes=0, capacity_bytes=10**9),
    )
    return msgspec.structs.replace(message, **changes)
