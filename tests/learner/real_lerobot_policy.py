"""LeRobot's own policies through the adapter: collected by name alone, in an environment that has lerobot 0.6.1.

Run by `test_lerobot_policy.py` (SOP_LEROBOT_PYTHON) and so by scripts/verify-policy. The networks are small, their
weights random; what is compared with LeRobot is compared with what LeRobot loads from the same folder by itself.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from torch import Tensor

from fleet.daemon.policy_host import build_policy
from fleet.protocol.errors import ArtifactMismatch
from fleet.protocol.policy import Observation, Policy
from learner.__main__ import main
from learner.config import ConfigError, OptimConfig, RunConfig
from learner.data.index import EpisodeSource
from learner.evaluation import EvaluationConfig, evaluate
from learner.lerobot_folder import FolderRefused, ImportConfig, import_folder
from learner.policies.architectures.lerobot.network import LerobotNetwork, NotTrainable
from learner.policies.architectures.lerobot.package import LerobotMissing, make_config
from learner.policies.base import BACKBONE, HEAD, ChunkBatch, PolicyNetwork
from learner.policies.registry import architectures, load_policy
from learner.publisher import NonFiniteWeights, build_artifact, read_policy_directory, write_policy_directory
from learner.trainer import Trainer, build_trainer
from tests.learner.hand_made import MemoryEpisodes, make_steps, some_manifests, stored_objects
from tests.learner.lerobot_policy_made import ACT, FEATURES, FRONT, MEAN_STD
from tests.learner.lerobot_vlm_made import shrink_pi05, write_smolvlm

ROOT = Path(__file__).parents[2]
SAME = 1e-5  # of an action in [-1, 1]: the same sums in the same order, but for the mapping of units
INSTRUCTION = "close the box"
OPTIM = OptimConfig(batch_size=8, learning_rate=1e-3, warmup_steps=1, ema_decay=0.9)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def save(folder: Path, values: dict[str, Any], *, seed: int = 0) -> Path:
    """Write a policy with random weights and statistics of the hand-made demonstrations, as LeRobot's training does."""
    torch.manual_seed(seed)
    config = make_config(values)
    policy = get_policy_class(config.type)(config)
    steps = [make_steps(manifest) for manifest in some_manifests()]
    statistics: dict[str, dict[str, Tensor]] = {}
    for name in ("observation.state", "action"):
        rows = torch.from_numpy(np.concatenate([step[name] for step in steps]))
        low, high = rows.quantile(0.01, dim=0), rows.quantile(0.99, dim=0)
        statistics[name] = {
            "mean": rows.mean(0),
            "std": rows.std(0),
            "min": rows.min(0).values,
            "q01": low,
            "q99": high,
        }
    statistics[FRONT] = {"mean": torch.full((3, 1, 1), 0.4), "std": torch.full((3, 1, 1), 0.2)}
    before, after = make_pre_post_processors(config, dataset_stats=statistics)
    policy.save_pretrained(folder)
    before.save_pretrained(folder)
    after.save_pretrained(folder)
    return folder


def imported(folder: Path, out: Path, **options: Any) -> Path:
    write_policy_directory(import_folder(folder, ImportConfig(**options), None), out)
    return out


def robot(directory: Path) -> Policy:
    """The policy as the daemon loads it: built of verified blobs, and probed."""
    manifest, _ = read_policy_directory(directory)
    paths = {ref.sha256: directory / f"{ref.sha256}.safetensors" for ref in manifest.blobs}
    return build_policy(manifest, paths, device="cpu", threads=1)


def lerobots_answer(folder: Path, observation: Observation, *, seed: int) -> np.ndarray[Any, Any]:
    """What LeRobot answers by itself, in its own units: policy and processors loaded from the folder."""
    values = json.loads((folder / "config.json").read_text())
    config = make_config(values)
    policy = get_policy_class(config.type).from_pretrained(folder, config=config)
    override = {"device_processor": {"device": "cpu"}}
    before, after = make_pre_post_processors(config, pretrained_path=str(folder), preprocessor_overrides=override)
    rows = {FRONT: torch.from_numpy(observation.images["front"]).permute(2, 0, 1).float() / 255}
    rows |= {"observation.state": torch.from_numpy(observation.state), "task": INSTRUCTION}
    torch.manual_seed(int(torch.randint(2**31, (1,), generator=torch.Generator().manual_seed(seed))))
    chunk: np.ndarray[Any, Any] = after(policy.predict_action_chunk(before(rows)))[0].numpy()
    return chunk


def observation(size: int = 32, seed: int = 3) -> Observation:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Observation(images={"front": picture}, state=rng.standard_normal(8).astype(np.float32))


def trainer_of(network: PolicyNetwork, **config: Any) -> Trainer:
    trainer = build_trainer(network, MemoryEpisodes(), RunConfig(**({"optim": OPTIM} | config)))
    trainer.ingest(some_manifests())
    return trainer


