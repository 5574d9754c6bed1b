"""Episodes on disk: parquet and video through the index into the buffers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fleet.protocol.errors import InvalidEpisode
from fleet.protocol.recording import EpisodeManifest, encode_manifest
from fleet.protocol.steps import encode_steps
from learner.config import RunConfig
from learner.data.index import folder_episodes
from learner.data.video import decode_video
from learner.trainer import build_trainer
from tests.learner.hand_made import make_images, make_network, make_steps, some_manifests


def encode_video(images_THWC: np.ndarray[Any, Any]) -> bytes:
    sink = io.BytesIO()
    with av.open(sink, mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "18"})
        stream.height, stream.width = images_THWC.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in images_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return sink.getvalue()


def write_episodes(root: Path, manifests: list[EpisodeManifest]) -> None:
    for manifest in manifests:
        folder = root / manifest.episode_id
        folder.mkdir(parents=True)
        (folder / "steps.parquet").write_bytes(encode_steps(make_steps(manifest)))
        (folder / "front.mp4").write_bytes(encode_video(make_images(manifest)))
        (folder / "manifest.json").write_bytes(encode_manifest(manifest))


def test_training_on_a_folder_of_episodes(tmp_path: Path):
    """Recorded episodes feed the trainer; columns are exact, pictures close to what was filmed."""
    manifests = some_manifests()
    write_episodes(tmp_path, manifests)
    source, found = folder_episodes(tmp_path)

    assert {m.episode_id for m in found} == {m.episode_id for m in manifests}
    frames = source.frames(manifests[0], "front")
    assert frames.shape == (30, 64, 64, 3)
    assert np.abs(frames.astype(int) - make_images(manifests[0]).astype(int)).mean() < 4
    assert np.array_equal(source.steps(manifests[0])["action"], make_steps(manifests[0])["action"])
    trainer = build_trainer(make_network(), source, RunConfig())
    assert trainer.ingest(found) == len(manifests)
    assert np.isfinite(trainer.step().loss)


def test_truncated_video_is_refused_and_nothing_is_added(tmp_path: Path):
    """Half a video, other bytes, or too few frames: InvalidEpisode, and the buffers stay as they were."""
    manifests = some_manifests()[:2]
    write_episodes(tmp_path, manifests)
    video = tmp_path / manifests[1].episode_id / "front.mp4"
    data = video.read_bytes()
    source, _ = folder_episodes(tmp_path)
    trainer = build_trainer(make_network(), source, RunConfig())
    trainer.ingest(manifests[:1])
    sizes = trainer.replay.sizes()

    for broken in (data[: len(data) // 2], b"no video", b""):
        video.write_bytes(broken)
        with pytest.raises(InvalidEpisode):
            trainer.ingest(manifests[1:])
    assert (trainer.replay.sizes(), trainer.replay.episodes) == (sizes, 1)

    video.write_bytes(data)
    assert trainer.ingest(manifests[1:]) == 1


def test_video_must_have_the_stated_frames():
    """More or fewer frames than the manifest says, or another size, is a refusal."""
    data = encode_video(make_images(some_manifests()[0]))
    for frames, side in ((29, 64), (31, 64), (30, 128)):
        with pytest.raises(InvalidEpisode):
            decode_video(data, frames=frames, height=side, width=side)
