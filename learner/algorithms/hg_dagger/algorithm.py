"""HG-DAgger as the trainer calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from learner.algorithms.base import Algorithm, LossOutput
from learner.algorithms.hg_dagger.config import HgDaggerConfig
from learner.algorithms.hg_dagger.losses import imitation_loss
from learner.config import from_mapping
from learner.data.masks import FrameRule
from learner.policies.base import ChunkBatch, Noise, PolicyNetwork


class HgDagger(Algorithm):
    """Supervised learning on the frames the mask picks. Stateless."""

    def __init__(self, config: HgDaggerConfig) -> None:
        self._config = config

    @property
    def frame_rule(self) -> FrameRule:
        return self._config.mask

    def loss(self, network: PolicyNetwork, batch: ChunkBatch, weights_B: Tensor, noise: Noise) -> LossOutput:
        losses_BH = network.chunk_losses(batch, noise)
        return LossOutput(*imitation_loss(losses_BH, batch.valid_BH, weights_B))


def build(config: Mapping[str, Any]) -> HgDagger:
    """Raises: ConfigError."""
    return HgDagger(from_mapping(HgDaggerConfig, config, path="algorithm_config"))