def fresh(folder: Path, values: dict[str, Any] = ACT, **options: Any) -> LerobotNetwork:
    """A fresh policy with the statistics of the hand-made demonstrations, for their 128 x 128 camera."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values))
    demonstrations: tuple[EpisodeSource, Any] = (MemoryEpisodes(), some_manifests())
    write_policy_directory(import_folder(folder, ImportConfig(**options), demonstrations), folder / "base")
    network = read_policy_directory(folder / "base")[1]
    assert isinstance(network, LerobotNetwork)
    return network


def rows(network: LerobotNetwork, count: int = 6) -> ChunkBatch:
    rng = np.random.default_rng(1)
    pictures = torch.from_numpy(rng.integers(0, 256, (count, 128, 128, 3), dtype=np.uint8))
    language = torch.from_numpy(network.embed(INSTRUCTION)).expand(count, -1)
    return ChunkBatch(
        features_BF=network.encode({"front": pictures}, language),
        state_BP=torch.from_numpy(rng.standard_normal((count, 8)).astype(np.float32)),
        language_BL=language,
        actions_BHA=torch.from_numpy(rng.uniform(-1, 1, (count, 12, 4)).astype(np.float32)),
        valid_BH=torch.ones(count, 12),
    )


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
    assert float(ours.mean()) == pytest.approx(float(theirs), rel=1e-5)
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


# --- SmolVLA and pi0.5 ------------------------------------------------------------------------------------------------


def smolvla(tmp_path: Path) -> dict[str, Any]:
    write_smolvlm(tmp_path / "vlm")
    modes = MEAN_STD | {"VISUAL": "IDENTITY"}
    return {
        "type": "smolvla",
        "chunk_size": 12,
        "n_action_steps": 6,
        "vlm_model_name": str(tmp_path / "vlm"),
        "num_vlm_layers": 2,
        "resize_imgs_with_padding": [64, 64],
        "normalization_mapping": modes,
        **FEATURES,
    }


def pi05(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    shrink_pi05(monkeypatch, Path(HF_HUB_CACHE))
    modes = {"VISUAL": "IDENTITY", "STATE": "QUANTILES", "ACTION": "QUANTILES"}
    return {
        "type": "pi05",
        "chunk_size": 12,
        "n_action_steps": 6,
        "num_inference_steps": 3,
        "image_resolution": [28, 28],
        "train_expert_only": True,
        "normalization_mapping": modes,
        **FEATURES,
    }


@pytest.mark.parametrize("kind", ["smolvla", "pi05"])
def test_a_vla_is_hosted_and_trained(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers as LeRobot's own, hears the instruction, keeps its frozen language model out of the head, and learns."""
    values = smolvla(tmp_path) if kind == "smolvla" else pi05(monkeypatch)
    folder = save(tmp_path / kind, values)
    policy = robot(imported(folder, tmp_path / "base"))
    policy.reset(instruction=INSTRUCTION, seed=5)
    ours = policy.infer(observation()).actions
    assert np.abs(ours - lerobots_answer(folder, observation(), seed=5).clip(-1, 1)).max() <= SAME
    policy.reset(instruction="pick up the cube", seed=5)
    assert not np.array_equal(ours, policy.infer(observation()).actions)

    network = fresh(tmp_path / "fresh", values)
    heads, frozen = network.blob_state(HEAD), network.blob_state(BACKBONE)
    language = "vlm." if kind == "smolvla" else "paligemma."
    assert any(language in name for name in frozen) and not any(language in name for name in heads)
    trainer = trainer_of(network, optim=OptimConfig(batch_size=8, learning_rate=3e-3, warmup_steps=1))
    losses = [trainer.step().loss for _ in range(30)]
    assert np.mean(losses[-10:]) < np.mean(losses[:5])


@pytest.mark.parametrize("kind", ["smolvla", "pi05"])
def test_the_losses_of_vlas_are_lerobots(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = fresh(tmp_path / "fresh", smolvla(tmp_path) if kind == "smolvla" else pi05(monkeypatch))
    batch = rows(network)
    noise = network.draw_noise(6, generator=torch.Generator().manual_seed(2))
    ours = network.chunk_losses(batch, noise)
    prepared = network._prepared(batch.features_BF, batch.state_BP, batch.language_BL, batch.actions_BHA)
    network.policy.train()
    torch.manual_seed(int(noise["seed"][0]))
    theirs, _ = network.policy(prepared)
    assert float(ours.mean()) == pytest.approx(float(theirs), rel=1e-5)


def test_a_vlm_that_is_not_on_the_machine_is_named(tmp_path: Path) -> None:
    """The weights are in our blobs, configuration and tokenizer are not: they must lie in the hub's cache."""
    values = smolvla(tmp_path) | {"vlm_model_name": "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"}
    with pytest.raises(LerobotMissing, match="'smolvla' needs a file that is not on this machine"):
        fresh(tmp_path / "fresh", values)


def test_a_policy_without_a_known_loss_is_hosted_and_not_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any kind that LeRobot has and `losses.py` has not."""
    network = fresh(tmp_path / "act")
    monkeypatch.setattr("learner.policies.architectures.lerobot.network.LOSSES", {})
    with pytest.raises(NotTrainable, match="'act' drives robots but is not trained here"):
        trainer_of(network)
    assert robot(tmp_path / "act/base").execute_steps == 6
