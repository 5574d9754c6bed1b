"""LeRobot exports: every value, picture and word of the source, found again by our own reader and by pyarrow."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from fleet.exports.base import Entry
from fleet.exports.lerobot_common import columns_of, own_name, place
from fleet.exports.lerobot_v3 import LeRobotV3
from fleet.exports.objects import FolderEpisodes
from fleet.exports.registry import export_format
from fleet.exports.runner import run_export
from fleet.exports.sink import FolderSink
from fleet.protocol.recording import STEP_COLUMNS
from fleet.protocol.steps import decode_steps
from learner.data.lerobot import lerobot_episodes
from learner.data.video import decode_video
from tests.fleet.exports.made import ACTIONS, DATASET, HEIGHT, RATE_HZ, TASK, WIDTH, Made, write_episode
from tests.fleet.exports.test_formats import rewrite

TOP, WRIST = "observation.images.front", "observation.images.wrist.left"


def decoded(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [(frame.pts * frame.time_base, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.fixture
def v3(episodes: Made, tmp_path: Path) -> Path:
    """At most three episodes a file."""
    run_export(LeRobotV3(episodes=3), DATASET, episodes, FolderSink(tmp_path / "v3"))
    return tmp_path / "v3"


@pytest.fixture
def v21(episodes: Made, tmp_path: Path) -> Path:
    run_export(export_format("lerobot-v2.1"), DATASET, episodes, FolderSink(tmp_path / "v21"))
    return tmp_path / "v21"


def rows_of(root: Path) -> list[dict[str, Any]]:
    tables = [pq.read_table(path) for path in sorted(root.glob("meta/episodes/*/*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


def source_steps(recorded: Path, entry: Entry) -> dict[str, Any]:
    return decode_steps((recorded / entry.manifest.episode_id / "steps.parquet").read_bytes())


def test_the_learners_reader_finds_the_same_episodes(v3: Path, recorded: Path, episodes: Made) -> None:
    """when the learner reads an export whose files are shared by episodes, then steps and pictures are the source's."""
    source, manifests = lerobot_episodes(v3, {})
    assert [m.instruction for m in manifests] == [e.manifest.instruction for e in episodes]
    assert TASK in {m.instruction for m in manifests}
    assert [m.is_terminated and m.outcome for m in manifests] == [e.manifest.outcome for e in episodes]
    for manifest, entry in zip(manifests, episodes, strict=True):
        wanted, found = source_steps(recorded, entry), source.steps(manifest)
        np.testing.assert_array_equal(found["action"], wanted["action"])
        np.testing.assert_array_equal(found["observation.state"], wanted["observation.state"])
        for camera, name in (("front", "camera-0.mp4"), ("wrist.left", "camera-1.mp4")):
            data = (recorded / entry.manifest.episode_id / name).read_bytes()
            pictures = decode_video(data, frames=entry.manifest.steps, height=HEIGHT, width=WIDTH)
            np.testing.assert_array_equal(source.frames(manifest, camera), pictures)


def test_every_column_of_the_source_is_kept(v3: Path, recorded: Path, episodes: Made) -> None:
    files = sorted(v3.glob("data/*/*.parquet"))
    table = pq.read_table(files[0].parent)
    index = 0
    for number, entry in enumerate(episodes):
        wanted, steps = source_steps(recorded, entry), entry.manifest.steps
        rows = table.slice(index, steps).to_pydict()
        for column in STEP_COLUMNS:
            name = "frame_index" if column.name == "frame_index" else own_name(column.name)
            np.testing.assert_array_equal(np.array(rows[name], dtype=column.dtype), wanted[column.name], err_msg=name)
        assert rows["index"] == list(range(index, index + steps))
        assert rows["episode_index"] == [number] * steps
        assert rows["intervention"] == [k >= steps - 3 for k in range(steps)]
        assert rows["next.done"] == [k == steps - 1 for k in range(steps)]
        np.testing.assert_array_equal(
            np.array(rows["timestamp"], np.float32), (np.arange(steps) / 10).astype(np.float32)
        )
        index += steps
    assert table.num_rows == index


