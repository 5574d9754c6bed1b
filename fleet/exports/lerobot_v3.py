"""LeRobot v3.0: many episodes a file, videos joined without re-encoding, our provenance beside each episode.

    data/chunk-000/file-000.parquet                           one row group an episode
    videos/observation.images.<camera>/chunk-000/file-000.mp4
    meta/{tasks.parquet, episodes/chunk-000/file-000.parquet, stats.json, info.json}
    README.md

A file begins anew at its size limit, at 1000 episodes (which bounds footers, and what a resumed export writes again),
and, for videos, where codec parameters change.
Source: ../shared/design/lerobot_v3.md 4.1-4.9, checked by scripts/verify-lerobot against lerobot 0.6.1.
"""

from __future__ import annotations

import collections
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from fleet.exports.base import Entry, Job, Option, OutputFile, Outputs, Row, Summary, object_of
from fleet.exports.card import write_card
from fleet.exports.lerobot_common import (
    IMAGES,
    EpisodeTables,
    info_of,
    merge_row,
    place,
    problems_of,
    steps_bytes,
    write_table,
)
from fleet.exports.provenance import provenance
from fleet.exports.stats import aggregate_stats
from fleet.exports.video import VideoJoiner, copy_video, probe_video, rate_of
from fleet.protocol.recording import CameraRecord

DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
MIB = 1024 * 1024
_ROWS = 100  # episodes of a row group of meta/episodes: statistics are lists in lists, and large in memory

Add = Callable[[str, Row], None]


