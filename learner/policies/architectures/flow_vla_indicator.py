"""The small VLA, told how good the actions it learns from were, and acting as the good ones.

`flow_vla.v1` plus one linear map for POSITIVE and one for NEGATIVE, which shift the action head's context by what they
make of it; NONE shifts nothing. Both start at zero, so a network made from a `flow_vla.v1` acts exactly as that one
until it is trained. An architecture of its own, so that manifests and checkpoints of `flow_vla.v1` stay as they are and
a robot that cannot build this one says so. RECAP makes it from the base (`add_indicator`); its backbone is the base's,
to the hash.
Source: RECAP, arXiv:2511.14759, advantage conditioning. Departure: learned shifts in place of the words "Advantage:
positive" after the instruction. (v1 had one vector an indicator, the same in every state; grown from zero it had next
to no effect after 800 steps: `learner/algorithms/recap/README.md`.)
"""

from __future__ import annotations

from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from learner.policies.architectures.flow_vla import FlowVla, FlowVlaConfig
from learner.policies.base import BACKBONE, HEAD, ChunkBatch, Indicator, PolicyNetwork, PolicyShapes

ARCHITECTURE = "flow_vla_indicator.v2"
_SHIFTS = "indicator"  # linear, width -> 2 * width: the shift of POSITIVE, then of NEGATIVE
_TOLD = len(Indicator) - 1


class IndicatorConfig(FlowVlaConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`guidance`: beta of RECAP. 1.0 is one pass; 1.5 to 2.5 sharpen the policy with a second pass."""

    guidance: float = 1.0


class ToldFlowVla(FlowVla):
    """What an architecture built on `flow_vla.v1` becomes by an indicator. Its `__init__` calls `_add_shifts` last.

    Batches that say nothing (`indicator_B` None) are taken as POSITIVE: as it acts.
    """

    _guidance: float

    def _add_shifts(self, *, guidance: float) -> None:
        """Raises: ValueError for an impossible guidance."""
        if not 1.0 <= guidance <= 10.0:
            raise ValueError("guidance must be 1..10")
        self._guidance = guidance
        shifts = nn.Linear(self.config.width, _TOLD * self.config.width)
        nn.init.zeros_(shifts.weight)
        nn.init.zeros_(shifts.bias)
        self.head.register_module(_SHIFTS, shifts)

    def _training_context(self, batch: ChunkBatch) -> Tensor:
        context_BD = super()._training_context(batch)
        return self._told(context_BD, _positive(context_BD) if batch.indicator_B is None else batch.indicator_B)

    def _acting_velocity(self, context_BD: Tensor, x_BX: Tensor, time_B: Tensor) -> Tensor:
        """v = v(none) + beta (v(positive) - v(none)); for beta = 1 that is v(positive), and one pass.

        Source: RECAP, pi_hat ~ pi (pi(a|I) / pi(a))^beta; the same in velocities is classifier-free guidance.
        """
        told_BX = super()._acting_velocity(self._told(context_BD, _positive(context_BD)), x_BX, time_B)
        if self._guidance == 1.0:
            return told_BX
        untold_BX = super()._acting_velocity(context_BD, x_BX, time_B)
        return untold_BX + self._guidance * (told_BX - untold_BX)

    def _told(self, context_BD: Tensor, indicator_B: Tensor) -> Tensor:
        shifts_BID = self.head.get_submodule(_SHIFTS)(context_BD).unflatten(1, (_TOLD, -1))
        is_told_BI = functional.one_hot(indicator_B, len(Indicator))[:, 1:].to(shifts_BID)
        told_BD: Tensor = context_BD + (is_told_BI[:, :, None] * shifts_BID).sum(1)
        return told_BD


def _positive(context_BD: Tensor) -> Tensor:
    return torch.full((len(context_BD),), int(Indicator.POSITIVE), device=context_BD.device)


class FlowVlaIndicator(ToldFlowVla):
    """See the module."""

    architecture = ARCHITECTURE

    def __init__(self, config: IndicatorConfig, shapes: PolicyShapes) -> None:
        super().__init__(config, shapes)
        self._add_shifts(guidance=config.guidance)

    def with_indicator(self, *, guidance: float) -> PolicyNetwork:
        return add_indicator(self, guidance=guidance)


def add_indicator(network: FlowVla, *, guidance: float) -> FlowVlaIndicator:
    """Copy a network's weights into one with an indicator. Raises: ValueError for an impossible guidance."""
    values = msgspec.structs.asdict(network.config) | {"guidance": guidance}
    told = FlowVlaIndicator(IndicatorConfig(**values), network.shapes)
    copy_weights(network, told)
    return told


def copy_weights(network: FlowVla, told: ToldFlowVla) -> None:
    """Give `told` the weights of a network that is the same but perhaps for the indicator."""
    told.backbone.load_state_dict(network.blob_state(BACKBONE))
    missing, unexpected = told.head.load_state_dict(network.blob_state(HEAD), strict=False)
    assert not unexpected and all(name.startswith(_SHIFTS) for name in missing)


def build(config: dict[str, Any], shapes: PolicyShapes) -> FlowVlaIndicator:
    """Build from a manifest's config. Raises: msgspec.ValidationError, ValueError."""
    return FlowVlaIndicator(msgspec.convert(config, IndicatorConfig), shapes)
