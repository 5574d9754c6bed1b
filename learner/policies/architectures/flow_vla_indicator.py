"""The small VLA, told how good the actions it learns from were, and acting as the good ones.

`flow_vla.v1` plus one vector for POSITIVE and one for NEGATIVE, added to the action head's context; NONE adds nothing.
Both start at zero, so a network made from a `flow_vla.v1` acts exactly as that one until it is trained. An architecture
of its own, so that manifests and checkpoints of `flow_vla.v1` stay as they are and a robot that cannot build this one
says so. RECAP makes it from the base (`add_indicator`); its backbone is the base's, to the hash.
Source: RECAP, arXiv:2511.14759, advantage conditioning. Departure: learned vectors in
place of the words "Advantage: positive" after the instruction.
"""

from __future__ import annotations

from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from learner.policies.architectures.flow_vla import FlowVla, FlowVlaConfig
from learner.policies.base import BACKBONE, HEAD, ChunkBatch, Indicator, PolicyNetwork, PolicyShapes

ARCHITECTURE = "flow_vla_indicator.v1"
_VECTORS = "indicator"  # [2, width]: POSITIVE, NEGATIVE


class IndicatorConfig(FlowVlaConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`guidance`: beta of RECAP. 1.0 is one pass; 1.5 to 2.5 sharpen the policy with a second pass."""

    guidance: float = 1.0


class FlowVlaIndicator(FlowVla):
    """See the module. Batches that say nothing (`indicator_B` None) are taken as POSITIVE: as it acts."""

    architecture = ARCHITECTURE

    def __init__(self, config: IndicatorConfig, shapes: PolicyShapes) -> None:
        super().__init__(config, shapes)
        if not 1.0 <= config.guidance <= 10.0:
            raise ValueError("guidance must be 1..10")
        self._guidance = config.guidance
        self.head.register_parameter(_VECTORS, nn.Parameter(torch.zeros(2, config.width)))

    def with_indicator(self, *, guidance: float) -> PolicyNetwork:
        return add_indicator(self, guidance=guidance)

    def _training_context(self, batch: ChunkBatch) -> Tensor:
        context_BD = super()._training_context(batch)
        vectors = self.head.get_parameter(_VECTORS)
        if batch.indicator_B is None:
            return context_BD + vectors[0]
        return context_BD + functional.embedding(batch.indicator_B, functional.pad(vectors, (0, 0, 1, 0)))

    def _acting_velocity(self, context_BD: Tensor, x_BX: Tensor, time_B: Tensor) -> Tensor:
        """v = v(none) + beta (v(positive) - v(none)); for beta = 1 that is v(positive), and one pass.

        Source: RECAP, pi_hat ~ pi (pi(a|I) / pi(a))^beta; the same in velocities is classifier-free guidance.
        """
        told_BD = context_BD + self.head.get_parameter(_VECTORS)[Indicator.POSITIVE - 1]
        told_BX = super()._acting_velocity(told_BD, x_BX, time_B)
        if self._guidance == 1.0:
            return told_BX
        untold_BX = super()._acting_velocity(context_BD, x_BX, time_B)
        return untold_BX + self._guidance * (told_BX - untold_BX)


def add_indicator(network: FlowVla, *, guidance: float) -> FlowVlaIndicator:
    """Copy a network's weights into one with an indicator. Raises: ValueError for an impossible guidance."""
    values = msgspec.structs.asdict(network.config) | {"guidance": guidance}
    told = FlowVlaIndicator(IndicatorConfig(**values), network.shapes)
    told.backbone.load_state_dict(network.blob_state(BACKBONE))
    missing, unexpected = told.head.load_state_dict(network.blob_state(HEAD), strict=False)
    assert not unexpected and set(missing) <= {_VECTORS}
    return told


def build(config: dict[str, Any], shapes: PolicyShapes) -> FlowVlaIndicator:
    """Build from a manifest's config. Raises: msgspec.ValidationError, ValueError."""
    return FlowVlaIndicator(msgspec.convert(config, IndicatorConfig), shapes)
