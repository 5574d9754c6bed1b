"""A recording on disk: videos with one frame a step, exact times, whole or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from fleet.daemon.drivers.base import DriverError
from fleet.daemon.episode import EpisodeRecording
from fleet.daemon.recorder import write_episode
from fleet.daemon.video import encode_jpeg
from fleet.protocol.calibration import calibration_of
from fleet.protocol.errors import InvalidEpisode
from fleet.protocol.recording import MANIFEST_OBJECT, decode_manifest, validate_steps
from fleet.protocol.steps import decode_steps
from tests.fleet.daemon.point import ConstantPolicy, PointDriver
from tests.fleet.daemon.test_control_loop import runner, spec


@pytest.fixture
def recording() -> EpisodeRecording:
    return runner().run(spec(), ConstantPolicy(dx=0.6))


def test_an_episode_on_disk_is_what_happened(recording: EpisodeRecording, tmp_path: Path) -> None:
    manifest = write_episode(recording, tmp_path, software={"test": "1"})
    folder = tmp_path / manifest.episode_id
    assert sorted(path.name for path in tmp_path.iterdir()) == [manifest.episode_id]
    assert decode_manifest((folder / MANIFEST_OBJECT).read_bytes()) == manifest
    steps = decode_steps((folder / "steps.parquet").read_bytes())
    validate_steps(steps, manifest)
    assert np.array_equal(steps["action"], recording.arrays["action"])


def test_video_frames_are_at_k_over_fps_with_regular_key_frames(recording: EpisodeRecording, tmp_path: Path) -> None:
    manifest = write_episode(recording, tmp_path, software={})
    with av.open(str(tmp_path / manifest.episode_id / "front.mp4")) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert (stream.average_rate, stream.codec_context.pix_fmt) == (10, "yuv420p")
    assert len(frames) == recording.steps
    assert [float(frame.time) for frame in frames] == pytest.approx([k / 10 for k in range(len(frames))])
    assert [k for k, frame in enumerate(frames) if frame.key_frame] == list(range(0, len(frames), 10))
    difference = np.abs(frames[7].to_ndarray(format="rgb24").astype(int) - recording.frames["front"][7].astype(int))
    assert difference.mean() < 6  # lossy, but the same picture


def test_equal_recordings_have_equal_bytes(tmp_path: Path) -> None:
    """Same seed on a virtual clock: every object hashes alike, apart from the measured inference time."""
    manifests = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        recorded = runner().run(spec(seed=9), ConstantPolicy())
        recorded.arrays["inference_ms"][:] = 0
        manifests.append(write_episode(recorded, folder, software={}))
    assert manifests[0] == manifests[1]


class _Calibrated(PointDriver):
    calibration: dict[str, object] = {"front": {"focal_px": [610.5, 611.0]}, "made_at": "2026-11-26"}


def test_what_the_driver_was_calibrated_to_goes_with_the_episode(tmp_path: Path) -> None:
    recorded = runner(_Calibrated()).run(spec(), ConstantPolicy(dx=0.6))
    manifest = write_episode(recorded, tmp_path, software={})
    assert manifest.calibration == calibration_of(_Calibrated.calibration)
    assert decode_manifest((tmp_path / manifest.episode_id / MANIFEST_OBJECT).read_bytes()) == manifest


def test_a_driver_without_one_declares_nothing(recording: EpisodeRecording, tmp_path: Path) -> None:
    assert write_episode(recording, tmp_path, software={}).calibration is msgspec.UNSET


def test_a_calibration_that_cannot_be_kept_starts_no_episode() -> None:
    driver = _Calibrated()
    driver.calibration = {"focal_px": float("nan")}
    with pytest.raises(DriverError, match="calibration"):
        runner(driver).run(spec(), ConstantPolicy(dx=0.6))
    assert (driver.seeds, driver.applied) == ([], [])


@pytest.mark.parametrize("column", ["action", "observation.state", "reward"])
def test_nan_is_refused_and_nothing_is_left(recording: EpisodeRecording, tmp_path: Path, column: str) -> None:
    recording.arrays[column][3] = np.nan
    with pytest.raises(InvalidEpisode):
        write_episode(recording, tmp_path, software={})
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_another_size_are_refused(recording: EpisodeRecording, tmp_path: Path) -> None:
    frames = {"front": [np.zeros((16, 16, 3), np.uint8)] * recording.steps}
    with pytest.raises(InvalidEpisode):
        write_episode(dataclasses.replace(recording, frames=frames), tmp_path, software={})
    assert list(tmp_path.iterdir()) == []


def test_thumbnails_are_small_jpegs() -> None:
    pixels = np.tile(np.linspace(0, 255, 320, dtype=np.uint8)[None, :, None], (240, 1, 3))
    jpeg = encode_jpeg(pixels)
    assert jpeg[:2] == b"\xff\xd8" and len(jpeg) < 64 * 1024
    decoded = next(iter(av.CodecContext.create("mjpeg", "r").decode(av.Packet(jpeg))))
    assert (decoded.width, decoded.height) == (320, 240)
    assert np.abs(decoded.to_ndarray(format="rgb24").astype(int) - pixels.astype(int)).mean() < 4
