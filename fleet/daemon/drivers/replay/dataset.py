"""A LeRobot dataset v3.0 as recordings for the replay driver. Robots carry no importer, so this reads for itself.

Read are `observation.state`, `action`, `next.reward`, `next.success` and colour videos; the task is the instruction's
slug, as an import names it. Left out: v2.x (convert it), depth, pictures in Parquet. Format: lerobot 0.6.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fleet.daemon.drivers.replay.recordings import (
    MAX_EPISODES,
    Collection,
    Columns,
    Recording,
    RecordingBroken,
    VideoPart,
)
from fleet.protocol.messages import CameraInfo
from fleet.protocol.recording import MAX_STEPS

Array = np.ndarray[Any, Any]

INFO = "meta/info.json"
STATE, ACTION, REWARD, SUCCESS = "observation.state", "action", "next.reward", "next.success"
MAX_INFO_BYTES = 4 * 1024**2
_IMAGES = "observation.images."
_PLACE = re.compile(r"[\w.-]+(/[\w.-]+)*")
_DATA = "data/chunk-{chunk:03d}/file-{file:03d}.parquet"
_VIDEO = "videos/{key}/chunk-{chunk:03d}/file-{file:03d}.mp4"


def is_dataset(folder: Path) -> bool:
    return (folder / INFO).is_file()


def read_dataset(root: Path) -> Collection:
    """Read a dataset's metadata. Raises: RecordingBroken naming what is missing or of another version."""
    try:
        return _read(root)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise RecordingBroken(f"{root}: the dataset's metadata cannot be read: {error!r:.300}") from None


def _read(root: Path) -> Collection:
    info = _info(root)
    features = info["features"]
    for name in (STATE, ACTION):
        if name not in features or len(features[name]["shape"]) != 1:
            raise RecordingBroken(f"{root} has no vector '{name}'; it has {', '.join(sorted(features))}")
    cameras = {key: _camera(key, given) for key, given in features.items() if given["dtype"] == "video"}
    rows = [row for path in sorted(root.glob("meta/episodes/*/*.parquet")) for row in _rows(path, cameras)]
    if not 0 < len(rows) <= MAX_EPISODES:
        raise RecordingBroken(f"{root} has {len(rows)} episodes; 1 to {MAX_EPISODES} are read")
    extra = tuple(name for name in (REWARD, SUCCESS) if name in features)
    return Collection(
        rate_hz=float(info["fps"]),
        action_names=_names(features[ACTION]),
        proprio_names=_names(features[STATE]),
        cameras=tuple(cameras.values()),
        recordings=tuple(_recording(root, row, cameras, extra) for row in rows),
    )


def _info(root: Path) -> dict[str, Any]:
    path = root / INFO
    if path.stat().st_size > MAX_INFO_BYTES:
        raise RecordingBroken(f"{path} has more than {MAX_INFO_BYTES} bytes")
    info: dict[str, Any] = json.loads(path.read_text("utf-8"))
    version = str(info["codebase_version"])
    if not version.startswith("v3."):
        raise RecordingBroken(f"{root} is a LeRobot dataset {version:.20}; v3.0 is played")
    if not 0 < float(info["fps"]) <= 1000:
        raise RecordingBroken(f"{root}: fps must lie in (0, 1000]")
    return info


def _camera(key: str, given: Mapping[str, Any]) -> CameraInfo:
    height, width, channels = given["shape"]
    if channels != 3:
        raise RecordingBroken(f"'{key}' has shape {given['shape']}; colour pictures [height, width, 3] are played")
    if height % 2 or width % 2:
        raise RecordingBroken(f"'{key}' is {width} x {height}; an episode's video needs even sizes")
    name = re.sub("[^a-z0-9_.-]+", "-", key.removeprefix(_IMAGES).lower()).strip("-.")[:50]
    return CameraInfo(name=name or "camera", width=int(width), height=int(height))


def _names(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one name an axis; their numbers where the dataset has none that fit."""
    names, width = given.get("names"), int(given["shape"][0])
    if isinstance(names, dict) and len(names) == 1:
        names = next(iter(names.values()))
    if not isinstance(names, list) or len(set(map(str, names))) != width:
        names = [str(index) for index in range(width)]
    return tuple(str(name)[:100] for name in names)


def _rows(path: Path, cameras: Mapping[str, CameraInfo]) -> list[dict[str, Any]]:
    columns = ["episode_index", "tasks", "length", "data/chunk_index", "data/file_index"]
    columns += [f"videos/{key}/{part}" for key in cameras for part in ("chunk_index", "file_index", "from_timestamp")]
    rows: list[dict[str, Any]] = pq.read_table(path, columns=columns).to_pylist()
    return rows


def _recording(
    root: Path, row: Mapping[str, Any], cameras: Mapping[str, CameraInfo], extra: tuple[str, ...]
) -> Recording:
    length, tasks = int(row["length"]), [str(task) for task in row["tasks"] or ()]
    if not 0 < length <= MAX_STEPS:
        raise RecordingBroken(f"{root}: episode {row['episode_index']} has {length} steps; 1 to {MAX_STEPS} are played")
    slug = re.sub("[^a-z0-9]+", "-", tasks[0].lower()).strip("-")[:50] if tasks else ""
    videos = {
        camera.name: VideoPart(
            path=root / _place(_VIDEO, row, f"videos/{key}", key=key),
            start_s=float(row[f"videos/{key}/from_timestamp"]),
        )
        for key, camera in cameras.items()
    }
    path = root / _place(_DATA, row, "data")
    return Recording(
        name=f"{root.name} {row['episode_index']}",
        task=slug or "replay",
        steps=length,
        videos=videos,
        load=lambda: _load(path, int(row["episode_index"]), length, extra),
    )


def _place(template: str, row: Mapping[str, Any], prefix: str, *, key: str = "") -> str:
    """Return the library's own place of a file; a dataset that keeps its files elsewhere is not followed there."""
    chunk, file = int(row[f"{prefix}/chunk_index"]), int(row[f"{prefix}/file_index"])
    name = template.format(chunk=chunk, file=file, key=key)
    if not _PLACE.fullmatch(name) or ".." in name:
        raise RecordingBroken(f"the video feature '{key:.100}' is no name of a folder")
    return name


def _load(path: Path, episode: int, length: int, extra: tuple[str, ...]) -> Columns:
    try:
        table = pq.read_table(
            path, columns=[STATE, ACTION, *extra], filters=pc.field("episode_index") == episode, use_threads=False
        )
        values = {name: np.array(table.column(name).to_pylist(), np.float32) for name in table.column_names}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RecordingBroken(f"{path}: {error!r:.300}") from None
    if table.num_rows != length or not all(np.isfinite(column).all() for column in values.values()):
        raise RecordingBroken(f"{path}: episode {episode} should have {length} rows of numbers, has {table.num_rows}")
    zeros = np.zeros(length, np.float32)
    return Columns(
        state=values[STATE],
        action=values[ACTION],
        reward=values.get(REWARD, zeros).reshape(length),
        success=values.get(SUCCESS, zeros).reshape(length) > 0,
    )
