"""A LeRobot dataset (v3.0 on disk) as demonstrations. Read with pyarrow and PyAV; nothing is copied or converted.

Used through `sources.open_episodes`. Every episode becomes a manifest of origin DEMONSTRATION that a person drove from
the first step to the last, with a stable id; steps and images are read from the shared files when they are asked for.
`observation.state` and `action` are the columns that LeRobot's policies read; actions must lie in [-1, 1] as here.
Left out: images stored in Parquet, depth, several instructions in one episode, datasets of v2.x (LeRobot converts
them), and statistics: a policy brings its own.
Source: LeRobotDataset v3.0 as lerobot 0.6.1 writes it.
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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.errors import InvalidEpisode, RecordingError
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

INFO = Path("meta", "info.json")
STATE, ACTION = "observation.state", "action"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
LARGEST_ACTION = 1.001  # float32 round-off of whoever normalised them
_IMAGES = "observation.images."
_EPISODE_COLUMNS = ("episode_index", "tasks", "length", "data/chunk_index", "data/file_index")
_VIDEO_COLUMNS = ("chunk_index", "file_index", "from_timestamp")
_NAMESPACE = uuid.UUID("1c3f0e5e-31a5-4b0e-8f55-0a4f0d5c8f02")


class InvalidDataset(RecordingError):
    """A dataset that is not LeRobot v3.0, or lacks what training needs of it."""

    code = "invalid_dataset"


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
    info = _read_info(root)
    found = _cameras(info, cameras, only_camera)
    rows = _read_rows(root, found)
    manifests = [_manifest(root, info, row, found) for row in rows]
    by_id = {manifest.episode_id: row for manifest, row in zip(manifests, rows, strict=True)}
    return LeRobotEpisodes(root, info, found, by_id), manifests


class LeRobotEpisodes:
    """`learner.data.index.EpisodeSource` over one dataset."""

    def __init__(
        self, root: Path, info: Mapping[str, Any], cameras: tuple[_Camera, ...], rows: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._root = root
        self._data_path = info.get("data_path") or DATA_PATH
        self._video_path = info.get("video_path") or VIDEO_PATH
        self._cameras = {camera.name: camera for camera in cameras}
        self._rows = rows

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        row = self._rows[manifest.episode_id]
        path = self._root / self._data_path.format(
            chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
        )
        try:
            # Row groups of other episodes are passed over by their statistics.
            table = pq.read_table(
                path, columns=[STATE, ACTION, "timestamp"], filters=[("episode_index", "=", row["episode_index"])]
            )
        except pa.ArrowException as error:
            raise InvalidEpisode(f"{path} does not parse: {error}") from None
        if table.num_rows != manifest.steps:
            raise InvalidEpisode(f"{path} has {table.num_rows} rows of the episode, its length is {manifest.steps}")
        steps = _step_columns(
            state=_matrix(table, STATE),
            action=_matrix(table, ACTION),
            timestamp=_matrix(table, "timestamp")[:, 0],
            rate_hz=manifest.control_rate_hz,
        )
        validate_steps(steps, manifest)
        largest = float(np.abs(steps["action"]).max())
        if largest > LARGEST_ACTION:
            raise InvalidEpisode(f"actions reach {largest:g}; policies here act in [-1, 1]", column="action")
        return steps

    def frames(self, manifest: EpisodeManifest, camera: str) -> Array:
        record = self._cameras.get(camera)
        if record is None:
            raise InvalidEpisode(f"the dataset has no camera '{camera}'; it has {sorted(self._cameras)}")
        row, prefix = self._rows[manifest.episode_id], f"videos/{record.key}"
        path = self._root / self._video_path.format(
            video_key=record.key, chunk_index=row[f"{prefix}/chunk_index"], file_index=row[f"{prefix}/file_index"]
        )
        return decode_video_part(
            path,
            start_s=row[f"{prefix}/from_timestamp"],
            rate_hz=manifest.control_rate_hz,
            frames=manifest.steps,
            height=record.height,
            width=record.width,
        )


def _read_info(root: Path) -> dict[str, Any]:
    try:
        info: dict[str, Any] = json.loads((root / INFO).read_bytes())
        version, fps, features = info["codebase_version"], float(info["fps"]), dict(info["features"])
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidDataset(f"{root / INFO} is not that of a LeRobot dataset: {error}") from None
    if not str(version).startswith("v3."):
        raise InvalidDataset(
            f"{root} is a LeRobot dataset {version}; v3.0 is read. LeRobot converts it: "
            "python -m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id=..."
        )
    if fps <= 0:
        raise InvalidDataset(f"{root}: fps is {fps:g}")
    for name in (STATE, ACTION):
        shape = dict(features.get(name, {})).get("shape")
        if not shape:
            raise InvalidDataset(f"{root} has no feature '{name}'; it has {sorted(features)}")
        if len(shape) != 1:
            raise InvalidDataset(f"{root}: feature '{name}' has shape {shape}, a vector is read")
    return info


def _cameras(info: Mapping[str, Any], wanted: Mapping[str, str], only_camera: str | None) -> tuple[_Camera, ...]:
    features = info["features"]
    videos = sorted(key for key, feature in features.items() if feature.get("dtype") == "video")
    if not videos:
        kinds = sorted(key for key, feature in features.items() if feature.get("dtype") == "image")
        hint = f"; images in Parquet ({', '.join(kinds)}) are not read" if kinds else ""
        raise InvalidDataset(f"the dataset has no video features{hint}")
    unknown = sorted(set(wanted) - set(videos))
    if unknown:
        raise InvalidDataset(f"the dataset has no video feature '{unknown[0]}'; it has {videos}")
    names = dict(wanted) or {key: key.removeprefix(_IMAGES).lower() for key in videos}
    if not wanted and len(videos) == 1 and only_camera is not None:
        names = {videos[0]: only_camera}
    return tuple(_Camera(key=key, name=name, **_sides(key, features[key])) for key, name in names.items())


def _sides(key: str, feature: Mapping[str, Any]) -> dict[str, int]:
    shape = list(feature.get("shape", ()))
    if len(shape) != 3 or shape[2] != 3:
        raise InvalidDataset(f"feature '{key}' has shape {shape}, colour video [height, width, 3] is read")
    return {"height": int(shape[0]), "width": int(shape[1])}


def _read_rows(root: Path, cameras: tuple[_Camera, ...]) -> list[dict[str, Any]]:
    """Read what is known of each episode, and its data's statistics where they are there."""
    wanted = [*_EPISODE_COLUMNS, *(f"videos/{camera.key}/{name}" for camera in cameras for name in _VIDEO_COLUMNS)]
    optional = re.compile(rf"success|stats/({re.escape(STATE)}|{ACTION})/.*")
    rows: list[dict[str, Any]] = []
    for path in sorted((root / "meta" / "episodes").glob("*/*.parquet")):
        try:
            names = pq.read_schema(path).names
            missing = sorted(set(wanted) - set(names))
            if missing:
                raise InvalidDataset(f"{path} lacks the column '{missing[0]}'")
            rows += pq.read_table(path, columns=[n for n in names if n in wanted or optional.fullmatch(n)]).to_pylist()
        except pa.ArrowException as error:
            raise InvalidDataset(f"{path} does not parse: {error}") from None
    if not rows:
        raise InvalidDataset(f"{root} has no episodes (meta/episodes/*/*.parquet)")
    return sorted(rows, key=lambda row: int(row["episode_index"]))


