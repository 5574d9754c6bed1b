"""The dry run names every kind of problem with its episode and frame, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleet.imports.errors import InvalidDataset
from fleet.imports.layout import place
from fleet.imports.problems import Problem
from fleet.imports.report import Report
from fleet.protocol.video import write_video
from tests.fleet.exports.made import pictures
from tests.fleet.imports.made import change_column, change_info, data_of, dry_run, export, record, video_of


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sound episodes of v2.1, of 9, 10 and 11 frames."""
    folder = tmp_path_factory.mktemp("set")
    return export("lerobot-v2.1", record(folder / "recorded"), folder / "set")


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(made, tmp_path / "set"))


def column(path: Path, name: str) -> np.ndarray[Any, Any]:
    return np.array(pq.read_table(path).column(name).to_pylist())


def set_value(path: Path, name: str, frame: int, value: object) -> None:
    values = pq.read_table(path).column(name).to_pylist()
    values[frame] = value
    change_column(path, name, values)


def named(report: Report) -> list[tuple[str, str, int | None, int | None]]:
    return [(p.code, p.feature, e.episode, e.frame) for p in report.problems for e in p.examples]


def drop_last_row(root: Path) -> None:
    table = pq.read_table(data_of(root, 1))
    pq.write_table(table.slice(0, table.num_rows - 1), data_of(root, 1))


def drop_column(root: Path, name: str) -> None:
    pq.write_table(pq.read_table(data_of(root, 1)).drop_columns([name]), data_of(root, 1))


