"""Episodes on disk: parquet and video through the index into the buffers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from fleet.protocol.errors import InvalidEpisode
from fleet.protocol.policy import CameraSpec
from fleet.protocol.recording import EpisodeManifest, StepArrays
from learner.config import RunConfig
from learner.data.index import FittingEpisodes, StoredEpisodes, folder_episodes
from learner.data.video import decode_video
from learner.policies.architectures.flow_vla import FlowVla
from learner.policies.language import embed_instruction
from learner.trainer import build_trainer
from tests.learner.hand_made import (
    SHAPES,
    SMALL,
    MemoryEpisodes,
    encode_video,
    make_images,
    make_network,
    make_steps,
    some_manifests,
    stored_objects,
)


def write_episodes(root: Path, manifests: list[EpisodeManifest]) -> None:
    for manifest in manifests:
        folder = root / manifest.episode_id
        folder.mkdir(parents=True)
        for name, data in stored_objects(manifest).items():
            (folder / name).write_bytes(data)


def test_training_on_a_folder_of_episodes(tmp_path: Path):
    """Recorded episodes feed the trainer; columns are exact, pictures close to what was filmed."""
    manifests = some_manifests()
    write_episodes(tmp_path, manifests)
    source, found = folder_episodes(tmp_path)

    assert {m.episode_id for m in found} == {m.episode_id for m in manifests}
    frames = source.frames(manifests[0], "front")
    averaged = make_images(manifests[0]).reshape(30, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    assert frames.shape == (30, 64, 64, 3)
    assert np.abs(frames - averaged).mean() < 1.5
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


class _Odd(MemoryEpisodes):
    """Episodes of which one holds an absurd value."""

    def __init__(self, odd: EpisodeManifest, column: str) -> None:
        super().__init__()
        self._odd = (odd.episode_id, column)

    def steps(self, manifest: EpisodeManifest) -> StepArrays:
        steps = {name: values.copy() for name, values in super().steps(manifest).items()}
        if manifest.episode_id == self._odd[0]:
            steps[self._odd[1]][3] = 3e38
        return steps


def test_what_this_policy_cannot_learn_from_is_refused():
    """A robot with other axes, another camera, or absurd numbers must not end the training of all the others."""
    good, odd = some_manifests()[:2]
    camera = msgspec.structs.replace(odd.cameras[0], width=64, height=64)
    for change in ({"action_names": ("x", "y")}, {"proprio_names": ("q",)}, {"cameras": (camera,)}):
        trainer = build_trainer(make_network(), MemoryEpisodes(), RunConfig())
        with pytest.raises(InvalidEpisode):
            trainer.ingest([good, msgspec.structs.replace(odd, **change)])
        assert (trainer.replay.episodes, trainer.ingest([odd])) == (1, 1)
    for column in ("action", "observation.state"):
        trainer = build_trainer(make_network(), _Odd(odd, column), RunConfig())
        with pytest.raises(InvalidEpisode):
            trainer.ingest([good, odd])
        assert np.isfinite(trainer.step().loss)


def test_video_must_have_the_stated_frames():
    """More or fewer frames than the manifest says, or another size, is a refusal."""
    data = encode_video(make_images(some_manifests()[0]))
    for frames, side in ((29, 128), (31, 128), (30, 64)):
        with pytest.raises(InvalidEpisode):
            decode_video(data, frames=frames, height=side, width=side)


class _TwoCameras(MemoryEpisodes):
    """Episodes that were filmed from the wrist as well, at half the size and upside down."""

    def frames(self, manifest: EpisodeManifest, camera: str) -> np.ndarray[Any, Any]:
        front = super().frames(manifest, "front")
        return front if camera == "front" else front[:, ::-2, ::2]


def test_every_camera_of_the_policy_is_loaded():
    """Features come from both cameras; an episode without the second one, or with a larger one, is refused."""
    wrist = CameraSpec(name="wrist", height=64, width=64)
    torch.manual_seed(0)
    network = FlowVla(SMALL, msgspec.structs.replace(SHAPES, cameras=(*SHAPES.cameras, wrist)))
    manifest = some_manifests()[0]
    record = msgspec.structs.replace(manifest.cameras[0], name="wrist", object="wrist.mp4", width=64, height=64)
    both = msgspec.structs.replace(manifest, cameras=(*manifest.cameras, record))
    large = msgspec.structs.replace(record, width=128, height=128)
    larger = msgspec.structs.replace(both, cameras=(*manifest.cameras, large))
    source = _TwoCameras()
    trainer = build_trainer(network, source, RunConfig())
    trainer.ingest([both])

    features_TF = trainer.replay.payload(0).features_TF

    images = {name: torch.from_numpy(source.frames(both, name).copy()) for name in ("front", "wrist")}
    language_BL = torch.tensor(embed_instruction(both.instruction)).expand(manifest.steps, -1)
    assert np.array_equal(features_TF, network.encode(images, language_BL).numpy())
    fitting = FittingEpisodes(StoredEpisodes(_no_bytes), proprio_dim=8, action_dim=4, cameras=network.shapes.cameras)
    for misfit in (manifest, larger):
        with pytest.raises(InvalidEpisode, match="wrist"):
            fitting.frames(misfit, "wrist")


def _no_bytes(episode_id: str, name: str) -> bytes:
    raise AssertionError(f"{name} of {episode_id} should not be read")
