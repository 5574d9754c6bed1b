"""LeRobot's own policies through the adapter: collected by name alone, in an environment that has lerobot 0.6.1.

Run by `test_lerobot_policy.py` (SOP_LEROBOT_PYTHON) and so by scripts/verify-policy. The networks are small, their
weights random; what is compared with LeRobot is compared with what LeRobot loads from the same folder by itself.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fleet.protocol.errors import ArtifactMismatch
from learner.__main__ import main
from learner.config import ConfigError
from learner.evaluation import EvaluationConfig, evaluate
from learner.lerobot_folder import FolderRefused
from learner.policies.architectures.lerobot.network import NotTrainable
from learner.policies.base import BACKBONE, HEAD
from learner.policies.registry import architectures, load_policy
from learner.publisher import NonFiniteWeights, build_artifact, read_policy_directory, write_policy_directory
from tests.learner.hand_made import MemoryEpisodes, some_manifests, stored_objects
from tests.learner.lerobot_policy_made import ACT, FEATURES, FRONT
from tests.learner.lerobot_real_made import (
    INSTRUCTION,
    SAME,
    fresh,
    imported,
    lerobots_answer,
    observation,
    robot,
    rows,
    save,
    trainer_of,
)

ROOT = Path(__file__).parents[2]


# --- Hosting ----------------------------------------------------------------------------------------------------------


def test_a_robot_answers_what_lerobot_answers(tmp_path: Path) -> None:
    """Policy, statistics and processors of a folder that LeRobot wrote, against LeRobot's own loading of it."""
    folder = save(tmp_path / "act", ACT)
    policy = robot(imported(folder, tmp_path / "base"))
    policy.reset(instruction=INSTRUCTION, seed=5)
    for seed in (3, 4):
        seen = observation(seed=seed)
        theirs = lerobots_answer(folder, seen, seed=5)
        assert np.abs(theirs).max() > 0.05
        ours = policy.infer(seen).actions
        assert ours.shape == (12, 4) and policy.execute_steps == 6
        assert np.abs(ours - theirs.clip(-1, 1)).max() <= SAME
    assert "lerobot.v1" in architectures()


def test_actions_go_through_the_robots_units(tmp_path: Path) -> None:
    """A policy that commands degrees; our axes are -1 at the low end and 1 at the high one."""
    folder = save(tmp_path / "act", ACT)
    low, high = (-2.0, -1.5, -4.0, -1.0), (2.0, 1.5, 1.0, 3.0)
    policy = robot(imported(folder, tmp_path / "base", action_low=low, action_high=high))
    policy.reset(instruction=INSTRUCTION, seed=5)
    theirs = lerobots_answer(folder, observation(), seed=5)
    wanted = 2 * (theirs - np.array(low)) / (np.array(high) - np.array(low)) - 1
    assert np.abs(policy.infer(observation()).actions - wanted.clip(-1, 1)).max() <= SAME


def test_a_camera_of_twice_the_size_is_averaged_down(tmp_path: Path) -> None:
    """The demonstrations' camera has 128 x 128, the policy takes 32 x 32."""
    network = fresh(tmp_path / "act")
    large = torch.from_numpy(observation(128).images["front"])[None]
    small = large.view(1, 32, 4, 32, 4, 3).float().mean(dim=(2, 4)).round().to(torch.uint8)
    language = torch.zeros(1, 1024)
    seen = [network.encode({"front": picture}, language).view(torch.uint8) for picture in (large, small)]
    assert torch.equal(*seen) and seen[0].shape == (1, 32 * 32 * 3)
    assert not network.sees_whole_pictures


def test_what_the_folder_does_otherwise_refuses_the_import(tmp_path: Path) -> None:
    """Processors that were changed by hand: the policy would not act here as it did there."""
    folder = save(tmp_path / "act", ACT)
    (file,) = folder.glob("policy_postprocessor.json")
    changed = json.loads(file.read_text())
    changed["steps"] = [step for step in changed["steps"] if "unnormalizer" not in step["registry_name"]]
    file.write_text(json.dumps(changed))
    with pytest.raises(FolderRefused, match="answers otherwise") as raised:
        imported(folder, tmp_path / "base")
    assert raised.value.code == "lerobot_folder" and not (tmp_path / "base").exists()


