"""Episodes on disk: parquet and video through the index into the buffers."""

from __future__ import annotations

import shutil
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
from learner.data.batches import BuffersEmpty
from learner.data.index import FittingEpisodes, StoredEpisodes, folder_episodes
from learner.data.video import decode_video, decode_whole_video
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


@pytest.mark.parametrize("damage", ["half", "other bytes", "empty", "deleted"])
def test_an_unreadable_video_leaves_the_buffers_when_it_is_drawn(tmp_path: Path, damage: str):
    """Training goes on with the others and says which episode went; with none left there is nothing to learn from."""
    good, bad = some_manifests()[2:4]
    write_episodes(tmp_path, [good, bad])
    video = tmp_path / bad.episode_id / "front.mp4"
    data = video.read_bytes()
    if damage == "deleted":
        shutil.rmtree(tmp_path / bad.episode_id)
    else:
        video.write_bytes({"half": data[: len(data) // 2], "other bytes": b"no video", "empty": b""}[damage])
    source, _ = folder_episodes(tmp_path)
    trainer = build_trainer(make_network(), source, RunConfig())

    assert trainer.ingest([good, bad]) == 2
    assert trainer.replay.sizes()["box-close"].offline == 60
    assert np.isfinite(trainer.step().loss)

    assert trainer.replay.sizes()["box-close"].offline == 30
    assert trainer.replay.class_counts()["demonstration"] == 30
    assert trainer.replay.metrics()["episodes/left/unreadable"] == 1
    code = "object_missing" if damage == "deleted" else "invalid_episode"
    assert trainer.replay.state()["unreadable"] == {bad.episode_id: code}
    assert (trainer.replay.payload(1), trainer.ingest([bad])) == (None, 0)
    alone = build_trainer(make_network(), source, RunConfig())
    alone.ingest([bad])
    with pytest.raises(BuffersEmpty):
        alone.step()
    assert (alone.gradient_steps, alone.replay.sizes()) == (0, {})


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


def test_what_this_policy_cannot_learn_from_is_left_out():
    """A robot with other axes, another camera, or absurd numbers must not end the training of all the others."""
    good, odd = some_manifests()[:2]
    camera = msgspec.structs.replace(odd.cameras[0], width=64, height=64)
    misfits = [
        (msgspec.structs.replace(odd, **change), MemoryEpisodes())
        for change in ({"action_names": ("x", "y")}, {"proprio_names": ("q",)}, {"cameras": (camera,)})
    ]
    misfits += [(odd, _Odd(odd, column)) for column in ("action", "observation.state")]
    for misfit, source in misfits:
        trainer = build_trainer(make_network(), source, RunConfig())
        trainer.ingest([good, misfit])
        assert np.isfinite(trainer.step().loss)
        assert trainer.replay.sizes()["bin-picking"].offline == 30
        assert list(trainer.replay.state()["unreadable"]) == [odd.episode_id]


def test_video_must_have_the_stated_frames():
    """More or fewer frames than the manifest says, or another size, is a refusal."""
    data = encode_video(make_images(some_manifests()[0]))
    for frames, side in ((29, 128), (31, 128), (30, 64)):
        with pytest.raises(InvalidEpisode):
            decode_video(data, frames=frames, height=side, width=side)


def test_a_policy_that_takes_whole_pictures_gets_them():
    """At full size, as the codec kept them; what is half of them by averaging is what the others get."""
    manifest = some_manifests()[0]
    source = StoredEpisodes(lambda episode_id, name: stored_objects(manifest)[name])
    parts = {"proprio_dim": 8, "action_dim": 4, "cameras": SHAPES.cameras}
    whole = FittingEpisodes(source, **parts, is_whole=True).frames(manifest, "front")
    half = FittingEpisodes(source, **parts).frames(manifest, "front")
    assert (whole.shape, whole.dtype, half.shape) == ((30, 128, 128, 3), np.uint8, (30, 64, 64, 3))
    assert np.abs(whole.astype(float) - make_images(manifest)).mean() < 3.0
    assert np.abs(whole.reshape(30, 64, 2, 64, 2, 3).mean(axis=(2, 4)) - half).mean() < 2.0
    with pytest.raises(InvalidEpisode, match="more than the 29 frames"):
        decode_whole_video(stored_objects(manifest)["front.mp4"], frames=29, height=128, width=128)


class _TwoCameras(MemoryEpisodes):
    """Episodes that were filmed from the wrist as well, at half the size and upside down."""

    def frames(self, manifest: EpisodeManifest, camera: str, *, is_whole: bool = False) -> np.ndarray[Any, Any]:
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
