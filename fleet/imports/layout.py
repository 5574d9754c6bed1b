"""LeRobot datasets on disk, v3.0 and v2.x: what info.json, the tasks and the episode rows say, and where data lies.

The one reader of this layout: the import (`check.py`, `convert.py`) and training straight from a dataset
(`learner/data/lerobot.py`) stand on it. Nothing here believes a path: templates come from the dataset, so what they
name must lie inside it. Statistics are read for no purpose but to tell equal datasets apart, and may be missing.
Source: LeRobotDataset v3.0 as lerobot 0.6.1 writes it, v2.1 as revision 0cf8648 (../shared/design/lerobot_v3.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fleet.imports.errors import InvalidDataset
from fleet.imports.problems import Problems

INFO = Path("meta", "info.json")
STATE, ACTION = "observation.state", "action"
IMAGES = "observation.images."
NUMBERS = (
    "float16",
    "float32",
    "float64",
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)
INDICES = ("timestamp", "frame_index", "episode_index", "index", "task_index")
MAX_EPISODES = 100_000
MAX_JSON_BYTES = 64 * 1024**2  # of info.json, tasks.jsonl, episodes.jsonl
MAX_GROUP_VALUES = 50_000_000  # of one column in one row group: a few kilobytes of Parquet can stand for gigabytes
_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_DATA_2 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
_VIDEO_2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
_FIELD = re.compile(r"\{(chunk_index|file_index|episode_chunk|episode_index|video_key)(:0?[0-9]{1,2}d)?\}")
_VIDEO_COLUMNS = ("chunk_index", "file_index", "from_timestamp")
_STATISTICS = re.compile(rf"stats/({re.escape(STATE)}|{ACTION})/.*")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One of info.json. `names`: one an axis; their numbers where the dataset has none that fit."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def is_camera(self) -> bool:
        return self.dtype in ("video", "image")

    @property
    def width(self) -> int:
        return self.shape[0] if self.shape else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPart:
    """Where an episode's pictures lie: from `start_s` on in a file; alone there if `is_whole`."""

    path: Path
    start_s: float
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRow:
    """What the metadata says of one episode. `instructions` is empty if only the data's task_index tells.

    `values`: every further column, with the statistics of state and action.
    """

    index: int
    length: int
    instructions: tuple[str, ...]
    data: Path
    videos: Mapping[str, VideoPart]
    values: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset's metadata. `tasks`: instruction by task_index; `totals`: what info.json counts."""

    root: Path
    version: str
    fps: float
    robot_type: str
    features: Mapping[str, Feature]
    tasks: Mapping[int, str]
    episodes: tuple[EpisodeRow, ...]
    totals: Mapping[str, int]

    @property
    def cameras(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features.values() if feature.is_camera)

    @property
    def columns(self) -> tuple[Feature, ...]:
        """Features that are columns of numbers: neither indices nor pictures nor text."""
        known = (feature for feature in self.features.values() if feature.dtype in NUMBERS)
        return tuple(feature for feature in known if feature.name not in INDICES and len(feature.shape) <= 1)


def read_dataset(root: Path, problems: Problems) -> Dataset:
    """Read the metadata. What keeps single episodes out goes into `problems`, with its place.

    Raises: InvalidDataset if there is nothing to go on: no info.json of a version that is read, no fps, no episodes.
    """
    info = _read_info(root)
    features = _features(info, problems)
    version = str(info["codebase_version"])
    videos = [feature.name for feature in features.values() if feature.dtype == "video"]
    rows = _rows_3(root, info, videos) if version.startswith("v3.") else _rows_2(root, info, videos, problems)
    dataset = Dataset(
        root=root,
        version=version,
        fps=float(info["fps"]),
        robot_type=str(info.get("robot_type") or "lerobot")[:100],
        features=features,
        tasks=_tasks(root, problems),
        episodes=tuple(_in_order(rows, problems)),
        totals={name: info[name] for name in _TOTALS if type(info.get(name)) is int},
    )
    if not dataset.episodes:
        raise InvalidDataset("the dataset has no episodes")
    _check_counts(dataset, problems)
    return dataset


_TOTALS = ("total_episodes", "total_frames", "total_tasks")


def _read_info(root: Path) -> dict[str, Any]:
    try:
        info: dict[str, Any] = json.loads(_read_text(root, INFO.as_posix()))
        version, fps, features = str(info["codebase_version"]), float(info["fps"]), dict(info["features"])
    except (ValueError, TypeError, KeyError, FileNotFoundError, RecursionError) as error:
        raise InvalidDataset(f"{root.name}/{INFO} is not that of a LeRobot dataset: {error!r:.200}") from None
    if not version.startswith(("v3.", "v2.")):
        raise InvalidDataset(f"{root.name} is a LeRobot dataset {version:.20}; v3.0 and v2.x are read")
    if not 0 < fps <= 1000:
        raise InvalidDataset(f"{root.name}: fps is {fps:g}; it must lie between 0 and 1000")
    return info | {"features": features}


