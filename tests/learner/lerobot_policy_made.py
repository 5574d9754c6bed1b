"""LeRobot policies small enough for a test: configurations as LeRobot writes them, and what the hand-made robot has."""

from __future__ import annotations

from typing import Any

from learner.policies.architectures.lerobot.config import LerobotConfig
from tests.learner.hand_made import SHAPES

FRONT = "observation.images.front"
FEATURES: dict[str, Any] = {
    "input_features": {
        FRONT: {"type": "VISUAL", "shape": [3, 32, 32]},
        "observation.state": {"type": "STATE", "shape": [8]},
    },
    "output_features": {"action": {"type": "ACTION", "shape": [4]}},
}
MEAN_STD = {"VISUAL": "MEAN_STD", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}
ACT: dict[str, Any] = {
    "type": "act",
    "chunk_size": SHAPES.horizon,
    "n_action_steps": 6,
    "pretrained_backbone_weights": None,
    "dim_model": 32,
    "n_heads": 2,
    "dim_feedforward": 64,
    "n_encoder_layers": 1,
    "n_vae_encoder_layers": 1,
    "latent_dim": 4,
    "normalization_mapping": MEAN_STD,
    **FEATURES,
}


def act_config(*, policy: dict[str, Any] | None = None, **changes: Any) -> LerobotConfig:
    """The hand-made robot's ACT; `policy` changes LeRobot's part."""
    values: dict[str, Any] = {
        "policy": {**ACT, **(policy or {})},
        "cameras": {"front": FRONT},
        "normalised": (FRONT, "observation.state", "action"),
    }
    return LerobotConfig(**(values | changes))
