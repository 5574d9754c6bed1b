"""What LeRobot's v3.0 and v2.1 have in common: features, the columns of an episode, tasks, what they cannot hold.

`observation.state` and `action` are what policies read. LeRobot takes every feature whose name begins with `action` or
`observation` for an input or output of the policy, so our other columns begin with `sop.`: none of them is lost, and
an import of the export has the steps it came from.
Source: ../shared/design/lerobot_v3.md, checked against lerobot 0.6.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fleet.exports.base import Entry, Job, Row, Summary, object_of
from fleet.exports.stats import Stats, column_stats
from fleet.protocol.authority import Mode, Source
from fleet.protocol.recording import STEP_COLUMNS, STEPS_OBJECT, EpisodeManifest, StepArrays, is_human

Array = np.ndarray[Any, Any]
CHUNK = 1000  # files of a chunk directory (v3.0), episodes of one (v2.1)
IMAGES = "observation.images."
OWN = "sop."
# Our columns that LeRobot has a name for; frame_index is rewritten as int64, all others keep their type.
RENAMED = {
    "observation.state": "observation.state",
    "action": "action",
    "reward": "next.reward",
    "success": "next.success",
    "action.asked": OWN + "asked_action",
    "action.proposed": OWN + "proposed_action",
    "proposed": OWN + "has_proposal",
}
# What LeRobot knows comes first, then ours.
_COLUMNS = sorted((c for c in STEP_COLUMNS if c.name != "frame_index"), key=lambda c: [*RENAMED, c.name].index(c.name))
_CAMERA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_INDICES = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
_HUMAN = np.array([[is_human(mode, source) for source in Source] for mode in Mode])  # by authority's codes


def problems_of(summary: Summary) -> list[str]:
    """Name what keeps a dataset from having one set of features."""
    found = list(summary.differences)
    found += [
        f"camera {camera.name!a} has a name that cannot be a folder's: letters, digits, '_', '.' and '-' can"
        for camera in summary.cameras
        if not _CAMERA.fullmatch(camera.name)
    ]
    return found


def own_name(column: str) -> str:
    return RENAMED.get(column, OWN + column)


def features_of(summary: Summary, videos: Mapping[str, Row]) -> dict[str, Any]:
    """Return `features` of info.json. `videos`: camera -> "codec" and "pix_fmt" of its first video."""
    names = {"A": list(summary.action_names), "P": list(summary.proprio_names)}
    features: dict[str, Any] = {}
    for column in _COLUMNS:
        axes = names.get(column.width)
        features[own_name(column.name)] = _feature(column.dtype, [len(axes)] if axes else [1], axes)
    features["next.done"] = _feature("bool", [1], None)
    features["intervention"] = _feature("bool", [1], None)
    for camera in summary.cameras:
        feature = _feature("video", [camera.height, camera.width, 3], ["height", "width", "channels"])
        feature["info"] = {
            "video.height": camera.height,
            "video.width": camera.width,
            "video.codec": videos[camera.name]["codec"],
            "video.pix_fmt": videos[camera.name]["pix_fmt"],
            "video.is_depth_map": False,
            "video.fps": plain(summary.rate_hz),
            "video.channels": 3,
            "has_audio": False,
        }
        features[IMAGES + camera.name] = feature
    return features | {name: _feature(dtype, [1], None) for name, dtype in _INDICES.items()}


def _feature(dtype: str, shape: list[int], names: list[str] | None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "names": names}


def plain(rate_hz: float) -> float | int:
    """Return a whole number as an int: tools that compare `fps` expect one."""
    return int(rate_hz) if rate_hz == int(rate_hz) else rate_hz


def columns_of(
    steps: StepArrays, manifest: EpisodeManifest, *, episode_index: int, first_row: int, task_index: int
) -> dict[str, Array]:
    """Return the columns of an episode in the order of `features_of`, without pictures."""
    length = manifest.steps
    columns = {own_name(column.name): steps[column.name] for column in _COLUMNS}
    columns["next.done"] = np.arange(length) == length - 1
    columns["intervention"] = _HUMAN[steps["mode"], steps["source"]]
    index = np.arange(length, dtype=np.int64)
    columns["timestamp"] = (index / manifest.control_rate_hz).astype(np.float32)
    columns["frame_index"] = index
    columns["episode_index"] = np.full(length, episode_index, np.int64)
    columns["index"] = first_row + index
    columns["task_index"] = np.full(length, task_index, np.int64)
    return columns


def table_of(columns: Mapping[str, Array]) -> pa.Table:
    """Return an Arrow table: scalars as they are, vectors as fixed-size lists, vectors of one value as scalars."""
    arrays: dict[str, pa.Array] = {}
    for name, values in columns.items():
        is_vector = values.ndim == 2 and values.shape[1] != 1
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        arrays[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1]) if is_vector else flat
    return pa.table(arrays)


class EpisodeTables:
    """Turns episodes into tables and statistics one after the other; knows where the next row goes."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._tasks = {task: index for index, task in enumerate(job.summary.tasks)}

    def read(self, entry: Entry, *, episode_index: int, first_row: int) -> tuple[pa.Table, dict[str, Stats]]:
        manifest = entry.manifest
        columns = columns_of(
            self._job.steps(manifest),
            manifest,
            episode_index=episode_index,
            first_row=first_row,
            task_index=self._tasks[manifest.instruction],
        )
        return table_of(columns), column_stats(columns)


def write_table(out: Any, table: pa.Table) -> None:
    pq.write_table(table, out, compression="snappy", row_group_size=max(1, table.num_rows))


def info_of(job: Job, *, version: str, videos: Mapping[str, Row]) -> dict[str, Any]:
    """Return what info.json has in every version."""
    summary = job.summary
    return {
        "codebase_version": version,
        "robot_type": "+".join(summary.drivers),
        "total_episodes": summary.episodes,
        "total_frames": summary.frames,
        "total_tasks": len(summary.tasks),
        "chunks_size": CHUNK,
        "fps": plain(summary.rate_hz),
        "splits": _ranges(summary.splits),
        "features": features_of(summary, videos),
    }


def _ranges(splits: Mapping[str, int]) -> dict[str, str]:
    ranges, start = {}, 0
    for name, count in splits.items():
        ranges[name] = f"{start}:{start + count}"
        start += count
    return ranges


def steps_bytes(entry: Entry) -> int:
    return object_of(entry.manifest, STEPS_OBJECT).size


def place(position: int) -> tuple[int, int]:
    """Return (chunk, file) of the n-th file."""
    return position // CHUNK, position % CHUNK


def merge_row(rows: Sequence[Row]) -> dict[str, Stats]:
    """Join the statistics that several files left of one episode."""
    return {name: stats for row in rows for name, stats in row["stats"].items()}
