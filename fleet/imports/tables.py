"""An episode's rows as arrays, each column checked against info.json; what is wrong is named with its frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fleet.imports.errors import InvalidDataset
from fleet.imports.layout import INDICES, Dataset, EpisodeRow, Feature, open_data, read_episode
from fleet.imports.problems import Problems
from fleet.protocol.recording import MAX_STEPS

Array = np.ndarray[Any, Any]
_LATE = 0.1  # of 1 / fps: how far a timestamp may be from its place, float32 round-off of an hour included
_NAMED = 3  # frames named for one kind of problem in one episode; a rotten episode must not fill the report alone


class EpisodeReader:
    """Reads episodes in order; keeps the last file open, because many share one."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._path: Path | None = None
        self._file: pq.ParquetFile | None = None

    def rows(self, row: EpisodeRow, columns: list[str]) -> pa.Table:
        """Return these columns of an episode, those that there are. Raises: ArrowException, OSError, InvalidDataset."""
        if row.data != self._path or self._file is None:
            self._file, self._path = open_data(row.data), row.data
        there = set(self._file.schema_arrow.names)
        return read_episode(self._file, row.index, [name for name in columns if name in there])

    def checked(self, row: EpisodeRow, problems: Problems) -> pa.Table | None:
        """Return the episode's numbers and pictures, or None when they cannot be used; says why in `problems`."""
        dataset = self._dataset
        images = [feature.name for feature in dataset.cameras if feature.dtype == "image"]
        columns = [*INDICES, *(feature.name for feature in dataset.columns), *images]
        if not 0 < row.length <= MAX_STEPS:
            code = "episode_too_long" if row.length else "episode_empty"
            problems.add(code, episode=row.index, detail=f"{row.length} frames, {MAX_STEPS} at most")
            return None
        try:
            table = self.rows(row, columns)
        except FileNotFoundError:
            problems.add("file_missing", episode=row.index, detail=_relative(dataset, row.data))
            return None
        except (pa.ArrowException, OSError, InvalidDataset) as error:
            detail = error.message if isinstance(error, InvalidDataset) else type(error).__name__
            problems.add("file_unreadable", episode=row.index, detail=f"{_relative(dataset, row.data)}: {detail}")
            return None
        if table.num_rows != row.length:
            detail = f"{table.num_rows} rows, its length is {row.length}"
            problems.add("length_differs", episode=row.index, detail=detail)
            return None
        for feature in dataset.columns:
            _check_column(table, feature, row, problems)
        _check_indices(table, row, dataset, problems)
        return table


def matrix(table: pa.Table, name: str) -> Array:
    """Return a column of numbers or of vectors of one length as [T, n].

    Raises: KeyError without such a column, ValueError for nulls, several lengths, or what is no number.
    """
    values = table.column(name).combine_chunks()
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    flat, widths = values, [1]
    if pa.types.is_nested(values.type):
        if not hasattr(values, "flatten") or pa.types.is_struct(values.type):
            raise ValueError("no numbers")
        flat, widths = values.flatten(), pc.list_value_length(values).unique().to_pylist()
    if len(widths) > 1:
        raise ValueError("vectors of several lengths")
    if values.null_count or flat.null_count or widths == [None]:
        raise ValueError("nulls")
    if not (pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type) or pa.types.is_boolean(flat.type)):
        raise ValueError("no numbers")
    width = widths[0] if widths else 1
    found: Array = flat.to_numpy(zero_copy_only=False).reshape(len(values), width)
    return found


def _check_column(table: pa.Table, feature: Feature, row: EpisodeRow, problems: Problems) -> None:
    where: dict[str, Any] = {"feature": feature.name, "episode": row.index}
    try:
        values = matrix(table, feature.name)
    except KeyError:
        problems.add("column_missing", **where)
        return
    except ValueError as error:
        code = {"nulls": "value_missing", "no numbers": "type_differs"}.get(str(error), "shape_wrong")
        problems.add(code, **where, detail=str(error))
        return
    if values.shape[1] != feature.width:
        problems.add("shape_wrong", **where, detail=f"{values.shape[1]} values, info.json says {feature.width}")
    elif values.dtype != np.dtype(feature.dtype):
        problems.add("type_differs", **where, detail=f"{values.dtype}, info.json says {feature.dtype}")
    if values.dtype.kind == "f":
        rotten = np.flatnonzero(~np.isfinite(values).all(axis=1))
        _name_frames(problems, "value_not_finite", rotten, **where)
        if not len(rotten) and len(values) and float(np.abs(values).max()) > np.finfo(np.float32).max:
            problems.add("value_out_of_range", **where)