def _features(info: Mapping[str, Any], problems: Problems) -> dict[str, Feature]:
    found: dict[str, Feature] = {}
    for name, given in info["features"].items():
        given = given if isinstance(given, dict) else {}
        dtype, shape = str(given.get("dtype")), given.get("shape")
        sizes = tuple(shape) if isinstance(shape, list) else ()
        if not all(type(size) is int and 0 < size <= 100_000 for size in sizes):
            problems.add("shape_unsupported", feature=name, detail=f"shape {shape!r:.100}")
            continue
        if dtype not in (*NUMBERS, "video", "image", "string"):
            problems.add("dtype_unknown", feature=name, detail=f"dtype {dtype!r:.100}")
            continue
        if dtype in ("video", "image") and (len(sizes) != 3 or 3 not in (sizes[0], sizes[2])):
            problems.add("shape_unsupported", feature=name, detail=f"shape {list(sizes)}: colour pictures are read")
            continue
        if dtype in ("video", "image") and sizes[2] != 3:
            sizes = (sizes[1], sizes[2], sizes[0])  # some write [channels, height, width]
        found[name] = Feature(name=name, dtype=dtype, shape=sizes, names=_names(given.get("names"), sizes))
    return found


def _names(names: Any, shape: tuple[int, ...]) -> tuple[str, ...]:
    width = shape[0] if shape else 1
    if isinstance(names, dict) and len(names) == 1:
        names = next(iter(names.values()))
    if not isinstance(names, list) or len(names) != width:
        names = range(width) if width <= 1000 else ()
    return tuple(str(name)[:100] for name in names)


def _rows_3(root: Path, info: Mapping[str, Any], videos: list[str]) -> Iterator[EpisodeRow]:
    data, video = info.get("data_path") or _DATA, info.get("video_path") or _VIDEO
    needed = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    needed += [f"videos/{key}/{name}" for key in videos for name in _VIDEO_COLUMNS]
    for path in sorted((root / "meta" / "episodes").glob("*/*.parquet")):
        for values in _parquet_rows(root, path, needed):
            yield EpisodeRow(
                index=_whole(values, "episode_index"),
                length=_whole(values, "length"),
                instructions=tuple(map(str, values.get("tasks") or ())),
                data=place(
                    root,
                    data,
                    chunk_index=_whole(values, "data/chunk_index"),
                    file_index=_whole(values, "data/file_index"),
                ),
                videos={key: _part_3(root, video, key, values) for key in videos},
                values=values,
            )


def _part_3(root: Path, template: str, key: str, values: Row) -> VideoPart:
    prefix = f"videos/{key}"
    path = place(
        root,
        template,
        video_key=key,
        chunk_index=_whole(values, f"{prefix}/chunk_index"),
        file_index=_whole(values, f"{prefix}/file_index"),
    )
    return VideoPart(path=path, start_s=float(values[f"{prefix}/from_timestamp"] or 0.0), is_whole=False)


def _parquet_rows(root: Path, path: Path, needed: list[str]) -> Iterator[Row]:
    name = path.relative_to(root)
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        missing = sorted(set(needed) - set(names))
        if missing:
            raise InvalidDataset(f"{name} lacks the column '{missing[0]}'")
        if file.metadata.num_rows > MAX_EPISODES:
            raise InvalidDataset(f"{name} has {file.metadata.num_rows} rows; {MAX_EPISODES} episodes are read")
        wanted = [n for n in names if not n.startswith("stats/") or _STATISTICS.fullmatch(n)]
        for batch in file.iter_batches(batch_size=100, columns=wanted):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataset(f"{name} does not parse: {type(error).__name__}") from None