def test_files_have_a_row_group_for_each_episode(v3: Path) -> None:
    files = [pq.ParquetFile(path) for path in sorted(v3.glob("data/*/*.parquet"))]
    assert [file.metadata.num_row_groups for file in files] == [3, 3, 1]
    assert [file.metadata.row_group(0).num_rows for file in files] == [9, 12, 15]


def test_info_describes_exactly_the_columns(v3: Path) -> None:
    info = json.loads((v3 / "meta/info.json").read_bytes())
    features = info["features"]
    schema = pq.read_schema(next(iter(sorted(v3.glob("data/*/*.parquet")))))
    assert [name for name, f in features.items() if f["dtype"] != "video"] == schema.names
    for name in schema.names:
        kind = str(schema.field(name).type).removeprefix("fixed_size_list<element: ").split(">")[0]
        assert kind.replace("double", "float64").replace("float[", "float32[") in (
            features[name]["dtype"], {"float32": "float"}.get(features[name]["dtype"])
        )  # fmt: skip
    assert features["action"] == {"dtype": "float32", "shape": [3], "names": list(ACTIONS)}
    assert features[TOP]["shape"] == [HEIGHT, WIDTH, 3]
    assert features[TOP]["info"]["video.codec"] == "h264"
    # LeRobot takes what begins with these for inputs and outputs of the policy.
    assert [n for n in features if n.startswith(("action", "observation"))] == [
        "observation.state",
        "action",
        TOP,
        WRIST,
    ]
    assert info["codebase_version"] == "v3.0"
    assert (info["fps"], type(info["fps"])) == (10, int)
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (7, 84, 2)
    assert info["splits"] == {"train": "0:5", "val": "5:7"}
    assert info["robot_type"] == "replay"


def test_tasks_have_the_text_as_their_index(v3: Path) -> None:
    table = pq.read_table(v3 / "meta/tasks.parquet")
    assert table.to_pydict() == {"task_index": [0, 1], "task": [TASK, "push the cube right"]}
    pandas = json.loads(table.schema.metadata[b"pandas"])
    assert pandas["index_columns"] == ["task"]
    assert [column["name"] for column in pandas["columns"]] == ["task_index", "task"]


def test_videos_are_joined_until_their_parameters_change(v3: Path, recorded: Path, episodes: Made) -> None:
    """Episode 5 was recorded with another quality, so its video begins a file and ends one."""
    rows = rows_of(v3)
    assert [row[f"videos/{TOP}/file_index"] for row in rows] == [0, 0, 0, 1, 2, 3, 3]
    assert [row[f"videos/{WRIST}/file_index"] for row in rows] == [0, 0, 0, 1, 2, 3, 3]
    for row, entry in zip(rows, episodes, strict=True):
        path = v3 / f"videos/{TOP}/chunk-000/file-{row[f'videos/{TOP}/file_index']:03d}.mp4"
        first = round(row[f"videos/{TOP}/from_timestamp"] * RATE_HZ)
        assert row[f"videos/{TOP}/to_timestamp"] == pytest.approx((first + entry.manifest.steps) / RATE_HZ)
        shown = decoded(path)[first : first + entry.manifest.steps]
        wanted = decoded(recorded / entry.manifest.episode_id / "camera-0.mp4")
        assert len(shown) == entry.manifest.steps
        for k, ((time, picture), (_, original)) in enumerate(zip(shown, wanted, strict=True)):
            assert abs(float(time) - (first + k) / RATE_HZ) < 1e-9
            np.testing.assert_array_equal(picture, original)


def test_packets_are_copied_not_encoded(v3: Path, recorded: Path, episodes: Made) -> None:
    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    first = [packets(recorded / e.manifest.episode_id / "camera-0.mp4") for e in list(episodes)[:3]]
    assert packets(v3 / f"videos/{TOP}/chunk-000/file-000.mp4") == [packet for video in first for packet in video]