def _check_indices(table: pa.Table, row: EpisodeRow, dataset: Dataset, problems: Problems) -> None:
    found: dict[str, Array] = {}
    for name in ("timestamp", "frame_index", "task_index"):
        try:
            found[name] = matrix(table, name)[:, 0]
        except KeyError:
            problems.add("column_missing", episode=row.index, detail=name)
        except (ValueError, IndexError) as error:
            problems.add("type_differs", episode=row.index, detail=f"{name}: {error}")
    if "frame_index" in found:
        wrong = np.flatnonzero(found["frame_index"] != np.arange(row.length))
        _name_frames(problems, "frame_index_wrong", wrong[:1], episode=row.index)
    if "timestamp" in found:
        _check_times(found["timestamp"].astype(np.float64), row, dataset.fps, problems)
    if "task_index" in found:
        known = np.isin(found["task_index"], list(dataset.tasks))
        _name_frames(problems, "task_out_of_range", np.flatnonzero(~known), episode=row.index)
    _check_instruction(found.get("task_index"), row, dataset, problems)


def _check_times(times_s: Array, row: EpisodeRow, fps: float, problems: Problems) -> None:
    rotten = np.flatnonzero(~np.isfinite(times_s))
    if len(rotten):
        _name_frames(problems, "value_not_finite", rotten, feature="", episode=row.index, detail="timestamp")
        return
    backwards = np.flatnonzero(np.diff(times_s) <= 0) + 1
    _name_frames(problems, "time_backwards", backwards, episode=row.index)
    if len(backwards):
        return
    late_s = np.abs(times_s - times_s[0] - np.arange(len(times_s)) / fps)
    off = np.flatnonzero(late_s > _LATE / fps)
    if len(off):
        spacing = f"{(len(times_s) - 1) / (times_s[-1] - times_s[0]):.4g} frames/s, fps is {fps:g}"
        problems.add("fps_differs", episode=row.index, frame=int(off[0]), detail=spacing)


def _check_instruction(task_index: Array | None, row: EpisodeRow, dataset: Dataset, problems: Problems) -> None:
    used = {} if task_index is None else {int(k): dataset.tasks.get(int(k)) for k in np.unique(task_index)}
    if len(row.instructions) > 1 or len(used) > 1:
        texts = row.instructions if len(row.instructions) > 1 else tuple(map(str, used.values()))
        problems.add("several_tasks", episode=row.index, detail="; ".join(texts))
        return
    in_data = next(iter(used.values()), None)
    if row.instructions and in_data is not None and in_data != row.instructions[0]:
        problems.add("task_differs", episode=row.index, detail=f"{in_data!a} and {row.instructions[0]!a}")
    text = row.instructions[0] if row.instructions else in_data
    if text is not None and not is_instruction(text):
        problems.add("instruction_invalid", episode=row.index, detail=f"{text!a:.200}")


def is_instruction(text: str) -> bool:
    """Whether a text can be an episode's instruction: not empty, at most 1000 characters, no control characters."""
    return bool(text.strip()) and len(text) <= 1000 and all(c in "\n\t" or c.isprintable() for c in text)


def instruction_of(row: EpisodeRow, table: pa.Table, dataset: Dataset) -> str:
    """Return the instruction of a checked episode."""
    if row.instructions:
        return row.instructions[0]
    return dataset.tasks[int(matrix(table, "task_index")[0, 0])]


def _name_frames(problems: Problems, code: str, frames: Array, **where: Any) -> None:
    for frame in frames[:_NAMED]:
        problems.add(code, frame=int(frame), **where)
    if len(frames) > _NAMED:
        where["detail"] = f"{len(frames) - _NAMED} more frames of this episode"
        problems.add(code, **where)


def _relative(dataset: Dataset, path: Path) -> str:
    return path.relative_to(dataset.root).as_posix()
