"""LeRobot v2.1, which openpi, RLinf and others still read: one Parquet file and one video a camera for each episode.

    data/chunk-000/episode_000000.parquet
    videos/chunk-000/observation.images.<camera>/episode_000000.mp4     copied as recorded
    meta/{tasks.jsonl, episodes.jsonl, episodes_stats.jsonl, info.json}
    README.md
Source: ../shared/design/lerobot_v3.md 4.10 (lerobot revision 0cf8648).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from fleet.exports.base import Entry, Job, Option, OutputFile, Outputs, Row, Summary, object_of
from fleet.exports.card import write_card
from fleet.exports.lerobot_common import (
    CHUNK,
    IMAGES,
    EpisodeTables,
    info_of,
    merge_row,
    problems_of,
    write_table,
)
from fleet.exports.provenance import provenance
from fleet.exports.video import copy_video, probe_video
from fleet.protocol.recording import CameraRecord

DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
_STATS = ("min", "max", "mean", "std", "count")  # v2.1 knows no quantiles

Add = Callable[[str, Row], None]


class LeRobotV21:
    """No size limits: files are episodes."""

    name = "lerobot-v2.1"
    title = "LeRobot v2.1"
    version = 2
    choices: tuple[Option, ...] = ()

    def options(self) -> Mapping[str, Any]:
        return {}

    def problems(self, summary: Summary) -> list[str]:
        return problems_of(summary)

    def outputs(self, job: Job) -> Outputs:
        tables = EpisodeTables(job)
        first_row = 0
        for index, entry in enumerate(job.entries()):
            yield OutputFile(_path(DATA_PATH, index), _data_writer(tables, entry, index, first_row))
            for camera in job.summary.cameras:
                name = _path(VIDEO_PATH, index, video_key=IMAGES + camera.name)
                yield OutputFile(name, _video_writer(job, entry, camera))
            first_row += entry.manifest.steps
        yield OutputFile("meta/tasks.jsonl", lambda out, _: _write_lines(out, _tasks(job)))
        yield OutputFile("meta/episodes.jsonl", lambda out, _: _write_lines(out, _episodes(job)))
        yield OutputFile("meta/episodes_stats.jsonl", lambda out, _: _write_lines(out, _stats(job)))
        yield OutputFile("README.md", lambda out, _: write_card(job, out, tags=["LeRobot"]))
        yield OutputFile("meta/info.json", lambda out, _: _write_info(job, out))


def _data_writer(tables: EpisodeTables, entry: Entry, index: int, first_row: int) -> Callable[[IO[bytes], Add], None]:
    def write(out: IO[bytes], add: Add) -> None:
        table, stats = tables.read(entry, episode_index=index, first_row=first_row)
        write_table(out, table)
        add("data", {"stats": stats})

    return write


def _video_writer(job: Job, entry: Entry, camera: CameraRecord) -> Callable[[IO[bytes], Add], None]:
    def write(out: IO[bytes], add: Add) -> None:
        record = next(found for found in entry.manifest.cameras if found.name == camera.name)
        with job.open(entry.manifest, object_of(entry.manifest, record.object)) as source:
            facts = probe_video(source, entry.manifest, record)
            pictures = copy_video(source, out, entry, record, facts)
        stats = {IMAGES + camera.name: pictures.stats()}
        add(f"video {camera.name}", {"codec": facts.codec, "pix_fmt": facts.pix_fmt, "stats": stats})

    return write


def _tasks(job: Job) -> Iterator[Row]:
    return ({"task_index": index, "task": task} for index, task in enumerate(job.summary.tasks))


def _episodes(job: Job) -> Iterator[Row]:
    for index, entry in enumerate(job.entries()):
        manifest = entry.manifest
        own = provenance(entry)
        yield {"episode_index": index, "tasks": [manifest.instruction], "length": manifest.steps, **own}


def _stats(job: Job) -> Iterator[Row]:
    videos = [job.rows(f"video {camera.name}") for camera in job.summary.cameras]
    for index, rows in enumerate(zip(job.rows("data"), *videos, strict=True)):
        stats = merge_row(rows)
        kept = {feature: {name: values[name] for name in _STATS} for feature, values in stats.items()}
        yield {"episode_index": index, "stats": kept}


def _write_info(job: Job, out: IO[bytes]) -> None:
    summary = job.summary
    videos = {camera.name: next(job.rows(f"video {camera.name}")) for camera in summary.cameras}
    info = info_of(job, version="v2.1", videos=videos) | {
        "total_videos": summary.episodes * len(videos),
        "total_chunks": -(-summary.episodes // CHUNK),
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if videos else None,
    }
    out.write(json.dumps(info, indent=4, ensure_ascii=False).encode())


def _write_lines(out: IO[bytes], rows: Iterator[Row]) -> None:
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _path(template: str, index: int, **values: str) -> str:
    return template.format(episode_chunk=index // CHUNK, episode_index=index, **values)
