"""`flow_vla_tokens.v1`, told how good the actions it learns from were: what RECAP makes of it.

The indicator is that of `flow_vla_indicator.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from learner.policies.architectures.flow_vla_indicator import ToldFlowVla, copy_weights
from learner.policies.architectures.flow_vla_tokens import FlowVlaTokens, TokensConfig
from learner.policies.base import PolicyNetwork, PolicyShapes

ARCHITECTURE = "flow_vla_tokens_indicator.v1"


class TokensIndicatorConfig(TokensConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`guidance`: as in `IndicatorConfig`."""

    guidance: float = 1.0


class FlowVlaTokensIndicator(ToldFlowVla, FlowVlaTokens):
    """See the module."""

    architecture = ARCHITECTURE

    def __init__(self, config: TokensIndicatorConfig, shapes: PolicyShapes) -> None:
        super().__init__(config, shapes)
        self._add_shifts(guidance=config.guidance)


def add_indicator(network: FlowVlaTokens, *, guidance: float) -> PolicyNetwork:
    """Copy a network's weights into one with an indicator. Raises: ValueError for an impossible guidance."""
    values = msgspec.structs.asdict(network.config) | {"guidance": guidance}
    told = FlowVlaTokensIndicator(TokensIndicatorConfig(**values), network.shapes)
    copy_weights(network, told)
    return told


def build(config: dict[str, Any], shapes: PolicyShapes) -> FlowVlaTokensIndicator:
    """Build from a manifest's config. Raises: msgspec.ValidationError, ValueError."""
    return FlowVlaTokensIndicator(msgspec.convert(config, TokensIndicatorConfig), shapes)
