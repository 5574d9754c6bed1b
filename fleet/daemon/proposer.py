"""What the policy would do now, asked at every step whoever drives. Used by the control loop alone."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleet.daemon import telemetry
from fleet.daemon.safety import is_usable
from fleet.protocol.policy import Observation, Policy

logger = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Proposal:
    """What the policy would do now; None without a policy or when its answer was not finite. `is_planned`: it was asked
    anew at this step."""

    action: Array | None
    inference_ms: float
    is_broken: bool = False
    is_planned: bool = False


class Proposer:
    """Executes chunks with a receding horizon: asks the policy again after `execute_steps` actions."""

    def __init__(self, policy: Policy | None, *, axes: int) -> None:
        self._policy = policy
        self._axes = axes
        self._actions: Array = np.empty((0, axes), np.float32)
        self._position = 0

    def forget(self) -> None:
        """Drop the rest of the chunk: somebody else drove since it was planned."""
        self._position = len(self._actions)

    def propose(self, observation: Observation) -> Proposal:
        if self._policy is None:
            return Proposal(None, 0.0)
        inference_ms, is_planned = 0.0, self._position >= len(self._actions)
        if is_planned:
            began_s = time.perf_counter()
            self._actions = self._policy.infer(observation).actions[: self._policy.execute_steps]
            inference_ms = (time.perf_counter() - began_s) * 1e3
            telemetry.INFERENCE_SECONDS.observe(inference_ms / 1e3)
            self._position = 0
        action = self._actions[self._position] if len(self._actions) else None
        self._position += 1
        if not is_usable(action, self._axes):
            self.forget()
            return Proposal(None, inference_ms, is_broken=True, is_planned=is_planned)
        return Proposal(action, inference_ms, is_planned=is_planned)
