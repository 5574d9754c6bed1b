"""Datasets to import: exports of hand-made episodes, whole or with something broken in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fleet.exports.objects import FolderEpisodes
from fleet.exports.registry import export_format
from fleet.exports.runner import run_export
from fleet.exports.sink import FolderSink
from fleet.imports.check import EpisodeChecker, check_dataset
from fleet.imports.convert import Origins, convert_episode
from fleet.imports.layout import Dataset, read_dataset
from fleet.imports.mapping import Mapping, propose
from fleet.imports.problems import Problems
from fleet.imports.report import Report
from fleet.protocol.recording import EpisodeManifest
from tests.fleet.exports.made import DATASET, write_episode

DIGEST = "e" * 64
STARTED_NS = 1_700_000_000_000_000_000


def export(format_name: str, recorded: Path, target: Path) -> Path:
    """Export a folder of episodes; return the dataset's folder."""
    run_export(export_format(format_name), DATASET, FolderEpisodes(recorded), FolderSink(target))
    return target


def record(root: Path, count: int = 3, **changes: Any) -> Path:
    """Record episodes of 9, 10, ... steps; return their folder."""
    for seed in range(1, count + 1):
        write_episode(root, seed, steps=8 + seed, **changes)
    return root


def dry_run(root: Path) -> tuple[Dataset, Report]:
    problems = Problems()
    dataset = read_dataset(root, problems)
    return dataset, check_dataset(dataset, problems, lambda done, total: None)


def proposal(root: Path) -> Mapping:
    dataset, report = dry_run(root)
    return propose(dataset, report.tasks, {})


def convert_all(root: Path, mapping: Mapping, target: Path) -> list[EpisodeManifest]:
    """Convert every episode into `target/<episode_id>/`, as the recorder lays them out."""
    problems = Problems()
    dataset = read_dataset(root, problems)
    checker = EpisodeChecker(dataset)
    origins = Origins(dataset=dataset, mapping=mapping, digest=DIGEST, started_ns=STARTED_NS)
    manifests = []
    for row in dataset.episodes:
        found = checker.check(row, problems)
        assert found is not None
        folder = target / f"{row.index}"
        manifest = convert_episode(origins, found, folder)
        manifests.append(manifest)
        folder.rename(target / manifest.episode_id)
    return manifests


def change_info(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


def change_column(path: Path, name: str, values: Any) -> None:
    """Replace a column of a data file."""
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values)), path)


def data_of(root: Path, episode: int) -> Path:
    """Return an episode's file in a dataset of v2.1."""
    return root / f"data/chunk-000/episode_{episode:06d}.parquet"


def video_of(root: Path, episode: int, camera: str = "front") -> Path:
    return root / f"videos/chunk-000/observation.images.{camera}/episode_{episode:06d}.mp4"


def set_nan(path: Path) -> None:
    """Put a NaN into the action of frame 4."""
    values = pq.read_table(path).column("action").to_pylist()
    values[4][0] = float("nan")
    change_column(path, "action", pa.array(values, pa.list_(pa.float32(), 3)))
