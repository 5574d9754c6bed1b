"""What RECAP knows of each frame, beside the episode and never in it.

Used by `algorithm.py`. A sidecar follows from the episode, the value function and the configuration, so it is made
again rather than stored in checkpoints; `python -m learner train` writes the last ones to OUT/sidecars/.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import torch

from fleet.protocol.recording import Outcome
from learner.algorithms.recap.advantage import advantages, returns, rewards
from learner.algorithms.recap.config import RecapConfig
from learner.algorithms.recap.value import ValueNetwork
from learner.data.feature_store import Payload
from learner.data.index import FrameClass, IndexedEpisode
from learner.policies.base import Indicator
from learner.policies.language import embed_instruction

Array = np.ndarray[Any, Any]
_HUMAN = (FrameClass.DEMONSTRATION, FrameClass.INTERVENTION)


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of one episode, float32 [T]. NaN: return and advantage of an episode without a known end, and all of an
    episode that nobody acted in (an evaluation)."""

    task: str
    return_T: Array
    value_T: Array
    advantage_T: Array


def acting_steps(episode: IndexedEpisode) -> Array:
    """Return whether somebody acted at each step, bool [T]; all False for an evaluation."""
    is_acting_T: Array = episode.classes_T != FrameClass.OTHER
    return is_acting_T


def is_scored(episode: IndexedEpisode) -> bool:
    """Whether the episode has a return: it ended by itself and somebody acted in it."""
    return episode.manifest.is_terminated and bool(acting_steps(episode).any())


def rollout_steps(episode: IndexedEpisode) -> Array:
    """Return the steps that the policy acted in, int64, rising."""
    return np.flatnonzero(acting_steps(episode) & ~np.isin(episode.classes_T, _HUMAN))


def longest_by_task(episodes: Iterable[IndexedEpisode]) -> dict[str, int]:
    """Return how many steps the longest scored episode of each task acted."""
    longest: dict[str, int] = {}
    for episode in filter(is_scored, episodes):
        task = episode.manifest.task_slug
        longest[task] = max(longest.get(task, 1), int(acting_steps(episode).sum()))
    return longest


def value_inputs(payload: Payload, instruction: str) -> Array:
    """Return what the value function sees of each step: features, proprioception, language; float32 [T, X]."""
    language = np.broadcast_to(embed_instruction(instruction), (len(payload.state_TP), embed_instruction("").size))
    return np.concatenate([payload.features_TF, payload.state_TP, language], axis=1).astype(np.float32)


def episode_rewards(episode: IndexedEpisode, *, longest: int, failure_cost: float) -> Array:
    """Return the rewards of a scored episode, float64 [T]."""
    return rewards(
        acting_steps(episode),
        is_success=episode.manifest.outcome is Outcome.SUCCESS,
        longest=longest,
        failure_cost=failure_cost,
    )


def empty_sidecar(episode: IndexedEpisode) -> Sidecar:
    """Return the sidecar of an episode of which nothing is known."""
    unknown_T = np.full(episode.manifest.steps, math.nan, dtype=np.float32)
    return Sidecar(task=episode.manifest.task_slug, return_T=unknown_T, value_T=unknown_T, advantage_T=unknown_T)


def make_sidecar(
    episode: IndexedEpisode, payload: Payload, value: ValueNetwork, *, longest: int | None, config: RecapConfig
) -> Sidecar:
    """Score an episode's frames. `longest`: None if the value function never saw the task."""
    manifest = episode.manifest
    value_T = value.values(torch.from_numpy(value_inputs(payload, manifest.instruction))).numpy()
    if longest is None or not is_scored(episode):
        return msgspec.structs.replace(empty_sidecar(episode), value_T=value_T)
    reward_T = episode_rewards(episode, longest=longest, failure_cost=config.failure_cost)
    lookahead = max(1, round(config.lookahead_s * manifest.control_rate_hz))
    return Sidecar(
        task=manifest.task_slug,
        return_T=returns(reward_T).astype(np.float32),
        value_T=value_T,
        advantage_T=advantages(reward_T, value_T, lookahead=lookahead).astype(np.float32),
    )


def indicator_of(kind: FrameClass, advantage: float, threshold: float) -> Indicator:
    """Return the indicator of one frame; an unknown advantage (NaN) or a frame that
    nobody acted in says nothing.

    What a person did is positive whatever the value function says. Source: RECAP, arXiv:2511.14759.
    """
    if kind in _HUMAN:
        return Indicator.POSITIVE
    if kind is FrameClass.OTHER or math.isnan(advantage):
        return Indicator.NONE
    return Indicator.POSITIVE if advantage > threshold else Indicator.NEGATIVE
