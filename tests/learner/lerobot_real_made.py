"""What the tests with the real LeRobot share: folders as LeRobot writes them, its own answers, networks of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from torch import Tensor

from fleet.daemon.policy_host import build_policy
from fleet.protocol.policy import Observation, Policy
from learner.config import OptimConfig, RunConfig
from learner.data.index import EpisodeSource
from learner.lerobot_folder import ImportConfig, import_folder
from learner.policies.architectures.lerobot.network import LerobotNetwork
from learner.policies.architectures.lerobot.package import make_config
from learner.policies.base import ChunkBatch, PolicyNetwork
from learner.publisher import read_policy_directory, write_policy_directory
from learner.trainer import Trainer, build_trainer
from tests.learner.hand_made import MemoryEpisodes, make_steps, some_manifests
from tests.learner.lerobot_policy_made import ACT, FRONT

SAME = 1e-5  # of an action in [-1, 1]: the same sums in the same order, but for the mapping of units
INSTRUCTION = "close the box"
OPTIM = OptimConfig(batch_size=8, learning_rate=1e-3, warmup_steps=1, ema_decay=0.9)


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