class LeRobotV3:
    """`data_mb`, `video_mb`: size limits of a file; `episodes`: limit of episodes in one."""

    name = "lerobot-v3.0"
    title = "LeRobot v3.0"
    version = 2
    choices: tuple[Option, ...] = (
        Option(name="data_mb", title="Size of a data file", unit="MB", default=100, least=1, most=2048),
        Option(name="video_mb", title="Size of a video file", unit="MB", default=200, least=1, most=2048),
        Option(name="episodes", title="Episodes in a file", default=1000, least=1, most=1000),
    )

    def __init__(self, *, data_mb: int = 100, video_mb: int = 200, episodes: int = 1000) -> None:
        self._data_mb = data_mb
        self._video_mb = video_mb
        self._episodes = episodes

    def options(self) -> Mapping[str, Any]:
        return {"data_mb": self._data_mb, "video_mb": self._video_mb, "episodes": self._episodes}

    def problems(self, summary: Summary) -> list[str]:
        return problems_of(summary)

    def outputs(self, job: Job) -> Outputs:
        yield from self._data(job)
        for camera in job.summary.cameras:
            yield from self._video(job, camera.name)
        yield OutputFile("meta/tasks.parquet", lambda out, _: write_table(out, _tasks(job.summary.tasks)))
        rows = _episode_rows(job)
        for position in range(-(-job.summary.episodes // self._episodes)):
            group = itertools.islice(rows, self._episodes)
            yield OutputFile(_path(EPISODES_PATH, position), _episodes_writer(group, position))
            collections.deque(group, maxlen=0)  # pass over them if an earlier run wrote the file
        yield OutputFile("meta/stats.json", lambda out, _: _write_json(out, aggregate_stats(_stats(job))))
        yield OutputFile(
            "README.md", lambda out, _: write_card(job, out, tags=["LeRobot"], data_files="data/*/*.parquet")
        )
        yield OutputFile("meta/info.json", lambda out, _: _write_json(out, self._info(job)))

    def _data(self, job: Job) -> Outputs:
        queue = _Queue(job.entries(), limit=self._episodes)
        tables = EpisodeTables(job)
        first_row = 0
        for position in itertools.count():
            group = queue.group(self._data_mb * MIB, steps_bytes)
            if not group:
                return
            done = yield OutputFile(
                _path(DATA_PATH, position), _data_writer(tables, group, position, queue.taken, first_row)
            )
            first_row += sum(entry.manifest.steps for entry in group)
            queue.drop(done)

    def _video(self, job: Job, camera: str) -> Outputs:
        queue = _Queue(job.entries(), limit=self._episodes)
        for position in itertools.count():
            group = queue.group(self._video_mb * MIB, lambda entry: _video_bytes(entry, camera))
            if not group:
                return
            name = _path(VIDEO_PATH, position, video_key=IMAGES + camera)
            done = yield OutputFile(name, _video_writer(job, group, camera, position))
            queue.drop(done)

    def _info(self, job: Job) -> dict[str, Any]:
        videos = {camera.name: next(job.rows(_video_kind(camera.name))) for camera in job.summary.cameras}
        return info_of(job, version="v3.0", videos=videos) | {
            "data_files_size_in_mb": self._data_mb,
            "video_files_size_in_mb": self._video_mb,
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH if videos else None,
        }


class _Queue:
    """The episodes that wait for a file; at most `limit` are in memory."""

    def __init__(self, entries: Iterator[Entry], *, limit: int) -> None:
        self._entries = entries
        self._waiting: list[Entry] = []
        self._limit = limit
        self.taken = 0

    def group(self, size: int, size_of: Callable[[Entry], int]) -> list[Entry]:
        """Return the next episodes that fit into a file, one at least if there is one."""
        self._waiting += itertools.islice(self._entries, self._limit - len(self._waiting))
        sizes = itertools.accumulate(size_of(entry) for entry in self._waiting)
        fitting = sum(1 for reached in sizes if reached <= size)
        return self._waiting[: max(1, fitting)]

    def drop(self, count: int) -> None:
        """Forget the episodes that went into the file."""
        del self._waiting[:count]
        self.taken += count


def _data_writer(
    tables: EpisodeTables, group: list[Entry], position: int, first_episode: int, first_row: int
) -> Callable[[IO[bytes], Add], None]:
    def write(out: IO[bytes], add: Add) -> None:
        chunk, file = place(position)
        row, writer = first_row, None
        try:
            for episode_index, entry in enumerate(group, start=first_episode):
                table, stats = tables.read(entry, episode_index=episode_index, first_row=row)
                writer = writer or pq.ParquetWriter(out, table.schema, compression="snappy")
                writer.write_table(table, row_group_size=table.num_rows)
                add("data", {"chunk": chunk, "file": file, "from": row, "stats": stats})
                row += entry.manifest.steps
        finally:
            if writer is not None:
                writer.close()

    return write


def _video_writer(job: Job, group: list[Entry], camera: str, position: int) -> Callable[[IO[bytes], Add], None]:
    """Join the videos of a group as far as they can be joined."""

    def write(out: IO[bytes], add: Add) -> None:
        chunk, file = place(position)
        signature, frames = None, 0
        with VideoJoiner(out) as joiner:
            for index, entry in enumerate(group):
                record = _camera(entry, camera)
                stored = object_of(entry.manifest, record.object)
                with job.open(entry.manifest, stored) as source:
                    facts = probe_video(source, entry.manifest, record)
                    if index and (signature is None or facts.signature != signature):
                        job.put_back(stored)
                        return
                    signature = facts.signature
                    if signature is None:
                        pictures = copy_video(source, out, entry, record, facts)
                    else:
                        pictures = joiner.append(source, entry, record, facts)
                rate = rate_of(entry.manifest.control_rate_hz)
                row = {"chunk": chunk, "file": file, "codec": facts.codec, "pix_fmt": facts.pix_fmt}
                row |= {"from": float(frames / rate), "to": float((frames + entry.manifest.steps) / rate)}
                add(_video_kind(camera), row | {"stats": {IMAGES + camera: pictures.stats()}})
                frames += entry.manifest.steps

    return write


def _episodes_writer(rows: Iterator[Row], position: int) -> Callable[[IO[bytes], Add], None]:
    def write(out: IO[bytes], _: object) -> None:
        chunk, file = place(position)
        here = {"meta/episodes/chunk_index": chunk, "meta/episodes/file_index": file}
        writer = None
        try:
            while batch := [row | here for row in itertools.islice(rows, _ROWS)]:
                table = pa.Table.from_pylist(batch)
                writer = writer or pq.ParquetWriter(out, table.schema, compression="snappy")
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()

    return write


def _episode_rows(job: Job) -> Iterator[Row]:
    """Yield what meta/episodes says of each episode, from the manifests and what the files left."""
    cameras = [camera.name for camera in job.summary.cameras]
    videos = [job.rows(_video_kind(camera)) for camera in cameras]
    for index, (entry, data, *shown) in enumerate(zip(job.entries(), job.rows("data"), *videos, strict=True)):
        manifest = entry.manifest
        row: Row = {
            "episode_index": index,
            "tasks": [manifest.instruction],
            "length": manifest.steps,
            "dataset_from_index": data["from"],
            "dataset_to_index": data["from"] + manifest.steps,
            "data/chunk_index": data["chunk"],
            "data/file_index": data["file"],
        }
        for camera, video in zip(cameras, shown, strict=True):
            prefix = f"videos/{IMAGES}{camera}"
            row |= {f"{prefix}/chunk_index": video["chunk"], f"{prefix}/file_index": video["file"]}
            row |= {f"{prefix}/from_timestamp": video["from"], f"{prefix}/to_timestamp": video["to"]}
        for feature, stats in merge_row([data, *shown]).items():
            row |= {f"stats/{feature}/{name}": values for name, values in stats.items()}
        yield row | provenance(entry)


def _stats(job: Job) -> Iterator[dict[str, Any]]:
    videos = [job.rows(_video_kind(camera.name)) for camera in job.summary.cameras]
    return (merge_row(rows) for rows in zip(job.rows("data"), *videos, strict=True))


def _tasks(tasks: tuple[str, ...]) -> pa.Table:
    """`task` is the pandas index, as only the file's metadata says; without it `item["task"]` would be a number."""
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
        for name, (kind, stored) in kinds.items()
    ]
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": columns,
        "creator": {},
        "pandas_version": "2.3.0",
    }
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _write_json(out: IO[bytes], values: object) -> None:
    out.write(json.dumps(values, indent=4, ensure_ascii=False).encode())


def _path(template: str, position: int, **values: str) -> str:
    chunk, file = place(position)
    return template.format(chunk_index=chunk, file_index=file, **values)


def _video_kind(camera: str) -> str:
    return f"video {camera}"


def _camera(entry: Entry, name: str) -> CameraRecord:
    return next(camera for camera in entry.manifest.cameras if camera.name == name)


def _video_bytes(entry: Entry, camera: str) -> int:
    return object_of(entry.manifest, _camera(entry, camera).object).size
