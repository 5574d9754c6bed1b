"""Export -> import -> export: the same steps, pictures and words; and datasets of others by the proposal alone."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from fleet.exports.base import Entry
from fleet.exports.registry import export_format
from fleet.exports.runner import run_export
from fleet.exports.sink import FolderSink
from fleet.imports.mapping import CameraTarget, OutcomeFrom, OutcomeRule
from fleet.imports.problems import that_matter
from fleet.protocol.authority import SOURCE_CODES, Mode, Source
from fleet.protocol.recording import STEP_COLUMNS, STEPS_OBJECT, Origin, Outcome, decode_manifest, validate_steps
from fleet.protocol.steps import decode_steps
from tests.fleet.exports.made import DATASET, TASK, Made
from tests.fleet.imports.made import convert_all, dry_run, export, proposal, record
from tests.learner.hand_made import PIXELS, TELEOP, make_images, make_manifest, make_steps
from tests.learner.lerobot_made import VIDEO, write_dataset


def digests_of_steps(folder: Path, ids: list[str]) -> list[str]:
    """SHA-256 over every column's bytes, episode by episode."""
    found = []
    for episode_id in ids:
        steps = decode_steps((folder / episode_id / STEPS_OBJECT).read_bytes())
        parts = (np.ascontiguousarray(steps[column.name]).tobytes() for column in STEP_COLUMNS)
        found.append(hashlib.sha256(b"".join(parts)).hexdigest())
    return found


@pytest.mark.parametrize("name", ["lerobot-v3.0", "lerobot-v2.1"])
def test_an_export_comes_back_with_the_same_steps(name: str, tmp_path: Path) -> None:
    """Every column to the bit, segments with their operators, outcomes, pictures packet by packet; and exported once
    more the data files have the same bytes."""
    recorded = record(tmp_path / "recorded", cameras=("front", "wrist.left"))
    first = export(name, recorded, tmp_path / "first")
    mapping = proposal(first)
    assert mapping.is_own and not that_matter(dry_run(first)[1].problems, mapping.features())

    manifests = convert_all(first, mapping, tmp_path / "imported")

    originals = [decode_manifest(path.read_bytes()) for path in sorted(recorded.glob("*/manifest.json"))]
    ids = [manifest.episode_id for manifest in manifests]
    assert digests_of_steps(tmp_path / "imported", ids) == digests_of_steps(recorded, [m.episode_id for m in originals])
    for found, original in zip(manifests, originals, strict=True):
        assert found.origin is Origin.DEMONSTRATION
        names = ("segments", "outcome", "seed", "driver", "calibration")
        assert [getattr(found, name) for name in names] == [getattr(original, name) for name in names]
        assert (found.task_slug, found.instruction, found.started_ns) == ("push", original.instruction, 10**18)
        for mine, theirs in zip(found.cameras, original.cameras, strict=True):
            assert packets(tmp_path / "imported" / found.episode_id / mine.object) == packets(
                recorded / original.episode_id / theirs.object
            )
    again = tmp_path / "again"
    in_order = Made(tmp_path / "imported", [Entry(manifest=manifest) for manifest in manifests])
    run_export(export_format(name), DATASET, in_order, FolderSink(again))
    for path in sorted(first.glob("data/*/*.parquet")):
        assert (again / path.relative_to(first)).read_bytes() == path.read_bytes()


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_a_dataset_of_others_becomes_demonstrations_by_a_person(tmp_path: Path) -> None:
    """By the proposal alone. The first file's packets are copied where an episode begins at a key frame; the second,
    with B-frames, is encoded anew. Pictures, states and actions are those that were written."""
    originals = [make_manifest(f"demo {k}", [(15 + 7 * k, TELEOP)], origin=Origin.DEMONSTRATION) for k in range(4)]
    write_dataset(tmp_path / "set", [originals[:2], originals[2:]])
    _, report = dry_run(tmp_path / "set")
    assert report.problems == ()
    assert (report.episodes, report.frames, report.fps) == (4, 15 + 22 + 29 + 36, 10.0)
    camera = report.cameras[0]
    assert (camera.feature, camera.copied + camera.encoded, camera.copied) == (VIDEO, 4, 1)

    manifests = convert_all(tmp_path / "set", proposal(tmp_path / "set"), tmp_path / "out")

    assert [m.steps for m in manifests] == [15, 22, 29, 36]
    for manifest, original in zip(manifests, originals, strict=True):
        folder = tmp_path / "out" / manifest.episode_id
        steps, wanted = decode_steps((folder / STEPS_OBJECT).read_bytes()), make_steps(original)
        validate_steps(steps, manifest)
        assert np.array_equal(steps["action"], wanted["action"])
        assert np.array_equal(steps["observation.state"], wanted["observation.state"])
        assert [(s.mode, s.source) for s in manifest.segments] == [(Mode.TELEOP, Source.PERSON)]
        assert manifest.outcome is Outcome.SUCCESS and not steps["proposed"].any()
        with av.open(str(folder / "top.mp4")) as container:
            shown = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        images = make_images(original)
        assert shown.shape == images.shape
        assert np.abs(shown.astype(float) - images).mean(axis=(1, 2, 3)).max() < 4


