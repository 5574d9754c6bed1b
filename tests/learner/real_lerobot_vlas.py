"""SmolVLA and pi0.5 through the adapter, built by LeRobot's own code, small and without a network.

Run as `real_lerobot_policy.py` is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.constants import HF_HUB_CACHE

from learner.config import OptimConfig
from learner.policies.architectures.lerobot.package import LerobotMissing
from learner.policies.base import BACKBONE, HEAD
from tests.learner.lerobot_policy_made import FEATURES, MEAN_STD
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
from tests.learner.lerobot_vlm_made import shrink_pi05, write_smolvlm


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
    assert float(ours.detach().mean()) == pytest.approx(float(theirs.detach()), rel=1e-5)


def test_a_vlm_that_is_not_on_the_machine_is_named(tmp_path: Path) -> None:
    """The weights are in our blobs, configuration and tokenizer are not: they must lie in the hub's cache."""
    values = smolvla(tmp_path) | {"vlm_model_name": "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"}
    with pytest.raises(LerobotMissing, match="'smolvla' needs a file that is not on this machine"):
        fresh(tmp_path / "fresh", values)
