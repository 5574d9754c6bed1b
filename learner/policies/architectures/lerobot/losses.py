"""What each LeRobot policy is trained by, action by action. B batch, H horizon, A action.

LeRobot's own `forward` returns the mean over the batch; our rules weigh each row and action, so these functions call
what `forward` calls and leave out the mean. Checked against it by tests/learner/test_lerobot_policy.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Batch = dict[str, Any]
"""What LeRobot's pre-processor made of the rows, with `action_is_pad` bool [B, H]."""

_TOKENS = "observation.language.tokens"
_MASK = "observation.language.attention_mask"


def act_losses(policy: Any, batch: Batch) -> Tensor:
    """ACT: L1 error of each action [B, H]; the divergence of the row's latent counts with each.

    Source: ACTPolicy.forward. Departure: the divergence is averaged over the actions that carry loss, not over rows;
    the two are equal where all rows carry the same number.
    """
    seen = {**batch, "observation.images": [batch[name] for name in policy.config.image_features]}
    actions_BHA, (mean_BZ, log_variance_BZ) = policy.model(seen)
    losses_BH: Tensor = (actions_BHA - batch["action"]).abs().mean(dim=2)
    if mean_BZ is not None:
        divergence_B = -0.5 * (1 + log_variance_BZ - mean_BZ.square() - log_variance_BZ.exp()).sum(dim=1)
        losses_BH = losses_BH + policy.config.kl_weight * divergence_B[:, None]
    return losses_BH


def smolvla_losses(policy: Any, batch: Batch) -> Tensor:
    """SmolVLA: flow-matching error of each action [B, H]. Source: SmolVLAPolicy.forward."""
    pictures, masks = policy.prepare_images(batch)
    state, actions = policy.prepare_state(batch), policy.prepare_action(batch)
    errors_BHA = policy.model.forward(pictures, masks, batch[_TOKENS], batch[_MASK], state, actions)
    return _over_axes(policy, errors_BHA)


def pi05_losses(policy: Any, batch: Batch) -> Tensor:
    """pi0.5: flow-matching error of each action [B, H]. Source: PI05Policy.forward, which counts padding too."""
    pictures, masks = policy._preprocess_images(batch)
    actions = policy.prepare_action(batch)
    noise = policy.model.sample_noise(actions.shape, actions.device)
    time = policy.model.sample_time(len(actions), actions.device)
    errors_BHA = policy.model.forward(pictures, masks, batch[_TOKENS], batch[_MASK], actions, noise, time)
    return _over_axes(policy, errors_BHA)


def _over_axes(policy: Any, errors_BHA: Tensor) -> Tensor:
    """Mean over the axes that the policy has; LeRobot pads them to a fixed number."""
    errors: Tensor = errors_BHA[:, :, : policy.config.action_feature.shape[0]]
    return torch.mean(errors.float(), dim=2)


LOSSES: Mapping[str, Callable[[Any, Batch], Tensor]] = {
    "act": act_losses,
    "smolvla": smolvla_losses,
    "pi05": pi05_losses,
}
