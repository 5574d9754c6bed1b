"""Rewards, returns, advantages and thresholds of an episode. Pure numpy. T steps, N frames.

All in units of the task's longest episode, so that values lie in [-1, 0]:

    reward_T = rewards(is_acting_T, is_success=True, longest=120, failure_cost=1.0)
    return_T = returns(reward_T)
    advantage_T = advantages(reward_T, value_T, lookahead=10)
    is_positive_T = advantage_T > threshold(all_advantages_N, positive_share=0.4)
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def rewards(is_acting_T: Array, *, is_success: bool, longest: int, failure_cost: float) -> Array:
    """Return r_t, float64 [T]: -1 a step, at the last step 0 after success and -`failure_cost` after failure.

    is_acting_T: False where nobody acted (paused, handing over); such steps cost nothing. `longest`: steps that the
    task's longest episode acted; it divides the -1, while `failure_cost` is stated in these units.
    Source: RECAP, arXiv:2511.14759, reward of sparse success.
    """
    reward_T = np.where(is_acting_T, -1.0 / longest, 0.0)
    reward_T[-1] = 0.0 if is_success else -failure_cost
    return reward_T


def returns(reward_T: Array) -> Array:
    """Return the sum of the rewards from each step on, clipped to [-1, 0], float64 [T]."""
    clipped_T: Array = np.cumsum(reward_T[::-1])[::-1].clip(-1.0, 0.0)
    return clipped_T


def advantages(reward_T: Array, value_T: Array, *, lookahead: int) -> Array:
    """Return A_t = r_t + ... + r_{t+N-1} + V_{t+N} - V_t, float64 [T]; rewards and V are 0 past the end.

    Source: RECAP, N-step advantage with N = `lookahead`.
    """
    steps = len(reward_T)
    sums = np.concatenate([[0.0], np.cumsum(reward_T)])
    ends_T = np.minimum(np.arange(steps) + lookahead, steps)
    ahead_T = np.append(value_T, 0.0)[ends_T]
    advantage_T: Array = sums[ends_T] - sums[:steps] + ahead_T - value_T
    return advantage_T


def threshold(advantage_N: Array, *, positive_share: float) -> float:
    """Return eps such that `positive_share` of the advantages are above it (fewer where they tie)."""
    return float(np.quantile(advantage_N, 1.0 - positive_share, method="lower"))
