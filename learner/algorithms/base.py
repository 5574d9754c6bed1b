"""What an algorithm is to the trainer.

The trainer owns data, optimiser, EMA and checkpoints; an algorithm says which frames carry loss and turns a batch
into a loss:

    algorithm = build_algorithm("hg_dagger", {"mask": "intervention_only"})
    output = algorithm.loss(network, batch, weights_B, generator=generator)
    output.loss.backward()
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

import msgspec
import torch
from torch import Tensor

from learner.config import ConfigError
from learner.data.masks import FrameRule
from learner.policies.base import ChunkBatch, PolicyNetwork

ALGORITHMS = ("hg_dagger",)


class LossOutput(msgspec.Struct, frozen=True):
    """`loss`: scalar with gradient. `row_losses_B`: detached, unweighted loss of each row, for the sampler."""

    loss: Tensor
    row_losses_B: Tensor


class Algorithm(Protocol):
    """A learning rule. Stateless: whatever must survive a restart belongs to the trainer's checkpoint."""

    @property
    def frame_rule(self) -> FrameRule:
        """Which frames the replay buffers offer."""

    def loss(
        self, network: PolicyNetwork, batch: ChunkBatch, weights_B: Tensor, *, generator: torch.Generator
    ) -> LossOutput:
        """Return the loss of a batch; `weights_B` float32 [B] are the frame rule's weights."""


def build_algorithm(name: str, config: Mapping[str, Any]) -> Algorithm:
    """Build an algorithm from a run's configuration. Raises: ConfigError for an unknown name or key."""
    if name not in ALGORITHMS:
        raise ConfigError(f"algorithm '{name}' is unknown; there are {', '.join(ALGORITHMS)}")
    module = importlib.import_module(f"learner.algorithms.{name}.algorithm")
    return cast(Algorithm, module.build(config))
