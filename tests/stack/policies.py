"""Small policies with random weights, made without training."""

from __future__ import annotations

from pathlib import Path

import torch

from fleet.protocol.policy import CameraSpec
from learner.policies.architectures.flow_vla import ARCHITECTURE
from learner.policies.base import HEAD, PolicyShapes
from learner.policies.registry import build_network
from learner.publisher import build_artifact, write_policy_directory

SHAPES = PolicyShapes(
    cameras=(CameraSpec(name="front", height=128, width=128),), proprio_dim=8, action_dim=4, horizon=12
)


def write_random_policy(folder: Path, *, seed: int) -> Path:
    """Write a policy directory of the demo's architecture and shapes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network(ARCHITECTURE, {}, SHAPES)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
    network.freeze_backbone()
    artifact = build_artifact(network, network.blob_state(HEAD), run_id=None, parent_id=None, step=0)
    write_policy_directory(artifact, folder)
    return folder