def test_the_rules_for_outcome_intervention_rate_and_size_hold(tmp_path: Path) -> None:
    """An export read as if it were a stranger's: interventions by the column, success by next.success, every third
    frame kept, pictures scaled down."""
    root = export("lerobot-v2.1", record(tmp_path / "recorded", count=2), tmp_path / "set")
    mapping = proposal(root)
    rules = {
        "is_own": False,
        "keep_every": 3,
        "outcome": OutcomeRule(source=OutcomeFrom.FRAMES, column="next.success"),
        "cameras": {"observation.images.front": CameraTarget(name="eye", width=32, height=24)},
    }
    manifests = convert_all(root, replace(mapping, **rules), tmp_path / "out")

    first = manifests[0]
    assert (first.steps, first.human_steps, first.control_rate_hz) == (3, 1, pytest.approx(10 / 3))
    assert [m.outcome for m in manifests] == [Outcome.SUCCESS, Outcome.SUCCESS]
    steps = decode_steps((tmp_path / "out" / first.episode_id / STEPS_OBJECT).read_bytes())
    assert steps["source"].tolist() == [SOURCE_CODES[Source.POLICY]] * 2 + [SOURCE_CODES[Source.PERSON]]
    assert steps["success"].tolist() == [False, False, True]
    with av.open(str(tmp_path / "out" / first.episode_id / "eye.mp4")) as container:
        assert [(f.width, f.height) for f in container.decode(video=0)] == [(32, 24)] * 3
    assert first.instruction == TASK


def test_the_same_import_gives_the_same_bytes(tmp_path: Path) -> None:
    root = export("lerobot-v3.0", record(tmp_path / "recorded"), tmp_path / "set")
    mapping = proposal(root)
    assert convert_all(root, mapping, tmp_path / "a") == convert_all(root, mapping, tmp_path / "b")


def test_pictures_in_the_data_become_a_video(tmp_path: Path) -> None:
    """As openpi's and RLinf's sets have them: PNG bytes in Parquet. PIXELS is the made set's size."""
    original = make_manifest("demo", [(5, TELEOP)], origin=Origin.DEMONSTRATION)
    write_dataset(tmp_path / "set", [[original]])
    path = tmp_path / "set/data/chunk-000/file-000.parquet"
    rows = []
    for picture in make_images(original):
        out = io.BytesIO()
        with av.open(out, "w", format="image2pipe") as container:
            stream = container.add_stream("png", rate=10)
            stream.width = stream.height = PIXELS
            stream.pix_fmt = "rgb24"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        rows.append({"bytes": out.getvalue(), "path": ""})
    pq.write_table(pq.read_table(path).append_column(VIDEO, pa.array(rows)), path)
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    info["features"][VIDEO]["dtype"] = "image"
    (tmp_path / "set/meta/info.json").write_text(json.dumps(info))

    assert dry_run(tmp_path / "set")[1].problems == ()
    manifest = convert_all(tmp_path / "set", proposal(tmp_path / "set"), tmp_path / "out")[0]

    with av.open(str(tmp_path / "out" / manifest.episode_id / "top.mp4")) as container:
        shown = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert np.abs(shown.astype(float) - make_images(original)).mean() < 4