def test_weights_that_are_not_all_there_refuse_the_import(tmp_path: Path) -> None:
    """LeRobot would go on with random ones."""
    folder = save(tmp_path / "act", ACT)
    weights = load_file(folder / "model.safetensors")
    del weights["model.action_head.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(FolderRefused, match=r"model\.action_head\.bias"):
        imported(folder, tmp_path / "base")


def test_a_folder_without_processors_refuses_the_import(tmp_path: Path) -> None:
    folder = save(tmp_path / "act", ACT)
    (folder / "policy_preprocessor.json").unlink()
    with pytest.raises(FolderRefused, match=r"no processors that LeRobot 0\.6\.1 reads"):
        imported(folder, tmp_path / "base")


def test_a_policy_of_the_cameras_size_sees_whole_pictures(tmp_path: Path) -> None:
    """In training as on the robot: nothing is averaged."""
    inputs = FEATURES["input_features"] | {FRONT: {"type": "VISUAL", "shape": [3, 128, 128]}}
    network = fresh(tmp_path / "act", ACT | {"input_features": inputs})
    assert network.sees_whole_pictures
    picture = torch.from_numpy(observation(128).images["front"])[None]
    features = network.encode({"front": picture}, torch.zeros(1, 1024))
    assert torch.equal(features.view(torch.uint8), picture.flatten(1))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"type": "robotron"}, "has no policy 'robotron'"),
        ({"type": "act", "dim_modell": 64}, "config.json of a policy 'act'"),
        ({**ACT, "temporal_ensemble_coeff": 0.01, "n_action_steps": 1}, "temporal_ensemble_coeff is 0.01"),
        ({**ACT, "output_features": {"action": {"type": "ACTION", "shape": [7]}}}, "'action' is"),
    ],
)
def test_a_configuration_that_cannot_be_hosted_is_refused(tmp_path: Path, values: dict[str, Any], problem: str) -> None:
    """Of the last one, seven axes are no mistake of the folder's: the demonstrations have four."""
    with pytest.raises((FolderRefused, ArtifactMismatch), match=problem):
        fresh(tmp_path / "act", values)


def test_a_fresh_policy_needs_demonstrations_and_a_folder_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(FolderRefused, match=r"config\.json is not there|a fresh policy needs"):
        imported(tmp_path, tmp_path / "base")
    with pytest.raises(FolderRefused, match=r"no parameter begins with 'model\.bakbone'"):
        fresh(tmp_path / "act", frozen=("model.bakbone",))


# --- Training ---------------------------------------------------------------------------------------------------------


def test_the_loss_of_act_is_lerobots(tmp_path: Path) -> None:
    """Over whole chunks: the sum of ours is `ACTPolicy.forward`, latent, dropout and divergence included."""
    network = fresh(tmp_path / "act")
    batch = rows(network)
    noise = network.draw_noise(6, generator=torch.Generator().manual_seed(2))
    ours = network.chunk_losses(batch, noise)
    prepared = network._prepared(batch.features_BF, batch.state_BP, batch.language_BL, batch.actions_BHA)
    network.policy.train()
    torch.manual_seed(int(noise["seed"][0]))
    theirs, _ = network.policy(prepared | {"action_is_pad": torch.zeros(6, 12, dtype=torch.bool)})
    assert float(ours.detach().mean()) == pytest.approx(float(theirs.detach()), rel=1e-5)
    assert ours.shape == (6, 12) and torch.equal(ours, network.chunk_losses(batch, noise))


def test_padding_reaches_no_loss(tmp_path: Path) -> None:
    network = fresh(tmp_path / "act")
    batch = rows(network)
    batch.valid_BH[:, 7:] = 0.0
    noise = network.draw_noise(6, generator=torch.Generator().manual_seed(2))
    before = network.chunk_losses(batch, noise)
    batch.actions_BHA[:, 7:] = 0.9
    assert torch.equal(before, network.chunk_losses(batch, noise))
    assert not before[:, 7:].any() and bool((before[:, :7] > 0).all())