def rewrite_rows(root: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    path = root / "meta/episodes.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def film(root: Path, steps: int, *, rate_hz: float = 10.0, size: tuple[int, int] = (48, 64)) -> None:
    frames = pictures(steps, seed=1, height=size[0], width=size[1])
    write_video(video_of(root, 1), frames, rate_hz=rate_hz, crf=18)


FRONT = "observation.images.front"
BROKEN: list[tuple[str, Callable[[Path], object], tuple[str, str, int | None, int | None]]] = [
    ("a lost file", lambda r: data_of(r, 1).unlink(), ("file_missing", "", 1, None)),
    ("a truncated file", lambda r: os.truncate(data_of(r, 1), 900), ("file_unreadable", "", 1, None)),
    ("a lost video", lambda r: video_of(r, 1).unlink(), ("file_missing", FRONT, 1, None)),
    ("a truncated video", lambda r: os.truncate(video_of(r, 1), 300), ("video_undecodable", FRONT, 1, None)),
    ("a short video", lambda r: film(r, 9), ("video_frames", FRONT, 1, None)),
    ("a long video", lambda r: film(r, 12), ("video_frames", FRONT, 1, None)),
    ("a video of another rate", lambda r: film(r, 10, rate_hz=30), ("video_fps", FRONT, 1, 1)),
    ("a video of another size", lambda r: film(r, 10, size=(32, 32)), ("video_size", FRONT, 1, None)),
    ("a row too few", drop_last_row, ("length_differs", "", 1, None)),
    ("a lost column", lambda r: drop_column(r, "action"), ("column_missing", "action", 1, None)),
    ("no timestamps", lambda r: drop_column(r, "timestamp"), ("column_missing", "", 1, None)),
    (
        "NaN",
        lambda r: set_value(data_of(r, 1), "action", 4, [1, float("nan"), 0]),
        ("value_not_finite", "action", 1, 4),
    ),
    ("a null", lambda r: set_value(data_of(r, 1), "next.reward", 2, None), ("value_missing", "next.reward", 1, None)),
    ("a short vector", lambda r: set_value(data_of(r, 1), "action", 4, [1.0]), ("shape_wrong", "action", 1, None)),
    (
        "other vectors",
        lambda r: change_column(data_of(r, 1), "action", [[0.5, 0.5]] * 10),
        ("shape_wrong", "action", 1, None),
    ),
    (
        "text",
        lambda r: change_column(data_of(r, 1), "next.reward", ["a"] * 10),
        ("type_differs", "next.reward", 1, None),
    ),
    ("time backwards", lambda r: set_value(data_of(r, 1), "timestamp", 5, 0.3), ("time_backwards", "", 1, 5)),
    (
        "another fps",
        lambda r: change_column(data_of(r, 1), "timestamp", np.arange(10) / 30),
        ("fps_differs", "", 1, 1),
    ),
    ("frames out of order", lambda r: set_value(data_of(r, 1), "frame_index", 3, 4), ("frame_index_wrong", "", 1, 3)),
    ("an unknown task", lambda r: set_value(data_of(r, 1), "task_index", 3, 7), ("task_out_of_range", "", 1, 3)),
    ("a hole", lambda r: rewrite_rows(r, lambda rows: rows.pop(1)), ("episode_missing", "", 1, None)),
    ("an episode twice", lambda r: rewrite_rows(r, lambda rows: rows.append(rows[1])), ("episode_twice", "", 1, None)),
    (
        "two instructions",
        lambda r: rewrite_rows(r, lambda rows: rows[1]["tasks"].append("and more")),
        ("several_tasks", "", 1, None),
    ),
    (
        "another instruction",
        lambda r: rewrite_rows(r, lambda rows: rows[1].update(tasks=["dance"])),
        ("task_differs", "", 1, None),
    ),
    (
        "an empty episode",
        lambda r: rewrite_rows(r, lambda rows: rows[1].update(length=0)),
        ("episode_empty", "", 1, None),
    ),
    (
        "a day's episode",
        lambda r: rewrite_rows(r, lambda rows: rows[1].update(length=10**6)),
        ("episode_too_long", "", 1, None),
    ),
    (
        "other counts",
        lambda r: change_info(r, lambda info: info.update(total_frames=7)),
        ("count_differs", "", None, None),
    ),
    (
        "an unknown dtype",
        lambda r: change_info(r, lambda info: info["features"]["next.reward"].update(dtype="complex64")),
        ("dtype_unknown", "next.reward", None, None),
    ),
    (
        "depth",
        lambda r: change_info(r, lambda info: info["features"][FRONT].update(shape=[48, 64, 1])),
        ("shape_unsupported", FRONT, None, None),
    ),
    (
        "segments of another episode",
        lambda r: rewrite_rows(r, lambda rows: rows[1].update(segments=rows[0]["segments"])),
        ("provenance_invalid", "sop.mode", 1, None),
    ),
    (
        "an unknown mode",
        lambda r: change_column(data_of(r, 1), "sop.mode", np.full(10, 77, np.int8)),
        ("provenance_invalid", "sop.mode", 1, None),
    ),
    ("no tasks", lambda r: (r / "meta/tasks.jsonl").unlink(), ("file_missing", "", None, None)),
    ("half a line", lambda r: os.truncate(r / "meta/tasks.jsonl", 9), ("file_unreadable", "", None, None)),
]


@pytest.mark.parametrize(("change", "problem"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_problem_is_named_with_its_place(
    root: Path, change: Callable[[Path], object], problem: tuple[str, str, int | None, int | None]
) -> None:
    """And the other two episodes stay sound wherever the problem is one episode's."""
    change(root)
    _, report = dry_run(root)
    assert problem in named(report)
    if problem[2] == 1 and problem[0] not in ("episode_missing", "episode_twice"):
        assert report.sound == 2
        assert {place[2] for place in named(report) if place[0] != "count_differs"} == {1}


def test_a_sound_dataset_has_no_problem_and_needs_no_statistics(root: Path) -> None:
    (root / "meta/episodes_stats.jsonl").unlink()
    _, report = dry_run(root)
    assert (report.problems, report.sound, report.episodes, report.frames) == ((), 3, 3, 30)
    assert sum(report.tasks.values()) == 3


def test_many_problems_are_counted_and_the_first_shown(root: Path) -> None:
    """A column of NaN is named by its first frames and counted, not listed frame by frame."""
    change_column(data_of(root, 1), "next.reward", np.full(10, np.nan, np.float32))
    _, report = dry_run(root)
    (problem,) = report.problems
    assert isinstance(problem, Problem)
    assert [e.frame for e in problem.examples] == [0, 1, 2, None]
    assert problem.examples[-1].detail == "7 more frames of this episode"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebase_version": "v1.6"}, "v1.6; v3.0 and v2.x are read"),
        ({"fps": 0}, "fps is 0"),
        ({"features": None}, "not that of a LeRobot dataset"),
        ({"data_path": "../../secret.parquet"}, "does not lie in the dataset"),
        ({"data_path": "/etc/{episode_index}"}, "does not lie in the dataset"),
        ({"video_path": "a//b"}, "does not lie in the dataset"),
    ],
)
def test_what_is_no_dataset_is_refused(root: Path, change: dict[str, Any], message: str) -> None:
    change_info(root, lambda info: info.update(change))
    with pytest.raises(InvalidDataset, match=message):
        dry_run(root)


def test_a_path_template_reads_no_attributes() -> None:
    """`str.format` would: the braces stay as they are, and name a file that is not there."""
    assert place(Path("/d"), "a/{episode_index.real}", episode_index=3) == Path("/d/a/{episode_index.real}")
    assert place(Path("/d"), "a/{episode_index:06d}", episode_index=3) == Path("/d/a/000003")


def test_a_few_kilobytes_that_stand_for_gigabytes_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the file's footer counts, before a page of it is read."""
    monkeypatch.setattr("fleet.imports.layout.MAX_GROUP_VALUES", 50_000)
    pq.write_table(pa.table({"episode_index": np.zeros(60_000, np.int64)}), data_of(root, 1))
    assert data_of(root, 1).stat().st_size < 2_000
    _, report = dry_run(root)
    assert ("file_unreadable", "", 1, None) in named(report)
