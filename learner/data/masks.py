"""Which frames carry loss, and how much: paper.md section 3. Pure; used by the replay buffers.

A rule maps frame classes to weights; a weight of 0 keeps the frame out of the buffers. `chunk_mask` then masks what
lies past a gate change.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import numpy as np

from learner.data.index import Array, FrameClass

SIRIUS_INTERVENTION_SHARE = 0.5
SIRIUS_PRE_INTERVENTION_SHARE = 0.002


class FrameRule(enum.StrEnum):
    """`INTERVENTION_ONLY` is HG-DAgger (arXiv:1810.02890); `SIRIUS` weights classes (arXiv:2211.08416). `ALL`
    keeps every frame that somebody acted in, good or bad (RECAP)."""

    INTERVENTION_ONLY = "intervention_only"
    INTERVENTION_AND_SUCCESS = "intervention_and_success"
    SIRIUS = "sirius"
    ALL = "all"


_CARRYING: dict[FrameRule, frozenset[FrameClass]] = {
    FrameRule.INTERVENTION_ONLY: frozenset({FrameClass.DEMONSTRATION, FrameClass.INTERVENTION}),
    FrameRule.INTERVENTION_AND_SUCCESS: frozenset(
        {FrameClass.DEMONSTRATION, FrameClass.INTERVENTION, FrameClass.ROLLOUT_SUCCESS}
    ),
    FrameRule.SIRIUS: frozenset(set(FrameClass) - {FrameClass.OTHER}),
    FrameRule.ALL: frozenset(set(FrameClass) - {FrameClass.OTHER}),
}


def carrying_frames(classes_T: Array, rule: FrameRule) -> Array:
    """Return the indices of the frames that carry loss under `rule`, int32, rising."""
    return np.flatnonzero(np.isin(classes_T, list(_CARRYING[rule]))).astype(np.int32)


def class_weights(rule: FrameRule, counts: Mapping[FrameClass, int]) -> dict[FrameClass, float]:
    """Return the loss weight of each class, given how many frames of each the buffers hold.

    Weight = wanted share / natural share. Under `SIRIUS` interventions get half of all weight, the frames before a
    takeover 0.002, demonstrations their natural share, and rollouts what remains; a remainder below 0 is 0.
    Source: Sirius, arXiv:2211.08416, section IV-C.
    """
    if rule is not FrameRule.SIRIUS:
        return {kind: float(kind in _CARRYING[rule]) for kind in FrameClass}
    total = sum(counts.get(kind, 0) for kind in _CARRYING[rule])
    natural = {kind: counts.get(kind, 0) / total if total else 0.0 for kind in FrameClass}
    rollouts = natural[FrameClass.ROLLOUT] + natural[FrameClass.ROLLOUT_SUCCESS]
    wanted_intervention = SIRIUS_INTERVENTION_SHARE if natural[FrameClass.INTERVENTION] else 0.0
    wanted_before = SIRIUS_PRE_INTERVENTION_SHARE if natural[FrameClass.PRE_INTERVENTION] else 0.0
    remainder = max(0.0, 1.0 - natural[FrameClass.DEMONSTRATION] - wanted_intervention - wanted_before)
    rollout_weight = remainder / rollouts if rollouts else 0.0
    return {
        FrameClass.OTHER: 0.0,
        FrameClass.DEMONSTRATION: 1.0,
        FrameClass.INTERVENTION: _ratio(wanted_intervention, natural[FrameClass.INTERVENTION]),
        FrameClass.PRE_INTERVENTION: _ratio(wanted_before, natural[FrameClass.PRE_INTERVENTION]),
        FrameClass.ROLLOUT: rollout_weight,
        FrameClass.ROLLOUT_SUCCESS: rollout_weight,
    }


def chunk_mask(starts_B: Array, run_ends_B: Array, horizon: int) -> Array:
    """Return float32 [B, H]: 1 for actions before the gate changes or the episode ends, 0 from there on."""
    steps_BH = starts_B[:, None] + np.arange(horizon)[None]
    return (steps_BH < run_ends_B[:, None]).astype(np.float32)


def _ratio(wanted: float, natural: float) -> float:
    return wanted / natural if natural else 0.0
