"""LeRobot datasets as demonstrations: what is read is what was written, and what does not fit is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fleet.imports.errors import InvalidDataset
from fleet.protocol.errors import InvalidEpisode, RecordingError
from fleet.protocol.recording import EpisodeManifest, Origin, validate_steps
from learner.data.index import FrameClass, index_episode
from learner.data.lerobot import lerobot_episodes
from learner.data.sources import PolicyInputs, open_episodes
from learner.policies.base import PolicyShapes
from tests.learner.hand_made import PIXELS, SHAPES, TELEOP, make_images, make_manifest, make_steps
from tests.learner.lerobot_made import FEATURES, VIDEO, write_dataset


def demonstrations() -> list[EpisodeManifest]:
    tasks = ("box-close", "bin-picking", "box-close", "box-close")
    return [
        make_manifest(f"demo {k}", [(15 + 7 * k, TELEOP)], task=task, origin=Origin.DEMONSTRATION)
        for k, task in enumerate(tasks)
    ]


def inputs(shapes: PolicyShapes = SHAPES, **changes: Any) -> PolicyInputs:
    values = {"cameras": shapes.cameras, "proprio_dim": shapes.proprio_dim, "action_dim": shapes.action_dim}
    return PolicyInputs(**(values | changes))


def test_steps_and_frames_are_those_that_were_written(tmp_path: Path):
    """Two episodes in one file and two in the next: actions and states to the bit, pictures within the codec's error,
    each from its place in the shared video, whether or not that has B-frames.
    """
    originals = demonstrations()
    write_dataset(tmp_path, [originals[:2], originals[2:]])

    source, manifests = lerobot_episodes(tmp_path, {VIDEO: "front"})

    assert [manifest.steps for manifest in manifests] == [15, 22, 29, 36]
    for manifest, original in zip(manifests, originals, strict=True):
        steps, wanted = source.steps(manifest), make_steps(original)
        assert np.array_equal(steps["action"], wanted["action"])
        assert np.array_equal(steps["observation.state"], wanted["observation.state"])
        validate_steps(steps, manifest)
        images = make_images(original).astype(np.float32)
        halves = images.reshape(len(images), PIXELS // 2, 2, PIXELS // 2, 2, 3).mean(axis=(2, 4))
        error_T = np.abs(source.frames(manifest, "front") - halves).mean(axis=(1, 2, 3))
        neighbours_T = np.abs(halves[1:] - halves[:-1]).mean(axis=(1, 2, 3))
        assert error_T.max() < 3 < neighbours_T.min()


def test_manifests_are_demonstrations_by_a_person_with_stable_ids(tmp_path: Path):
    """Every frame carries loss; the task and its instruction are the dataset's; reading it again gives the same ids."""
    write_dataset(tmp_path, [demonstrations()])

    _, manifests = lerobot_episodes(tmp_path, {})

    assert len({manifest.episode_id for manifest in manifests}) == 4
    assert [m.episode_id for m in lerobot_episodes(tmp_path, {})[1]] == [m.episode_id for m in manifests]
    first = manifests[0]
    assert (first.origin, first.task_slug, first.instruction) == (
        Origin.DEMONSTRATION,
        "do-the-box-close",
        "do the box close",
    )
    assert (first.action_names, first.proprio_names[0]) == (("a0", "a1", "a2", "a3"), "p0")
    assert [camera.name for camera in first.cameras] == ["top"]
    assert set(index_episode(first).classes_T.tolist()) == {FrameClass.DEMONSTRATION}


def test_a_dataset_joins_folders_and_its_only_video_is_the_only_camera(tmp_path: Path):
    """The policy knows its camera as front, the dataset as top. The same dataset twice is a mistake."""
    write_dataset(tmp_path / "set", [demonstrations()])
    source, manifests = open_episodes([tmp_path / "set"], features={}, inputs=inputs())
    assert source.frames(manifests[0], "front").shape == (15, PIXELS // 2, PIXELS // 2, 3)
    with pytest.raises(InvalidEpisode, match="twice"):
        open_episodes([tmp_path / "set", tmp_path / "set"], features={}, inputs=inputs())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidEpisode, match="no episodes"):
        open_episodes([tmp_path / "set", tmp_path / "empty"], features={}, inputs=inputs())


