"""An episode at rest: round trip, and every contradiction named."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.errors import InvalidEpisode, InvalidManifest
from fleet.protocol.recording import (
    STEP_COLUMNS,
    EpisodeManifest,
    decode_manifest,
    encode_manifest,
    human_steps_of,
    segments_of,
    validate_manifest,
    validate_steps,
)
from fleet.protocol.steps import decode_steps, encode_steps
from tests.fleet.protocol.samples import MANIFEST


def steps_of(manifest: EpisodeManifest) -> dict[str, np.ndarray[Any, Any]]:
    """Return valid step columns for a manifest."""
    widths = {"": (), "A": (len(manifest.action_names),), "P": (len(manifest.proprio_names),)}
    steps = {c.name: np.zeros((manifest.steps, *widths[c.width]), c.dtype) for c in STEP_COLUMNS}
    steps["frame_index"] = np.arange(manifest.steps, dtype=np.int32)
    steps["timestamp_s"] = np.arange(manifest.steps) / manifest.control_rate_hz
    for segment in manifest.segments:
        span = slice(segment.start, segment.end)
        steps["mode"][span] = MODE_CODES[segment.mode]
        steps["source"][span] = SOURCE_CODES[segment.source]
        steps["lease_epoch"][span] = segment.lease_epoch
    return steps


def test_steps_survive_parquet() -> None:
    steps = steps_of(MANIFEST)
    steps["action"][:] = np.random.default_rng(0).normal(size=steps["action"].shape)
    decoded = decode_steps(encode_steps(steps))
    assert list(decoded) == [column.name for column in STEP_COLUMNS]
    for name, values in steps.items():
        np.testing.assert_array_equal(decoded[name], values)
        assert decoded[name].dtype == values.dtype
    validate_steps(decoded, MANIFEST)


def _nan(steps: dict[str, Any]) -> None:
    steps["action"][2, 1] = np.nan


def _infinite(steps: dict[str, Any]) -> None:
    steps["reward"][0] = np.inf


def _short(steps: dict[str, Any]) -> None:
    steps["observation.state"] = steps["observation.state"][:-1]


def _narrow(steps: dict[str, Any]) -> None:
    steps["action.asked"] = steps["action.asked"][:, :-1]


def _backwards(steps: dict[str, Any]) -> None:
    steps["timestamp_s"][3] = 0.0


def _dtype(steps: dict[str, Any]) -> None:
    steps["action"] = steps["action"].astype(np.float64)


def _missing(steps: dict[str, Any]) -> None:
    del steps["success"]


def _unknown(steps: dict[str, Any]) -> None:
    steps["object.position"] = np.zeros(5, np.float32)


def _code(steps: dict[str, Any]) -> None:
    steps["mode"][0] = 9


def _renumbered(steps: dict[str, Any]) -> None:
    steps["frame_index"] += 1


def _resegmented(steps: dict[str, Any]) -> None:
    steps["lease_epoch"][4] = 2


@pytest.mark.parametrize(
    ("damage", "column"),
    [
        (_nan, "action"),
        (_infinite, "reward"),
        (_short, "observation.state"),
        (_narrow, "action.asked"),
        (_backwards, "timestamp_s"),
        (_dtype, "action"),
        (_missing, "success"),
        (_unknown, "object.position"),
        (_code, "mode"),
        (_renumbered, "frame_index"),
        (_resegmented, "mode"),
    ],
)
def test_bad_steps_are_refused_by_column(damage: Any, column: str) -> None:
    steps = steps_of(MANIFEST)
    validate_steps(steps, MANIFEST)
    damage(steps)
    with pytest.raises(InvalidEpisode) as caught:
        validate_steps(steps, MANIFEST)
    assert caught.value.data == {"column": column}


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def test_parquet_that_unpacks_to_more_than_an_episode_is_refused_unread() -> None:
    """Equal values pack well: ten million rows in some kilobytes. A narrow one is a vector of a thousand a step."""
    wide = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(40_000 * 1000, np.int8)), 1000)
    bombs = [
        _parquet(pa.table({"reward": np.zeros(10**7, np.float32)})),
        _parquet(pa.table({"action": wide})),
        _parquet(pa.table([pa.array([0.0])] * 2, names=["reward", "reward"])),
    ]
    assert max(len(data) for data in bombs) < 100_000
    for data in bombs:
        with pytest.raises(InvalidEpisode):
            decode_steps(data)


def test_bytes_that_are_no_parquet_are_an_invalid_episode() -> None:
    for data in (b"", b"PAR1", encode_steps(steps_of(MANIFEST))[:-20]):
        with pytest.raises(InvalidEpisode):
            decode_steps(data)


def test_manifest_survives_json_and_is_canonical() -> None:
    data = encode_manifest(MANIFEST)
    assert decode_manifest(data) == MANIFEST
    assert encode_manifest(decode_manifest(data)) == data


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"schema": 2}, "schema"),
        ({"episode_id": "../../etc"}, "episode_id"),
        ({"steps": 0}, "steps"),
        ({"steps": 6}, "segments"),
        ({"human_steps": 1}, "human_steps"),
        ({"ended_ns": 1}, "ended_ns"),
        ({"seed": -1}, "seed"),
        ({"instruction": ""}, "instruction"),
        ({"objects": MANIFEST.objects[:1]}, "objects"),
        ({"objects": MANIFEST.objects + MANIFEST.objects[:1]}, "objects"),
        ({"segments": MANIFEST.segments[1:]}, "segments"),
        ({"cameras": tuple(replace(camera, width=8192, height=8193) for camera in MANIFEST.cameras)}, "cameras"),
        ({"objects": tuple(replace(record, size=2**30) for record in MANIFEST.objects)}, "objects"),
    ],
)
def test_contradictory_manifest_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    validate_manifest(MANIFEST)
    with pytest.raises(InvalidManifest) as caught:
        validate_manifest(replace(MANIFEST, **change))
    assert caught.value.data == {"field": field}


def test_video_of_more_pixels_than_anybody_can_decode_is_refused() -> None:
    segment = replace(MANIFEST.segments[0], start=0, end=2000)
    long = replace(MANIFEST, steps=2000, human_steps=human_steps_of([segment]), segments=(segment,))
    validate_manifest(long)
    cameras = tuple(replace(camera, width=2048, height=2048) for camera in MANIFEST.cameras)
    with pytest.raises(InvalidManifest):
        validate_manifest(replace(long, cameras=cameras))


def test_object_names_with_path_tricks_are_refused() -> None:
    for name in ("../steps.parquet", "/etc/passwd", "a/b", "STEPS", ""):
        objects = (replace(MANIFEST.objects[1], name=name), MANIFEST.objects[0])
        cameras = (replace(MANIFEST.cameras[0], object=name),)
        with pytest.raises(InvalidManifest):
            validate_manifest(replace(MANIFEST, objects=objects, cameras=cameras))


def test_unknown_field_in_a_manifest_is_refused() -> None:
    with pytest.raises(InvalidManifest):
        decode_manifest(encode_manifest(MANIFEST)[:-1] + b',"extra":1}')


def test_segments_are_maximal_runs() -> None:
    mode = np.array([0, 0, 1, 2, 2, 0], np.int8)
    source = np.array([0, 0, 2, 2, 2, 0], np.int8)
    epoch = np.array([0, 0, 1, 1, 1, 0], np.int32)
    found = segments_of(mode, source, epoch)
    assert [(s.start, s.end, s.mode) for s in found] == [
        (0, 2, Mode.AUTONOMOUS),
        (2, 3, Mode.HANDOVER),
        (3, 5, Mode.TELEOP),
        (5, 6, Mode.AUTONOMOUS),
    ]
    assert found[2].source is Source.SCRIPTED
    assert human_steps_of(found) == 2
