"""How far a shadow's proposals lay from what was executed. Pure; docs/rollout.md, "The distance", is its definition.

Actions are in the driver's normalised range [-1, 1] on every axis, so 1 is half an axis's range whatever the version.
No statistics of a version are used: with them the unit would change with the version that drives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.protocol.authority import MODE_CODES, SOURCE_CODES, Mode, Source
from fleet.protocol.messages import Distances

Array = np.ndarray[Any, Any]

NONE = Distances(proposals=0, total=0.0, p50=0.0, p95=0.0)


@dataclass(frozen=True)
class Proposed:
    """A chunk float32 [H, A] that was proposed at `step`, for the steps before `end`, at which a newer plan begins."""

    step: int
    end: int
    actions: Array


@dataclass(frozen=True)
class EpisodeDistances:
    """`policy`: to what the executing policy did. `human`, `own`: of the candidate and of the executing policy to what
    the human did, over the same proposals and frames."""

    policy: Distances
    human: Distances
    own: Distances


def episode_distances(proposals: Sequence[Proposed], arrays: Mapping[str, Array]) -> EpisodeDistances:
    """Return the distances of one episode's proposals. `arrays`: STEP_COLUMNS of the recording.

    One proposal has one distance to each driver: the root mean square over the frames that this driver executed within
    the chunk, and over the axes. Frames of standing still and of handing over belong to nobody.
    """
    executed = arrays["action"].astype(np.float64)
    mode, source = arrays["mode"], arrays["source"]
    is_policy = mode == MODE_CODES[Mode.AUTONOMOUS]
    is_human = (mode == MODE_CODES[Mode.TELEOP]) & (source != SOURCE_CODES[Source.POLICY]) & arrays["proposed"]
    own_squares = _squares(arrays["action.proposed"], executed)
    policy, human, own = [], [], []
    for proposal in proposals:
        span = slice(proposal.step, min(proposal.end, proposal.step + len(proposal.actions), len(executed)))
        squares = _squares(proposal.actions[: span.stop - span.start], executed[span])
        if is_policy[span].any():
            policy.append(_rms(squares[is_policy[span]]))
        if is_human[span].any():
            human.append(_rms(squares[is_human[span]]))
            own.append(_rms(own_squares[span][is_human[span]]))
    return EpisodeDistances(_summed(policy), _summed(human), _summed(own))


def _squares(proposed: Array, executed: Array) -> Array:
    """Return the mean square over the axes, float64 [T]. No robot is sent what lies outside [-1, 1]: cut off first."""
    difference = np.clip(proposed.astype(np.float64), -1.0, 1.0) - executed
    return np.asarray((difference**2).mean(axis=1))


def _rms(squares: Array) -> float:
    return float(np.sqrt(squares.mean()))


def _summed(values: Sequence[float]) -> Distances:
    if not values:
        return NONE
    p50, p95 = (float(value) for value in np.percentile(values, (50, 95)))
    return Distances(proposals=len(values), total=float(sum(values)), p50=p50, p95=p95)
