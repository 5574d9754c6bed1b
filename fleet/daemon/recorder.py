"""A closed recording -> one directory, whole or not at all: objects first, then the manifest, then one rename.

Used by the daemon's writer thread and by the offline rollouts. A directory with its final name is complete; whatever
a crash leaves behind has a name that starts with `TEMPORARY_PREFIX`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from fleet.daemon.episode import EpisodeRecording
from fleet.daemon.files import sync
from fleet.protocol import tracing
from fleet.protocol.errors import InvalidEpisode
from fleet.protocol.recording import (
    MANIFEST_OBJECT,
    STEPS_OBJECT,
    CameraRecord,
    EpisodeManifest,
    ObjectRecord,
    encode_manifest,
    sha256_of_file,
    validate_manifest,
    validate_steps,
)
from fleet.protocol.steps import encode_steps
from fleet.protocol.video import write_video

TEMPORARY_PREFIX = ".writing-"


def write_episode(
    recording: EpisodeRecording,
    directory: Path,
    *,
    software: dict[str, str],
    video_crf: int = 18,
    beside: Mapping[str, bytes] | None = None,
) -> EpisodeManifest:
    """Write `directory/<episode_id>/` with steps.parquet, one MP4 a camera and manifest.json; return the manifest.

    `beside`: name -> content of files that stay on this robot, and are no objects of the episode.
    The directory appears by an atomic rename after everything in it was flushed to disk.
    Raises: FileExistsError if the episode is there already; InvalidEpisode or InvalidManifest if the recording breaks
    the contract (nothing is left behind); OSError when the disk fails.
    """
    target = directory / recording.spec.episode_id
    if target.exists():
        raise FileExistsError(f"episode {recording.spec.episode_id} exists already")
    temporary = directory / f"{TEMPORARY_PREFIX}{recording.spec.episode_id}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        manifest = _write_objects(recording, temporary, software=software, video_crf=video_crf)
        (temporary / MANIFEST_OBJECT).write_bytes(encode_manifest(manifest))
        for name, data in (beside or {}).items():
            (temporary / name).write_bytes(data)
        for path in temporary.iterdir():
            sync(path)
        sync(temporary)
        temporary.rename(target)
        sync(directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return manifest


def _write_objects(
    recording: EpisodeRecording, directory: Path, *, software: dict[str, str], video_crf: int
) -> EpisodeManifest:
    cameras = tuple(
        CameraRecord(name=camera.name, object=f"{camera.name}.mp4", width=camera.width, height=camera.height)
        for camera in recording.info.cameras
    )
    (directory / STEPS_OBJECT).write_bytes(encode_steps(recording.arrays))
    for camera in cameras:
        frames = recording.frames[camera.name]
        shape = (camera.height, camera.width, 3)
        if any(frame.shape != shape or frame.dtype != np.uint8 for frame in frames):
            raise InvalidEpisode(
                f"camera '{camera.name}' has pictures that are not uint8{list(shape)}", column=camera.name
            )
        write_video(directory / camera.object, frames, rate_hz=recording.control_rate_hz, crf=video_crf)
    names = [STEPS_OBJECT, *(camera.object for camera in cameras)]
    manifest = describe(recording, cameras, tuple(_object(directory / name) for name in names), software=software)
    validate_manifest(manifest)
    validate_steps(recording.arrays, manifest)
    return manifest


def _object(path: Path) -> ObjectRecord:
    size, sha256 = sha256_of_file(path)
    return ObjectRecord(name=path.name, size=size, sha256=sha256)


def describe(
    recording: EpisodeRecording,
    cameras: tuple[CameraRecord, ...],
    objects: tuple[ObjectRecord, ...],
    *,
    software: dict[str, str],
) -> EpisodeManifest:
    """Return the manifest of a recording whose videos and objects are the given ones; nothing is checked here."""
    spec = recording.spec
    return EpisodeManifest(
        episode_id=spec.episode_id,
        origin=spec.origin,
        robot_id=spec.robot_id,
        robot_name=spec.robot_name,
        task_id=spec.task_id,
        task_slug=spec.task_slug,
        instruction=spec.instruction,
        policy_version_id=spec.policy_version_id,
        outcome=recording.outcome,
        outcome_reason=recording.outcome_reason,
        outcome_source=recording.outcome_source,
        environment_outcome=recording.environment_outcome,
        seed=spec.seed,
        steps=recording.steps,
        human_steps=recording.human_steps,
        control_rate_hz=recording.control_rate_hz,
        started_ns=recording.started_ns,
        ended_ns=recording.ended_ns,
        driver=recording.info.name,
        action_names=recording.info.action_names,
        proprio_names=recording.info.proprio_names,
        cameras=cameras,
        segments=recording.segments,
        objects=objects,
        software=software,
        calibration=msgspec.UNSET if recording.calibration is None else recording.calibration,
        traceparent=_traced(recording) or msgspec.UNSET,
    )


def _traced(recording: EpisodeRecording) -> str:
    """Begin the episode's trace with its capture; return the traceparent, "" if this robot does not trace."""
    spec = recording.spec
    return tracing.record(
        "robot.episode",
        start_ns=recording.started_ns,
        end_ns=recording.ended_ns,
        attributes={
            "sop.episode": spec.episode_id,
            "sop.robot": spec.robot_id,
            "sop.task": spec.task_slug,
            "sop.version": spec.policy_version_id,
            "sop.outcome": recording.outcome.value,
            "sop.steps": recording.steps,
            "sop.human_steps": recording.human_steps,
        },
    )
