"""A LeRobot dataset on disk as demonstrations, read in place by `fleet.imports.layout`; nothing is copied or converted.

Used through `sources.open_episodes`. Every episode becomes a manifest of origin DEMONSTRATION that a person drove from
the first step to the last, with a stable id; steps and images are read from the shared files when they are asked for.
`observation.state` and `action` are the columns that LeRobot's policies read; actions must lie in [-1, 1] as here.
Left out: images stored in Parquet, depth, several instructions in one episode, and statistics: a policy brings its
own. An import (docs/imports.md) is what also takes these, and names every problem instead of the first.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fleet.imports.errors import InvalidDataset
from fleet.imports.layout import ACTION, STATE, Dataset, EpisodeRow, open_data, read_dataset, read_episode
from fleet.imports.problems import Problems, that_matter
from fleet.imports.tables import matrix
from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.errors import InvalidEpisode
from fleet.protocol.recording import (
    STEPS_OBJECT,
    CameraRecord,
    EpisodeManifest,
    ObjectRecord,
    Origin,
    Outcome,
    Segment,
    StepArrays,
    validate_manifest,
    validate_steps,
)
from learner.data.video import decode_video_part

Array = np.ndarray[Any, Any]

LARGEST_ACTION = 1.001  # float32 round-off of whoever normalised them
_IMAGES = "observation.images."
_EPISODE_COLUMNS = ("episode_index", "tasks", "length", "data/chunk_index", "data/file_index")
_VIDEO_COLUMNS = ("chunk_index", "file_index", "from_timestamp")
_NAMESPACE = uuid.UUID("1c3f0e5e-31a5-4b0e-8f55-0a4f0d5c8f02")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Camera:
    """A video feature of the dataset under the name that policies know it by. `height`, `width` in pixels."""

    key: str
    name: str
    height: int
    width: int


def lerobot_episodes(
    root: Path, cameras: Mapping[str, str], *, only_camera: str | None = None
) -> tuple[LeRobotEpisodes, list[EpisodeManifest]]:
    """Return the episodes of the dataset at `root` and their manifests, in order.

    `cameras`: feature -> camera name, for those that are to be read. Without any, all video features are read, under
    the last part of their names; but if there is one alone, and `only_camera` is given, under that name.
    Raises: InvalidDataset naming what is missing; OSError.
    """
    dataset = _read(root)
    found = _cameras(dataset, cameras, only_camera)
    manifests = [_manifest(dataset, row, found) for row in dataset.episodes]
    by_id = {manifest.episode_id: row for manifest, row in zip(manifests, dataset.episodes, strict=True)}
    return LeRobotEpisodes(found, by_id), manifests


class LeRobotEpisodes:
    """`learner.data.index.EpisodeSource` over one dataset."""

    def __init__(self, cameras: tuple[_Camera, ...], rows: Mapping[str, EpisodeRow]) -> None:
        self._cameras = {camera.name: camera for camera in cameras}
        self._rows = rows

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        row = self._rows[manifest.episode_id]
        path = row.data
        try:
            table = read_episode(open_data(path), row.index, [STATE, ACTION, "timestamp"])
        except pa.ArrowException as error:
            raise InvalidEpisode(f"{path} does not parse: {error}") from None
        if table.num_rows != manifest.steps:
            raise InvalidEpisode(f"{path} has {table.num_rows} rows of the episode, its length is {manifest.steps}")
        steps = _step_columns(
            state=_column(table, STATE),
            action=_column(table, ACTION),
            timestamp=_column(table, "timestamp")[:, 0],
            rate_hz=manifest.control_rate_hz,
        )
        validate_steps(steps, manifest)
        largest = float(np.abs(steps["action"]).max())
        if largest > LARGEST_ACTION:
            raise InvalidEpisode(f"actions reach {largest:g}; policies here act in [-1, 1]", column="action")
        return steps

    def frames(self, manifest: EpisodeManifest, camera: str, *, is_whole: bool = False) -> Array:
        record = self._cameras.get(camera)
        if record is None:
            raise InvalidEpisode(f"the dataset has no camera '{camera}'; it has {sorted(self._cameras)}")
        place = self._rows[manifest.episode_id].videos[record.key]
        return decode_video_part(
            place.path,
            start_s=place.start_s,
            rate_hz=manifest.control_rate_hz,
            frames=manifest.steps,
            height=record.height,
            width=record.width,
            is_whole=is_whole,
        )


def _read(root: Path) -> Dataset:
    """Raises: InvalidDataset for the first problem that an import would name, but for counts that nothing rests on."""
    problems = Problems()
    dataset = read_dataset(root, problems)
    for name in (STATE, ACTION):
        feature = dataset.features.get(name)
        if feature is not None and len(feature.shape) != 1:
            raise InvalidDataset(f"{root}: feature '{name}' has shape {list(feature.shape)}, a vector is read")
    for found in that_matter(problems.all(), (STATE, ACTION)):
        if found.code == "count_differs":
            continue
        raise InvalidDataset(f"{root}: {found.message} ({found.examples[0].detail})", problem=found.code)
    for name in (STATE, ACTION):
        if name not in dataset.features:
            raise InvalidDataset(f"{root} has no feature '{name}'; it has {sorted(dataset.features)}")
    return dataset


def _cameras(dataset: Dataset, wanted: Mapping[str, str], only_camera: str | None) -> tuple[_Camera, ...]:
    features = {feature.name: feature for feature in dataset.cameras if feature.dtype == "video"}
    videos = sorted(features)
    if not videos:
        kinds = sorted(feature.name for feature in dataset.cameras)
        hint = f"; images in Parquet ({', '.join(kinds)}) are not read" if kinds else ""
        raise InvalidDataset(f"the dataset has no colour video features{hint}")
    unknown = sorted(set(wanted) - set(videos))
    if unknown:
        raise InvalidDataset(f"the dataset has no video feature '{unknown[0]}'; it has {videos}")
    names = dict(wanted) or {key: key.removeprefix(_IMAGES).lower() for key in videos}
    if not wanted and len(videos) == 1 and only_camera is not None:
        names = {videos[0]: only_camera}
    return tuple(
        _Camera(key=key, name=name, height=features[key].shape[0], width=features[key].shape[1])
        for key, name in names.items()
    )


def _manifest(dataset: Dataset, row: EpisodeRow, cameras: tuple[_Camera, ...]) -> EpisodeManifest:
    index, length, tasks = row.index, row.length, row.instructions
    if len(tasks) != 1:
        raise InvalidDataset(f"episode {index} of {dataset.root} has {len(tasks)} instructions; one an episode is read")
    known = {"success", *_EPISODE_COLUMNS, *(f"videos/{c.key}/{name}" for c in cameras for name in _VIDEO_COLUMNS)}
    values = {name: value for name, value in row.values.items() if name in known or name.startswith("stats/")}
    identity = [dataset.robot_type, dataset.fps, values]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    objects = [f"{re.sub('[^a-z0-9_.-]', '-', camera.name)}.mp4" for camera in cameras]
    manifest = EpisodeManifest(
        # The row holds the statistics of the data, so that equal episodes of equal datasets have equal ids.
        episode_id=str(uuid.uuid5(_NAMESPACE, f"{dataset.root.resolve().name}/{index}/{digest}")),
        origin=Origin.DEMONSTRATION,
        robot_id=None,
        robot_name=dataset.robot_type,
        task_id=None,
        task_slug=re.sub(r"[^a-z0-9]+", "-", tasks[0].lower()).strip("-")[:50],
        instruction=tasks[0],
        policy_version_id=None,
        outcome=Outcome.FAILURE if row.values.get("success") is False else Outcome.SUCCESS,
        seed=0,
        steps=length,
        human_steps=length,
        control_rate_hz=dataset.fps,
        started_ns=1,
        ended_ns=1 + round(length / dataset.fps * 1e9),
        driver="lerobot",
        action_names=dataset.features[ACTION].names,
        proprio_names=dataset.features[STATE].names,
        cameras=tuple(
            CameraRecord(name=camera.name, object=name, width=camera.width, height=camera.height)
            for camera, name in zip(cameras, objects, strict=True)
        ),
        segments=(Segment(start=0, end=length, mode=Mode.TELEOP, source=Source.PERSON, lease_epoch=1),),
        # Parts of shared files have no size and hash of their own: the row's hash tells whether they changed.
        objects=tuple(ObjectRecord(name=name, size=1, sha256=digest) for name in (STEPS_OBJECT, *objects)),
        software={"lerobot": dataset.version},
    )
    validate_manifest(manifest)
    return manifest


def _column(table: pa.Table, name: str) -> Array:
    """Raises: InvalidEpisode."""
    try:
        return matrix(table, name)
    except (KeyError, ValueError) as error:
        raise InvalidEpisode(f"column '{name}': {error}", column=name) from None


def _step_columns(*, state: Array, action: Array, timestamp: Array, rate_hz: float) -> dict[str, Array]:
    """Return the columns of `recording.STEP_COLUMNS` of an episode that a person drove. No policy proposed anything."""
    length = len(action)
    executed = action.astype(np.float32)
    return {
        "frame_index": np.arange(length, dtype=np.int32),
        "timestamp_s": timestamp.astype(np.float64),
        "captured_ns": 1 + np.round(timestamp.astype(np.float64) * 1e9).astype(np.int64),
        STATE: state.astype(np.float32),
        ACTION: executed,
        "action.asked": executed,
        "action.proposed": np.zeros_like(executed),
        "proposed": np.zeros(length, dtype=bool),
        "reward": np.zeros(length, dtype=np.float32),
        "success": np.zeros(length, dtype=bool),
        "mode": np.full(length, MODE_CODES[Mode.TELEOP], dtype=np.int8),
        "source": np.full(length, SOURCE_CODES[Source.PERSON], dtype=np.int8),
        "lease_epoch": np.ones(length, dtype=np.int32),
        "inference_ms": np.zeros(length, dtype=np.float32),
        "period_ms": np.full(length, 1000.0 / rate_hz, dtype=np.float32),
    }
