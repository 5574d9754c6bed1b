"""The dry run: look at every row and every video packet of a dataset, write nothing, name every problem.

What it leaves out: only the first picture of each episode's video is decoded; the rest is looked at packet by packet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fleet.exports.lerobot_common import own_name
from fleet.imports.layout import Dataset, EpisodeRow, Feature
from fleet.imports.mapping import is_own, outcome_columns
from fleet.imports.own import own_problem
from fleet.imports.problems import Problems
from fleet.imports.report import CameraFound, FeatureFound, Report
from fleet.imports.tables import EpisodeReader, instruction_of, is_instruction
from fleet.imports.video import Part, VideoIndex, decode_images, decode_part, index_video, part_of
from fleet.protocol.errors import InvalidEpisode

OWN_FEATURE = own_name("mode")  # read by mappings that take our own columns, and by no other

OnProgress = Callable[[int, int], None]  # episodes done, of how many; may raise to stop


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFound:
    """A sound episode's rows, and its pictures by feature; pictures in the data have no part of a file."""

    row: EpisodeRow
    table: pa.Table
    instruction: str
    parts: dict[str, Part]


class EpisodeChecker:
    """Looks at episodes one after the other; keeps what is known of the file that the last one was in."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._reader = EpisodeReader(dataset)
        self._videos: dict[str, tuple[Path, VideoIndex | str]] = {}
        self._is_own = is_own(dataset)
        self.frames_used: Counter[Path] = Counter()
        self.frames_there: dict[Path, tuple[str, int]] = {}

    def check(self, row: EpisodeRow, problems: Problems) -> EpisodeFound | None:
        """Return the episode if its rows can be used; every problem with it is in `problems`."""
        table = self._reader.checked(row, problems)
        if table is None:
            return None
        contradiction = own_problem(row, table) if self._is_own and not problems.all() else ""
        if contradiction:
            problems.add("provenance_invalid", feature=OWN_FEATURE, episode=row.index, detail=contradiction)
        parts: dict[str, Part] = {}
        for feature in self.dataset.cameras:
            part = self._picture(row, table, feature, problems)
            if part is not None:
                parts[feature.name] = part
        try:
            text = instruction_of(row, table, self.dataset)
        except (KeyError, ValueError, IndexError):
            return None  # the check of task_index said so
        return EpisodeFound(row=row, table=table, instruction=text, parts=parts)

    def _picture(self, row: EpisodeRow, table: pa.Table, feature: Feature, problems: Problems) -> Part | None:
        where: dict[str, Any] = {"feature": feature.name, "episode": row.index}
        if feature.dtype == "image":
            _check_image(table, feature, problems, where)
            return None
        place = row.videos[feature.name]
        index = self._index(feature.name, place.path)
        if isinstance(index, str):
            problems.add(index, **where, detail=place.path.relative_to(self.dataset.root).as_posix())
            return None
        fps = self.dataset.fps
        part = part_of(index, start_s=place.start_s, length=row.length, rate_hz=fps)
        if not place.is_whole:
            self.frames_used[place.path] += row.length
        there = len(index.shown_F) - part.first
        if there < row.length or (place.is_whole and there != row.length):
            problems.add("video_frames", **where, detail=f"{max(there, 0)} frames for {row.length} rows")
            return None
        _check_part(part, feature, problems, where)
        return part

    def _index(self, feature: str, path: Path) -> VideoIndex | str:
        known = self._videos.get(feature)
        if known is None or known[0] != path:
            found: VideoIndex | str
            try:
                found = index_video(path)
                self.frames_there[path] = (feature, len(found.shown_F))
            except FileNotFoundError:
                found = "file_missing"
            except InvalidEpisode:
                found = "video_undecodable"
            known = self._videos[feature] = (path, found)
        return known[1]


def _check_part(part: Part, feature: Feature, problems: Problems, where: dict[str, Any]) -> None:
    index = part.index
    height, width = feature.shape[:2]
    if (index.height, index.width) != (height, width):
        detail = f"{index.width}x{index.height}, info.json says {width}x{height}"
        problems.add("video_size", **where, detail=detail)
    late = part.late_frame()
    if late is not None:
        code = "video_time" if abs(index.rate_hz - part.rate_hz) < 0.01 * part.rate_hz else "video_fps"
        problems.add(code, **where, frame=late, detail=f"{index.rate_hz:.4g} frames/s in {index.path.name}")
        return
    try:
        next(iter(decode_part(part)))
    except (InvalidEpisode, StopIteration):
        problems.add("video_undecodable", **where, frame=0, detail=index.path.name)


def _check_image(table: pa.Table, feature: Feature, problems: Problems, where: dict[str, Any]) -> None:
    try:
        first = next(iter(decode_images(table.column(feature.name), size=None, every=1)))
    except KeyError:
        problems.add("column_missing", **where)
        return
    except (InvalidEpisode, StopIteration) as error:
        problems.add("image_undecodable", **where, frame=0, detail=getattr(error, "message", ""))
        return
    if first.shape != feature.shape:
        problems.add("image_undecodable", **where, frame=0, detail=f"{first.shape}, info.json says {feature.shape}")


def check_dataset(dataset: Dataset, problems: Problems, on_progress: OnProgress) -> Report:
    """Check every episode and return the report; `problems` holds those that `read_dataset` named already."""
    checker = EpisodeChecker(dataset)
    tasks: Counter[str] = Counter()
    copied: Counter[str] = Counter()
    encoded: Counter[str] = Counter()
    codecs: dict[str, str] = {}
    sound = frames = 0
    for number, row in enumerate(dataset.episodes):
        on_progress(number, len(dataset.episodes))
        own = Problems(examples=10)
        found = checker.check(row, own)
        sound += found is not None and not own.all()
        _join(problems, own)
        if found is None:
            continue
        frames += row.length
        if is_instruction(found.instruction):
            tasks[found.instruction] += 1
        for feature in dataset.cameras:
            part = found.parts.get(feature.name)
            (copied if part is not None and part.is_copied else encoded)[feature.name] += 1
            codecs.setdefault(feature.name, part.index.codec if part is not None else feature.dtype)
    _check_leftovers(checker, problems)
    on_progress(len(dataset.episodes), len(dataset.episodes))
    return Report(
        version=dataset.version,
        robot_type=dataset.robot_type,
        fps=dataset.fps,
        episodes=len(dataset.episodes),
        frames=frames,
        sound=sound,
        last_index=dataset.episodes[-1].index,
        tasks=dict(tasks),
        cameras=tuple(
            CameraFound(
                feature=camera.name,
                height=camera.shape[0],
                width=camera.shape[1],
                codec=codecs.get(camera.name, ""),
                copied=copied[camera.name],
                encoded=encoded[camera.name],
            )
            for camera in dataset.cameras
        ),
        features=tuple(
            FeatureFound(name=f.name, dtype=f.dtype, shape=f.shape, names=f.names) for f in dataset.features.values()
        ),
        problems=tuple(problems.all()),
        is_own=is_own(dataset),
        outcome_columns=outcome_columns(dataset),
    )


def _join(problems: Problems, own: Problems) -> None:
    for problem in own.all():
        for example in problem.examples:
            problems.add(
                problem.code,
                feature=problem.feature,
                episode=example.episode,
                frame=example.frame,
                detail=example.detail,
            )


def _check_leftovers(checker: EpisodeChecker, problems: Problems) -> None:
    """A file with more frames than its episodes have rows: a later episode's pictures would be another's."""
    for path, (feature, there) in checker.frames_there.items():
        used = checker.frames_used[path]
        if there > used > 0:
            detail = f"{path.relative_to(checker.dataset.root).as_posix()}: {there} frames for {used} rows"
            problems.add("video_frames", feature=feature, detail=detail)
