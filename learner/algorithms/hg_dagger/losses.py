"""The loss of HG-DAgger. Pure. B batch, H horizon."""

from __future__ import annotations

from torch import Tensor


def imitation_loss(losses_BH: Tensor, valid_BH: Tensor, weights_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Add up the losses of the actions that carry one.

    Shapes: losses_BH float32, zero where not valid; valid_BH 0 or 1; weights_B >= 0.
    Returns: the scalars sum(w * loss) and sum(w * valid), whose ratio is the batch's loss; and each row's mean loss
    [B], unweighted and detached.
    Source: HG-DAgger, arXiv:1810.02890, algorithm 1 line 16 (supervised learning on expert labels), with the policy's
    own imitation loss. Departure: actions count equally, so a chunk cut by a gate change weighs less than a whole one.
    """
    total = (losses_BH * weights_B[:, None]).sum()
    weight = (valid_BH * weights_B[:, None]).sum()
    rows_B = losses_BH.sum(dim=1) / valid_BH.sum(dim=1).clamp(min=1.0)
    return total, weight, rows_B.detach()
