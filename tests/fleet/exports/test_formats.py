"""What holds for every format: same bytes, checked sources, nothing left of what cannot be exported."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fleet.exports.base import DatasetInfo, Entry
from fleet.exports.errors import ExportEmpty, ExportError, ExportRefused, NameInvalid, UnknownFormat
from fleet.exports.objects import FolderEpisodes
from fleet.exports.registry import FORMATS, export_format
from fleet.exports.runner import STAMP, SUMS, run_export
from fleet.exports.sink import FolderSink, check_name
from fleet.protocol.errors import InvalidEpisode, InvalidManifest, ObjectMismatch, SopError
from fleet.protocol.recording import EpisodeManifest, encode_manifest
from fleet.protocol.steps import encode_steps
from fleet.protocol.video import write_video
from tests.fleet.exports.made import (
    DATASET,
    RATE_HZ,
    Made,
    contents,
    object_record,
    pictures,
    step_arrays,
    write_episode,
)

EVERY = pytest.mark.parametrize("name", [*FORMATS])
WITH_FEATURES = pytest.mark.parametrize("name", [name for name in FORMATS if name != "raw"])


def export(name: str, episodes: Any, target: Path, dataset: DatasetInfo = DATASET) -> None:
    run_export(export_format(name), dataset, episodes, FolderSink(target))


def assert_nothing_left(tmp_path: Path) -> None:
    assert [path.name for path in tmp_path.iterdir() if path.name != "source"] == []


def copy_of(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "source"))


@EVERY
def test_equal_datasets_give_equal_bytes(name: str, episodes: Made, tmp_path: Path) -> None:
    export(name, episodes, tmp_path / "a")
    export(name, episodes, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@EVERY
def test_the_sums_name_every_file_with_its_hash(name: str, episodes: Made, tmp_path: Path) -> None:
    export(name, episodes, tmp_path / "a")
    found = contents(tmp_path / "a")
    del found[SUMS]
    lines = (tmp_path / "a" / SUMS).read_text().splitlines()
    assert {line[66:]: line[:64] for line in lines} == found
    assert len(lines) == len(found)


@EVERY
def test_the_stamp_says_what_was_exported(name: str, episodes: Made, tmp_path: Path) -> None:
    export(name, episodes, tmp_path / "a")
    stamp = json.loads((tmp_path / "a" / STAMP).read_bytes())
    assert stamp["format"] == name
    assert stamp["dataset"] == {"name": "squares", "version": "3", "digest": "d" * 64}
    assert (stamp["episodes"], stamp["frames"]) == (7, sum(range(9, 16)))
    assert stamp["splits"] == {"train": 5, "val": 2}


@EVERY
def test_the_card_carries_licence_and_text(name: str, episodes: Made, tmp_path: Path) -> None:
    export(name, episodes, tmp_path / "a")
    card = (tmp_path / "a" / "README.md").read_text()
    assert 'license: "cc-by-4.0"\n' in card
    assert card.endswith("\nSquares that wander.\n")
    assert "7 episodes, 84 frames at 10 Hz; 5 successes; people drove 21 frames." in card


def test_a_licence_cannot_add_lines_to_the_cards_header(episodes: Made, tmp_path: Path) -> None:
    export("raw", episodes, tmp_path / "a", DatasetInfo(name="x\n---\ny", licence='mit"\nconfigs: evil'))
    header = (tmp_path / "a" / "README.md").read_text().split("\n---\n")[0]
    assert header.splitlines() == ["---", 'license: "mit\\"\\nconfigs: evil"', "task_categories:", "- robotics"]


@EVERY
def test_nothing_cannot_be_exported(name: str, tmp_path: Path) -> None:
    with pytest.raises(ExportEmpty) as error:
        export(name, Made(tmp_path, []), tmp_path / "a")
    assert error.value.code == "export_empty"
    assert_nothing_left(tmp_path)


@WITH_FEATURES
def test_every_difference_between_episodes_is_named(name: str, tmp_path: Path) -> None:
    root = tmp_path / "source"
    write_episode(root, 1)
    write_episode(root, 2, size=(32, 32))
    write_episode(root, 3, action_names=("a", "b", "c"), control_rate_hz=20.0)
    with pytest.raises(ExportRefused) as error:
        export(name, FolderEpisodes(root), tmp_path / "a")
    problems = error.value.data["problems"]
    assert isinstance(problems, list)
    assert [problem.split(" differ")[0] for problem in problems] == [
        "action axes",
        "control rate in Hz",
        "camera 'front'",
    ]
    assert str(uuid.UUID(int=2 + 2**100)) in problems[2]
    assert_nothing_left(tmp_path)


@WITH_FEATURES
@pytest.mark.parametrize("camera", ["../../../evil", "/etc/passwd", "a/b", "..", "top\x00", "oben links", "a" * 65, ""])
def test_a_cameras_name_cannot_leave_the_folder(name: str, camera: str, tmp_path: Path) -> None:
    write_episode(tmp_path / "source", 1, cameras=(camera,))
    with pytest.raises(ExportRefused, match="cannot be a folder's"):
        export(name, FolderEpisodes(tmp_path / "source"), tmp_path / "a")
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize(
    "name", ["../a", "/a", "a//b", "a/../b", ".hidden", "a/.b", "", "a\\b", "a\nb", "a/" * 9 + "b", "ä"]
)
def test_no_file_name_leaves_the_export(name: str) -> None:
    with pytest.raises(NameInvalid):
        check_name(name)


@pytest.mark.parametrize("episode_id", ["../../evil", "x" * 36, ""])
def test_an_episodes_id_cannot_leave_the_folder(episode_id: str, tmp_path: Path) -> None:
    manifest = write_episode(tmp_path / "source", 1)
    entry = Entry(manifest=msgspec.structs.replace(manifest, episode_id=episode_id))
    with pytest.raises(InvalidManifest):
        export("raw", Made(tmp_path / "source", [entry]), tmp_path / "a")
    assert_nothing_left(tmp_path)


def test_an_episode_twice_is_refused(recorded: Path, tmp_path: Path) -> None:
    entries = list(FolderEpisodes(recorded))
    with pytest.raises(ExportRefused, match="is there twice"):
        export("raw", Made(recorded, [*entries, entries[0]]), tmp_path / "a")
    assert_nothing_left(tmp_path)


def test_splits_must_follow_one_another(recorded: Path, tmp_path: Path) -> None:
    names = ["train", "val", "train"]
    entries = [Entry(manifest=e.manifest, split=s) for e, s in zip(FolderEpisodes(recorded), names, strict=False)]
    with pytest.raises(ExportRefused, match="comes after another split"):
        export("lerobot-v3.0", Made(recorded, entries), tmp_path / "a")
    assert_nothing_left(tmp_path)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _extend(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _swap(path: Path) -> None:
    other = next(found for found in path.parent.parent.glob(f"*/{path.name}") if found != path)
    path.write_bytes(other.read_bytes())


@EVERY
@pytest.mark.parametrize("object_name", ["steps.parquet", "camera-1.mp4"])
@pytest.mark.parametrize("spoil", [_truncate, _extend, _flip, _swap, Path.unlink])
def test_objects_that_differ_from_their_manifest_are_refused(
    name: str, object_name: str, spoil: Any, recorded: Path, tmp_path: Path
) -> None:
    root = copy_of(recorded, tmp_path)
    victim = sorted(root.iterdir())[3]
    spoil(victim / object_name)
    with pytest.raises(ObjectMismatch) as error:
        export(name, FolderEpisodes(root), tmp_path / "a")
    assert error.value.code == "object_mismatch"
    assert error.value.data == {"episode_id": victim.name, "object": object_name}
    assert_nothing_left(tmp_path)


def rewrite(root: Path, manifest: EpisodeManifest, name: str, data: bytes) -> None:
    """Replace an object and make the manifest agree: size and hash are right, the content is not."""
    folder = root / manifest.episode_id
    (folder / name).write_bytes(data)
    objects = tuple(object_record(folder / o.name) for o in manifest.objects)
    (folder / "manifest.json").write_bytes(encode_manifest(msgspec.structs.replace(manifest, objects=objects)))


def _video(steps: int, rate_hz: float = RATE_HZ, size: tuple[int, int] = (48, 64)) -> bytes:
    path = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
    path = path / f"sop-{uuid.uuid4()}.mp4"
    try:
        write_video(path, pictures(steps, seed=1, height=size[0], width=size[1]), rate_hz=rate_hz, crf=18)
        return path.read_bytes()
    finally:
        path.unlink()


@WITH_FEATURES
@pytest.mark.parametrize(
    ("object_name", "data"),
    [
        ("camera-0.mp4", _video(11)),
        ("camera-0.mp4", _video(13)),
        ("camera-0.mp4", _video(12, size=(32, 32))),
        ("camera-0.mp4", b"\x00\x00\x00\x18ftypmp42 and then nothing that a decoder knows"),
        ("camera-0.mp4", _video(12)[:-600]),
        ("steps.parquet", b"PAR1 and nothing else"),
        ("steps.parquet", encode_steps(step_arrays(11, human=3, seed=1))),
        (
            "steps.parquet",
            encode_steps(step_arrays(12, human=3, seed=1) | {"action": np.full((12, 3), np.nan, np.float32)}),
        ),
    ],
    ids=["short", "long", "other size", "no video", "cut", "no parquet", "fewer steps", "NaN"],
)
def test_content_that_contradicts_the_manifest_is_refused(
    name: str, object_name: str, data: bytes, tmp_path: Path
) -> None:
    root = tmp_path / "source"
    manifest = write_episode(root, 1)
    rewrite(root, manifest, object_name, data)
    with pytest.raises(InvalidEpisode) as error:
        export(name, FolderEpisodes(root), tmp_path / "a")
    assert error.value.code == ("invalid_video" if object_name.endswith(".mp4") else "invalid_episode")
    assert error.value.data["episode_id"] == manifest.episode_id
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("name", ["lerobot-v3.0", "lerobot-v2.1"])
def test_a_video_of_another_rate_is_refused(name: str, tmp_path: Path) -> None:
    root = tmp_path / "source"
    rewrite(root, write_episode(root, 1), "camera-0.mp4", _video(12, rate_hz=15.0))
    with pytest.raises(InvalidEpisode, match="has no frame 11 at its time"):
        export(name, FolderEpisodes(root), tmp_path / "a")


def test_formats_are_found_by_name() -> None:
    assert [*FORMATS] == ["lerobot-v3.0", "lerobot-v2.1", "robomimic-hdf5", "raw"]
    with pytest.raises(UnknownFormat, match=r"lerobot-v3\.0, lerobot-v2\.1"):
        export_format("csv")


def test_raw_holds_the_episodes_as_recorded(recorded: Path, episodes: Made, tmp_path: Path) -> None:
    export("raw", episodes, tmp_path / "a")
    assert contents(tmp_path / "a" / "episodes") == contents(recorded)
    rows = [json.loads(line) for line in (tmp_path / "a" / "episodes.jsonl").read_text().splitlines()]
    assert [row["episode_id"] for row in rows] == sorted(path.name for path in recorded.iterdir())
    assert rows[0]["tags"] == "café,a b"
    assert (rows[0]["intervention_frames"], rows[0]["operators"], rows[0]["lease_epochs"]) == (3, "ada", "4")


def test_every_error_has_a_code_of_its_own() -> None:
    def kinds(kind: type[SopError]) -> list[type[SopError]]:
        return [kind, *(found for below in kind.__subclasses__() for found in kinds(below))]

    codes = [kind.code for kind in kinds(ExportError)]
    assert len(set(codes)) == len(codes) == 10
