"""Any policy of LeRobot 0.6.1 (ACT, SmolVLA, pi0.5, ...) as one of ours. Found and built by the registry.

LeRobot is imported when a network is built, never before: this module loads in every environment, and the registry
offers the architecture only where the package is installed. `config.py` says how a policy's features meet a robot's
cameras and axes, `package.py` is the door to LeRobot, `losses.py` has the training losses, `network.py` the adapter.

What LeRobot does around its networks (normalising, tokenising, resizing) is done by its own processors, made of the
policy's configuration and of the statistics in the backbone. Left out: several observation steps, temporal ensembling,
actions relative to the state, PEFT adapters; a policy that needs one is refused by name.
"""

from __future__ import annotations

from typing import Any

import msgspec

from learner.policies.architectures.lerobot.config import ARCHITECTURE, LerobotConfig
from learner.policies.architectures.lerobot.network import LerobotNetwork
from learner.policies.architectures.lerobot.package import find_missing
from learner.policies.base import PolicyNetwork, PolicyShapes

__all__ = ["ARCHITECTURE", "build", "find_missing"]


def build(config: dict[str, Any], shapes: PolicyShapes) -> PolicyNetwork:
    """Build from a manifest's config. Raises: msgspec.ValidationError, ValueError; LerobotMissing."""
    return LerobotNetwork(msgspec.convert(config, LerobotConfig), shapes)
