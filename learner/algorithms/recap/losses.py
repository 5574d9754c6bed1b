"""The losses of RECAP that are its own. Pure. B batch, V value bins.

The policy's loss is the imitation loss of `hg_dagger/losses.py`, on a batch that carries indicators.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from learner.policies.base import Indicator

BINS = 201
LOWEST = -1.0  # bins are spread evenly over [LOWEST, 0]


def two_hot(values_B: Tensor) -> Tensor:
    """Spread each value over its two neighbouring bins so that the mean of the bins is the value.

    Shapes: values_B in [-1, 0] (clipped to it); result float32 [B, V], rows sum to 1.
    Source: RECAP, arXiv:2511.14759 (returns discretised over 201 bins).
    """
    position_B = (values_B.clamp(LOWEST, 0.0) - LOWEST) / -LOWEST * (BINS - 1)
    lower_B = position_B.floor().clamp(max=BINS - 2)
    share_B = position_B - lower_B
    target_BV = torch.zeros(len(values_B), BINS)
    target_BV.scatter_(1, lower_B.long()[:, None], (1.0 - share_B)[:, None])
    target_BV.scatter_(1, lower_B.long()[:, None] + 1, share_B[:, None])
    return target_BV


def value_loss(logits_BV: Tensor, returns_B: Tensor) -> Tensor:
    """Return the mean cross-entropy of the predicted distributions to the returns.

    Source: RECAP, value function. Departure: two-hot targets instead of the nearest bin, so that the mean is unbiased.
    """
    return functional.cross_entropy(logits_BV, two_hot(returns_B))


def drop_indicators(indicator_B: Tensor, share: float, uniform_B: Tensor) -> Tensor:
    """Hide the indicator of about `share` of the rows (NONE), which trains the unconditioned policy as well.

    uniform_B: float32 in [0, 1), drawn for each row.

    Source: RECAP, policy extraction: 30 %. It takes the place of a second loss term for the unconditioned policy.
    """
    return indicator_B.masked_fill(uniform_B < share, Indicator.NONE)
