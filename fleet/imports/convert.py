"""One episode of a dataset -> one episode at rest, as a recorder would have written it, in a folder of its own.

The same dataset and mapping give the same bytes, so an import that was killed goes on where it was. What the dataset
does not know is told apart from what was recorded: no policy proposed anything, and times of day count from
`started_ns`. Only an export of ours brings its own (`own.py`).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from fleet.imports.check import EpisodeFound
from fleet.imports.layout import Dataset
from fleet.imports.mapping import Mapping, OutcomeFrom, outcome_of
from fleet.imports.own import own_provenance, own_segments, own_steps
from fleet.imports.tables import matrix
from fleet.imports.video import copy_part, decode_images, decode_part, encode
from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.errors import InvalidEpisode
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
    sha256_of_file,
    validate_manifest,
    validate_steps,
)
from fleet.protocol.steps import encode_steps

Array = np.ndarray[Any, Any]
_NAMESPACE = uuid.UUID("6d1c9a52-7f4e-4b0f-9d5a-3f6d2b8c1e04")
_DRIVER = "lerobot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """What all episodes of an import have in common. `digest`: SHA-256 of the dataset; `started_ns`: of the first."""

    dataset: Dataset
    mapping: Mapping
    digest: str
    started_ns: int


def episode_id_of(digest: str, index: int) -> str:
    """Return the id of a dataset's n-th episode: the same for the same files, however they were packed."""
    return str(uuid.uuid5(_NAMESPACE, f"{digest}/{index}"))


def convert_episode(source: Origins, found: EpisodeFound, target: Path) -> EpisodeManifest:
    """Write steps.parquet, a video a camera and manifest.json into the new folder `target`; return the manifest.

    Raises: InvalidEpisode, InvalidManifest if what comes out breaks the contract; OSError. Nothing is left then.
    """
    target.mkdir(parents=True)
    try:
        return _write(source, found, target)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _write(source: Origins, found: EpisodeFound, target: Path) -> EpisodeManifest:
    dataset, mapping = source.dataset, source.mapping
    rate_hz = dataset.fps / mapping.keep_every
    started_ns = source.started_ns + round(found.row.index * 1e9)
    steps = own_steps(found.table) if mapping.is_own else _steps(found.table, mapping, rate_hz, started_ns)
    length = len(steps["frame_index"])
    (target / STEPS_OBJECT).write_bytes(encode_steps(steps))
    cameras = tuple(_camera(source, found, feature, target, rate_hz) for feature in mapping.cameras)
    if mapping.is_own:
        segments = own_segments(found.row, steps)
    else:
        segments = tuple(segments_of(steps["mode"], steps["source"], steps["lease_epoch"]))
    features = dataset.features
    prefix = len(mapping.state) > 1
    manifest = EpisodeManifest(
        episode_id=episode_id_of(source.digest, found.row.index),
        origin=Origin.DEMONSTRATION,
        robot_id=None,
        robot_name=dataset.robot_type,
        task_id=None,
        task_slug=mapping.tasks[found.instruction],
        instruction=found.instruction,
        policy_version_id=None,
        outcome=_outcome(found, mapping),
        seed=0,
        steps=length,
        human_steps=human_steps_of(segments),
        control_rate_hz=rate_hz,
        started_ns=started_ns,
        ended_ns=started_ns + round(length / rate_hz * 1e9),
        driver=_DRIVER,
        action_names=features[mapping.action].names,
        proprio_names=tuple(
            f"{name}.{axis}" if prefix else axis for name in mapping.state for axis in features[name].names
        ),
        cameras=cameras,
        segments=segments,
        objects=tuple(_object(target / name) for name in (STEPS_OBJECT, *(camera.object for camera in cameras))),
        software={"dataset": f"LeRobot {dataset.version}", "dataset.sha256": source.digest},
    )
    if mapping.is_own:
        own = own_provenance(found.row)
        software = own.pop("software") | manifest.software
        manifest = msgspec.structs.replace(manifest, **own, software=software)
    validate_manifest(manifest)
    validate_steps(steps, manifest)
    (target / MANIFEST_OBJECT).write_bytes(encode_manifest(manifest))
    return manifest