def _rows_2(root: Path, info: Mapping[str, Any], videos: list[str], problems: Problems) -> Iterator[EpisodeRow]:
    data, video = info.get("data_path") or _DATA_2, info.get("video_path") or _VIDEO_2
    chunk = info.get("chunks_size") or 1000
    if type(chunk) is not int or chunk < 1:
        raise InvalidDataset("chunks_size in info.json is no whole number")
    statistics = {
        row.get("episode_index"): row for row in _json_rows(root, "meta/episodes_stats.jsonl", problems, None)
    }
    for values in _json_rows(root, "meta/episodes.jsonl", problems, "file_missing"):
        index = _whole(values, "episode_index")
        fields: dict[str, Any] = {"episode_chunk": index // chunk, "episode_index": index}
        own = dict(dict(statistics.get(index, {})).get("stats", {}))
        kept = {f"stats/{f}/{n}": v for f in (STATE, ACTION) for n, v in dict(own.get(f, {})).items()}
        yield EpisodeRow(
            index=index,
            length=_whole(values, "length"),
            instructions=tuple(map(str, values.get("tasks") or ())),
            data=place(root, data, **fields),
            videos={
                key: VideoPart(path=place(root, video, video_key=key, **fields), start_s=0.0, is_whole=True)
                for key in videos
            },
            values=values | kept,
        )


def _json_rows(root: Path, name: str, problems: Problems, missing: str | None) -> Iterator[Row]:
    try:
        text = _read_text(root, name)
    except FileNotFoundError:
        if missing:
            problems.add(missing, detail=name)
        return
    for number, line in enumerate(filter(str.strip, text.split("\n")), start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            yield row
        else:
            problems.add("file_unreadable", detail=f"{name}, line {number}")


def _in_order(rows: Iterator[EpisodeRow], problems: Problems) -> Iterator[EpisodeRow]:
    """Yield each index once, in order; name holes and doubles."""
    found: dict[int, EpisodeRow] = {}
    for row in rows:
        if len(found) >= MAX_EPISODES:
            raise InvalidDataset(f"the dataset has more than {MAX_EPISODES} episodes")
        if row.index in found:
            problems.add("episode_twice", episode=row.index)
        found.setdefault(row.index, row)
    expected = 0
    for index in sorted(found):
        if index > expected:
            detail = f"{index - expected} missing before episode {index}"
            problems.add("episode_missing", episode=expected, detail=detail)
        expected = index + 1
        yield found[index]


def _tasks(root: Path, problems: Problems) -> dict[int, str]:
    path = root / "meta" / "tasks.parquet"
    if not path.is_file():
        rows: list[Row] = list(_json_rows(root, "meta/tasks.jsonl", problems, "file_missing"))
    else:
        try:
            file = pq.ParquetFile(path)
            if file.metadata.num_rows > MAX_EPISODES:
                raise InvalidDataset(f"meta/tasks.parquet has {file.metadata.num_rows} rows")
            rows = file.read().to_pylist()
        except (pa.ArrowException, OSError):
            problems.add("file_unreadable", detail="meta/tasks.parquet")
            return {}
    tasks: dict[int, str] = {}
    for row in rows:
        text = row.get("task", row.get("__index_level_0__"))
        if isinstance(row.get("task_index"), int) and isinstance(text, str):
            tasks[row["task_index"]] = text
        else:
            problems.add("file_unreadable", detail=f"tasks: {row!r:.100}")
    return tasks


def _check_counts(dataset: Dataset, problems: Problems) -> None:
    counts = {
        "total_episodes": len(dataset.episodes),
        "total_frames": sum(row.length for row in dataset.episodes),
        "total_tasks": len(dataset.tasks),
    }
    for name, stated in dataset.totals.items():
        if stated != counts[name]:
            problems.add("count_differs", detail=f"{name} is {stated}, there are {counts[name]}")


def place(root: Path, template: str, **fields: Any) -> Path:
    """Return the path that a template of info.json names. Raises: InvalidDataset if it does not lie in the dataset.

    Not by `str.format`: "{a.b}" in it would read attributes.
    """

    def value(match: re.Match[str]) -> str:
        found = fields.get(match[1])
        if found is None:
            raise InvalidDataset(f"the path '{template!a:.100}' of info.json has a field of another version")
        return format(found, (match[2] or ":")[1:])

    name = _FIELD.sub(value, str(template))
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise InvalidDataset(f"the path '{name!a:.100}' of info.json does not lie in the dataset")
    return root / name


def _whole(values: Row, name: str) -> int:
    value = values.get(name)
    if type(value) is not int or not 0 <= value < 2**31:
        raise InvalidDataset(f"an episode's '{name}' is {value!r:.100}, a whole number is needed")
    return value


def _read_text(root: Path, name: str) -> str:
    path = root / name
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InvalidDataset(f"{name} has more than {MAX_JSON_BYTES} bytes")
    return path.read_text(encoding="utf-8")


def open_data(path: Path) -> pq.ParquetFile:
    """Open a data file. Raises: InvalidDataset if it would not fit into memory; ArrowException; OSError."""
    file = pq.ParquetFile(path)
    metadata = file.metadata
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if any(group.column(k).num_values > MAX_GROUP_VALUES for k in range(group.num_columns)):
            raise InvalidDataset(f"{path.name} has a row group of more than {MAX_GROUP_VALUES} values")
    return file


def read_episode(file: pq.ParquetFile, episode_index: int, columns: list[str]) -> pa.Table:
    """Return the rows of one episode; row groups whose statistics leave it out are not read. Raises: ArrowException."""
    groups = [n for n in range(file.metadata.num_row_groups) if _may_hold(file.metadata.row_group(n), episode_index)]
    table = file.read_row_groups(groups, columns=[*columns, *({"episode_index"} - set(columns))], use_threads=False)
    found = table.column("episode_index")
    return table.filter(pa.compute.equal(found, episode_index))


def _may_hold(group: Any, episode_index: int) -> bool:
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "episode_index":
            statistics = column.statistics
            if statistics is None or not statistics.has_min_max:
                return True
            return bool(statistics.min <= episode_index <= statistics.max)
    return True
