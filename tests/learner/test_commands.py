"""`pretrain` and `python -m learner train` on small folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from fleet.protocol.errors import InvalidEpisode, ProbeFailed
from fleet.protocol.policy import Observation
from fleet.protocol.recording import ObjectRecord, Origin, decode_manifest, encode_manifest
from learner.__main__ import main
from learner.checkpoint import decode_checkpoint
from learner.policies.architectures.flow_vla import FlowVla
from learner.policies.base import NetworkPolicy
from learner.pretrain import EncoderConfig, PretrainConfig, pretrain, read_scenes
from learner.publisher import build_artifact, read_policy_directory, write_policy_directory
from learner.trainer import NonFiniteLoss, Trainer
from tests.learner.hand_made import SMALL, TELEOP, make_manifest, make_network, stored_objects

CONFIG = PretrainConfig(
    head_steps=4,
    network={"channels": 8, "keypoints": 8, "feature_dim": 8, "width": 32, "blocks": 2},
    encoder=EncoderConfig(steps=3, batch_size=4),
)


@pytest.fixture(autouse=True)
def keep_threads() -> Iterator[None]:
    """The commands set torch's threads for their own process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Counted:
    """A progress bar that counts the steps taken under each label."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}

    def __call__(self, steps: Sequence[int], label: str) -> Iterator[int]:
        for step in steps:
            self.steps[label] = self.steps.get(label, 0) + 1
            yield step


def make_inputs(root: Path) -> tuple[list[Path], Path]:
    episodes = root / "episodes"
    for k in range(2):
        manifest = make_manifest(f"demo {k}", [(15, TELEOP)], origin=Origin.DEMONSTRATION)
        folder = episodes / manifest.episode_id
        folder.mkdir(parents=True)
        for name, data in stored_objects(manifest).items():
            (folder / name).write_bytes(data)
    rng = np.random.default_rng(0)
    scenes = root / "scenes.npz"
    np.savez(
        scenes,
        images=rng.integers(0, 255, (12, 64, 64, 3), dtype=np.uint8),
        labels=rng.normal(size=(12, 9)).astype(np.float32),
        task="box-close",
    )
    return [scenes], episodes


def test_pretrain_is_deterministic_and_cached(tmp_path: Path):
    """Equal inputs give equal blobs; a second call trains nothing; a longer head uses the same encoder again."""
    scenes, episodes = make_inputs(tmp_path)
    blobs, counts = [], []
    for out in ("a", "b", "a"):
        counted = Counted()
        manifest = pretrain(scenes=scenes, episodes=[episodes], out=tmp_path / out, config=CONFIG, progress=counted)
        blobs.append([ref.sha256 for ref in manifest.blobs])
        counts.append(counted.steps)
    assert blobs[0] == blobs[1] == blobs[2]
    assert counts == [{"encoder": 3, "head": 4}, {"encoder": 3, "head": 4}, {}]

    counted = Counted()
    longer = PretrainConfig(head_steps=5, network=CONFIG.network, encoder=CONFIG.encoder)
    manifest = pretrain(scenes=scenes, episodes=[episodes], out=tmp_path / "a", config=longer, progress=counted)
    assert counted.steps == {"head": 5}
    assert manifest.blobs[0].sha256 == blobs[0][0]


def test_another_architecture_is_pretrained_and_acts_on_words(tmp_path: Path):
    """The one with tokens, through the command: the published head holds its text encoder, the frozen encoder is that
    of the default; an unknown one is refused."""
    scenes, episodes = make_inputs(tmp_path)
    options = ["--scenes", str(scenes[0]), "--episodes", str(episodes), "--steps", "2", "--encoder-steps", "2"]
    for name in ("flow_vla.v1", "flow_vla_tokens.v1"):
        assert main(["pretrain", *options, "--architecture", name, "--out", str(tmp_path / name)]) == 0
    hashed, _ = read_policy_directory(tmp_path / "flow_vla.v1")
    tokens, network = read_policy_directory(tmp_path / "flow_vla_tokens.v1")

    assert (hashed.architecture, tokens.architecture) == ("flow_vla.v1", "flow_vla_tokens.v1")
    assert hashed.blobs[0].sha256 == tokens.blobs[0].sha256
    assert "text.tokens.weight" in network.blob_state("head")
    assert len(network.embed("close the box")) == 64 + 32
    assert main(["pretrain", *options, "--architecture", "none.v1", "--out", str(tmp_path / "o")]) == 2


def test_a_base_sees_every_camera_of_its_demonstrations(tmp_path: Path):
    """Scenes are of the first camera alone: the encoder is that of a base with one, the head has the second's features
    in front of it, and a robot without the second camera is refused."""
    scenes, episodes = make_inputs(tmp_path)
    one = pretrain(scenes=scenes, episodes=[episodes], out=tmp_path / "one", config=CONFIG, progress=Counted())
    for folder in episodes.iterdir():
        add_wrist(folder)
    both = pretrain(scenes=scenes, episodes=[episodes], out=tmp_path / "both", config=CONFIG, progress=Counted())
    _, network = read_policy_directory(tmp_path / "both")

    assert [camera.name for camera in both.cameras] == ["front", "wrist"]
    assert both.blobs[0].sha256 == one.blobs[0].sha256
    widths = [manifest.blobs[1].tensors["context.0.weight"].shape[1] for manifest in (one, both)]
    assert widths[1] == widths[0] + 8
    picture = np.zeros((128, 128, 3), dtype=np.uint8)
    policy = NetworkPolicy(network, device="cpu")
    with pytest.raises(ProbeFailed, match="wrist"):
        policy.infer(Observation(images={"front": picture}, state=np.zeros(8, dtype=np.float32)))


def add_wrist(folder: Path) -> None:
    """Give a stored episode a second camera, which shows what the first one does."""
    data = (folder / "front.mp4").read_bytes()
    (folder / "wrist.mp4").write_bytes(data)
    manifest = decode_manifest((folder / "manifest.json").read_bytes())
    record = ObjectRecord(name="wrist.mp4", size=len(data), sha256=hashlib.sha256(data).hexdigest())
    camera = msgspec.structs.replace(manifest.cameras[0], name="wrist", object="wrist.mp4")
    wider = msgspec.structs.replace(manifest, cameras=(*manifest.cameras, camera), objects=(*manifest.objects, record))
    (folder / "manifest.json").write_bytes(encode_manifest(wider))


def test_bad_inputs_are_named(tmp_path: Path):
    """No episodes, scenes without labels, and scenes of a task nobody demonstrated."""
    scenes, episodes = make_inputs(tmp_path)
    with pytest.raises(InvalidEpisode, match="no episodes"):
        pretrain(scenes=scenes, episodes=[tmp_path / "x"], out=tmp_path / "o", config=CONFIG, progress=Counted())
    bad = tmp_path / "bad.npz"
    np.savez(bad, images=np.zeros((2, 64, 64, 3), dtype=np.uint8), task="box-close")
    with pytest.raises(ValueError, match="labels"):
        read_scenes(bad)
    other = tmp_path / "other.npz"
    np.savez(other, images=np.zeros((2, 64, 64, 3), dtype=np.uint8), labels=np.zeros((2, 9)), task="folding")
    with pytest.raises(ValueError, match="folding"):
        pretrain(scenes=[other], episodes=[episodes], out=tmp_path / "o", config=CONFIG, progress=Counted())


def test_train_resumes_and_writes_a_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Six steps in one go and in two halves give the same policy; a bad configuration ends with status 2."""
    scenes, episodes = make_inputs(tmp_path)
    base = tmp_path / "base"
    pretrain(scenes=scenes, episodes=[episodes], out=base, config=CONFIG, progress=Counted())
    common = ["train", "--episodes", str(episodes), "--policy", str(base)]
    for out, steps in (("whole", 6), ("halves", 3), ("halves", 6)):
        assert main([*common, "--out", str(tmp_path / out), "--steps", str(steps)]) == 0
    manifests = [read_policy_directory(tmp_path / out)[0] for out in ("whole", "halves")]
    assert manifests[0].blobs == manifests[1].blobs
    assert sorted(path.name for path in (tmp_path / "halves" / "tensorboard").iterdir())[1:]
    assert len(list((tmp_path / "halves").glob("*.safetensors"))) == 3  # backbone, newest head, checkpoint
    assert manifests[0].step == 6
    assert manifests[0].config["width"] == SMALL.width

    config = tmp_path / "config.json"
    config.write_text(json.dumps({"optimizer": {}}))
    assert main([*common, "--out", str(tmp_path / "bad"), "--steps", "1", "--config", str(config)]) == 2
    assert "unknown key 'optimizer'" in capsys.readouterr().err
    assert not (tmp_path / "bad").exists()