def _features(**changes: Any) -> dict[str, Any]:
    features = copy.deepcopy(FEATURES)
    for name, change in changes.items():
        key = {"video": VIDEO, "state": "observation.state"}.get(name, name)
        if change is None:
            del features[key]
        else:
            features[key] |= change
    return features


@pytest.mark.parametrize(
    ("info", "problem"),
    [
        ({"codebase_version": "v1.6"}, "v1.6; v3.0 and v2.x are read"),
        ({"fps": 0}, "fps"),
        ({"features": _features(action=None)}, "no feature 'action'"),
        ({"features": _features(state={"shape": [2, 4]})}, "observation.state.*vector"),
        ({"features": _features(video={"dtype": "image"})}, "no colour video features; images in Parquet .*not read"),
        ({"features": _features(video={"shape": [PIXELS, PIXELS, 1]})}, "colour"),
    ],
)
def test_a_dataset_that_does_not_fit_is_named(tmp_path: Path, info: dict[str, Any], problem: str):
    """What is wrong stands in the error, before anything is trained."""
    write_dataset(tmp_path, [demonstrations()[:1]], **info)
    with pytest.raises(InvalidDataset, match=problem):
        lerobot_episodes(tmp_path, {})


def test_a_dataset_of_another_robot_or_camera_is_refused_at_once(tmp_path: Path):
    """Other axes than the policy's, another size, a feature that is not there, a camera that nobody named."""
    write_dataset(tmp_path, [demonstrations()[:1]])
    wrist = (*SHAPES.cameras, type(SHAPES.cameras[0])(name="wrist", height=PIXELS, width=PIXELS))
    small = (type(SHAPES.cameras[0])(name="front", height=64, width=64),)
    for features, wanted, problem in (
        ({}, inputs(action_dim=7), "4 action axes"),
        ({}, inputs(cameras=small), "sees"),
        ({"observation.images.wrist": "front"}, inputs(), f"no video feature .*{VIDEO}"),
        ({VIDEO: "front"}, inputs(cameras=wrist), "'wrist' by --camera"),
    ):
        with pytest.raises(InvalidDataset, match=problem):
            open_episodes([tmp_path], features=features, inputs=wanted)


def test_rotten_data_is_refused_episode_by_episode(tmp_path: Path):
    """A column that is missing, rows that are missing, actions in degrees, a truncated video, a lost file."""
    originals = demonstrations()
    write_dataset(tmp_path, [originals[:2], originals[2:]])
    source, manifests = lerobot_episodes(tmp_path, {})
    data = tmp_path / "data/chunk-000/file-000.parquet"
    table = pq.read_table(data)
    for broken, problem in (
        (table.drop_columns(["action"]), "action"),
        (table.slice(1), "14 rows"),
    ):
        pq.write_table(broken, data)
        with pytest.raises(InvalidEpisode, match=problem):
            source.steps(manifests[0])
    degrees = table.set_column(
        1, "action", type(table["action"].combine_chunks()).from_arrays(_degrees(table), table["action"].type.list_size)
    )
    pq.write_table(degrees, data)
    with pytest.raises(InvalidEpisode, match=r"\[-1, 1\]"):
        source.steps(manifests[0])
    video = tmp_path / f"videos/{VIDEO}/chunk-000/file-000.mp4"
    video.write_bytes(video.read_bytes()[:4000])
    with pytest.raises(RecordingError, match="video"):
        source.frames(manifests[1], "top")
    video.unlink()
    with pytest.raises(FileNotFoundError):
        source.frames(manifests[1], "top")
    assert source.frames(manifests[2], "top").shape[0] == 29
    rows = tmp_path / "meta/episodes/chunk-000/file-001.parquet"
    pq.write_table(pq.read_table(rows).drop_columns(["data/file_index"]), rows)
    with pytest.raises(InvalidDataset, match="data/file_index"):
        lerobot_episodes(tmp_path, {})
    (tmp_path / "meta/info.json").write_text(json.dumps(["not", "it"]))
    with pytest.raises(InvalidDataset):
        lerobot_episodes(tmp_path, {})


def _degrees(table: Any) -> Any:
    import pyarrow as pa

    return pa.array(table["action"].combine_chunks().flatten().to_numpy() * 90)