def test_a_video_with_frames_out_of_order_gets_a_file_of_its_own(tmp_path: Path) -> None:
    root = tmp_path / "source"
    manifests = [write_episode(root, seed) for seed in (1, 2, 3)]
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for k in range(12):
            picture = np.random.default_rng(k).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    rewrite(root, manifests[1], "camera-0.mp4", data.getvalue())
    run_export(LeRobotV3(), DATASET, FolderEpisodes(root), FolderSink(tmp_path / "a"))
    rows = rows_of(tmp_path / "a")
    assert [row[f"videos/{TOP}/file_index"] for row in rows] == [0, 1, 2]
    assert (tmp_path / f"a/videos/{TOP}/chunk-000/file-001.mp4").read_bytes() == data.getvalue()


def test_episodes_carry_our_provenance(v3: Path, episodes: Made) -> None:
    rows = rows_of(v3)
    assert [row["episode_id"] for row in rows] == [entry.manifest.episode_id for entry in episodes]
    first = rows[0]
    assert first["success"] is True
    assert rows[2]["success"] is False
    assert (first["outcome_source"], rows[1]["outcome_source"]) == ("person", "environment")
    assert (first["tags"], first["operators"], first["intervention_frames"]) == ("café,a b", "ada", 3)
    assert (first["robot_name"], first["split"], rows[6]["split"]) == ("arm-1", "train", "val")
    assert not [name for row in rows for name, value in row.items() if value is None]
    assert [row["meta/episodes/file_index"] for row in rows] == [0, 0, 0, 1, 1, 1, 2]
    assert [row["data/file_index"] for row in rows] == [0, 0, 0, 1, 1, 1, 2]
    assert [row["dataset_from_index"] for row in rows] == [0, 9, 19, 30, 42, 55, 69]


def test_statistics_are_those_of_the_values(v3: Path, recorded: Path, episodes: Made) -> None:
    actions = [source_steps(recorded, entry)["action"].astype(np.float64) for entry in episodes]
    row = rows_of(v3)[1]
    for name, value in (("min", actions[1].min(0)), ("mean", actions[1].mean(0)), ("std", actions[1].std(0))):
        np.testing.assert_allclose(row[f"stats/action/{name}"], value)
    np.testing.assert_allclose(row["stats/action/q90"], np.quantile(actions[1], 0.9, axis=0))
    every = np.concatenate(actions)
    stats = json.loads((v3 / "meta/stats.json").read_bytes())
    np.testing.assert_allclose(stats["action"]["mean"], every.mean(0), rtol=1e-12)
    np.testing.assert_allclose(stats["action"]["std"], every.std(0), rtol=1e-12)
    np.testing.assert_allclose(stats["action"]["q10"], np.min([np.quantile(a, 0.1, axis=0) for a in actions], axis=0))
    np.testing.assert_allclose(stats["action"]["q99"], np.max([np.quantile(a, 0.99, axis=0) for a in actions], axis=0))
    assert stats["action"]["count"] == [84]
    assert list(stats["action"]) == ["min", "max", "mean", "std", "q01", "q10", "q50", "q90", "q99", "count"]


def test_statistics_of_pictures_are_those_of_the_key_frames(v3: Path, recorded: Path, episodes: Made) -> None:
    entry = list(episodes)[6]
    frames = [picture for _, picture in decoded(recorded / entry.manifest.episode_id / "camera-0.mp4")]
    pixels = np.stack([frames[0], frames[10]]).reshape(-1, 3) / 255
    row = rows_of(v3)[6]
    assert row[f"stats/{TOP}/count"] == [2]
    for name, value in (
        ("min", pixels.min(0)),
        ("max", pixels.max(0)),
        ("mean", pixels.mean(0)),
        ("std", pixels.std(0)),
    ):
        np.testing.assert_allclose(row[f"stats/{TOP}/{name}"], value.reshape(3, 1, 1), atol=1e-9)
    np.testing.assert_allclose(
        row[f"stats/{TOP}/q50"], np.quantile(pixels, 0.5, axis=0, method="inverted_cdf").reshape(3, 1, 1)
    )