def test_a_run_that_diverges_leaves_its_last_good_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """NaN at step 5 of 8, published every 2: status 2, and policy and checkpoint are those of step 4."""
    scenes, episodes = make_inputs(tmp_path)
    base, out = tmp_path / "base", tmp_path / "out"
    pretrain(scenes=scenes, episodes=[episodes], out=base, config=CONFIG, progress=Counted())
    real = Trainer.step

    def diverges(self: Trainer) -> Any:
        if self.gradient_steps == 4:
            raise NonFiniteLoss("loss nan at step 4")
        return real(self)

    monkeypatch.setattr(Trainer, "step", diverges)
    common = ["train", "--episodes", str(episodes), "--policy", str(base), "--out", str(out)]
    assert main([*common, "--steps", "8", "--checkpoint-steps", "2"]) == 2
    assert read_policy_directory(out)[0].step == 4
    assert decode_checkpoint((out / "checkpoint.safetensors").read_bytes())[0].step == 4


def write_policy(folder: Path, network: FlowVla) -> None:
    artifact = build_artifact(network, network.blob_state("head"), run_id=None, parent_id=None, step=0)
    write_policy_directory(artifact, folder)


def test_a_checkpoint_of_another_policy_is_refused_and_what_is_there_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """OUT holds two steps of one policy; training another, wider one into it ends with status 2 and changes nothing."""
    _, episodes = make_inputs(tmp_path)
    write_policy(tmp_path / "base", make_network())
    write_policy(tmp_path / "wider", make_network(0, msgspec.structs.replace(SMALL, width=48)))
    out = tmp_path / "out"
    common = ["train", "--episodes", str(episodes), "--out", str(out), "--steps", "2"]
    assert main([*common, "--policy", str(tmp_path / "base")]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}

    assert main([*common, "--policy", str(tmp_path / "wider")]) == 2

    assert "checkpoint is of another config" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_without_a_frame_to_learn_from_train_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """No folder of an episode, then an episode that a robot was judged by: it never carries loss."""
    write_policy(tmp_path / "base", make_network())
    episodes = tmp_path / "episodes"
    episodes.mkdir()
    common = ["train", "--policy", str(tmp_path / "base"), "--episodes", str(episodes), "--out", str(tmp_path / "out")]
    assert main([*common, "--steps", "1"]) == 2
    assert f"no episodes in {episodes}" in capsys.readouterr().err
    judged = make_manifest("judged", [(10, TELEOP)], origin=Origin.EVALUATION)
    folder = episodes / judged.episode_id
    folder.mkdir()
    for name, data in stored_objects(judged).items():
        (folder / name).write_bytes(data)
    assert main([*common, "--steps", "1"]) == 2
    assert "no frame to learn from" in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.json").exists()