def test_it_learns_through_the_trainer(tmp_path: Path) -> None:
    """HG-DAgger, unchanged: the loss falls, a frozen encoder stays, the EMA is published and answers as trained."""
    network = fresh(tmp_path / "act", frozen=("model.backbone",))
    frozen = {name: tensor.clone() for name, tensor in network.blob_state(BACKBONE).items()}
    assert any(name.startswith("model.backbone.layer4") for name in frozen)
    assert "statistics.action__mean" in frozen and not any(n.startswith("model.backbone") for n in network.trainable())
    trainer = trainer_of(network)
    losses = [trainer.step().loss for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in network.blob_state(BACKBONE).items())
    write_policy_directory(trainer.artifact(run_id=None, parent_id=None), tmp_path / "trained")
    first, trained = read_policy_directory(tmp_path / "act/base")[0], read_policy_directory(tmp_path / "trained")
    assert first.blobs[0] == trained[0].blobs[0]
    head = trained[1].blob_state(HEAD)
    assert all(torch.equal(head[name], value) for name, value in trainer.ema_head().items())
    policy = robot(tmp_path / "trained")
    policy.reset(instruction=INSTRUCTION, seed=0)
    again = load_policy(
        trained[0], {ref.sha256: tmp_path / f"trained/{ref.sha256}.safetensors" for ref in trained[0].blobs}
    )
    again.reset(instruction=INSTRUCTION, seed=0)
    assert np.array_equal(policy.infer(observation(128)).actions, again.infer(observation(128)).actions)
    scores = evaluate(trained[1], MemoryEpisodes(), some_manifests(), EvaluationConfig(seeds=1, stride=4))
    assert all(np.isfinite(score.loss.value) for score in scores)


def test_a_resumed_run_is_the_run_that_went_on(tmp_path: Path) -> None:
    """To the bit: dropout and latents too follow from the checkpoint."""
    whole = trainer_of(fresh(tmp_path / "act"))
    for _ in range(3):
        whole.step()
    saved = whole.checkpoint(cursor=7)
    for _ in range(2):
        whole.step()
    resumed = trainer_of(read_policy_directory(tmp_path / "act/base")[1])
    assert resumed.restore(saved) == 7
    for _ in range(2):
        resumed.step()
    assert all(torch.equal(value, resumed.ema_head()[name]) for name, value in whole.ema_head().items())


def test_weights_that_are_not_finite_are_not_published(tmp_path: Path) -> None:
    network = fresh(tmp_path / "act")
    head = {name: tensor.clone() for name, tensor in network.blob_state(HEAD).items()}
    head["model.action_head.bias"][0] = torch.nan
    with pytest.raises(NonFiniteWeights, match=r"model\.action_head\.bias"):
        build_artifact(network, head, run_id=None, parent_id=None, step=1)


def test_recap_is_refused(tmp_path: Path) -> None:
    """Its indicator has no input here."""
    with pytest.raises(ConfigError, match=r"'lerobot\.v1' has no input for an advantage indicator"):
        trainer_of(fresh(tmp_path / "act"), algorithm="recap")


def test_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands, in order, on recordings of the hand-made robot and a folder that LeRobot wrote."""
    page = (ROOT / "docs/guides/lerobot_policy.md").read_text()
    (settings,) = re.findall(r"^```json\n(.*?)^```$", page, flags=re.S | re.M)
    commands = re.findall(r"^python -m learner (.*)$", page, flags=re.M)
    assert [command.split()[0] for command in commands] == ["import-lerobot", "import-lerobot", "train"]
    monkeypatch.chdir(tmp_path)
    for manifest in some_manifests():
        folder = tmp_path / "episodes" / manifest.episode_id
        folder.mkdir(parents=True)
        for name, data in stored_objects(manifest).items():
            (folder / name).write_bytes(data)
    Path("act").mkdir()
    Path("act/config.json").write_text(settings)
    save(Path("pretrained"), ACT)
    for command in commands:
        assert main(shlex.split(command)) == 0
    manifest, _ = read_policy_directory(tmp_path / "trained")
    assert (manifest.architecture, manifest.step, manifest.horizon) == ("lerobot.v1", 20, 12)


def test_a_policy_without_a_known_loss_is_hosted_and_not_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any kind that LeRobot has and `losses.py` has not."""
    network = fresh(tmp_path / "act")
    monkeypatch.setattr("learner.policies.architectures.lerobot.network.LOSSES", {})
    with pytest.raises(NotTrainable, match="'act' drives robots but is not trained here"):
        trainer_of(network)
    assert robot(tmp_path / "act/base").execute_steps == 6