def _steps(table: pa.Table, mapping: Mapping, rate_hz: float, started_ns: int) -> dict[str, Array]:
    """Return the columns of `recording.STEP_COLUMNS` of an episode that a person drove, where nothing else is said."""
    every = mapping.keep_every
    state = np.concatenate([matrix(table, name) for name in mapping.state], axis=1)[::every].astype(np.float32)
    action = matrix(table, mapping.action)[::every].astype(np.float32)
    length = len(action)
    times_s = np.arange(length) / rate_hz
    by_person = np.ones(length, bool)
    if mapping.intervention:
        by_person = matrix(table, mapping.intervention)[::every, 0].astype(bool)
    reward, success = np.zeros(length, np.float32), np.zeros(length, bool)
    starts = np.arange(0, table.num_rows, every)
    if mapping.reward:  # of the frames that are left out too
        reward = np.add.reduceat(matrix(table, mapping.reward)[:, 0].astype(np.float32), starts)
    if mapping.outcome.source is OutcomeFrom.FRAMES:
        success = np.logical_or.reduceat(matrix(table, mapping.outcome.column)[:, 0].astype(bool), starts)
    return {
        "frame_index": np.arange(length, dtype=np.int32),
        "timestamp_s": times_s,
        "captured_ns": started_ns + np.round(times_s * 1e9).astype(np.int64),
        "observation.state": state,
        "action": action,
        "action.asked": action,
        "action.proposed": np.zeros_like(action),
        "proposed": np.zeros(length, bool),
        "reward": reward.astype(np.float32),
        "success": success,
        "mode": np.where(by_person, MODE_CODES[Mode.TELEOP], MODE_CODES[Mode.AUTONOMOUS]).astype(np.int8),
        "source": np.where(by_person, SOURCE_CODES[Source.PERSON], SOURCE_CODES[Source.POLICY]).astype(np.int8),
        "lease_epoch": by_person.astype(np.int32),
        "inference_ms": np.zeros(length, np.float32),
        "period_ms": np.full(length, 1000.0 / rate_hz, np.float32),
    }


def _outcome(found: EpisodeFound, mapping: Mapping) -> Outcome:
    rule = mapping.outcome
    if mapping.is_own:
        return rule.same  # replaced by the export's own
    if rule.source is OutcomeFrom.EPISODE:
        outcome = outcome_of(found.row.values.get(rule.column))
    elif rule.source is OutcomeFrom.FRAMES:
        outcome = Outcome.SUCCESS if matrix(found.table, rule.column).astype(bool).any() else Outcome.FAILURE
    else:
        outcome = rule.same
    if outcome is None:
        raise InvalidEpisode("the episode's outcome is none that is known", column=rule.column or "outcome")
    return outcome


def _camera(source: Origins, found: EpisodeFound, feature: str, target: Path, rate_hz: float) -> CameraRecord:
    camera, every = source.mapping.cameras[feature], source.mapping.keep_every
    name, part = f"{camera.name}.mp4", found.parts.get(feature)
    if part is not None and part.is_copied and every == 1 and _has_size(part.index, camera.width, camera.height):
        copy_part(part, target / name)
    else:
        size = (camera.height, camera.width)
        frames: Iterator[Array]
        if part is not None:
            frames = decode_part(part, size=size, every=every)
        else:
            frames = decode_images(found.table.column(feature), size=size, every=every)
        encode(frames, target / name, rate_hz=rate_hz)
    return CameraRecord(name=camera.name, object=name, width=camera.width, height=camera.height)


def _has_size(index: Any, width: int, height: int) -> bool:
    return (index.width, index.height) == (width, height)


def _object(path: Path) -> ObjectRecord:
    size, sha256 = sha256_of_file(path)
    return ObjectRecord(name=path.name, size=size, sha256=sha256)
