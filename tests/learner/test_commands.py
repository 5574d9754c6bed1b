"""`pretrain` and `python -m learner train` on small folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fleet.protocol.errors import InvalidEpisode
from fleet.protocol.recording import Origin
from learner.__main__ import main
from learner.checkpoint import decode_checkpoint
from learner.pretrain import EncoderConfig, PretrainConfig, pretrain, read_scenes
from learner.publisher import read_policy_directory
from learner.trainer import NonFiniteLoss, Trainer
from tests.learner.hand_made import SMALL, TELEOP, make_manifest, stored_objects

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