def test_a_size_limit_begins_a_file(recorded: Path, episodes: Made, tmp_path: Path) -> None:
    """Files of no size hold one episode each, and none is left out."""
    run_export(LeRobotV3(data_mb=0, video_mb=0), DATASET, episodes, FolderSink(tmp_path / "a"))
    assert len(list((tmp_path / "a").glob("data/*/*.parquet"))) == 7
    assert len(list((tmp_path / "a").glob(f"videos/{WRIST}/*/*.mp4"))) == 7
    assert [row[f"videos/{TOP}/from_timestamp"] for row in rows_of(tmp_path / "a")] == [0.0] * 7


@pytest.mark.parametrize(("position", "wanted"), [(0, (0, 0)), (999, (0, 999)), (1000, (1, 0)), (2001, (2, 1))])
def test_a_chunk_has_a_thousand_files(position: int, wanted: tuple[int, int]) -> None:
    assert place(position) == wanted


def test_an_episode_without_cameras_is_exported(tmp_path: Path) -> None:
    write_episode(tmp_path / "source", 1, cameras=())
    for fmt in (LeRobotV3(), export_format("lerobot-v2.1"), export_format("robomimic-hdf5")):
        run_export(fmt, DATASET, FolderEpisodes(tmp_path / "source"), FolderSink(tmp_path / fmt.name))
    assert json.loads((tmp_path / "lerobot-v3.0/meta/info.json").read_bytes())["video_path"] is None
    assert json.loads((tmp_path / "lerobot-v2.1/meta/info.json").read_bytes())["total_videos"] == 0


def test_an_action_of_one_axis_is_a_scalar_column(tmp_path: Path, recorded: Path) -> None:
    entry = next(iter(FolderEpisodes(recorded)))
    steps = source_steps(recorded, entry)
    narrow = steps | {name: steps[name][:, :1] for name in ("action", "action.asked", "action.proposed")}
    from fleet.exports.lerobot_common import table_of

    columns = columns_of(narrow, entry.manifest, episode_index=0, first_row=0, task_index=0)
    table = table_of(columns)
    assert str(table.schema.field("action").type) == "float"
    np.testing.assert_array_equal(table.column("action").to_numpy(), steps["action"][:, 0])


def test_v21_has_a_file_for_each_episode(v21: Path, recorded: Path, episodes: Made) -> None:
    info = json.loads((v21 / "meta/info.json").read_bytes())
    assert (info["codebase_version"], info["total_videos"], info["total_chunks"]) == ("v2.1", 14, 1)
    first = 0
    for index, entry in enumerate(episodes):
        at = {"episode_chunk": 0, "episode_index": index}
        table = pq.read_table(v21 / info["data_path"].format(**at))
        wanted = source_steps(recorded, entry)
        assert table.column("index").to_pylist() == list(range(first, first + entry.manifest.steps))
        np.testing.assert_array_equal(np.stack(table.column("action").to_numpy(zero_copy_only=False)), wanted["action"])
        for key, name in ((TOP, "camera-0.mp4"), (WRIST, "camera-1.mp4")):
            copied = v21 / info["video_path"].format(video_key=key, **at)
            assert copied.read_bytes() == (recorded / entry.manifest.episode_id / name).read_bytes()
        first += entry.manifest.steps


def test_v21_says_what_it_must_of_episodes_and_tasks(v21: Path, episodes: Made) -> None:
    def lines(name: str) -> list[Any]:
        return [json.loads(line) for line in (v21 / "meta" / name).read_text().split("\n")[:-1]]

    assert lines("tasks.jsonl") == [{"task_index": 0, "task": TASK}, {"task_index": 1, "task": "push the cube right"}]
    rows = lines("episodes.jsonl")
    assert [(row["episode_index"], row["tasks"], row["length"]) for row in rows] == [
        (k, [e.manifest.instruction], e.manifest.steps) for k, e in enumerate(episodes)
    ]
    stats = lines("episodes_stats.jsonl")
    assert [row["episode_index"] for row in stats] == list(range(7))
    assert set(stats[0]["stats"]["action"]) == {"min", "max", "mean", "std", "count"}
    assert np.shape(stats[0]["stats"][TOP]["mean"]) == (3, 1, 1)