def _manifest(
    root: Path, info: Mapping[str, Any], row: Mapping[str, Any], cameras: tuple[_Camera, ...]
) -> EpisodeManifest:
    index, length, tasks = int(row["episode_index"]), int(row["length"]), list(row["tasks"])
    if len(tasks) != 1:
        raise InvalidDataset(f"episode {index} of {root} has {len(tasks)} instructions; one an episode is read")
    digest = hashlib.sha256(json.dumps([info.get("robot_type"), info["fps"], row], sort_keys=True).encode()).hexdigest()
    objects = [f"{re.sub('[^a-z0-9_.-]', '-', camera.name)}.mp4" for camera in cameras]
    manifest = EpisodeManifest(
        # The row holds the statistics of the data, so that equal episodes of equal datasets have equal ids.
        episode_id=str(uuid.uuid5(_NAMESPACE, f"{root.resolve().name}/{index}/{digest}")),
        origin=Origin.DEMONSTRATION,
        robot_id=None,
        robot_name=str(info.get("robot_type") or "lerobot"),
        task_id=None,
        task_slug=re.sub(r"[^a-z0-9]+", "-", tasks[0].lower()).strip("-")[:50],
        instruction=tasks[0],
        policy_version_id=None,
        outcome=Outcome.FAILURE if row.get("success") is False else Outcome.SUCCESS,
        seed=0,
        steps=length,
        human_steps=length,
        control_rate_hz=float(info["fps"]),
        started_ns=1,
        ended_ns=1 + round(length / float(info["fps"]) * 1e9),
        driver="lerobot",
        action_names=_names(info["features"][ACTION]),
        proprio_names=_names(info["features"][STATE]),
        cameras=tuple(
            CameraRecord(name=camera.name, object=name, width=camera.width, height=camera.height)
            for camera, name in zip(cameras, objects, strict=True)
        ),
        segments=(Segment(start=0, end=length, mode=Mode.TELEOP, source=Source.PERSON, lease_epoch=1),),
        # Parts of shared files have no size and hash of their own: the row's hash tells whether they changed.
        objects=tuple(ObjectRecord(name=name, size=1, sha256=digest) for name in (STEPS_OBJECT, *objects)),
        software={"lerobot": str(info["codebase_version"])},
    )
    validate_manifest(manifest)
    return manifest


def _names(feature: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one name an axis; where the dataset has none that fit, their numbers."""
    names, width = feature.get("names"), int(feature["shape"][0])
    if isinstance(names, dict) and len(names) == 1:
        names = next(iter(names.values()))
    if not isinstance(names, list) or len(names) != width:
        names = range(width)
    return tuple(map(str, names))


def _matrix(table: pa.Table, name: str) -> Array:
    """Return a column of numbers or of vectors of one length as [T, n]. Raises: InvalidEpisode."""
    values = table.column(name).combine_chunks()
    flat, widths = values, [1]
    if pa.types.is_nested(values.type):
        flat, widths = values.flatten(), pc.list_value_length(values).unique().to_pylist()
    if len(widths) != 1 or widths[0] is None or flat.null_count:
        raise InvalidEpisode(f"column '{name}' holds nulls or vectors of several lengths", column=name)
    matrix: Array = flat.to_numpy(zero_copy_only=False).reshape(len(values), widths[0])
    return matrix


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
