"""A LeRobot v3.0 dataset of hand-made demonstrations, written with pyarrow and PyAV as lerobot_v3.md says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fleet.protocol.recording import EpisodeManifest
from tests.learner.hand_made import ACTION, PIXELS, PROPRIO, make_images, make_steps

FPS = 10
VIDEO = "observation.images.top"
FEATURES: dict[str, Any] = {
    "observation.state": {"dtype": "float32", "shape": [PROPRIO], "names": [f"p{k}" for k in range(PROPRIO)]},
    "action": {"dtype": "float32", "shape": [ACTION], "names": {"motors": [f"a{k}" for k in range(ACTION)]}},
    VIDEO: {"dtype": "video", "shape": [PIXELS, PIXELS, 3], "names": ["height", "width", "channels"]},
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}


def write_dataset(root: Path, files: Sequence[Sequence[EpisodeManifest]], **info: Any) -> None:
    """Write the episodes of each inner sequence into one data file and one video. `info` overrides meta/info.json."""
    episodes = [manifest for file in files for manifest in file]
    tasks = list(dict.fromkeys(manifest.instruction for manifest in episodes))
    first_row = first_episode = 0
    for number, file in enumerate(files):
        _write_data(root / f"data/chunk-000/file-{number:03d}.parquet", file, first_episode, first_row, tasks)
        _write_video(root / f"videos/{VIDEO}/chunk-000/file-{number:03d}.mp4", file, number)
        _write_rows(root / f"meta/episodes/chunk-000/file-{number:03d}.parquet", file, number, first_episode, first_row)
        first_row += sum(manifest.steps for manifest in file)
        first_episode += len(file)
    _write_tasks(root / "meta/tasks.parquet", tasks)
    values = {
        "codebase_version": "v3.0",
        "robot_type": "hand",
        "fps": FPS,
        "features": FEATURES,
        "total_episodes": len(episodes),
        "total_frames": first_row,
        "total_tasks": len(tasks),
        "chunks_size": 1000,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "splits": {"train": f"0:{len(episodes)}"},
    }
    (root / "meta/info.json").write_text(json.dumps(values | info, indent=4))


def _write_data(
    path: Path, file: Sequence[EpisodeManifest], first_episode: int, first_row: int, tasks: Sequence[str]
) -> None:
    """One row group an episode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    for offset, manifest in enumerate(file):
        steps, length = make_steps(manifest), manifest.steps
        table = pa.table(
            {
                "observation.state": _vectors(steps["observation.state"]),
                "action": _vectors(steps["action"]),
                "timestamp": pa.array((np.arange(length) / FPS).astype(np.float32)),
                "frame_index": pa.array(np.arange(length)),
                "episode_index": pa.array(np.full(length, first_episode + offset)),
                "index": pa.array(first_row + np.arange(length)),
                "task_index": pa.array(np.full(length, tasks.index(manifest.instruction))),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema, compression="snappy")
        writer.write_table(table, row_group_size=length)
        first_row += length
    assert writer is not None
    writer.close()


def _vectors(values_TN: np.ndarray[Any, Any]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values_TN.reshape(-1)), values_TN.shape[1])


def _write_video(path: Path, file: Sequence[EpisodeManifest], number: int) -> None:
    """As the library asks for (g=2, no B-frames), and every second file as libx264 does by itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"crf": "18"} | ({"g": "2", "bf": "0"} if number % 2 == 0 else {})
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.height = stream.width = PIXELS
        stream.pix_fmt = "yuv420p"
        for manifest in file:
            for image in make_images(manifest):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def _write_rows(path: Path, file: Sequence[EpisodeManifest], number: int, first_episode: int, first_row: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, start = [], 0
    for offset, manifest in enumerate(file):
        steps, end = make_steps(manifest), start + manifest.steps
        rows.append(
            {
                "episode_index": first_episode + offset,
                "tasks": [manifest.instruction],
                "length": manifest.steps,
                "dataset_from_index": first_row + start,
                "dataset_to_index": first_row + end,
                "data/chunk_index": 0,
                "data/file_index": number,
                f"videos/{VIDEO}/chunk_index": 0,
                f"videos/{VIDEO}/file_index": number,
                f"videos/{VIDEO}/from_timestamp": start / FPS,
                f"videos/{VIDEO}/to_timestamp": end / FPS,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": number,
                "stats/action/mean": steps["action"].mean(axis=0).astype(np.float64).tolist(),
            }
        )
        start = end
    pq.write_table(pa.Table.from_pylist(rows), path)


def _write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """`task` is the pandas index, as the file's metadata says."""
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": [], "creator": {}, "pandas_version": "2.3.0"}
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks)})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)
